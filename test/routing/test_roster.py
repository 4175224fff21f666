"""The states of RFC 6121 appendix A, as the RFC prints them, and the roster that holds them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.routing.roster import INBOUND, OUTBOUND, STATES, Move, Roster, RosterItem
from palaver.tree import parse_element as parse

# Existing state, whether the stanza is routed or delivered, new state (None: no change).
APPENDIX_A2 = {
    "subscribe": (
        ("none", True, "none+out"),
        ("none+out", True, None),
        ("none+in", True, "none+out+in"),
        ("none+out+in", True, None),
        ("to", True, None),
        ("to+in", True, None),
        ("from", True, "from+out"),
        ("from+out", True, None),
        ("both", True, None),
    ),
    "unsubscribe": (
        ("none", True, None),
        ("none+out", True, "none"),
        ("none+in", True, None),
        ("none+out+in", True, "none+in"),
        ("to", True, "none"),
        ("to+in", True, "none+in"),
        ("from", True, None),
        ("from+out", True, "from"),
        ("both", True, "from"),
    ),
    "subscribed": (
        ("none", False, None),
        ("none+out", False, None),
        ("none+in", True, "from"),
        ("none+out+in", True, "from+out"),
        ("to", False, None),
        ("to+in", True, "both"),
        ("from", False, None),
        ("from+out", False, None),
        ("both", False, None),
    ),
    "unsubscribed": (
        ("none", False, None),
        ("none+out", False, None),
        ("none+in", True, "none"),
        ("none+out+in", True, "none+out"),
        ("to", False, None),
        ("to+in", True, "to"),
        ("from", True, "none"),
        ("from+out", True, "none+out"),
        ("both", True, "to"),
    ),
}
APPENDIX_A3 = {
    "subscribe": (
        ("none", True, "none+in"),
        ("none+out", True, "none+out+in"),
        ("none+in", False, None),
        ("none+out+in", False, None),
        ("to", True, "to+in"),
        ("to+in", False, None),
        ("from", False, None),
        ("from+out", False, None),
        ("both", False, None),
    ),
    "unsubscribe": (
        ("none", False, None),
        ("none+out", False, None),
        ("none+in", True, "none"),
        ("none+out+in", True, "none+out"),
        ("to", False, None),
        ("to+in", True, "to"),
        ("from", True, "none"),
        ("from+out", True, "none+out"),
        ("both", True, "to"),
    ),
    "subscribed": (
        ("none", False, None),
        ("none+out", True, "to"),
        ("none+in", False, None),
        ("none+out+in", True, "to+in"),
        ("to", False, None),
        ("to+in", False, None),
        ("from", False, None),
        ("from+out", True, "both"),
        ("both", False, None),
    ),
    "unsubscribed": (
        ("none", False, None),
        ("none+out", True, "none"),
        ("none+in", False, None),
        ("none+out+in", True, "none+in"),
        ("to", True, "none"),
        ("to+in", True, "none+in"),
        ("from", False, None),
        ("from+out", True, "from"),
        ("both", True, "from"),
    ),
}


def in_state(state: str) -> RosterItem:
    """Give an item in one of the nine states."""
    return RosterItem("juliet@example.com").after(state, b"<presence/>")


class StatesTests(SynchronousTestCase):
    """Every row of appendix A, both directions."""

    def _agrees(self, table, appendix):
        self.assertEqual(set(table), set(appendix))
        for kind, rows in appendix.items():
            self.assertEqual([row[0] for row in rows], list(STATES))
            for state, travels, new in rows:
                self.assertEqual(table[kind][state], Move(new or state, travels), f"{kind} in {state}")

    def test_outbound(self):
        """What the account sends moves its roster as A.2 says."""
        self._agrees(OUTBOUND, APPENDIX_A2)

    def test_inbound(self):
        """What a contact sends moves the account's roster as A.3 says."""
        self._agrees(INBOUND, APPENDIX_A3)

    def test_items_hold_every_state(self):
        """An item put into a state says that it is in it."""
        for state in STATES:
            self.assertEqual(in_state(state).state, state)


class RosterItemTests(SynchronousTestCase):
    """What one contact looks like."""

    def test_request_is_kept_while_it_is_pending(self):
        """A pending request survives changes of the other direction and goes when it is answered."""
        item = RosterItem("juliet@example.com").after("none+in", b"<presence id='1'/>")
        item = item.after("none+out+in")
        self.assertEqual(item.request, b"<presence id='1'/>")
        self.assertIsNone(item.after("from+out").request)

    def test_a_mere_request_is_not_listed(self):
        """A stranger's request makes no roster item; it is forgotten when it is refused."""
        item = Roster().item("juliet@example.com").after("none+in", b"<presence/>")
        self.assertFalse(item.listed)
        self.assertTrue(item.kept)
        self.assertFalse(item.after("none").kept)

    def test_a_contact_stays_listed(self):
        """A contact whose subscriptions are all cancelled stays in the roster."""
        item = Roster().item("juliet@example.com").after("to").after("none")
        self.assertTrue(item.listed)

    def test_approval_is_used_up(self):
        """A pre-approval is over once the contact is subscribed."""
        item = RosterItem("juliet@example.com", approved=True)
        self.assertTrue(item.after("to").approved)
        self.assertFalse(item.after("both").approved)

    def test_encode(self):
        """An item shows name, groups, subscription, ask and approved, and escapes what needs it."""
        item = RosterItem("juliet@example.com", "J & 'C'", ("A<B", "Friends"), ask=True, approved=True)
        node = parse(item.encode())
        self.assertEqual(
            node.attributes,
            {
                "jid": "juliet@example.com",
                "name": "J & 'C'",
                "subscription": "none",
                "ask": "subscribe",
                "approved": "true",
            },
        )
        self.assertEqual([str(group) for group in node.elements()], ["A<B", "Friends"])

    def test_encode_plain(self):
        """What does not hold is not mentioned."""
        self.assertEqual(
            RosterItem("juliet@example.com", subscription="both").encode(),
            b"<item jid='juliet@example.com' subscription='both'/>",
        )

    def test_removed(self):
        """A push for a removed contact says so."""
        self.assertEqual(RosterItem("a@b", listed=False).encode(), b"<item jid='a@b' subscription='remove'/>")


class RosterTests(SynchronousTestCase):
    """The whole list."""

    def test_encode_lists_contacts_only(self):
        """A roster result has the version and the listed contacts."""
        roster = Roster(
            [RosterItem("a@x", subscription="to"), RosterItem("b@x", listed=False, request=b"<presence/>")], 7
        )
        self.assertEqual(
            roster.encode(),
            b"<query xmlns='jabber:iq:roster' ver='7'><item jid='a@x' subscription='to'/></query>",
        )

    def test_encode_follows_changes(self):
        """After a change the result is another one."""
        roster = Roster([RosterItem("a@x")], 1)
        roster.encode()
        roster.apply([RosterItem("b@x")], ["a@x"], 2)
        self.assertEqual(
            roster.encode(),
            b"<query xmlns='jabber:iq:roster' ver='2'><item jid='b@x' subscription='none'/></query>",
        )

    def test_who_sees_the_account(self):
        """Only contacts with a subscription from or both see the account's presence."""
        roster = Roster([in_state(state)._replace(jid=f"{state}@x") for state in STATES])
        seen = [state for state in STATES if roster.is_seen_by(f"{state}@x")]
        self.assertEqual(seen, ["from", "from+out", "both"])
        self.assertFalse(roster.is_seen_by("stranger@x"))
