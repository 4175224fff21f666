"""XEP-0280: Message Carbons, wrapped after XEP-0297, with the rules of ``urn:xmpp:carbons:rules:0``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from palaver import jid
from palaver.errors import StanzaError
from palaver.events import SessionUnbound
from palaver.interfaces import ICarbons, ISession
from palaver.jid import JID, InvalidJID
from palaver.markup import element
from palaver.modules import BARE, BIND, SELF, Module, inline, iq, on
from palaver.routing.delivery import recipients
from palaver.routing.pipeline import SENT, TO_USER, no_groupchat
from palaver.stanza import NS_CLIENT, NS_FORWARD, Stanza

if TYPE_CHECKING:
    from twisted.words.xish.domish import Element

NS_CARBONS = "urn:xmpp:carbons:2"
NS_RULES = "urn:xmpp:carbons:rules:0"
NS_HINTS = "urn:xmpp:hints"
NS_MUC_USER = "http://jabber.org/protocol/muc#user"
NS_CONFERENCE = "jabber:x:conference"
NS_STABLE_ID = "urn:xmpp:sid:0"

# Messages of no type that people's clients act on, though there is nothing to read in them.
CONVERSATION = frozenset(
    (
        "urn:xmpp:receipts",
        "http://jabber.org/protocol/chatstates",
        "urn:xmpp:chat-markers:0",
        "urn:xmpp:jingle-message:0",
        "urn:xmpp:jingle-message:1",
    )
)
NEVER = frozenset(("groupchat", "headline"))

Test = Callable[[Stanza, JID | None], bool]
"""Takes a message, and whom it is for when it came in; None when it goes out."""


class Rule(NamedTuple):
    """What is said of the messages that a test holds for."""

    copied: bool
    why: str
    holds: Test


def _is_bounce(message: Stanza, to: JID | None) -> bool:
    """Tell whether an account, and not one of its clients, refused what was sent to it."""
    sender = message.sender
    return message.type == "error" and to is not None and sender is not None and not sender.resource


def _is_invitation(message: Stanza, to: JID | None) -> bool:
    """Tell whether a message invites to a room (XEP-0045 section 7.8, XEP-0249)."""
    x = message.child(NS_MUC_USER, "x")
    return message.has(NS_CONFERENCE, "x") or (x is not None and x.invite is not None)


def _is_archived(message: Stanza, to: JID | None) -> bool:
    """Tell whether a message that came in bears an id of the account's own archive (XEP-0359)."""
    if to is None or not message.has(NS_STABLE_ID, "stanza-id"):
        return False
    return any(node.getAttribute("by") == to.bare for node in message.element.elements(NS_STABLE_ID))


# The first rule that holds decides.
RULES: tuple[Rule, ...] = (
    Rule(False, "its sender wants no copies", lambda message, to: message.has(NS_CARBONS, "private")),
    Rule(False, "its sender wants no copies", lambda message, to: message.has(NS_HINTS, "no-copy")),
    Rule(False, "it is a copy, or the bounce of one", lambda message, to: message.has(NS_CARBONS)),
    Rule(False, "its type is never copied", lambda message, to: message.type in NEVER),
    Rule(True, "it invites to a room", _is_invitation),
    # The room sends it to each of the occupant's sessions itself.
    Rule(
        False,
        "it comes from a room's occupant",
        lambda message, to: to is not None and bool(to.resource) and message.has(NS_MUC_USER, "x"),
    ),
    Rule(True, "it is a chat message", lambda message, to: message.type == "chat"),
    Rule(True, "it refuses what one of the sessions has sent", _is_bounce),
    # An error repeats what it refuses, so these hold for the errors that answer such messages too.
    Rule(True, "there is something to read", lambda message, to: message.has(NS_CLIENT, "body")),
    Rule(
        True,
        "it belongs to a conversation",
        lambda message, to: any(ns in CONVERSATION for ns, _ in message.children),
    ),
    Rule(True, "it was archived", _is_archived),
)


def is_eligible(message: Stanza, to: JID | None) -> bool:
    """Tell whether a message is copied; ``to`` as in `Test`. What no rule speaks of is not."""
    return next((rule.copied for rule in RULES if rule.holds(message, to)), False)


class CarbonCopy(Module):
    """Gives each of an account's sessions that wants it a copy of what the others send and receive.

    A session that ordinary delivery reaches gets no copy. A session that is not available gets copies too.
    While no session of the host wants copies, messages do not pass here at all.
    """

    features = (NS_CARBONS, NS_RULES)
    provides = (ICarbons,)

    def start(self) -> None:
        """Begin with nobody who wants copies."""
        # By localpart: the account's sessions that want copies; accounts with none are absent.
        self._copying: dict[str, list[ISession]] = {}
        self._let_go: list[Callable[[], None]] = []

    def stop(self) -> None:
        """Stop looking at messages."""
        self._copying.clear()
        self._look_away()

    # -- who wants copies --------------------------------------------------------------------

    @iq("set", NS_CARBONS, "enable", to=(SELF,))
    def enabled(self, request: Stanza) -> None:
        """Switch copies on for the session that asks (section 4)."""
        self.enable(_session(request, "enable"))

    @inline(BIND, NS_CARBONS, "enable")
    def enabled_with_login(self, request: Element, session: ISession) -> None:
        """Switch copies on for a session that is bound with its login (XEP-0386 section 3.2)."""
        self.enable(session)

    @iq("set", NS_CARBONS, "disable", to=(SELF,))
    def disabled(self, request: Stanza) -> None:
        """Switch copies off for the session that asks (section 5)."""
        self._disable(_session(request, "disable"))

    @iq("get", NS_CARBONS, "enable", to=(SELF, BARE))
    @iq("get", NS_CARBONS, "disable", to=(SELF, BARE))
    def refuse(self, request: Stanza) -> None:
        """There is nothing to read."""
        raise StanzaError("bad-request", "Copies are switched on and off by a set")

    @iq("set", NS_CARBONS, "enable", to=(BARE,))
    @iq("set", NS_CARBONS, "disable", to=(BARE,))
    def refuse_others(self, request: Stanza) -> None:
        """Nobody switches somebody else's copies (sections 4.1 and 5.1)."""
        raise StanzaError("not-allowed")

    def enable(self, session: ISession) -> None:
        """See ICarbons."""
        user = session.user
        # A client's last requests are still answered when it is gone.
        if user.sessions.get(session.jid.resource) is not session:
            return
        wanting = self._copying.setdefault(user.local, [])
        if session not in wanting:
            wanting.append(session)
        if not self._let_go:
            add = self.host.pipeline.add
            self._let_go.append(add(SENT, "copy", ("message",), self.name, self.sent))
            self._let_go.append(add(TO_USER, "copy", ("message",), self.name, self.received))

    def copies(self, session: ISession, message: Stanza, to: JID) -> bool:
        """See ICarbons."""
        return session in self._copying.get(session.user.local, ()) and is_eligible(message, to)

    @on(SessionUnbound)
    def unbound(self, event: SessionUnbound) -> None:
        """Forget a session that has ended."""
        self._disable(event.session)

    def _disable(self, session: ISession) -> None:
        wanting = self._copying.get(session.user.local)
        if wanting is None or session not in wanting:
            return
        wanting.remove(session)
        if not wanting:
            del self._copying[session.user.local]
        if not self._copying:
            self._look_away()

    def _look_away(self) -> None:
        while self._let_go:
            self._let_go.pop()()

    # -- copies --------------------------------------------------------------------------------

    def sent(self, message: Stanza, session: ISession) -> None:
        """Copy what a session sends to the others (section 8)."""
        wanting = self._copying.get(session.user.local)
        if wanting is None or wanting == [session] or not is_eligible(message, None):
            return
        try:
            reached = _reached_at_home(message, session)
        except InvalidJID:
            # It goes nowhere.
            return
        _copy(message, "sent", [other for other in wanting if other not in (session, *reached)])

    @no_groupchat
    def received(self, message: Stanza, to: JID) -> Stanza | None:
        """Copy what comes in for an account to those who do not get it anyway (section 7)."""
        wanting = self._copying.get(to.local)
        if wanting is None:
            return None
        user = wanting[0].user
        # What the account sends to itself was copied when it was sent.
        if message.origin is None or message.origin.user is not user:
            reached = recipients(user, message, to)
            others = [session for session in wanting if session not in reached]
            # Most accounts have one session at a time, so the rules come last.
            if others and is_eligible(message, to):
                _copy(message, "received", others)
        return message.without_child(NS_CARBONS, "private")


def _session(request: Stanza, name: str) -> ISession:
    """Give the session that a request is from; raises `StanzaError`."""
    node = request.child(NS_CARBONS, name)
    assert node is not None
    if node.children:
        raise StanzaError("bad-request", f"<{name}/> is empty")
    if request.origin is None:
        raise StanzaError("not-allowed")
    return request.origin


def _reached_at_home(message: Stanza, session: ISession) -> Sequence[ISession]:
    """Give the sessions of the sender's own account that a message is for; raises `InvalidJID`."""
    text = message.attrs.get("to")
    to = jid.parse(text) if text is not None else session.user.jid
    return recipients(session.user, message, to) if to.bare == session.user.bare else []


def _copy(message: Stanza, way: str, sessions: Sequence[ISession]) -> None:
    """Send each session a copy, made once (XEP-0297); ``way`` is sent or received."""
    if not sessions:
        return
    inner = element(way, NS_CARBONS, element("forwarded", NS_FORWARD, message.encode(declare=True)))
    kind = {"type": message.type} if message.type is not None else {}
    for session in sessions:
        attrs = {"from": session.user.bare, "to": session.jid.full, **kind}
        session.send(Stanza("message", attrs, ((NS_CARBONS, way),), inner))
