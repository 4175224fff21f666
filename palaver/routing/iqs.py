"""IQs: a table of exact routes, how their calls overlap, and who waits for which answer."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime

from palaver.errors import NS_STANZAS, StanzaError
from palaver.jid import JID
from palaver.stanza import Child, Stanza
from palaver.tree import serialize

HOST = "host"
"""Addressed to the domain."""
BARE = "bare"
"""Addressed to the bare JID of somebody else's account."""
SELF = "self"
"""Without ``to``, or addressed to the sender's own bare JID."""
FULL = "full"
"""Addressed to a full JID; a route here takes the IQ away from the client."""

POLICIES = ("no_queue", "one_queue", "queues", "parallel")
DEFAULT_WORKERS = 10
# How long the other side may take to answer an IQ of ours; what others use as well.
REQUEST_TIMEOUT_S = 60.0

IqAnswer = Any
"""None, a payload (bytes or domish.Element), a Stanza, or an awaitable of one of them."""
IqHandler = Callable[[Stanza], IqAnswer]


class DuplicateRoute(ValueError):
    """Two modules want the same route; the server does not start."""


class IqRoute(NamedTuple):
    """One route: type, payload, addressee kind; who answers, and how calls overlap."""

    type: str
    ns: str
    name: str
    kind: str
    module: str
    handler: IqHandler
    policy: str = "no_queue"
    queued: bool = False
    """True when calls may have to wait for each other; the table works it out."""


class IqTable:
    """The routes of one host. Exact: one dictionary look-up finds the handler or nothing."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str, Child], IqRoute] = {}
        self._queues: dict[str, list[DeferredLock]] = {}
        # Most hosts have no route here, and then an IQ to a client costs no look-up.
        self.has_full = False

    def add(self, route: IqRoute) -> Callable[[], None]:
        """Add a route; gives the function that takes it back. Raises `DuplicateRoute`."""
        key = (route.kind, route.type, (route.ns, route.name))
        if key in self._routes:
            raise DuplicateRoute(
                f"{route.module} and {self._routes[key].module} both answer "
                f"iq-{route.type} {{{route.ns}}}{route.name} to {route.kind}"
            )
        self._routes[key] = route._replace(queued=route.policy not in ("no_queue", "parallel"))
        self._note_full()

        def remove() -> None:
            del self._routes[key]
            self._note_full()

        return remove

    def _note_full(self) -> None:
        self.has_full = any(kind == FULL for kind, _, _ in self._routes)

    def find(self, kind: str, type: str, payload: Child) -> IqRoute | None:
        """Give the route, or None."""
        return self._routes.get((kind, type, payload))

    def namespaces(self, kind: str) -> list[str]:
        """Give the payload namespaces that are answered for this kind of addressee, sorted."""
        return sorted({payload[0] for route_kind, _, payload in self._routes if route_kind == kind})

    def call(self, route: IqRoute, iq: Stanza) -> IqAnswer:
        """Call a queued route's handler when its turn has come."""
        policy, _, workers = route.policy.partition(":")
        count = 1 if policy == "one_queue" else int(workers or DEFAULT_WORKERS)
        queues = self._queues.setdefault(route.module, [])
        while len(queues) < count:
            queues.append(DeferredLock())
        queue = queues[hash(iq.attrs.get("from")) % count]
        if not queue.locked and not queue.waiting:
            return self._run_held(queue, route, iq)
        return queue.run(_settled, route, iq)

    @staticmethod
    def _run_held(queue: DeferredLock, route: IqRoute, iq: Stanza) -> IqAnswer:
        """Run at once, holding the queue only when the handler waits."""
        answer = route.handler(iq)
        if answer is None or isinstance(answer, Stanza | bytes) or not isinstance(answer, Awaitable):
            return answer
        return queue.run(lambda: _as_deferred(answer))


def _settled(route: IqRoute, iq: Stanza) -> IqAnswer:
    answer = route.handler(iq)
    return _as_deferred(answer) if isinstance(answer, Awaitable) else answer


def _as_deferred(answer: Awaitable[Any]) -> Deferred[Any]:
    async def wait() -> Any:
        return await answer

    return answer if isinstance(answer, Deferred) else Deferred.fromCoroutine(wait())


def check_request(iq: Stanza) -> StanzaError | None:
    """Give what RFC 6120 section 8.2.3 finds wrong with an IQ, or None."""
    kind = iq.attrs.get("type")
    if kind in ("get", "set"):
        if len(iq.children) != 1:
            return StanzaError("bad-request", "An IQ request has exactly one child element")
    elif kind not in ("result", "error"):
        return StanzaError("bad-request", "Invalid IQ type")
    if not iq.attrs.get("id"):
        return StanzaError("bad-request", "An IQ has an id")
    return None


class Requests:
    """IQs that this server has sent and whose answers it waits for.

    An answer counts only when it comes from whom the request went to.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[tuple[str, str], Deferred[Stanza]] = {}

    def send(
        self, iq: Stanza, route: Callable[[Stanza], object], timeout: float = REQUEST_TIMEOUT_S
    ) -> Deferred[Stanza]:
        """Send a get or set with a new id; gives a Deferred of the result.

        Fails with `StanzaError` for an error answer, with `defer.TimeoutError` after the timeout,
        with `CancelledError` at the end of the host.
        """
        identity = secrets.token_urlsafe(12)
        iq = iq.replace(id=identity)
        key = (iq.attrs["to"], identity)
        waiting: Deferred[Stanza] = Deferred()
        self._waiting[key] = waiting
        waiting.addTimeout(timeout, self._clock)
        waiting.addBoth(self._forget, key)
        route(iq)
        return waiting

    def _forget(self, outcome: Any, key: tuple[str, str]) -> Any:
        self._waiting.pop(key, None)
        return outcome

    def end(self) -> None:
        """Wait for no answer any more."""
        for waiting in list(self._waiting.values()):
            waiting.cancel()

    def answer(self, iq: Stanza, sender: JID) -> bool:
        """Take a result or error; gives False when nobody waits for it."""
        if not self._waiting:
            return False
        waiting = self._waiting.pop((sender.full, iq.attrs.get("id", "")), None)
        if waiting is None:
            return False
        if iq.type == "error":
            waiting.errback(read_error(iq))
        else:
            waiting.callback(iq)
        return True


def read_error(stanza: Stanza) -> StanzaError:
    """Give the error inside an error stanza; ``undefined-condition`` when it cannot be read.

    Conditions of an application (RFC 6120 section 8.3.4) are its ``extra``.
    """
    node = stanza.child(stanza.ns, "error")
    if node is None:
        return StanzaError("undefined-condition")
    condition = next((child.name for child in node.elements() if child.name != "text"), "")
    text = next((str(child) for child in node.elements() if child.name == "text"), None)
    extra = serialize([child for child in node.elements() if child.uri != NS_STANZAS], stanza.ns)
    try:
        return StanzaError(condition, text, type=node.getAttribute("type"), extra=extra)
    except KeyError:
        return StanzaError("undefined-condition", text, extra=extra)
