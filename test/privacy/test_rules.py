"""What a privacy list says about a stanza, as a table (XEP-0016 section 2.1)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver import jid
from palaver.privacy.lists import Lists, from_documents
from palaver.privacy.rules import IQ, KINDS, MESSAGE, OTHER, PRESENCE_IN, PrivacyList, Rule, from_json
from palaver.routing.roster import Roster, RosterItem
from palaver.storage import DeleteDocuments, Document, PutDocument

ROSTER = Roster(
    [
        RosterItem("both@a.example", subscription="both", groups=("Friends",)),
        RosterItem("to@a.example", subscription="to", groups=("both@a.example",)),
    ]
)


def allows(rules: list[Rule], other: str, kind: str = MESSAGE) -> bool:
    """Ask a list of these rules."""
    return PrivacyList("x", rules).allows(kind, jid.parse(other), ROSTER)


class MatchTests(SynchronousTestCase):
    """Whom a rule is about."""

    def test_jids(self) -> None:
        """Each form of a JID matches what the specification says, and nothing else."""
        rows = {
            "u@a.example/r": ["u@a.example/r"],
            "u@a.example": ["u@a.example", "u@a.example/r", "u@a.example/s"],
            "a.example/r": ["a.example/r", "u@a.example/r"],
            "a.example": ["a.example", "a.example/r", "u@a.example", "u@a.example/r", "u@a.example/s"],
        }
        everybody = ["a.example", "a.example/r", "u@a.example", "u@a.example/r", "u@a.example/s", "b.example"]
        for value, expected in rows.items():
            denied = [other for other in everybody if not allows([Rule(1, False, "jid", value)], other)]
            self.assertEqual(sorted(denied), sorted(expected), value)

    def test_subscriptions(self) -> None:
        """Subscriptions match exactly; a stranger has none."""
        for value, other in (("both", "both@a.example"), ("to", "to@a.example"), ("none", "new@a.example")):
            rule = Rule(1, False, "subscription", value)
            found = [
                one for one in ("both@a.example", "to@a.example", "new@a.example") if not allows([rule], one)
            ]
            self.assertEqual(found, [other])

    def test_groups(self) -> None:
        """A group matches its members alone, even when it is called like a JID."""
        self.assertFalse(allows([Rule(1, False, "group", "Friends")], "both@a.example/r"))
        self.assertTrue(allows([Rule(1, False, "group", "Friends")], "to@a.example"))
        self.assertTrue(allows([Rule(1, False, "group", "both@a.example")], "both@a.example"))

    def test_order(self) -> None:
        """The first rule that matches decides, whatever it matches by; nobody is denied without one."""
        allow = Rule(2, True, "jid", "a.example")
        for deny in (
            Rule(1, False),
            Rule(1, False, "jid", "u@a.example"),
            Rule(1, False, "subscription", "none"),
        ):
            self.assertFalse(allows([allow, deny], "u@a.example/r"))
            self.assertTrue(allows([allow, deny._replace(order=3)], "u@a.example/r"))
        self.assertTrue(allows([Rule(1, False, "jid", "b.example")], "u@a.example"))

    def test_kinds(self) -> None:
        """A rule for some kinds leaves the others alone; what is sent and subscriptions are none of them."""
        some = Rule(1, False, "jid", "a.example", (MESSAGE, PRESENCE_IN))
        found = [kind for kind in (*KINDS, OTHER) if not allows([some], "a.example", kind)]
        self.assertEqual(found, [MESSAGE, PRESENCE_IN])
        self.assertTrue(allows([some._replace(kinds=KINDS)], "a.example", OTHER))
        self.assertFalse(allows([some._replace(kinds=())], "a.example", OTHER))
        # A later rule for the same JID counts when the first one is about something else.
        self.assertFalse(allows([some, Rule(2, False, "jid", "a.example")], "a.example", IQ))


class StoredTests(SynchronousTestCase):
    """Lists come back as they were stored."""

    def test_json(self) -> None:
        """A list is the same after it was stored."""
        held = PrivacyList("x", [Rule(7, True), Rule(2, False, "jid", "a@b.example", (MESSAGE, IQ))])
        self.assertEqual(from_json("x", held.to_json()).rules, held.rules)

    def test_documents(self) -> None:
        """Documents of other kinds are passed over, and so is a default list that is not there."""
        held = PrivacyList("x", [Rule(7, True)])
        documents = [
            Document("h", "o", "privacy", "", {"default": "y"}),
            Document("h", "o", "privacy-list", "x", held.to_json()),
            Document("h", "o", "roster", "x", {}),
        ]
        lists = from_documents(documents)
        self.assertEqual((list(lists.lists), lists.default), (["x"], None))

    def test_changes(self) -> None:
        """Only what differs is written."""
        one, other = PrivacyList("x", [Rule(7, True)]), PrivacyList("y", [Rule(7, True)])
        old = Lists({"x": one, "y": other}, "x")
        batch = old.changes("h", "o", old.with_list(PrivacyList("y", [])))
        self.assertEqual([one.document.key for one in batch.changes if isinstance(one, PutDocument)], ["y"])
        batch = old.changes("h", "o", old.without_list("x"))
        self.assertEqual(
            [one.kind for one in batch.changes if isinstance(one, DeleteDocuments)],
            ["privacy-list", "privacy"],
        )


class BlockedTests(SynchronousTestCase):
    """The block list within the default list (XEP-0191 section 5)."""

    def test_first(self) -> None:
        """Blocked JIDs come first, once each, and the other rules keep their order."""
        lists = Lists({"x": PrivacyList("x", [Rule(3, True, "jid", "a.example"), Rule(5, False)])}, "x")
        lists = lists.with_blocked(["b.example", "a.example", "b.example"]).with_blocked(
            ["a.example", "c.example"]
        )
        self.assertEqual(lists.blocked, ("b.example", "a.example", "c.example"))
        standing = lists.standing
        assert standing is not None
        self.assertEqual([rule.order for rule in standing.rules], [1, 2, 3, 4, 5])
        self.assertEqual([rule.allow for rule in standing.rules], [False, False, False, True, False])

    def test_others_stay(self) -> None:
        """Unblocking leaves rules that say less, or more, alone."""
        some = Rule(1, False, "jid", "a.example", (MESSAGE,))
        lists = Lists({"x": PrivacyList("x", [some, Rule(2, False, "jid", "a.example")])}, "x")
        self.assertEqual(lists.without_blocked(["a.example"]).lists["x"].rules, (some,))
        self.assertEqual(Lists().without_blocked(["a.example"]), Lists())
