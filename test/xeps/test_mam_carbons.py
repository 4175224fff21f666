"""XEP-0280 with XEP-0313: copies of what a session sends bear the id that the sender's archive gave."""

from __future__ import annotations

import re
from typing import Any, ClassVar, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.events import SessionBound
from palaver.modules import Module
from palaver.routing.pipeline import TO_USER
from palaver.stanza import NS_FORWARD
from palaver.storage import LogQuery
from palaver.test.archive.house import ArchiveCase
from palaver.test.house import Client, House, now
from palaver.test.streams.talker import Talker
from palaver.xeps.carboncopy import NS_CARBONS, CarbonCopy
from palaver.xeps.mam import MessageArchive

PASSWORDS = {"romeo": "pencil", "juliet": "balcony"}
ENABLE = f"<iq type='set' id='on'><enable xmlns='{NS_CARBONS}'/></iq>"


def copied(client: Client) -> list[domish.Element]:
    """Give the messages inside the copies that came to a client."""
    found = []
    for got in client.take():
        for sent in got.elements(NS_CARBONS, "sent"):
            (wrapper,) = sent.elements(NS_FORWARD, "forwarded")
            found.append(wrapper.firstChildElement())
    return found


class CopiesTests(ArchiveCase):
    """Romeo writes in the orchard, and has a client in the garden."""

    modules: ClassVar[tuple[type[Module], ...]] = (CarbonCopy,)

    def setUp(self) -> None:
        super().setUp()
        self.garden = self.house.login("romeo", "garden", "<presence/>")
        self.garden.ask(ENABLE)

    def test_id(self) -> None:
        """Wherever a message goes, its copy has the id of the sender's archive and no other."""
        for to in (
            "juliet@example.org",
            "juliet@example.org/balcony",
            "nobody@example.org",
            "eve@example.com",
        ):
            self.write(to, to)
        found = [(message["id"], self.sid(message)) for message in copied(self.garden)]
        self.assertEqual(
            found,
            [(one.text, [("romeo@example.org", f"{one.id:x}")]) for one in self.entries("romeo")],
        )
        self.assertEqual(len(found), 4)

    def test_forged(self) -> None:
        """An id that the sender has made up is not in the copy."""
        self.write("a", more="<stanza-id xmlns='urn:xmpp:sid:0' by='romeo@example.org' id='1'/>")
        (message,) = copied(self.garden)
        self.assertEqual(self.sid(message), [("romeo@example.org", self.ids("romeo")[0])])

    def test_not_archived(self) -> None:
        """What is not archived is copied without an id."""
        self.write("a", more="<no-store xmlns='urn:xmpp:hints'/>")
        (message,) = copied(self.garden)
        self.assertEqual(self.sid(message), [])

    def test_others_copies(self) -> None:
        """The addressee's copies have the id of his archive."""
        garden = self.house.login("juliet", "garden", "<presence/>")
        garden.ask(ENABLE)
        self.write("a", "juliet@example.org/balcony")
        (got,) = garden.take()
        (message,) = got.received.forwarded.elements()
        self.assertEqual(self.sid(message), [("juliet@example.org", self.ids("juliet")[0])])


class OverlapTests(SynchronousTestCase):
    """Romeo writes several messages at once, over a real stream."""

    def test_slow(self) -> None:
        """The id is not lost when the next message is begun before the first one is delivered."""
        house = House(CarbonCopy, MessageArchive)
        passwords = {"orchard": "romeo", "garden": "romeo", "balcony": "juliet"}
        talkers = {}
        for resource, local in passwords.items():
            talkers[resource] = Talker(house).log_in(local, resource, PASSWORDS[local])
            # What a login's one query reads comes with it.
            house.host.events.fire(SessionBound(cast(Any, talkers[resource].stream.session), []))
            talkers[resource].send("<presence/>")
        talkers["garden"].send(ENABLE)
        held: Deferred[None] = Deferred()
        house.host.pipeline.add(
            TO_USER, "notice", ("message",), "mod_test", lambda m, _: held if m.id == "a" else None
        )
        talkers["garden"].take()
        messages = [
            f"<message type='chat' id='{name}' to='juliet@example.org'><body>{name}</body></message>"
            for name in "abc"
        ]
        talkers["orchard"].send("".join(messages))
        found = now(house.storage.logs.range("example.org", "romeo", "archive", LogQuery())).entries
        self.assertEqual([one.text for one in found], ["a", "b", "c"])
        held.callback(None)
        copies = talkers["garden"].take()
        ids = re.findall(r"by='romeo@example.org' id='(\w+)'", copies)
        self.assertEqual(ids, [f"{one.id:x}" for one in found])


class SilentTests(ArchiveCase):
    """Where clients are not told ids."""

    options: ClassVar[dict[str, Any]] = {"no_stanzaid_element": True}
    modules: ClassVar[tuple[type[Module], ...]] = (CarbonCopy,)

    def test_no_id(self) -> None:
        """There is no id in a copy either."""
        garden = self.house.login("romeo", "garden", "<presence/>")
        garden.ask(ENABLE)
        self.write("a")
        (message,) = copied(garden)
        self.assertEqual((self.sid(message), len(self.entries("romeo"))), ([], 1))


class WithoutArchiveTests(ArchiveCase):
    """Copies with mod_mam off."""

    def test_no_id(self) -> None:
        """There is no id in a copy."""
        house = House(CarbonCopy)
        romeo, garden = house.login("romeo"), house.login("romeo", "garden")
        garden.ask(ENABLE)
        romeo.send("<message type='chat' id='a' to='eve@example.com'><body>a</body></message>")
        (message,) = copied(garden)
        self.assertEqual(self.sid(message), [])
