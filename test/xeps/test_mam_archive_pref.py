"""XEP-0136 sections 2 and 6: preferences, which are those of XEP-0441, and archiving switched on and off."""

from __future__ import annotations

from twisted.words.xish import domish

from palaver.archive import switches
from palaver.archive.collections import NS_ARCHIVE
from palaver.archive.preferences import MAX_LISTED
from palaver.test.archive.house import ArchiveCase
from palaver.test.house import Client, stanza
from palaver.test.storage.faulty import FaultyStorage
from palaver.xeps.mam import MessageArchive
from palaver.xeps.mam_archive import MamArchive

NS_MAM = "urn:xmpp:mam:2"
ROMEO, NURSE = "romeo@example.org", "nurse@example.com"
NO_ROMEO = f"<item jid='{ROMEO}' save='false' otr='require'/>"


class PrefCase(ArchiveCase):
    """Juliet has two clients, one of which the tests ask with."""

    def setUp(self) -> None:
        super().setUp()
        self.module = self.house.add(MamArchive)
        self.garden = self.house.login("juliet", "garden", "<presence/>")
        self.garden.take()
        self.juliet.take()

    def ask(self, kind: str, inner: str, who: Client | None = None) -> domish.Element:
        """Ask; gives the answer."""
        return (who or self.juliet).ask(f"<iq type='{kind}' id='q'>{inner}</iq>")

    def pref(self, who: Client | None = None) -> domish.Element:
        """Give the preferences as a client gets them."""
        found: domish.Element = self.ask("get", f"<pref xmlns='{NS_ARCHIVE}'/>", who).pref
        return found

    def set(self, inner: str) -> domish.Element:
        """Set preferences; gives the answer."""
        return self.ask("set", f"<pref xmlns='{NS_ARCHIVE}'>{inner}</pref>")

    def change(self, inner: str) -> None:
        """Set preferences, which must work."""
        answer = self.set(inner)
        self.assertEqual((answer["type"], list(answer.elements())), ("result", []), answer.toXml())

    def refused(self, inner: str) -> str:
        """Set preferences that are refused; gives the condition."""
        return str(self.set(inner).error.firstChildElement().name)

    def auto(self, attrs: str, who: Client | None = None) -> domish.Element:
        """Switch archiving; gives the answer."""
        return self.ask("set", f"<auto xmlns='{NS_ARCHIVE}' {attrs}/>", who)

    def items(self, pref: domish.Element) -> list[tuple[str, str, str]]:
        """Give (jid, save, otr) of each item."""
        return [(item["jid"], item["save"], item["otr"]) for item in pref.elements(NS_ARCHIVE, "item")]

    def mam(self, inner: str = "", default: str = "always") -> tuple[str, list[str], list[str]]:
        """Give what XEP-0441 tells; with ``inner``, set it before."""
        if inner:
            answer = self.ask("set", f"<prefs xmlns='{NS_MAM}' default='{default}'>{inner}</prefs>")
        else:
            answer = self.ask("get", f"<prefs xmlns='{NS_MAM}'/>")
        prefs = answer.prefs
        return (
            prefs["default"],
            [str(one) for one in prefs.always.elements()],
            [str(one) for one in prefs.never.elements()],
        )


class PreferencesTests(PrefCase):
    """What is told, and what is set."""

    def test_unset(self) -> None:
        """Who has set nothing is told what the server does, and that nothing is set."""
        pref = self.pref()
        self.assertEqual((pref.default["save"], pref.default["otr"]), ("message", "concede"))
        self.assertEqual(
            (pref.default["unset"], pref.auto["save"], pref.auto["scope"]), ("true", "true", "global")
        )
        self.assertEqual(
            [(one["type"], one["use"]) for one in pref.elements(NS_ARCHIVE, "method")],
            [("auto", "concede"), ("local", "concede"), ("manual", "concede")],
        )

    def test_set(self) -> None:
        """What is set is told again, and XEP-0441 tells the same."""
        self.change(
            f"<default save='body' otr='prefer' expire='31536000'/>{NO_ROMEO}"
            f"<item jid='{NURSE}/x' save='message'/><method type='local' use='forbid'/>"
        )
        pref = self.pref()
        self.assertEqual((pref.default["save"], pref.default["otr"]), ("body", "prefer"))
        self.assertFalse(pref.default.hasAttribute("unset"))
        # Nothing is deleted after that time, so nobody is told that it is.
        self.assertFalse(pref.default.hasAttribute("expire"))
        self.assertEqual(
            self.items(pref), [(f"{NURSE}/x", "message", "concede"), (ROMEO, "false", "require")]
        )
        uses = {one["type"]: one["use"] for one in pref.elements(NS_ARCHIVE, "method")}
        self.assertEqual(uses, {"auto": "concede", "local": "forbid", "manual": "concede"})
        self.assertEqual(self.mam(), ("always", [f"{NURSE}/x"], [ROMEO]))

    def test_in_force(self) -> None:
        """What is set here decides what is archived."""
        self.change(NO_ROMEO)
        self.write("a")
        self.assertEqual(self.entries("juliet"), [])
        self.change(f"<default save='false' otr='concede'/><item jid='{ROMEO}' save='body'/>")
        self.write("b")
        self.write("c", "nurse@example.org", self.juliet)
        self.assertEqual(self.texts("juliet"), ["b"])

    def test_others_stay(self) -> None:
        """What is not named stays as it is."""
        self.change(f"<default save='false' otr='require'/>{NO_ROMEO}")
        self.change(f"<item jid='{NURSE}' save='body' otr='forbid'/>")
        pref = self.pref()
        self.assertEqual((pref.default["save"], pref.default["otr"]), ("false", "require"))
        self.assertEqual(self.items(pref), [(NURSE, "body", "forbid"), (ROMEO, "false", "require")])
        self.change("<method type='auto' use='prefer'/>")
        self.assertEqual(len(self.items(self.pref())), 2)

    def test_roster(self) -> None:
        """A default that only XEP-0441 knows stays until another one is set."""
        self.mam("<always/>", "roster")
        self.assertEqual(self.pref().default["save"], "message")
        self.change(NO_ROMEO)
        self.auto("save='true' scope='global'")
        self.assertEqual(self.mam()[0], "roster")
        self.change("<default save='message' otr='concede'/>")
        self.assertEqual(self.mam()[0], "always")

    def test_set_elsewhere(self) -> None:
        """What XEP-0441 sets is told here; what does not fit any more is forgotten."""
        self.change(f"{NO_ROMEO}<item jid='{NURSE}' save='body' otr='prefer'/>")
        self.mam(
            f"<always><jid>{ROMEO}</jid><jid>{NURSE}</jid></always><never><jid>x@y</jid></never>", "never"
        )
        pref = self.pref()
        self.assertEqual(pref.default["save"], "false")
        self.assertEqual(
            self.items(pref),
            [(NURSE, "body", "prefer"), (ROMEO, "message", "concede"), ("x@y", "false", "concede")],
        )

    def test_domain(self) -> None:
        """An item for a domain itself is possible, and says that it is for nobody of the domain."""
        self.change("<item jid='example.com' save='false' exactmatch='true'/>")
        self.assertEqual(self.pref().item["exactmatch"], "true")
        self.assertEqual(self.mam()[2], ["example.com"])

    def test_refused(self) -> None:
        """What cannot be read or done is refused, each with its condition, and nothing of it is set."""
        for inner, condition in (
            ("", "bad-request"),
            ("<odd/>", "bad-request"),
            ("<default otr='concede'/>", "bad-request"),
            ("<default save='sometimes' otr='concede'/>", "bad-request"),
            ("<default save='true' otr='concede'/>", "bad-request"),
            ("<default save='body' otr='maybe'/>", "bad-request"),
            ("<default save='body' otr='require'/>", "bad-request"),
            ("<default save='body' otr='concede' expire='-1'/>", "bad-request"),
            ("<default save='body' otr='concede' expire='soon'/>", "bad-request"),
            ("<default save='stream' otr='concede'/>", "feature-not-implemented"),
            ("<default save='body' otr='concede'/><default save='false' otr='concede'/>", "bad-request"),
            ("<item save='false'/>", "bad-request"),
            ("<item jid='@' save='false'/>", "jid-malformed"),
            (f"<item jid='{ROMEO}'/>", "bad-request"),
            (f"<item jid='{ROMEO}' save='stream'/>", "feature-not-implemented"),
            (f"<item jid='{ROMEO}' save='false' exactmatch='true'/>", "feature-not-implemented"),
            (f"<item jid='{ROMEO}' save='false' exactmatch='x'/>", "bad-request"),
            ("<item jid='example.com' save='false'/>", "feature-not-implemented"),
            ("<method type='auto'/>", "bad-request"),
            ("<method type='magic' use='prefer'/>", "bad-request"),
            ("<method type='auto' use='never'/>", "bad-request"),
            ("<session thread='t' save='body'/>", "feature-not-implemented"),
            ("<auto save='perhaps'/>", "bad-request"),
            (f"{NO_ROMEO}<item jid='@' save='false'/>", "jid-malformed"),
        ):
            self.assertEqual(self.refused(inner), condition, inner)
        self.assertEqual(self.pref().default["unset"], "true")

    def test_too_many(self) -> None:
        """There is an end to the number of items."""
        self.change("".join(f"<item jid='p{n}@x' save='false'/>" for n in range(MAX_LISTED)))
        self.assertEqual(self.refused(f"<item jid='{ROMEO}' save='body'/>"), "resource-constraint")
        self.change("<item jid='p0@x' save='body'/>")

    def test_items_removed(self) -> None:
        """Items are taken away together, or not at all."""
        self.change(f"{NO_ROMEO}<item jid='{NURSE}' save='body'/>")

        def remove(*jids: str) -> domish.Element:
            items = "".join(f"<item jid='{one}'/>" for one in jids)
            return self.ask("set", f"<itemremove xmlns='{NS_ARCHIVE}'>{items}</itemremove>")

        for jids, condition in (
            ((), "bad-request"),
            (("@",), "jid-malformed"),
            ((ROMEO, "x@y"), "item-not-found"),
        ):
            self.assertEqual(remove(*jids).error.firstChildElement().name, condition)
        self.assertEqual(len(self.items(self.pref())), 2)
        self.assertEqual(remove(ROMEO.upper())["type"], "result")
        self.assertEqual(self.mam(), ("always", [NURSE], []))
        self.assertEqual(remove(NURSE)["type"], "result")
        self.assertEqual(self.items(self.pref()), [])

    def test_one_commit(self) -> None:
        """Both parts of the preferences are committed together; when that fails, nothing has changed."""
        storage = FaultyStorage(self.house.storage)
        self.put_storage(storage)
        storage.writes.fail()
        self.assertEqual(self.refused(NO_ROMEO), "internal-server-error")
        storage.writes.go_on()
        self.assertEqual((self.items(self.pref()), self.mam()[2]), ([], []))
        asked = storage.writes.asked
        self.change(NO_ROMEO)
        self.assertEqual(storage.writes.asked, asked + 1)

    def test_at_the_same_time(self) -> None:
        """Two clients that set something at the same time both get their way."""
        storage = FaultyStorage(self.house.storage)
        self.put_storage(storage)
        storage.writes.stall()
        for client, jid in ((self.juliet, ROMEO), (self.garden, NURSE)):
            item = f"<item jid='{jid}' save='false'/>"
            client.send(f"<iq type='set' id='s'><pref xmlns='{NS_ARCHIVE}'>{item}</pref></iq>")
        storage.writes.go_on()
        self.assertEqual(self.mam()[2], sorted([ROMEO, NURSE]))


class PushTests(PrefCase):
    """Who is told of changes (section 2.3)."""

    def pushes(self, client: Client) -> list[str]:
        """Give what came to a client that is no answer, without the wrapping."""
        return [
            got.firstChildElement().toXml().replace(f" xmlns='{NS_ARCHIVE}'", "")
            for got in client.take()
            if got.name == "iq" and got["type"] == "set" and got["to"] == client.session.jid.full
        ]

    def send(self, inner: str) -> None:
        """Have Juliet's first client set something."""
        self.juliet.send(f"<iq type='set' id='s'>{inner}</iq>")

    def test_asked(self) -> None:
        """Those who have asked are told of what has changed, and nobody else is."""
        self.send(f"<pref xmlns='{NS_ARCHIVE}'>{NO_ROMEO}</pref>")
        self.assertEqual((self.pushes(self.juliet), self.pushes(self.garden)), ([], []))
        self.pref(self.garden)
        self.send(
            f"<pref xmlns='{NS_ARCHIVE}'><default save='body' otr='prefer'/>{NO_ROMEO}"
            f"<item jid='{NURSE}' save='body'/><method type='local' use='prefer'/></pref>"
        )
        self.assertEqual(self.pushes(self.juliet), [])
        (push,) = self.pushes(self.garden)
        self.assertEqual(
            push,
            f"<pref><default otr='prefer' save='body'/><item jid='{NURSE}' otr='concede' save='body'/>"
            "<method type='auto' use='concede'/><method type='local' use='prefer'/>"
            "<method type='manual' use='concede'/></pref>",
        )

    def test_nothing_new(self) -> None:
        """What is set again as it was is no news."""
        self.change(NO_ROMEO)
        self.pref(self.garden)
        self.send(f"<pref xmlns='{NS_ARCHIVE}'>{NO_ROMEO}</pref>")
        self.assertEqual(self.pushes(self.garden), [])

    def test_removed(self) -> None:
        """Items that are gone are told as such."""
        self.change(NO_ROMEO)
        self.pref(self.garden)
        self.send(f"<itemremove xmlns='{NS_ARCHIVE}'><item jid='{ROMEO}'/></itemremove>")
        self.assertEqual(self.pushes(self.garden), [f"<itemremove><item jid='{ROMEO}'/></itemremove>"])

    def test_set_elsewhere(self) -> None:
        """What a client of XEP-0441 sets is told too."""
        self.change(NO_ROMEO)
        self.pref(self.garden)
        self.send(
            f"<prefs xmlns='{NS_MAM}' default='never'><always><jid>{NURSE}</jid></always><never/></prefs>"
        )
        self.assertEqual(
            self.pushes(self.garden),
            [
                "<pref><default otr='concede' save='false'/>"
                f"<item jid='{NURSE}' otr='concede' save='message'/></pref>",
                f"<itemremove><item jid='{ROMEO}'/></itemremove>",
            ],
        )

    def test_gone(self) -> None:
        """A session that has ended is forgotten, also by a client of the same name."""
        self.pref(self.garden)
        self.garden.session.unbind()
        self.assertEqual(self.module._asked, set())
        self.garden = self.house.login("juliet", "garden", "<presence/>")
        self.send(f"<pref xmlns='{NS_ARCHIVE}'>{NO_ROMEO}</pref>")
        self.assertEqual(self.pushes(self.garden), [])


class AutoTests(PrefCase):
    """Archiving switched on and off."""

    def test_stream(self) -> None:
        """What a stream sends while it is switched off is not in its archive; the other side's keeps it."""
        self.assertEqual(self.auto("save='false'")["type"], "result")
        self.write("a", ROMEO, self.juliet)
        self.write("b", ROMEO, self.garden)
        self.assertEqual((self.texts("juliet"), self.texts("romeo")), (["b"], ["a", "b"]))
        auto = self.pref().auto
        self.assertEqual((auto["save"], auto["scope"]), ("false", "stream"))
        self.assertEqual(self.pref(self.garden).auto["save"], "true")
        self.assertEqual(self.mam()[0], "always")
        self.auto("save='1' scope='stream'")
        self.write("c", ROMEO, self.juliet)
        self.assertEqual(self.texts("juliet"), ["b", "c"])

    def test_received(self) -> None:
        """What comes for one stream follows its switch; what comes for the account, all of them."""
        self.auto("save='0'")
        for number, to in enumerate(("/balcony", "/garden", "", "/elsewhere")):
            self.write(str(number), f"juliet@example.org{to}")
        self.assertEqual(self.texts("juliet"), ["1", "2", "3"])
        self.auto("save='0'", self.garden)
        self.write("x")
        self.assertEqual(self.texts("juliet"), ["1", "2", "3"])
        self.assertIn("x", self.texts("romeo"))

    def test_to_oneself(self) -> None:
        """A message to oneself is left out when all streams are switched off."""
        for client in (self.juliet, self.garden):
            self.auto("save='false'", client)
        self.write("a", "juliet@example.org", self.juliet)
        self.assertEqual(self.texts("juliet"), [])

    def test_reload(self) -> None:
        """A switch outlives a change of the archive's options."""
        self.auto("save='false'")
        for module in (self.module, self.house.modules["MessageArchive"]):
            module.detach()
        self.house.add(MessageArchive, max_result_limit=10)
        self.house.add(MamArchive)
        self.write("a", ROMEO, self.juliet)
        self.assertEqual((self.texts("juliet"), self.texts("romeo")), ([], ["a"]))

    def test_next_stream(self) -> None:
        """A switch without a scope ends with its stream, also while nobody is online."""
        for client in (self.juliet, self.garden):
            self.auto("save='false'", client)
            client.session.unbind()
        self.write("a")
        self.juliet = self.house.login("juliet", "balcony", "<presence/>")
        self.write("b")
        self.assertEqual(self.texts("juliet"), ["a", "b"])

    def test_global(self) -> None:
        """With a scope of global it is the default for all streams, the same that XEP-0441 tells."""
        self.auto("save='false' scope='global'")
        self.assertEqual(self.mam()[0], "never")
        pref = self.pref(self.garden)
        self.assertEqual(
            (pref.auto["save"], pref.auto["scope"], pref.default["save"]), ("false", "global", "false")
        )
        self.write("a")
        self.change("<auto save='true' scope='global'/>")
        self.write("b")
        self.assertEqual((self.texts("juliet"), self.mam()[0]), (["b"], "always"))

    def test_global_after_stream(self) -> None:
        """The last word counts: a switch for all ends that for the stream."""
        self.auto("save='false'")
        self.auto("save='true' scope='global'")
        self.assertEqual(self.pref().auto["save"], "true")

    def test_items_left(self) -> None:
        """With contacts that are archived in any case, archiving is not wholly off, and that is told."""
        self.change(f"<default save='false' otr='concede'/><item jid='{ROMEO}' save='body'/>")
        self.assertEqual(self.pref().auto["save"], "true")

    def test_refused(self) -> None:
        """A switch that cannot be read is refused."""
        for attrs in ("", "save='maybe'", "save=''", "save='true' scope='planet'"):
            self.assertEqual(self.auto(attrs).error.firstChildElement().name, "bad-request", attrs)

    def test_no_stream(self) -> None:
        """Where there is no stream there is nothing to switch."""
        for inner in (
            f"<auto xmlns='{NS_ARCHIVE}' save='false'/>",
            f"<pref xmlns='{NS_ARCHIVE}'><auto save='false'/>{NO_ROMEO}</pref>",
        ):
            self.juliet.take()
            self.house.router.route(
                stanza(
                    "<iq type='set' id='q' from='juliet@example.org/balcony' to='juliet@example.org'>"
                    f"{inner}</iq>"
                )
            )
            (answer,) = self.juliet.take()
            self.assertEqual(answer.error.firstChildElement().name, "not-allowed")
        self.assertEqual(self.mam()[2], [])

    def test_forgotten(self) -> None:
        """Streams that are gone do not pile up."""
        found = switches.Switches()
        for number in range(10 * switches.SPARE):
            client = self.house.login("nurse", f"r{number}")
            found.turn(client.session, False)
            client.session.unbind()
        self.assertLessEqual(len(found.off), switches.SPARE)
        late = self.house.login("nurse").session
        late.unbind()
        found.turn(late, False)
        self.assertNotIn(late, found.off)


class OverlapTests(PrefCase):
    """Messages on the way when the switch is turned."""

    def test_not_begun_early(self) -> None:
        """A message that its sender does not archive waits behind those that are being stored."""
        # What both want is known once they have written to each other.
        self.write("x", ROMEO, self.juliet)
        self.write("y")
        may_overlap = self.house.host.may_overlap
        assert may_overlap is not None
        chat = stanza(f"<message type='chat' id='a' to='{ROMEO}'><body>a</body></message>")
        self.assertTrue(may_overlap(self.juliet.session, chat))
        self.auto("save='false'")
        self.assertFalse(may_overlap(self.juliet.session, chat))
