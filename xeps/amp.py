"""XEP-0079: Advanced Message Processing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.words.xish import domish

from palaver import jid
from palaver.errors import NS_STANZAS
from palaver.events import MessageKept, SessionUnbound
from palaver.interfaces import IOfflineStore, ISession
from palaver.jid import JID, InvalidJID
from palaver.markup import element
from palaver.modules import HOST, Module, on, phase
from palaver.routing import disco
from palaver.routing.access import sees_presence
from palaver.routing.delivery import recipients
from palaver.routing.pipeline import DROP, FROM_CLIENT, SENT, TO_SESSION, Answer, Reply
from palaver.stanza import Stanza

NS_AMP = "http://jabber.org/protocol/amp"
NS_ERRORS = "http://jabber.org/protocol/amp#errors"
FEATURE = element("amp", "http://jabber.org/feature/amp")
IDENTITY = ("server", "im", "")

# What the specification defines; None: any value.
ACTIONS = frozenset(("alert", "drop", "error", "notify"))
CONDITIONS: dict[str, frozenset[str] | None] = {
    "deliver": frozenset(("direct", "forward", "gateway", "none", "stored")),
    "expire-at": None,
    "match-resource": frozenset(("any", "exact", "other")),
}
# What is supported of that.
SUPPORTED_ACTIONS = ("drop", "notify", "error")
SUPPORTED_CONDITIONS = ("deliver", "match-resource")

# Stands for the id that a message should have and has not.
NO_ID = "original-id-missing"
# XEP-0086: what older clients read in the place of the condition.
CODES = {"bad-request": "400", "not-acceptable": "405", "undefined-condition": "500"}
NOT_KEPT = frozenset(("error", "groupchat", "headline"))


class Rule(NamedTuple):
    """What a sender wants done (section 6.1)."""

    action: str
    condition: str
    value: str

    def encode(self) -> bytes:
        """Give the ``<rule/>`` element."""
        return element("rule", None, action=self.action, condition=self.condition, value=self.value)


class _Pending:
    """Rules that wait for what becomes of a message."""

    __slots__ = ("message", "outcome", "rules")

    def __init__(self, message: Stanza, rules: list[Rule]) -> None:
        self.message = message
        self.rules = rules
        self.outcome = "none"


class AdvancedMessageProcessing(Module):
    """Does with messages to accounts of this host what their senders' rules say.

    Rules may ask whether and to which resource a message is delivered (``deliver``, ``match-resource``), and
    have the sender told (``notify``), or the message refused (``error``) or forgotten (``drop``) for it. Only
    who sees the addressee's presence may ask. Rules of other messages travel with them.
    """

    features = (NS_AMP,)

    def start(self) -> None:
        """Say what is supported (section 3.1.1)."""
        self._pending: dict[ISession | None, _Pending] = {}
        self._let_go: Callable[[], None] | None = None
        self.undo(self.host.disco.add_node(HOST, disco.NS_INFO, NS_AMP, _supported))

    def stop(self) -> None:
        """Forget what is under way."""
        self._pending.clear()
        self._look_away()

    def stream_feature(self, stream: Any) -> bytes | None:
        """Announce it to whoever has logged in (section 7)."""
        return FEATURE if stream.authenticated_as is not None else None

    # -- when the message is sent ----------------------------------------------------------------

    @phase(FROM_CLIENT, "rules", "message")
    def judge(self, message: Stanza, session: ISession) -> Deferred[Answer] | None:
        """Do what the rules say of a message that is about to be routed."""
        if (NS_AMP, "amp") not in message.children or message.type == "error":
            return None
        return Deferred.fromCoroutine(self._judge(message, session))

    async def _judge(self, message: Stanza, session: ISession) -> Answer:
        rules = _rules(message)
        if not rules:
            return None
        refusal = _refusal(rules)
        if refusal is not None:
            return Reply(self._error(message, rules, *refusal))
        to = self._account(message, session)
        if to is None:
            return None
        if to.bare != session.user.bare and not await sees_presence(self.host, to.local, session.jid):
            # Whether somebody is online is told to nobody who may not see it (section 10).
            return Reply(self._error(message, rules, "not-acceptable", "invalid-rules", rules))
        return self._apply(rules, message, session, _prospects(self.host, message, to))

    def _account(self, message: Stanza, session: ISession) -> JID | None:
        """Give the address of the account of this host that a message is for; None for anything else."""
        text = message.attrs.get("to")
        try:
            to = jid.parse(text) if text is not None else session.user.jid
        except InvalidJID:
            return None
        return to if to.local and to.domain == self.host.domain else None

    def _apply(
        self, rules: list[Rule], message: Stanza, session: ISession, prospects: frozenset[tuple[str, str]]
    ) -> Answer:
        """Run the first rule that holds already; keep those that what becomes of the message decides."""
        for rule in rules:
            if (rule.condition, rule.value) not in prospects or _waits(rule, prospects):
                continue
            if rule.action == "drop":
                return DROP
            if rule.action == "error":
                return Reply(self._error(message, [rule], "undefined-condition", "failed-rules", [rule]))
            self._notify(message, rule)
            break
        waiting = [rule for rule in rules if _waits(rule, prospects)]
        if waiting:
            self._expect(session, _Pending(message, waiting))
        return None

    # -- what becomes of it ------------------------------------------------------------------------

    def _expect(self, session: ISession, pending: _Pending) -> None:
        self._pending[session] = pending
        if self._let_go is None:
            self._let_go = self.host.pipeline.add(
                TO_SESSION, "guard", ("message",), self.name, self.delivered
            )

    def delivered(self, message: Stanza, session: ISession) -> None:
        """Note that a session gets a message."""
        pending = self._pending.get(message.origin)
        if pending is not None and message.has(NS_AMP, "amp"):
            pending.outcome = "direct"

    @on(MessageKept)
    def kept(self, event: MessageKept) -> None:
        """Note that a message is stored."""
        pending = self._pending.get(event.message.origin)
        if pending is not None:
            pending.outcome = "stored"

    @phase(SENT, "rules", "message")
    def settled(self, message: Stanza, session: ISession) -> None:
        """Tell the sender what has become of a message; what failed was refused already."""
        pending = self._forget(session)
        if pending is None:
            return
        for rule in pending.rules:
            if rule.value == pending.outcome:
                self._notify(pending.message, rule)
                return

    @on(SessionUnbound)
    def unbound(self, event: SessionUnbound) -> None:
        """Forget a sender that is gone."""
        self._forget(event.session)

    def _forget(self, session: ISession) -> _Pending | None:
        pending = self._pending.pop(session, None)
        if not self._pending:
            self._look_away()
        return pending

    def _look_away(self) -> None:
        if self._let_go is not None:
            self._let_go()
            self._let_go = None

    # -- answers -------------------------------------------------------------------------------------

    def _notify(self, message: Stanza, rule: Rule) -> None:
        self.host.router.reply(message, self._answer(message, "notify", [rule]))

    def _error(
        self, message: Stanza, rules: list[Rule], condition: str, specific: str, guilty: list[Rule]
    ) -> Stanza:
        """Give the refusal of a message for some of its rules (section 8)."""
        failed = specific == "failed-rules"
        answer = self._answer(message, "error" if failed else None, rules)
        named = element(specific, NS_ERRORS if failed else NS_AMP, _encode(guilty))
        inner = element(condition, NS_STANZAS) + named
        error = element("error", None, inner, type="modify", code=CODES[condition])
        return answer.replace(type="error").with_child(error, answer.ns, "error")

    def _answer(self, message: Stanza, status: str | None, rules: list[Rule]) -> Stanza:
        """Give a message about a message, without the other's content (section 3.2.5)."""
        attrs = {"from": self.host.domain, "to": message.attrs["from"], "id": message.id or NO_ID}
        amp = element(
            "amp",
            NS_AMP,
            _encode(rules),
            status=status,
            from_=message.attrs["from"] if status else None,
            to=message.attrs.get("to") if status else None,
        )
        return Stanza("message", attrs, ((NS_AMP, "amp"),), amp)


def _supported(request: Stanza) -> bytes:
    features = [
        NS_AMP,
        *(f"{NS_AMP}?action={name}" for name in SUPPORTED_ACTIONS),
        *(f"{NS_AMP}?condition={name}" for name in SUPPORTED_CONDITIONS),
    ]
    return disco.info((IDENTITY,), features, node=NS_AMP)


def _rules(message: Stanza) -> list[Rule]:
    """Read a message's rules; none when it tells of what became of another message."""
    amp = message.child(NS_AMP, "amp")
    if amp is None or amp.hasAttribute("status"):
        return []
    return [_rule(node) for node in amp.elements(NS_AMP, "rule")]


def _rule(node: domish.Element) -> Rule:
    return Rule(*(node.getAttribute(name, "") for name in ("action", "condition", "value")))


def _refusal(rules: list[Rule]) -> tuple[str, str, list[Rule]] | None:
    """Find what is wrong with rules: the condition of the error, the specific one, and the guilty rules."""
    checks = (
        ("not-acceptable", "invalid-rules", _is_valid),
        ("bad-request", "unsupported-actions", lambda rule: rule.action in SUPPORTED_ACTIONS),
        ("bad-request", "unsupported-conditions", lambda rule: rule.condition in SUPPORTED_CONDITIONS),
    )
    for condition, specific, accepts in checks:
        guilty = [rule for rule in rules if not accepts(rule)]
        if guilty:
            return condition, specific, guilty
    return None


def _is_valid(rule: Rule) -> bool:
    if rule.action not in ACTIONS or rule.condition not in CONDITIONS or not rule.value:
        return False
    values = CONDITIONS[rule.condition]
    return values is None or rule.value in values


def _prospects(host: Any, message: Stanza, to: JID) -> frozenset[tuple[str, str]]:
    """Tell what may become of a message, as (condition, value) pairs, by the rules of ordinary delivery."""
    user = host.users.get(to.local)
    sessions = recipients(user, message, to) if user is not None else []
    if sessions:
        exact = bool(to.resource) and sessions[0].jid.resource == to.resource
        matches = ("match-resource", "exact" if exact else "other")
        return frozenset((("deliver", "direct"), ("match-resource", "any"), matches))
    if message.type not in NOT_KEPT and host.query(IOfflineStore) is not None:
        return frozenset((("deliver", "stored"),))
    return frozenset((("deliver", "none"),))


def _waits(rule: Rule, prospects: frozenset[tuple[str, str]]) -> bool:
    """Tell whether only what becomes of the message decides about a rule.

    To refuse or forget a message is decided before anything becomes of it, and that there is nobody to
    deliver it to is known at once.
    """
    if rule.condition != "deliver" or rule.action != "notify":
        return False
    return ("deliver", "none") not in prospects


def _encode(rules: Iterable[Rule]) -> bytes:
    return b"".join(rule.encode() for rule in rules)
