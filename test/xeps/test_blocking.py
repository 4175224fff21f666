"""XEP-0191."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail

from palaver.errors import StorageError
from palaver.routing.iqs import BARE, IqRoute
from palaver.routing.lifecycle import delete_account
from palaver.routing.pipeline import TO_USER
from palaver.routing.roster import RosterItem
from palaver.routing.users import bind
from palaver.test.house import Client, House, now, stanza
from palaver.test.privacy.case import JULIET, REMOTE, ROMEO, PrivacyCase, presences
from palaver.test.storage.sqlite import SqliteCase
from palaver.waiting import settled
from palaver.xeps.blocking import Blocking
from palaver.xeps.disco import ServiceDiscovery
from palaver.xeps.offline import Offline
from palaver.xeps.privacy import Privacy

FULL = f"{JULIET}/balcony"
CHAT = "<body>hi</body>"


class ListTests(PrivacyCase):
    """The list itself."""

    def blocking_options(self) -> dict[str, Any]:
        """Let the limit be met."""
        return {"max_items": 3}

    def test_block(self) -> None:
        """Blocked JIDs are on the list in prepared form, once; unblocked ones are not any more."""
        self.assertEqual(self.blocked(), [])
        self.assertEqual(self.block("ROMEO@Example.org", "spam.example")["type"], "result")
        self.block("romeo@example.org")
        self.assertEqual(self.blocked(), [ROMEO, "spam.example"])
        self.assertEqual(self.block(ROMEO, "never@blocked.example", name="unblock")["type"], "result")
        self.assertEqual(self.blocked(), ["spam.example"])

    def test_unblock_all(self) -> None:
        """An empty request unblocks all, and nothing is left in the storage."""
        self.block(ROMEO, "spam.example")
        self.assertEqual(self.block(name="unblock")["type"], "result")
        self.assertEqual(self.blocked(), [])
        found = now(self.house.storage.documents.list("example.org", "juliet", ["privacy", "privacy-list"]))
        self.assertEqual(found, [])
        self.assertEqual(self.block(name="unblock")["type"], "result")

    def test_pushes(self) -> None:
        """Sessions that have asked for the list hear of changes; others do not."""
        other = self.house.login("juliet", "garden", "<presence/>")
        self.blocked(other)
        other.take()
        self.block("Spam.example")
        self.block("spam.example", name="unblock")
        self.block(name="unblock")
        pushes = [node for node in other.take() if node.name == "iq"]
        self.assertEqual([node["type"] for node in pushes], ["set"] * 3)
        self.assertEqual(
            [node.firstChildElement().toXml() for node in pushes],
            [
                "<block xmlns='urn:xmpp:blocking'><item jid='spam.example'/></block>",
                "<unblock xmlns='urn:xmpp:blocking'><item jid='spam.example'/></unblock>",
                "<unblock xmlns='urn:xmpp:blocking'/>",
            ],
        )
        self.assertEqual(len({node["id"] for node in pushes}), 3)
        self.assertEqual(self.juliet.take(), [])

    def test_bad_requests(self) -> None:
        """What is wrong is refused as a whole, and nothing is changed."""
        rows = {
            (): ("modify", "bad-request"),
            ("spam.example", "@"): ("modify", "jid-malformed"),
            ("spam.example", ""): ("modify", "jid-malformed"),
            ("a.example", "b.example", "c.example", "d.example"): ("modify", "policy-violation"),
        }
        for jids, expected in rows.items():
            self.assertEqual(self.condition(self.block(*jids)), expected)
        self.assertEqual(self.condition(self.block("@", name="unblock")), ("modify", "jid-malformed"))
        self.assertEqual(self.blocked(), [])

    def test_storage_fails(self) -> None:
        """What cannot be stored does not apply."""
        self.patch(self.house.storage, "write", lambda batch: fail(StorageError("full")))
        self.assertEqual(self.condition(self.block(ROMEO)), ("wait", "internal-server-error"))
        self.assertEqual(self.blocked(), [])
        self.romeo.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
        self.assertEqual(len(self.juliet.take()), 1)

    def test_somebody_else(self) -> None:
        """Nobody reads or changes another account's list."""
        answer = self.romeo.ask(
            f"<iq type='get' id='1' to='{JULIET}'><blocklist xmlns='urn:xmpp:blocking'/></iq>"
        )
        self.assertEqual(self.condition(answer), ("cancel", "service-unavailable"))

    def test_changes_wait_for_each_other(self) -> None:
        """Two requests at a time lose nothing of each other."""
        gates: list[Deferred[None]] = []
        write = self.house.storage.write

        def late(batch: Any) -> Deferred[Any]:
            gates.append(Deferred())
            return gates[-1].addCallback(lambda _: write(batch))

        self.patch(self.house.storage, "write", late)
        other = self.house.login("juliet", "garden")
        request = "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='%s'/></block></iq>"
        self.juliet.send(request % "a.example")
        other.send(request % "b.example")
        self.assertEqual(len(gates), 1)
        gates[0].callback(None)
        gates[1].callback(None)
        self.assertEqual(self.blocked(), ["a.example", "b.example"])

    def test_disco(self) -> None:
        """The server says that it can."""
        self.house.add(ServiceDiscovery)
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        answer = self.juliet.ask(f"<iq type='get' id='1' to='example.org'>{query}</iq>").query
        found = [node.getAttribute("var") for node in answer.elements() if node.name == "feature"]
        self.assertIn("urn:xmpp:blocking", found)
        self.assertIn("jabber:iq:privacy", found)


class InTests(PrivacyCase):
    """What comes from somebody who is blocked."""

    def setUp(self) -> None:
        """Block Romeo."""
        super().setUp()
        self.block(ROMEO)
        self.clear()

    def send(self, xml: str) -> list[tuple[str, str, str]]:
        """Have Romeo send something that must not arrive; gives the errors that he gets."""
        self.romeo.send(xml)
        self.assertEqual(self.juliet.take(), [])
        return self.errors(self.romeo)

    def test_messages(self) -> None:
        """Messages come back as if nobody were there; what nobody expects an answer to does not."""
        gone = [("message", "cancel", "service-unavailable")]
        for to in (FULL, JULIET, f"{JULIET}/nowhere"):
            for kind, expected in (
                ("", gone),
                ("type='chat'", gone),
                ("type='normal'", gone),
                ("type='headline'", []),
                ("type='groupchat'", []),
                ("type='error'", []),
            ):
                self.assertEqual(
                    self.send(f"<message to='{to}' {kind}>{CHAT}</message>"), expected, (to, kind)
                )

    def test_as_if_offline(self) -> None:
        """The error is the one for an account that does not exist, so that nobody learns of the block."""
        self.romeo.send(f"<message id='1' to='{JULIET}' type='chat'>{CHAT}</message>")
        self.romeo.send(f"<message id='1' to='nobody@example.org' type='chat'>{CHAT}</message>")
        one, other = self.romeo.take()
        self.assertEqual(one.error.toXml(), other.error.toXml())

    def test_iqs(self) -> None:
        """Requests come back, to a client and to the account; answers vanish."""
        gone = [("iq", "cancel", "service-unavailable")]
        for to in (FULL, JULIET, f"{JULIET}/nowhere"):
            for kind in ("get", "set"):
                request = f"<iq id='1' to='{to}' type='{kind}'><ping xmlns='urn:xmpp:ping'/></iq>"
                self.assertEqual(self.send(request), gone)
        self.assertEqual(self.send(f"<iq id='1' to='{FULL}' type='result'/>"), [])
        self.assertEqual(self.send(f"<iq id='1' to='{FULL}' type='error'/>"), [])

    def test_account_answers(self) -> None:
        """What the server answers for an account it does not answer to those who are blocked."""
        called: list[Any] = []
        self.host.iqs.add(IqRoute("get", "x:y", "query", BARE, "test", called.append))
        request = f"<iq id='1' to='{JULIET}' type='get'><query xmlns='x:y'/></iq>"
        self.assertEqual(self.send(request), [("iq", "cancel", "service-unavailable")])
        self.assertEqual(called, [])
        self.block(ROMEO, name="unblock")
        self.clear()
        self.assertEqual(self.romeo.ask(request)["type"], "result")
        self.assertEqual(len(called), 1)

    def test_presence(self) -> None:
        """Presence of every type vanishes, and changes nothing."""
        before = self.stored("juliet", ROMEO)
        for shown in ("", "type='unavailable'"):
            self.assertEqual(self.send(f"<presence to='{FULL}' {shown}/>"), [])
        for kind in ("unavailable", None, "probe", "subscribe", "unsubscribe", "subscribed", "error"):
            self.host.router.route(stanza("<presence/>").replace(type=kind, to=JULIET, from_=ROMEO))
            self.assertEqual((self.juliet.take(), self.romeo.take()), ([], []), kind)
        self.assertEqual(self.stored("juliet", ROMEO), before)

    def test_broadcast(self) -> None:
        """A blocked contact's broadcasts do not arrive, and their login brings nothing of the other side."""
        self.romeo.send("<presence><show>away</show></presence>")
        self.assertEqual(self.juliet.take(), [])
        again = self.house.login("romeo", "garden", "<presence/>")
        self.assertEqual(presences(again)[0], (None, f"{ROMEO}/garden"))
        self.assertNotIn(JULIET, str(again.take()))
        self.assertEqual(self.juliet.take(), [])

    def test_other_resource(self) -> None:
        """A new session of the account is guarded as well."""
        garden = self.house.login("juliet", "garden", "<presence/>")
        self.assertNotIn((None, f"{ROMEO}/orchard"), presences(garden))
        self.romeo.send(f"<message to='{JULIET}/garden' type='chat'>{CHAT}</message>")
        self.assertEqual(garden.take(), [])

    def test_invitation(self) -> None:
        """An invitation through a room counts as its inviter's, and a room hears of no error."""
        invite = f"<x xmlns='http://jabber.org/protocol/muc#user'><invite from='{ROMEO}/orchard'/></x>"
        given = stanza(f"<message to='{JULIET}'>{invite}</message>").replace(from_="hall@muc.example")
        self.host.router.route(given)
        self.assertEqual((self.juliet.take(), self.elsewhere.take()), ([], []))
        self.host.router.route(given.replace().with_children(["x"]))
        self.assertEqual(len(self.juliet.take()), 1)
        wrong = stanza(f"<message to='{JULIET}'>{invite.replace(ROMEO, '@')}</message>")
        self.host.router.route(wrong.replace(from_="hall@muc.example"))
        self.assertEqual(len(self.juliet.take()), 1)

    def test_room_message(self) -> None:
        """A private message from a blocked room vanishes: an error would end the stay in it."""
        self.block("hall@muc.example")
        self.clear()
        inner = "<body>hi</body><x xmlns='http://jabber.org/protocol/muc#user'/>"
        given = stanza(f"<message to='{FULL}' type='chat'>{inner}</message>")
        self.host.router.route(given.replace(from_="hall@muc.example/nick"))
        self.assertEqual((self.juliet.take(), self.elsewhere.take()), ([], []))

    def test_nothing_later(self) -> None:
        """What is refused meets no later phase: nothing archives, copies or keeps it."""
        seen: list[Any] = []
        self.host.pipeline.add(TO_USER, "archive", ("message",), "mod_mam", lambda *got: seen.append(got))
        self.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
        self.assertEqual(seen, [])

    def test_others(self) -> None:
        """Nobody else notices."""
        nurse = self.house.login("nurse", "house", "<presence/>")
        nurse.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
        self.assertEqual([str(node.body) for node in self.juliet.take()], ["hi"])

    def test_unblocked(self) -> None:
        """After unblocking all arrives again, and the account's stanzas cost nothing more."""
        self.block(name="unblock")
        self.clear()
        self.romeo.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
        self.assertEqual(len(self.juliet.take()), 1)
        self.assertIs(self.juliet.session.user.pipeline, self.host.pipeline)


class AbsentTests(PrivacyCase):
    """The list holds while nobody is there."""

    def setUp(self) -> None:
        """Block Romeo, with messages kept, and leave."""
        super().setUp()
        self.house.add(Offline)
        self.block(ROMEO)
        self.juliet.session.unbind()
        self.clear()

    def test_message(self) -> None:
        """A message to an account that is away comes back, and is not kept."""
        for to in (JULIET, FULL):
            self.romeo.send(f"<message to='{to}' type='chat'>{CHAT}</message>")
            self.assertEqual(self.errors(self.romeo), [("message", "cancel", "service-unavailable")])
        nurse = self.house.login("nurse", "house", "<presence/>")
        nurse.send(f"<message to='{JULIET}' type='chat'>{CHAT}</message>")
        back = self.house.login("juliet", "balcony", "<presence/>")
        messages = [node["from"] for node in back.take() if node.name == "message"]
        self.assertEqual(messages, ["nurse@example.org/house"])

    def test_presence(self) -> None:
        """A probe and a request get no answer."""
        for kind in ("probe", "subscribe", "unsubscribe"):
            given = stanza("<presence/>").replace(type=kind, to=JULIET, from_=f"{ROMEO}/orchard")
            self.host.router.route(given)
            self.assertEqual(self.romeo.take(), [], kind)
        self.assertEqual(self.stored("juliet", ROMEO)["subscription"], "both")

    def test_unreadable(self) -> None:
        """While the list cannot be read nothing passes, and the sender hears that trying again may help."""
        self.patch(self.house.storage.documents, "list", lambda *_: fail(StorageError("gone")))
        self.romeo.send(f"<message to='{JULIET}' type='chat'>{CHAT}</message>")
        self.assertEqual(self.errors(self.romeo), [("message", "wait", "internal-server-error")])

    def test_back(self) -> None:
        """Whoever comes back is guarded as before, with the list read at the login or not."""
        documents = now(
            self.house.storage.documents.list("example.org", "juliet", ["privacy", "privacy-list"])
        )
        for read in (documents, None):
            back = Client(self.house)
            back.session = now(bind(self.host, back, "juliet", "balcony", read))
            back.send("<presence/>")
            back.take()
            self.romeo.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
            self.assertEqual(back.take(), [])
            back.session.unbind()

    def test_stale_login(self) -> None:
        """A login that has read the list before it was changed does not bring the old one back."""
        old = now(self.house.storage.documents.list("example.org", "juliet", ["privacy", "privacy-list"]))
        other = self.house.login("juliet", "garden")
        self.block(name="unblock", client=other)
        other.session.unbind()
        back = Client(self.house)
        back.session = now(bind(self.host, back, "juliet", "balcony", old))
        self.assertEqual(self.blocked(back), [])

    def test_slow_login(self) -> None:
        """What comes while the list is still being read waits for it."""
        gate: Deferred[Any] = Deferred()
        read = self.house.storage.documents.list
        self.patch(
            self.house.storage.documents,
            "list",
            lambda host, owner, kinds: (
                gate.addCallback(lambda _: read(host, owner, kinds))
                if "privacy-list" in kinds
                else read(host, owner, kinds)
            ),
        )
        back = Client(self.house)
        binding = Deferred.fromCoroutine(bind(self.host, back, "juliet", "balcony", None))
        self.romeo.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
        self.assertEqual((self.romeo.take(), back.take()), ([], []))
        gate.callback(None)
        now(binding)
        self.assertEqual(back.take(), [])
        self.assertEqual(self.errors(self.romeo), [("message", "cancel", "service-unavailable")])


class OutTests(PrivacyCase):
    """What the account sends to somebody whom it has blocked."""

    def setUp(self) -> None:
        """Block Romeo."""
        super().setUp()
        self.block(ROMEO)
        self.clear()

    def send(self, xml: str) -> Any:
        """Have Juliet send something that must not leave; gives what she gets."""
        self.juliet.send(xml)
        self.assertEqual(self.romeo.take(), [])
        return self.juliet.take()

    def test_refused(self) -> None:
        """It comes back with the reason (section 3.3)."""
        for xml in (
            f"<message to='{ROMEO}' type='chat'>{CHAT}</message>",
            f"<iq type='get' id='1' to='{ROMEO}/orchard'><ping xmlns='urn:xmpp:ping'/></iq>",
            f"<iq type='set' id='1' to='{ROMEO}'><ping xmlns='urn:xmpp:ping'/></iq>",
            f"<presence to='{ROMEO}'/>",
            f"<presence type='subscribe' to='{ROMEO}'/>",
        ):
            (answer,) = [node for node in self.send(xml) if node.getAttribute("type") == "error"]
            self.assertEqual(self.condition(answer), ("cancel", "not-acceptable"))
            children = [(node.uri, node.name) for node in answer.error.elements()]
            self.assertIn(("urn:xmpp:blocking:errors", "blocked"), children)
            self.assertEqual(answer["from"].partition("/")[0], ROMEO)

    def test_no_answers_to_answers(self) -> None:
        """Errors and results vanish."""
        for xml in (
            f"<message to='{ROMEO}' type='error'/>",
            f"<iq type='result' id='1' to='{ROMEO}/orchard'/>",
            f"<iq type='error' id='1' to='{ROMEO}/orchard'/>",
        ):
            self.assertEqual(self.send(xml), [])

    def test_end_of_subscription(self) -> None:
        """A subscription can be ended all the same; the roster says so."""
        self.juliet.send(f"<presence type='unsubscribed' to='{ROMEO}'/>")
        self.assertEqual(self.stored("juliet", ROMEO)["subscription"], "to")
        self.assertEqual(self.romeo.take(), [])

    def test_broadcast(self) -> None:
        """Presence for everybody leaves him out, silently."""
        self.assertEqual(presences(self.juliet), [])
        self.juliet.send("<presence><show>away</show></presence>")
        self.assertEqual(presences(self.juliet), [(None, FULL)])
        self.juliet.session.unbind()
        self.assertEqual(self.romeo.take(), [])

    def test_own(self) -> None:
        """Nothing stops what goes between the account's sessions, or to the server."""
        self.block(JULIET, "example.org")
        garden = self.house.login("juliet", "garden", "<presence/>")
        garden.take()
        self.clear()
        self.juliet.send(f"<message to='{JULIET}/garden' type='chat'>{CHAT}</message>")
        self.assertEqual([node.name for node in garden.take()], ["message"])
        garden.send(f"<message type='chat'>{CHAT}</message>")
        self.assertEqual([node.name for node in self.juliet.take()], ["message"])
        answer = self.juliet.ask("<iq type='get' id='1' to='example.org'><x xmlns='y'/></iq>")
        self.assertEqual(self.condition(answer), ("cancel", "service-unavailable"))

    def test_no_address(self) -> None:
        """What cannot be an address is answered as such."""
        self.juliet.send(f"<message to='@' type='chat'>{CHAT}</message>")
        self.assertEqual(self.errors(self.juliet), [("message", "modify", "jid-malformed")])


class PresenceTests(PrivacyCase):
    """What blocking shows and hides at once."""

    def test_hidden(self) -> None:
        """A blocked contact sees the account go, and the account sees the contact go."""
        self.juliet.send(
            f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{ROMEO}'/></block></iq>"
        )
        self.assertEqual(presences(self.romeo), [("unavailable", FULL)])
        self.assertEqual(presences(self.juliet), [("unavailable", f"{ROMEO}/orchard")])
        self.block(ROMEO)
        self.assertEqual((presences(self.romeo), presences(self.juliet)), ([], []))

    def test_shown(self) -> None:
        """An unblocked contact sees the account again, and the account sees the contact."""
        self.juliet.send("<presence><show>away</show></presence>")
        self.block(ROMEO)
        self.clear()
        self.juliet.send("<iq type='set' id='b'><unblock xmlns='urn:xmpp:blocking'/></iq>")
        (shown,) = self.romeo.take()
        self.assertEqual((shown["from"], str(shown.show)), (FULL, "away"))
        self.assertEqual(presences(self.juliet), [(None, f"{ROMEO}/orchard")])

    def test_elsewhere(self) -> None:
        """A contact of another server is told as well, and asked when unblocked."""
        self.hold("juliet", RosterItem(REMOTE, subscription="both"))
        self.block("elsewhere.example")
        self.assertEqual(self.elsewhere.take(), [("unavailable", FULL, REMOTE)])
        self.block("elsewhere.example", name="unblock")
        self.assertEqual(self.elsewhere.take(), [(None, FULL, REMOTE), ("probe", FULL, REMOTE)])

    def test_strangers(self) -> None:
        """Who may not see the account hears nothing of it."""
        self.hold("juliet", RosterItem(REMOTE, subscription="to"))
        self.block(REMOTE, "nurse@example.org")
        self.assertEqual(self.elsewhere.take(), [])

    def test_one_resource(self) -> None:
        """Blocking one resource of a contact hides the account from that one."""
        self.hold("juliet", RosterItem(REMOTE, subscription="both"))
        self.block(f"{REMOTE}/phone")
        self.assertEqual(self.elsewhere.take(), [("unavailable", FULL, f"{REMOTE}/phone")])

    def test_directed(self) -> None:
        """Whom presence was directed at hears of its end once."""
        self.juliet.send(f"<presence to='{REMOTE}'/>")
        self.elsewhere.take()
        self.block(REMOTE)
        self.assertEqual(self.elsewhere.take(), [("unavailable", FULL, REMOTE)])
        self.juliet.session.unbind()
        self.assertEqual(self.elsewhere.take(), [])

    def test_unavailable(self) -> None:
        """A session that nobody sees shows nothing."""
        self.juliet.send("<presence type='unavailable'/>")
        self.clear()
        self.block(ROMEO)
        self.block(ROMEO, name="unblock")
        self.assertEqual(presences(self.romeo), [])

    def test_pending_request(self) -> None:
        """A request of somebody who is blocked is gone: nobody could answer it."""
        self.host.router.route(stanza("<presence type='subscribe'/>").replace(from_=REMOTE, to=JULIET))
        self.assertIsNotNone(self.stored("juliet", REMOTE))
        self.block(REMOTE)
        self.assertIsNone(self.stored("juliet", REMOTE))
        self.assertIsNone(self.juliet.session.user.roster.item(REMOTE).request)


class LifeTests(PrivacyCase):
    """Loading, unloading, and accounts that go."""

    def test_unload(self) -> None:
        """A module that goes leaves nothing behind; the other one goes on alone."""
        self.block(ROMEO)
        self.clear()
        self.host.modules["mod_blocking"].detach()
        self.assertTrue(self.host.pipeline.rows())
        self.romeo.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
        self.assertEqual(len(self.errors(self.romeo)), 1)
        self.host.modules["mod_privacy"].detach()
        self.assertEqual(self.host.pipeline.rows(), [])
        self.assertEqual(self.host.login_kinds, [])
        self.assertIs(self.juliet.session.user.pipeline, self.host.pipeline)

    def test_load(self) -> None:
        """A module that comes while people are online applies their lists at once."""
        self.block(ROMEO)
        self.host.modules["mod_blocking"].detach()
        self.host.modules["mod_privacy"].detach()
        self.house.add(Blocking)
        self.clear()
        self.romeo.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
        self.assertEqual(self.errors(self.romeo), [("message", "cancel", "service-unavailable")])
        self.assertEqual(self.juliet.take(), [])
        self.assertIs(self.romeo.session.user.pipeline, self.host.pipeline)

    def test_load_during_login(self) -> None:
        """Whoever was logging in when the module came is guarded as well."""
        self.block(ROMEO)
        self.juliet.session.unbind()
        self.host.modules["mod_blocking"].detach()
        self.host.modules["mod_privacy"].detach()
        back = Client(self.house)
        back.authenticated_as = "juliet"
        self.host.unbound.add(back)
        self.house.add(Blocking)
        back.session = now(bind(self.host, back, "juliet", "balcony", []))
        self.assertEqual(self.blocked(back), [ROMEO])

    def test_all_gone_meanwhile(self) -> None:
        """A block that is stored when its session has gone holds for whoever has come since."""
        gate: Deferred[Any] = Deferred()
        write = self.house.storage.write
        self.patch(self.house.storage, "write", lambda batch: gate.addCallback(lambda _: write(batch)))
        item = f"<item jid='{ROMEO}'/>"
        self.juliet.send(f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'>{item}</block></iq>")
        self.juliet.session.unbind()
        back = Client(self.house)
        back.session = now(bind(self.host, back, "juliet", "balcony", []))
        gate.callback(None)
        self.assertEqual(self.blocked(back), [ROMEO])
        self.assertIs(back.session.user.pipeline, self.host.pipeline.guarded)

    def test_deleted(self) -> None:
        """An account that is deleted and made again has no list."""
        self.block(ROMEO)
        now(delete_account(self.host, "juliet"))
        self.house.accounts.names.add("juliet")
        self.assertEqual(self.blocked(self.house.login("juliet")), [])

    def test_no_lists(self) -> None:
        """Accounts without lists do not meet the guards."""
        self.assertIs(self.juliet.session.user.pipeline, self.host.pipeline)
        self.assertEqual((self.host.pipeline.to_user, self.host.pipeline.from_client), ({}, {}))


class RestartTests(SqliteCase):
    """Block lists outlive the process."""

    def house(self) -> House:
        """Give a host on the stored file."""
        house = House()
        house.host.storage = self.storage
        house.add(Blocking)
        house.add(Privacy)
        return house

    async def log_in(self, house: House, local: str) -> Client:
        """Bind a session."""
        client = Client(house)
        client.session = await bind(house.host, client, local, "r", None)
        await settled(client.send("<presence/>"))
        client.take()
        return client

    async def test_restart(self) -> None:
        """What was blocked before a restart is blocked after it, online and offline."""
        house = self.house()
        juliet = await self.log_in(house, "juliet")
        request = "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='%s'/></block></iq>"
        await juliet.send(request % ROMEO)
        self.assertEqual(juliet.take()[-1]["type"], "result")
        await self.reopen()
        house = self.house()
        romeo = await self.log_in(house, "romeo")
        for _ in range(2):
            await romeo.send(f"<message to='{JULIET}' type='chat'>{CHAT}</message>")
            self.assertEqual(romeo.take()[-1].error.firstChildElement().name, "service-unavailable")
        juliet = await self.log_in(house, "juliet")
        romeo.send(f"<message to='{JULIET}/r' type='chat'>{CHAT}</message>")
        self.assertEqual(romeo.take()[-1].error.firstChildElement().name, "service-unavailable")
        await juliet.send("<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>")
        self.assertEqual(juliet.take()[-1].blocklist.item["jid"], ROMEO)
