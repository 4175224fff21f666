"""Three clients say anything that is well-formed, in any order, to a host with every default module.

Whatever they say: no module fails, each request has one answer, no error answers an error, and
rosters and sessions stay what they should be.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from palaver import metrics
from palaver.config import Config
from palaver.routing.roster import SEEN_BY_US, SEES_US
from palaver.routing.rosters import ROSTER_KINDS, from_documents
from palaver.test.house import Client, House, now

DOMAIN = "example.org"
PEOPLE = ("romeo", "juliet", "nurse")
EXAMPLES = 150
MAX_STEPS = 40
# Beyond every time-out that a module has.
LATER_S = 3600

ADDRESSES = (
    None,
    DOMAIN,
    f"{DOMAIN}/here",
    "romeo@example.org",
    "juliet@example.org",
    "nurse@example.org",
    "romeo@example.org/a",
    "Juliet@example.org/a",
    "nurse@example.org/b",
    "nobody@example.org",
    "nobody@example.org/a",
    "far@remote.example",
    "@example.org",
    "romeo@example.org/",
    "a b@example.org",
    "",
)
MESSAGE_TYPES = (None, "chat", "normal", "headline", "groupchat", "error", "odd")
PRESENCE_TYPES = (
    None,
    None,
    "unavailable",
    "subscribe",
    "subscribed",
    "unsubscribe",
    "unsubscribed",
    "probe",
    "error",
    "odd",
)
IQ_TYPES = ("get", "get", "set", "set", "result", "error", "odd", None)
IN_MESSAGES = (
    "<body>hi</body>",
    "<thread>t</thread>",
    "<active xmlns='http://jabber.org/protocol/chatstates'/>",
    "<no-store xmlns='urn:xmpp:hints'/>",
    "<delay xmlns='urn:xmpp:delay' from='example.org' stamp='x'/>",
    "<x xmlns=''><y/></x>",
    "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    "<p:x xmlns:p='urn:p' p:q='1'>&lt;/message&gt;</p:x>",
    "<origin-id xmlns='urn:xmpp:sid:0' id='o'/>",
)
IN_PRESENCES = (
    "<priority>5</priority>",
    "<priority>-1</priority>",
    "<priority>x</priority>",
    "<show>dnd</show>",
    "<status xml:lang='en'>'\"&amp;</status>",
    "<c xmlns='http://jabber.org/protocol/caps' node='n' ver='v' hash='h'/>",
)
ROSTER = "<query xmlns='jabber:iq:roster'>{}</query>"
PRIVATE = "<query xmlns='jabber:iq:private'>{}</query>"
REGISTER = "<query xmlns='jabber:iq:register'>{}</query>"
PAYLOADS = (
    "",
    "<a xmlns='urn:a'/><b xmlns='urn:b'/>",
    "<unknown xmlns='urn:unknown'/>",
    "<query/>",
    "<query xmlns=''/>",
    "<ping xmlns='urn:xmpp:ping'/>",
    "<query xmlns='jabber:iq:version'/>",
    "<time xmlns='urn:xmpp:time'/>",
    "<query xmlns='jabber:iq:time'/>",
    "<query xmlns='jabber:iq:last'/>",
    "<address xmlns='urn:xmpp:sic:1'/>",
    "<query xmlns='http://jabber.org/protocol/disco#info'/>",
    "<query xmlns='http://jabber.org/protocol/disco#items' node='n'/>",
    "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>",
    "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>",
    PRIVATE.format(""),
    PRIVATE.format("<x xmlns='urn:x'>&amp;</x>"),
    PRIVATE.format("<x xmlns='urn:x'/><y/>"),
    REGISTER.format(""),
    REGISTER.format("<remove/>"),
    REGISTER.format("<remove/><x/>"),
    REGISTER.format("<username>romeo</username><password>new</password>"),
    ROSTER.format(""),
    ROSTER.format("<item/>"),
    ROSTER.format("<item jid='@'/>"),
    ROSTER.format("<item jid='romeo@example.org' name='&apos;'><group>g</group></item>"),
    ROSTER.format("<item jid='juliet@example.org'/>"),
    ROSTER.format("<item jid='nurse@example.org'/>"),
    ROSTER.format("<item jid='far@remote.example'/>"),
    ROSTER.format("<item jid='romeo@example.org' subscription='remove'/>"),
    ROSTER.format("<item jid='juliet@example.org' subscription='remove'/>"),
)


def stanzas(name: str, types: tuple[str | None, ...], inner: st.SearchStrategy[str]) -> Any:
    """Give stanzas as (name, type, to, content)."""
    return st.tuples(st.just(name), st.sampled_from(types), st.sampled_from(ADDRESSES), inner)


def some(parts: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Give some of these children, in any order."""
    return st.lists(st.sampled_from(parts), max_size=3).map("".join)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([(local, resource) for local in PEOPLE for resource in "ab"]),
        st.one_of(
            stanzas("message", MESSAGE_TYPES, some(IN_MESSAGES)),
            stanzas("presence", PRESENCE_TYPES, some(IN_PRESENCES)),
            stanzas("iq", IQ_TYPES, st.sampled_from(PAYLOADS)),
            st.sampled_from(("go", "wait")),
        ),
    ),
    max_size=MAX_STEPS,
)


class Conversation:
    """What is said in one example, and what came of it."""

    def __init__(self) -> None:
        self.house = House()
        choices = Config.from_dict({"modules": {"mod_register": {}}}).modules_for("localhost")
        while choices:
            choice = next(c for c in choices if all(map(self.house.host.query, c.load().requires)))
            choices.remove(choice)
            self.house.add(choice.load())
        self.house.accounts.passwords = dict.fromkeys(PEOPLE, "old")
        self.clients: dict[tuple[str, str], Client] = {}
        self.numbers = count(1)
        # By id: the clients that asked, and those that sent an error or a result.
        self.asked: dict[str, Client] = {}
        self.answered: dict[str, tuple[Client, str | None]] = {}
        self.heard: dict[Client, int] = {}

    def client(self, who: tuple[str, str]) -> Client | None:
        """Give a client that is online, for an account that is there; it asks for its roster at first."""
        client = self.clients.get(who)
        if client is not None and client.session.stream is not None:
            return client
        if who[0] not in self.house.accounts.names:
            return None
        client = self.clients[who] = self.house.login(*who)
        self.say(client, "iq", "get", None, ROSTER.format(""))
        return client

    def say(self, client: Client, name: str, kind: str | None, to: str | None, inner: str) -> None:
        """Send one stanza with an id of its own, in somebody else's name."""
        identity = f"n{next(self.numbers)}"
        attrs = {"type": kind, "to": to, "id": identity, "from": "eve@example.org/x"}
        text = "".join(f" {key}='{value}'" for key, value in attrs.items() if value is not None)
        if kind in ("error", "result"):
            self.answered[identity] = (client, to)
        elif name == "iq":
            self.asked[identity] = client
        client.send(f"<{name}{text}>{inner}</{name}>")

    def take(self, who: tuple[str, str], step: Any) -> None:
        """Do one step."""
        client = self.client(who)
        if step == "wait":
            self.house.clock.advance(LATER_S)
        elif client is not None and step == "go":
            client.session.end(None)
        elif client is not None:
            self.say(client, *step)
        self.answer()

    def answer(self) -> None:
        """Have every client answer what it is asked."""
        self.house.clock.advance(0)
        for client in list(self.clients.values()):
            start = self.heard.get(client, 0)
            self.heard[client] = len(client.received)
            for got in client.received[start:]:
                if got.name == "iq" and got.type in ("get", "set") and client.session.stream is not None:
                    attrs = f" to='{got.attrs['from']}'" if "from" in got.attrs else ""
                    client.send(f"<iq type='result' id='{got.id}'{attrs}/>")


class ConversationTests(SynchronousTestCase):
    """Anything that clients may say."""

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def test_anything(self, steps: list[tuple[tuple[str, str], Any]]) -> None:
        """No failure, one answer to each request, no error in answer to an error, and consistent rosters."""
        metrics.module_failures.clear()
        talk = Conversation()
        try:
            for who, step in steps:
                talk.take(who, step)
                self.check_sessions(talk)
            talk.answer()
            self.assertEqual(metrics.module_failures, {})
            self.check_answers(talk)
            self.check_rosters(talk)
        finally:
            for module in reversed(talk.house.modules.values()):
                module.detach()

    def check_sessions(self, talk: Conversation) -> None:
        """Check that an account is in memory as long as it has a session."""
        for local, user in talk.house.host.users.items():
            self.assertIn(local, PEOPLE)
            self.assertTrue(user.sessions)
            for resource, session in user.sessions.items():
                self.assertEqual(session.jid.full, f"{local}@{DOMAIN}/{resource}")
                self.assertIsNotNone(session.stream)

    def check_answers(self, talk: Conversation) -> None:
        """Check that requests are answered once, and refusals not at all."""
        for identity, client in talk.asked.items():
            answers = [
                got
                for got in client.received
                if got.id == identity and got.name == "iq" and got.type in ("result", "error")
            ]
            if client.session.stream is not None or answers:
                self.assertEqual(len(answers), 1, identity)
        for identity, (client, to) in talk.answered.items():
            echoes = [got for got in client.received if got.id == identity]
            reached = to is not None and to.lower().partition("/")[0] == client.session.user.bare
            if not reached:
                self.assertEqual(echoes, [])

    def check_rosters(self, talk: Conversation) -> None:
        """Check that memory has what storage has, and that both ends of a subscription agree."""
        house = talk.house
        rosters = {}
        for local in PEOPLE:
            stored = from_documents(now(house.storage.documents.list(DOMAIN, local, ROSTER_KINDS)))
            rosters[f"{local}@{DOMAIN}"] = stored
            if local in house.host.users:
                self.assertEqual(house.host.users[local].roster.items, stored.items)
            if local not in house.accounts.names:
                self.assertEqual(stored.items, {})
        for bare, roster in rosters.items():
            for other, its in rosters.items():
                self.assertEqual(
                    roster.item(other).subscription in SEES_US, its.item(bare).subscription in SEEN_BY_US
                )
