"""XEP-0012."""

from __future__ import annotations

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from palaver.errors import StorageError
from palaver.events import AccountDeleted
from palaver.routing.roster import RosterItem
from palaver.storage import Json
from palaver.test.house import Client, House, now
from palaver.xeps.last import LastActivity

ASK = "<iq type='get' id='1'{to}><query xmlns='jabber:iq:last'/></iq>"
AWAY = "<presence type='unavailable'><status>Gone to the masque</status></presence>"


class LastActivityTests(SynchronousTestCase):
    """A client asks when somebody was last here."""

    def setUp(self) -> None:
        """Log in Romeo, who sees Juliet's presence, and Mercutio, who does not."""
        self.house = House(LastActivity)
        self.romeo = self.house.login("romeo", presence="<presence/>")
        self.mercutio = self.house.login("mercutio")
        self.juliet = self.house.login("juliet", "balcony", "<presence/>")
        self.juliet.session.user.roster.apply([RosterItem("romeo@example.org", subscription="from")], [], 1)
        # Kept alive, as a roster that was read from storage would be.
        self.roster = self.juliet.session.user.roster

    def ask(self, client: Client, to: str = "juliet@example.org") -> tuple[str, str]:
        """Give the seconds and the text of the answer, or "error" and the condition."""
        answer = client.ask(ASK.format(to=f" to='{to}'" if to else ""))
        if answer["type"] == "error":
            return "error", answer.error.firstChildElement().name
        return answer.query["seconds"], str(answer.query)

    def test_uptime(self) -> None:
        """Everybody may ask how long the server is up."""
        self.house.clock.advance(77.9)
        self.assertEqual(self.ask(self.mercutio, "example.org"), ("77", ""))

    def test_online(self) -> None:
        """Somebody who is available was last here 0 seconds ago."""
        self.assertEqual(self.ask(self.romeo), ("0", ""))

    def test_away(self) -> None:
        """A contact is told since when the account is away, and its last words."""
        self.juliet.send(AWAY)
        self.house.clock.advance(90)
        self.assertEqual(self.ask(self.romeo), ("90", "Gone to the masque"))

    def test_own(self) -> None:
        """One may ask about oneself, named or not."""
        for to in ("", "romeo@example.org"):
            self.assertEqual(self.ask(self.romeo, to), ("0", ""))

    def test_connection_lost(self) -> None:
        """A session that breaks off counts as going away."""
        self.juliet.session.unbind("Disconnected")
        self.house.clock.advance(5)
        self.assertEqual(self.ask(self.romeo)[0], "5")

    def test_other_session(self) -> None:
        """Somebody is here as long as one of the sessions is."""
        self.house.login("juliet", "chamber", "<presence/>")
        self.juliet.send(AWAY)
        self.house.clock.advance(5)
        self.assertEqual(self.ask(self.romeo)[0], "0")

    def test_never_here(self) -> None:
        """Of an account that has never been available nothing is known."""
        self.assertEqual(self.ask(self.mercutio, ""), ("error", "service-unavailable"))

    def test_forbidden(self) -> None:
        """Who is not subscribed is told nothing, whether there is such an account or not."""
        for name in ("juliet", "nobody"):
            self.assertEqual(self.ask(self.mercutio, f"{name}@example.org"), ("error", "forbidden"))

    def test_set(self) -> None:
        """Nobody sets it."""
        answer = self.romeo.ask(ASK.format(to="").replace("get", "set"))
        self.assertEqual(answer.error.firstChildElement().name, "not-allowed")

    def stored(self) -> Json | None:
        """Give what is in the storage about Juliet."""
        document = now(self.house.storage.documents.get("example.org", "juliet", "last"))
        return document.value if document is not None else None

    def test_stored(self) -> None:
        """It is stored a moment later, with whatever else happened in that moment."""
        self.juliet.send(AWAY)
        self.house.clock.advance(1)
        self.assertEqual(self.stored(), {"time": 0, "status": "Gone to the masque"})
        self.assertEqual(self.ask(self.romeo), ("1", "Gone to the masque"))

    def test_stored_at_the_end(self) -> None:
        """A server that stops stores what it has not stored yet."""
        self.juliet.send(AWAY)
        self.house.modules["LastActivity"].detach()
        self.assertEqual(self.stored(), {"time": 0, "status": "Gone to the masque"})

    def test_stored_later(self) -> None:
        """What could not be stored is known all the same, and tried again."""
        broken = self.patch(self.house.storage, "write", lambda batch: fail(StorageError("down")))
        self.juliet.send(AWAY)
        self.house.clock.advance(1)
        self.assertEqual(self.ask(self.romeo)[0], "1")
        broken.restore()
        self.house.clock.advance(1)
        self.assertEqual(self.stored(), {"time": 0, "status": "Gone to the masque"})

    def test_account_deleted(self) -> None:
        """Nothing is stored for an account that is gone."""
        self.juliet.send(AWAY)
        self.house.host.events.fire(AccountDeleted(self.juliet.session.user.jid))
        self.house.clock.advance(1)
        self.assertIsNone(self.stored())

    def test_storage_fails(self) -> None:
        """When the storage does not answer, the client may try again."""
        self.juliet.session.unbind()
        self.house.clock.advance(1)
        self.patch(self.house.storage.documents, "get", lambda *_: fail(StorageError("down")))
        answer = self.romeo.ask(ASK.format(to=" to='juliet@example.org'"))
        self.assertEqual(
            (answer.error["type"], answer.error.firstChildElement().name), ("wait", "internal-server-error")
        )

    def test_unloaded(self) -> None:
        """Without the module nobody answers, and nothing is stored."""
        self.house.modules["LastActivity"].detach()
        self.juliet.send(AWAY)
        self.assertEqual(self.ask(self.romeo), ("error", "service-unavailable"))
        self.assertIsNone(now(self.house.storage.documents.get("example.org", "juliet", "last")))
