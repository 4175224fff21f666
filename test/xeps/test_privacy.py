"""XEP-0016 and XEP-0126."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail

from palaver.errors import StorageError
from palaver.jid import JID
from palaver.routing.pipeline import TO_USER
from palaver.routing.roster import RosterItem
from palaver.stanza import Stanza
from palaver.test.house import now, stanza
from palaver.test.privacy.case import DENY_ROMEO, JULIET, REMOTE, ROMEO, PrivacyCase, presences

FULL = f"{JULIET}/balcony"
CHAT = "<body>hi</body>"
DENY_ALL = "<item action='deny' order='9'/>"


class ListCase(PrivacyCase):
    """Small limits."""

    def privacy_options(self) -> dict[str, Any]:
        """Let the limits be met."""
        return {"max_items": 3, "max_lists": 2}

    def names(self) -> list[tuple[str, str]]:
        """Ask for the names of Juliet's lists."""
        answer = self.privacy("get")
        self.assertEqual(answer["type"], "result")
        return [(node.name, node["name"]) for node in answer.query.elements()]

    def refused(self, kind: str, inner: str) -> tuple[str, str]:
        """Give the error that a request gets."""
        return self.condition(self.privacy(kind, inner))


class NamesTests(ListCase):
    """Lists are stored, chosen, read and removed."""

    def test_lists(self) -> None:
        """A list comes back in order, with what was in it."""
        items = (
            "<item action='allow' order='20'/>"
            "<item type='jid' value='Tybalt@Example.com' action='deny' order='3'>"
            "<message/><iq/><message/></item>"
            "<item type='subscription' value='both' action='allow' order='4'/>"
        )
        self.assertEqual(self.privacy("set", f"<list name='public'>{items}</list>")["type"], "result")
        answer = self.privacy("get", "<list name='public'/>").query
        self.assertEqual(
            answer.list.toXml(),
            "<list xmlns='jabber:iq:privacy' name='public'>"
            "<item type='jid' value='tybalt@example.com' action='deny' order='3'><message/><iq/></item>"
            "<item type='subscription' value='both' action='allow' order='4'/>"
            "<item action='allow' order='20'/></list>",
        )

    def test_names(self) -> None:
        """The active and the default list are named before all lists; each session has its own active one."""
        self.assertEqual(self.names(), [])
        self.make_list(DENY_ROMEO, "a", "active")
        self.make_list(DENY_ALL, "b", "default")
        self.assertEqual(self.names(), [("active", "a"), ("default", "b"), ("list", "a"), ("list", "b")])
        self.privacy("set", "<active/>")
        self.privacy("set", "<default/>")
        self.assertEqual(self.names(), [("list", "a"), ("list", "b")])

    def test_replaced(self) -> None:
        """A list that is set again is replaced as a whole, and the new one applies at once."""
        self.make_list(DENY_ROMEO)
        self.make_list("<item type='jid' value='x.example' action='deny' order='1'/>")
        self.romeo.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
        self.assertEqual(len(self.juliet.take()), 1)

    def test_removed(self) -> None:
        """A list that is removed applies no more, and is not stored any more."""
        for use in ("active", "default"):
            self.make_list(DENY_ROMEO, use=use)
            self.assertEqual(self.privacy("set", "<list name='work'/>")["type"], "result")
            self.assertEqual(self.names(), [])
            self.clear()
            self.romeo.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
            self.assertEqual(len(self.juliet.take()), 1)
        found = now(self.house.storage.documents.list("example.org", "juliet", ["privacy", "privacy-list"]))
        self.assertEqual(found, [])

    def test_active_ends(self) -> None:
        """An active list lasts as long as its session."""
        self.make_list(DENY_ROMEO, use="active")
        self.juliet.session.unbind()
        self.juliet = self.house.login("juliet", "balcony", "<presence/>")
        self.assertEqual(self.names(), [("list", "work")])

    def test_unknown(self) -> None:
        """A list that is not there cannot be read, chosen or removed."""
        for kind, inner in (
            ("get", "<list name='x'/>"),
            ("set", "<list name='x'/>"),
            ("set", "<active name='x'/>"),
            ("set", "<default name='x'/>"),
        ):
            self.assertEqual(self.refused(kind, inner), ("cancel", "item-not-found"))

    def test_bad_requests(self) -> None:
        """What section 2.1 does not allow is refused, and nothing is changed."""
        item = "<item type='jid' value='a.example' action='deny' order='1'/>"
        bad = ("modify", "bad-request")
        rows = [
            ("get", "<list name='x'/><list name='y'/>", bad),
            ("get", "<active/>", bad),
            ("get", "<list/>", bad),
            ("get", "<list xmlns='other' name='x'/>", bad),
            ("set", "", bad),
            ("set", "<active/><default/>", bad),
            ("set", "<other/>", bad),
            ("set", f"<list>{item}</list>", bad),
            ("set", f"<list name='{'x' * 1024}'>{item}</list>", bad),
            ("set", "<list name='x'><rule action='deny' order='1'/></list>", bad),
            ("set", "<list name='x'><item xmlns='y' action='deny' order='1'/></list>", bad),
            ("set", "<list name='x'><item action='deny'/></list>", bad),
            *[
                ("set", f"<list name='x'><item action='deny' order='{order}'/></list>", bad)
                for order in ("", "-1", "+1", "1.0", "one", "4294967296", "99999999999", "\u0661")
            ],
            ("set", "<list name='x'><item order='1'/></list>", bad),
            ("set", "<list name='x'><item action='block' order='1'/></list>", bad),
            ("set", "<list name='x'><item type='all' action='deny' order='1'/></list>", bad),
            ("set", "<list name='x'><item action='deny' order='1'><presence/></item></list>", bad),
            ("set", f"<list name='x'>{item}{item}</list>", bad),
            (
                "set",
                "<list name='x'><item type='subscription' value='all' action='deny' order='1'/></list>",
                bad,
            ),
            (
                "set",
                "<list name='x'><item type='jid' value='@' action='deny' order='1'/></list>",
                ("modify", "jid-malformed"),
            ),
            (
                "set",
                "<list name='x'><item type='jid' action='deny' order='1'/></list>",
                ("modify", "jid-malformed"),
            ),
            (
                "set",
                "<list name='x'><item type='group' value='Enemies' action='deny' order='1'/></list>",
                ("cancel", "item-not-found"),
            ),
        ]
        for kind, inner, expected in rows:
            self.assertEqual(self.refused(kind, inner), expected, inner)
        self.assertEqual(self.names(), [])

    def test_limits(self) -> None:
        """Too many items or lists are refused; a list that is there may still be changed."""
        items = "".join([f"<item action='deny' order='{order}'/>" for order in range(4)])
        self.assertEqual(
            self.refused("set", f"<list name='x'>{items}</list>"), ("modify", "policy-violation")
        )
        full = ("modify", "policy-violation")
        for name in "ab":
            self.privacy("set", f"<list name='{name}'>{DENY_ALL}</list>")
        self.assertEqual(self.refused("set", f"<list name='c'>{DENY_ALL}</list>"), full)
        self.assertEqual(self.privacy("set", f"<list name='b'>{DENY_ROMEO}</list>")["type"], "result")

    def test_storage_fails(self) -> None:
        """What cannot be stored does not apply."""
        self.make_list(DENY_ALL)
        self.patch(self.house.storage, "write", lambda batch: fail(StorageError("full")))
        for inner in ("<default/>", "<list name='work'/>", f"<list name='work'>{DENY_ROMEO}</list>"):
            self.assertEqual(self.refused("set", inner), ("wait", "internal-server-error"))
        self.assertEqual(self.names(), [("default", "work"), ("list", "work")])


class SeveralTests(ListCase):
    """Several sessions with their own wishes (section 2.2)."""

    def setUp(self) -> None:
        """Log Juliet in twice."""
        super().setUp()
        self.garden = self.house.login("juliet", "garden", "<presence/>")
        self.clear()
        self.garden.take()

    def test_pushes(self) -> None:
        """Every session hears which list is another one, whether it asked or not."""
        for items in (DENY_ROMEO, DENY_ALL, ""):
            self.privacy("set", f"<list name='work'>{items}</list>")
            (push,) = [node for node in self.garden.take() if node.name == "iq"]
            self.assertEqual((push["type"], push["to"]), ("set", f"{JULIET}/garden"))
            self.assertEqual(
                push.query.toXml(), "<query xmlns='jabber:iq:privacy'><list name='work'/></query>"
            )
        self.assertEqual(self.garden.take(), [])

    def test_conflicts(self) -> None:
        """A list that applies to another session can be neither removed nor replaced as the default."""
        self.make_list(DENY_ROMEO)
        self.make_list(DENY_ALL, "b", "active")
        conflict = ("cancel", "conflict")
        for inner in ("<default/>", "<default name='b'/>", "<list name='work'/>"):
            self.assertEqual(self.refused("set", inner), conflict)
        self.assertEqual(self.privacy("set", "<default name='work'/>")["type"], "result")
        self.privacy("set", "<active name='b'/>", self.garden)
        self.assertEqual(self.refused("set", "<list name='b'/>"), conflict)
        self.assertEqual(self.privacy("set", "<default/>")["type"], "result")
        self.privacy("set", "<active/>", self.garden)
        self.assertEqual(self.privacy("set", "<list name='b'/>")["type"], "result")

    def test_each_its_own(self) -> None:
        """An active list takes the place of the default one, for its session alone."""
        self.make_list(DENY_ROMEO)
        self.make_list("<item action='allow' order='1'/>", "all", "active")
        self.garden.take()
        self.romeo.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
        self.romeo.send(f"<message to='{JULIET}/garden' type='chat'>{CHAT}</message>")
        self.assertEqual(self.errors(self.romeo), [("message", "cancel", "service-unavailable")])
        self.assertEqual((len(self.juliet.take()), len(self.garden.take())), (1, 0))

    def test_bare(self) -> None:
        """What is for the account reaches the sessions that take it, and comes back when none does."""
        self.make_list(DENY_ROMEO, use="active")
        self.garden.take()
        self.romeo.send(f"<message to='{JULIET}' type='chat'>{CHAT}</message>")
        self.assertEqual((self.romeo.take(), self.juliet.take()), ([], []))
        self.assertEqual(len(self.garden.take()), 1)
        self.romeo.send("<presence><show>away</show></presence>")
        self.romeo.take()
        self.assertEqual((presences(self.juliet), len(self.garden.take())), ([], 1))
        self.privacy("set", "<active name='work'/>", self.garden)
        self.romeo.take()
        self.romeo.send(f"<message to='{JULIET}' type='chat'>{CHAT}</message>")
        self.assertEqual(self.errors(self.romeo), [("message", "cancel", "service-unavailable")])
        self.assertEqual((self.juliet.take(), self.garden.take()), ([], []))

    def test_blocking(self) -> None:
        """The block list is the default list's denials of JIDs, whoever changes it (XEP-0191 section 5)."""
        self.blocked(self.garden)
        self.make_list(DENY_ROMEO)
        (push,) = [node for node in self.garden.take() if node.name == "iq" and node.block is not None]
        self.assertEqual(push.block.item["jid"], ROMEO)
        self.assertEqual(self.blocked(self.garden), [ROMEO])
        self.block("spam.example")
        answer = self.privacy("get", "<list name='work'/>").query.list
        self.assertEqual(
            [(item["value"], item["action"], item["order"]) for item in answer.elements()],
            [(ROMEO, "deny", "1"), ("spam.example", "deny", "2")],
        )
        self.privacy(
            "set", "<list name='work'><item type='jid' value='c.example' action='deny' order='1'/></list>"
        )
        self.garden.take()
        self.assertEqual(self.blocked(self.garden), ["c.example"])

    def test_push_of_blocking(self) -> None:
        """A session that speaks of lists hears of a block; one that does not is left alone."""
        self.privacy("get", client=self.garden)
        self.block("spam.example")
        lists = [node.query.list["name"] for node in self.garden.take()]
        self.assertEqual(lists, ["blocking"])
        third = self.house.login("juliet", "cellar")
        self.block("more.example")
        self.assertEqual(third.take(), [])


class KindTests(ListCase):
    """What each kind of item stops."""

    def use(self, kinds: str) -> None:
        """Deny Romeo some kinds of stanzas."""
        self.make_list(f"<item type='jid' value='{ROMEO}' action='deny' order='1'>{kinds}</item>")

    def arrives(self) -> set[str]:
        """Give what of Romeo's arrives."""
        self.clear()
        self.romeo.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
        self.romeo.send(f"<iq type='get' id='1' to='{FULL}'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.romeo.send("<presence/>")
        return {node.name for node in self.juliet.take()}

    def leaves(self) -> set[str]:
        """Give what of Juliet's reaches Romeo."""
        self.clear()
        self.juliet.send(f"<message to='{ROMEO}/orchard' type='chat'>{CHAT}</message>")
        self.juliet.send(f"<iq type='get' id='1' to='{ROMEO}/orchard'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.juliet.send("<presence/>")
        return {node.name for node in self.romeo.take() if node.getAttribute("type") != "error"}

    def test_kinds(self) -> None:
        """Items with kinds stop these alone; items without stop everything, both ways."""
        everything = {"message", "iq", "presence"}
        rows = {
            "<message/>": ({"iq", "presence"}, everything),
            "<iq/>": ({"message", "presence"}, everything),
            "<presence-in/>": ({"message", "iq"}, everything),
            "<presence-out/>": (everything, {"message", "iq"}),
            "<message/><iq/><presence-in/><presence-out/>": (set(), {"message", "iq"}),
            "": (set(), set()),
        }
        for kinds, expected in rows.items():
            self.use(kinds)
            self.assertEqual((self.arrives(), self.leaves()), expected, kinds)

    def test_requests(self) -> None:
        """Subscription requests are no presence: only items for everything stop them."""
        request = stanza("<presence type='subscribe'/>").replace(from_=REMOTE, to=JULIET)
        self.make_list("<item action='deny' order='1'><presence-in/><presence-out/></item>")
        self.host.router.route(request)
        self.assertEqual(presences(self.juliet), [("subscribe", REMOTE)])
        self.make_list(DENY_ALL)
        self.host.router.route(request.replace(from_="other@elsewhere.example"))
        self.assertEqual(self.juliet.take(), [])

    def test_outgoing_error(self) -> None:
        """The sender hears of a denial; by a rule that is no block, without the mark of one."""
        self.make_list("<item type='subscription' value='both' action='deny' order='1'/>")
        self.juliet.send(f"<message to='{ROMEO}' type='chat'>{CHAT}</message>")
        (answer,) = self.juliet.take()
        self.assertEqual(self.condition(answer), ("cancel", "not-acceptable"))
        self.assertEqual(len(list(answer.error.elements())), 1)

    def test_roster(self) -> None:
        """Changes of groups and subscriptions count at once (section 2.2, rule 9)."""
        self.hold("juliet", RosterItem(ROMEO, subscription="both", groups=("Enemies",)))
        self.make_list("<item type='group' value='Enemies' action='deny' order='1'><message/></item>")
        self.assertNotIn("message", self.arrives())
        item = f"<item jid='{ROMEO}'><group>Friends</group></item>"
        self.juliet.send(f"<iq type='set' id='r'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
        self.assertIn("message", self.arrives())

    def test_roster_of_the_absent(self) -> None:
        """Rules about the roster hold while nobody is there."""
        self.make_list("<item type='subscription' value='none' action='deny' order='1'/>")
        self.juliet.session.unbind()
        seen: list[Any] = []

        def archive(message: Stanza, to: JID) -> None:
            if to.bare == JULIET:
                seen.append(message.attrs["from"])

        self.host.pipeline.add(TO_USER, "archive", ("message",), "mod_mam", archive)
        for sender in (ROMEO, "nurse@example.org"):
            self.host.router.route(stanza(f"<message to='{JULIET}'>{CHAT}</message>").replace(from_=sender))
        self.assertEqual(seen, [ROMEO])


class InvisibleTests(ListCase):
    """Being there without being seen (XEP-0126)."""

    INVISIBLE = "<item action='deny' order='1'><presence-out/></item>"

    def test_login(self) -> None:
        """Who makes such a list active before any presence is seen by nobody, and sees the others."""
        self.make_list(self.INVISIBLE, "invisible", "active")
        self.juliet.session.unbind()
        self.clear()
        self.juliet = self.house.login("juliet", "balcony")
        self.privacy("set", "<active name='invisible'/>")
        self.juliet.send("<presence/>")
        self.assertEqual(presences(self.romeo), [])
        self.assertIn((None, f"{ROMEO}/orchard"), presences(self.juliet))
        self.host.router.route(
            stanza("<presence type='probe'/>").replace(from_=f"{ROMEO}/orchard", to=JULIET)
        )
        self.assertEqual(presences(self.romeo), [])

    def test_vanish(self) -> None:
        """Who becomes invisible is gone for the others; who becomes visible is back."""
        self.privacy("set", f"<list name='invisible'>{self.INVISIBLE}</list>")
        self.privacy("set", "<active name='invisible'/>")
        self.assertEqual(presences(self.romeo), [("unavailable", FULL)])
        self.juliet.send("<presence><show>away</show></presence>")
        self.assertEqual(presences(self.romeo), [])
        self.romeo.send(f"<message to='{FULL}' type='chat'>{CHAT}</message>")
        self.assertIn("message", [node.name for node in self.juliet.take()])
        self.privacy("set", "<active/>")
        self.assertEqual(presences(self.romeo), [(None, FULL)])

    def test_some(self) -> None:
        """A rule before the denial keeps somebody who may see."""
        self.hold("juliet", RosterItem(REMOTE, subscription="from"))
        allow = f"<item type='jid' value='{ROMEO}' action='allow' order='0'/>"
        self.privacy("set", f"<list name='some'>{allow}{self.INVISIBLE}</list>")
        self.privacy("set", "<active name='some'/>")
        self.assertEqual(
            (presences(self.romeo), self.elsewhere.take()), ([], [("unavailable", FULL, REMOTE)])
        )

    def test_not_seen(self) -> None:
        """Who denies a contact's presence sees that contact go (section 2.10)."""
        self.privacy("set", "<list name='work'><item action='deny' order='1'><presence-in/></item></list>")
        for choice, seen in (("<active name='work'/>", "unavailable"), ("<active/>", None)):
            query = f"<query xmlns='jabber:iq:privacy'>{choice}</query>"
            self.clear()
            self.juliet.send(f"<iq type='set' id='p'>{query}</iq>")
            self.assertEqual(presences(self.juliet), [(seen, f"{ROMEO}/orchard")])
