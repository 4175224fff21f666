"""XEP-0386: a resource within the login, and what is switched on with it."""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from palaver.errors import StorageError
from palaver.interfaces import IRosters
from palaver.test.house import House
from palaver.test.streams.authenticating import (
    LAPTOP,
    PHONE,
    SM,
    Device,
    attribute,
    bind2,
    identifier,
    success,
)  # fmt: skip
from palaver.test.streams.talker import BIND, Talker, bind, bound, error
from palaver.xeps.bind2 import Bind2
from palaver.xeps.carboncopy import CarbonCopy
from palaver.xeps.csi import ClientState
from palaver.xeps.mam import MessageArchive
from palaver.xeps.offline import Offline
from palaver.xeps.sasl2 import ExtensibleSasl
from palaver.xeps.stream_management import StreamManagement

CARBONS = "<enable xmlns='urn:xmpp:carbons:2'/>"
ENABLE = f"<enable xmlns='{SM}' resume='true'/>"
INACTIVE = "<inactive xmlns='urn:xmpp:csi:0'/>"
CONFLICT = error("conflict", "Replaced by new connection")


def message(text: str, to: str = "romeo@example.org", more: str = "") -> str:
    return f"<message type='chat' to='{to}' id='{text}'><body>{text}</body>{more}</message>"


def resume(token: str, h: object = 0) -> str:
    return f"<resume xmlns='{SM}' previd='{token}' h='{h}'/>"


class BindCase(SynchronousTestCase):
    """Romeo's devices log in by XEP-0388; Juliet is there already."""

    modules: tuple[Any, ...] = (StreamManagement, CarbonCopy, ClientState, Offline)

    def setUp(self) -> None:
        self.house = House(ExtensibleSasl, Bind2, *self.modules)
        self.users = self.house.host.users
        self.juliet = Talker(self.house).log_in("juliet", "balcony", "balcony")

    def device(self) -> Device:
        return Device(self.house)

    def resources(self) -> list[str]:
        return list(self.users["romeo"].sessions) if "romeo" in self.users else []


class ResourceTests(BindCase):
    """Which resource a client gets."""

    modules = ()

    def test_feature(self) -> None:
        """It is announced, without features where there are none."""
        self.assertIn(
            "<inline><bind xmlns='urn:xmpp:bind:0'/></inline></authentication>", self.device().open()
        )

    def test_bound(self) -> None:
        """The full JID comes with the success, and there is nothing to bind any more."""
        device = self.device()
        answer = device.enter(bind2())
        self.assertTrue(
            answer.startswith(success(identifier(device.jid) + "<bound xmlns='urn:xmpp:bind:0'/>")), answer
        )
        self.assertRegex(device.jid, r"\Aromeo@example\.org/Balcony/[\w-]{12}\Z")
        self.assertNotIn(BIND, answer)
        self.assertIn(f"to='{device.jid}'", device.send("<iq type='get' id='1'><x xmlns='urn:x'/></iq>"))

    def test_stable(self) -> None:
        """The same installation gets the same resource; another one, or another account, another one."""

        def resource(tag: str | None = "Balcony", **who: Any) -> str:
            device = self.device()
            device.enter(bind2(tag=tag), **who)
            return device.jid.partition("/")[2]

        first = resource()
        self.assertEqual(resource(), first)
        self.assertEqual(resource(client=PHONE.upper()), first)
        self.assertEqual(resource(tag=None), first.partition("/")[2])
        others = {
            resource(client=LAPTOP),
            resource(local="juliet", password="balcony"),
            resource(client=None),
            resource(client=None),
        }
        self.assertEqual(len(others | {first}), 5)
        self.assertNotIn(PHONE[:8], first)

    def test_bad_tags(self) -> None:
        """A tag that no resource may hold is left out."""
        for tag in ("", "   ", "a" * 1023, "\u0085x", "a&#9;b"):
            device = self.device()
            device.enter(bind2(tag=tag))
            self.assertRegex(device.jid, r"\Aromeo@example\.org/[\w-]{12}\Z", tag)

    def test_tag_as_it_is(self) -> None:
        """White space around a tag is not part of it; other characters stay."""
        device = self.device()
        device.enter(bind2(tag=" Kiva's &lt;phone&gt; é "))
        self.assertIn("/Kiva's <phone> é/", device.jid)

    def test_earlier_session(self) -> None:
        """A new login of an installation ends its earlier session, whatever its tag; others stay."""
        for tag in ("Balcony", "Garden"):
            phone, laptop = self.device(), self.device()
            phone.enter(bind2())
            laptop.enter(bind2(), client=LAPTOP)
            again = self.device()
            again.enter(bind2(tag=tag))
            self.assertEqual(phone.take(), CONFLICT)
            self.assertEqual(laptop.take(), "")
            self.assertEqual(len(self.resources()), 2)
            for device in (again, laptop):
                device.send("</stream:stream>")

    def test_without_id(self) -> None:
        """Clients that do not say which they are do not end each other."""
        first, second = self.device(), self.device()
        first.enter(bind2(), client=None)
        second.enter(bind2(), client=None)
        self.assertEqual((first.take(), len(self.resources())), ("", 2))

    def test_bound_twice(self) -> None:
        """A second request in one login does nothing."""
        answer = self.device().enter(bind2(), bind2(tag="Other"))
        self.assertEqual((answer.count("<bound "), len(self.resources())), (1, 1))

    def test_no_roster(self) -> None:
        """When there can be no session now, the client has logged in and may bind the old way."""
        rosters = self.house.host.query(IRosters)
        was = rosters.load

        async def fails(local: str, documents: Any = None) -> None:
            raise StorageError("the disk is gone")

        rosters.load = fails
        device = self.device()
        answer = device.enter(bind2())
        self.assertTrue(answer.startswith(success(identifier("romeo@example.org"))), answer)
        self.assertIn(f"<bind xmlns='{BIND}'/>", answer)
        self.assertIn("internal-server-error", device.send(bind("orchard")))
        rosters.load = was
        self.assertEqual(device.send(bind("orchard")), bound("romeo@example.org/orchard"))

    def test_wrong_password(self) -> None:
        """Nothing is bound without a login, and nobody loses a session by it."""
        phone = self.device()
        phone.enter(bind2())
        self.assertNotIn("<bound ", self.device().enter(bind2(), password="wrong"))
        self.assertEqual((phone.take(), len(self.resources())), ("", 1))


class SessionTests(BindCase):
    """What is switched on with the resource."""

    def test_feature(self) -> None:
        """What may be switched on is announced."""
        announced = self.device().open()
        names = re.findall("<feature var='([^']*)'/>", announced)
        self.assertEqual(names, ["urn:xmpp:carbons:2", "urn:xmpp:csi:0", SM])
        self.assertIn(f"<sm xmlns='{SM}'/></inline></authentication>", announced)

    def test_all(self) -> None:
        """Everything at once; what is on is not announced again."""
        device = self.device()
        answer = device.enter(bind2(CARBONS, ENABLE, INACTIVE))
        token = attribute("id", answer)
        enabled = f"<enabled xmlns='{SM}' id='{token}' resume='true' max='600'/>"
        self.assertIn(f"<bound xmlns='urn:xmpp:bind:0'>{enabled}</bound></success>", answer)
        self.assertNotIn(SM, answer.partition("</success>")[2])

    def test_carbons(self) -> None:
        """Copies come from the first message on."""
        phone, laptop = self.device(), self.device()
        phone.enter(bind2(CARBONS))
        laptop.enter(bind2(), client=LAPTOP)
        laptop.send(message("hi", "juliet@example.org"))
        self.assertIn("<sent xmlns='urn:xmpp:carbons:2'>", phone.take())
        self.assertNotIn("urn:xmpp:carbons:2", laptop.take())

    def test_inactive(self) -> None:
        """An inactive client is spared from the beginning, an active one is not."""
        for state, wanted in ((INACTIVE, False), ("<active xmlns='urn:xmpp:csi:0'/>", True), ("", True)):
            device = self.device()
            device.enter(bind2(state))
            device.send("<presence><priority>1</priority></presence>")
            self.juliet.send(f"<presence to='{device.jid}'/>")
            self.assertEqual("juliet@example.org/balcony" in device.take(), wanted)
            self.juliet.send(f"<presence type='unavailable' to='{device.jid}'/>")

    def test_counting(self) -> None:
        """Stream management counts from the success on."""
        device = self.device()
        device.enter(bind2(ENABLE))
        device.send("<iq type='get' id='1'><x xmlns='urn:x'/></iq>")
        self.assertIn(f"<a xmlns='{SM}' h='1'/>", device.send(f"<r xmlns='{SM}'/>"))

    def test_enabled_twice(self) -> None:
        """The second wish fails, the first one holds."""
        answer = self.device().enter(bind2(ENABLE, ENABLE))
        self.assertEqual((answer.count("<enabled "), answer.count("<failed ")), (1, 1))

    def test_unknown(self) -> None:
        """What nobody knows is passed over."""
        self.assertIn(
            "<bound xmlns='urn:xmpp:bind:0'/>", self.device().enter(bind2("<fly xmlns='urn:example'/>"))
        )


class ResumeTests(BindCase):
    """Resuming a session within the login (XEP-0198 section 9.2)."""

    def lost(self) -> tuple[str, str]:
        """Lose a phone's connection; gives its full JID and what resumes its session."""
        phone = self.device()
        token = attribute("id", phone.enter(bind2(ENABLE)))
        phone.send("<presence/>")
        phone.stream.connection_lost()
        self.juliet.send(message("wherefore"))
        return phone.jid, token

    def test_resumed(self) -> None:
        """The session goes on: no binding, no features, and what was missed behind the success."""
        jid, token = self.lost()
        phone = self.device()
        answer = phone.enter(resume(token), bind2(ENABLE))
        resumed = f"<resumed xmlns='{SM}' previd='{token}' h='1'/>"
        self.assertTrue(answer.startswith(success(identifier(jid) + resumed)), answer)
        self.assertIn("<body>wherefore</body>", answer.partition("</success>")[2])
        for absent in ("<bound ", "<stream:features>"):
            self.assertNotIn(absent, answer)
        self.assertEqual((phone.jid, len(self.resources())), (jid, 1))

    def test_failed_then_bound(self) -> None:
        """When that fails, the client hears why and gets a new session, and the message is not lost."""
        _, token = self.lost()
        phone = self.device()
        answer = phone.enter(resume("nonsense"), bind2(ENABLE))
        failed = (
            f"<failed xmlns='{SM}'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
        )
        self.assertTrue(answer.startswith(success(identifier(phone.jid) + failed)[:-10]), answer)
        self.assertIn("<enabled ", answer)
        self.assertNotEqual(attribute("id", answer.partition("<bound")[2]), token)
        self.house.clock.advance(0)
        self.assertIn("<body>wherefore</body>", phone.send("<presence/>"))

    def test_too_late(self) -> None:
        """Who comes back after the time hears how much was handled."""
        _, token = self.lost()
        self.house.clock.advance(601)
        self.assertIn(f"<failed xmlns='{SM}' h='1'>", self.device().enter(resume(token), bind2()))

    def test_failed_alone(self) -> None:
        """Without a wish to bind, the client has logged in and may bind."""
        answer = self.device().enter(resume("nonsense"))
        self.assertIn(f"<bind xmlns='{BIND}'/>", answer)

    def test_bad_requests(self) -> None:
        """A number that is none fails as it does elsewhere; one that is too high ends the stream."""
        _, token = self.lost()
        self.assertIn("<bad-request ", self.device().enter(resume(token, "many"), bind2(), client=LAPTOP))
        answer = self.device().enter(resume(token, 7), bind2(), client=LAPTOP)
        self.assertIn("<handled-count-too-high ", answer)
        self.assertNotIn("<success ", answer)

    def test_anothers(self) -> None:
        """Nobody resumes somebody else's session."""
        _, token = self.lost()
        answer = self.device().enter(resume(token), bind2(), local="juliet", password="balcony")
        self.assertIn("<item-not-found ", answer)

    def test_wrong_password(self) -> None:
        """Without a login nothing is resumed, and the session waits on."""
        _, token = self.lost()
        self.assertNotIn("<resumed ", self.device().enter(resume(token), password="wrong"))
        self.assertIn("<resumed ", self.device().enter(resume(token)))

    def test_old_stream_lives(self) -> None:
        """The old stream ends with a conflict, and its session goes on."""
        phone = self.device()
        token = attribute("id", phone.enter(bind2(ENABLE)))
        again = self.device()
        self.assertIn("<resumed ", again.enter(resume(token), bind2(ENABLE)))
        self.assertEqual(phone.take(), CONFLICT)
        self.assertEqual(len(self.resources()), 1)

    def test_twice(self) -> None:
        """Two wishes to resume: the second is too late."""
        _, token = self.lost()
        answer = self.device().enter(resume(token), resume(token))
        self.assertIn("<resumed ", answer)
        self.assertIn("<unexpected-request ", answer)


class ArchiveTests(BindCase):
    """What a client learns of its archive."""

    def setUp(self) -> None:
        self.house = House(ExtensibleSasl, StreamManagement, Offline, MessageArchive)
        self.bind2: Any = self.house.add(Bind2)
        self.users = self.house.host.users
        self.juliet = Talker(self.house).log_in("juliet", "balcony", "balcony")

    def set(self, **options: Any) -> None:
        self.bind2.settings = Bind2.Settings(**options)

    def test_metadata(self) -> None:
        """The first and the last message's ids and times; nothing in an empty archive."""
        self.assertIn("<metadata xmlns='urn:xmpp:mam:2'/></bound>", self.device().enter(bind2()))
        for text in ("one", "two"):
            self.juliet.send(message(text))
            self.house.clock.advance(1)
        answer = self.device().enter(bind2())
        self.assertRegex(answer, r"<metadata [^>]*><start id='\w+' timestamp='[^']+Z'/><end id='\w+' ")
        self.set(archive_metadata=False)
        self.assertNotIn("<metadata", self.device().enter(bind2()))

    def test_archive_fails(self) -> None:
        """A login does without what cannot be read."""

        async def fails(*arguments: Any) -> None:
            raise StorageError("the disk is gone")

        self.patch(self.house.storage.logs, "range", fails)
        self.assertIn("<bound xmlns='urn:xmpp:bind:0'/>", self.device().enter(bind2()))

    def test_offline(self) -> None:
        """What waits is handed over with its id in the archive, or taken away when the options say so."""
        for clear, wanted in ((False, ["one", "two"]), (True, ["two"])):
            self.set(clear_offline=clear)
            self.juliet.send(message("one"))
            # The archive does not want this one, so it is not taken away.
            self.juliet.send(message("two", more="<no-permanent-store xmlns='urn:xmpp:hints'/>"))
            self.house.clock.advance(1)
            phone = self.device()
            phone.enter(bind2())
            got = phone.send("<presence/>")
            self.house.clock.advance(1)
            got += phone.take()
            self.assertEqual(re.findall("<body>([^<]*)</body>", got), wanted, clear)
            phone.send("</stream:stream>")
