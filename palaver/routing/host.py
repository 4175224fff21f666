"""A virtual host: its accounts, its modules and their routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import Interface, implementer
from zope.interface.registry import Components

from palaver.errors import StanzaError
from palaver.events import Events
from palaver.interfaces import IHost, IService, ISession
from palaver.jid import JID
from palaver.routing import delivery, presence
from palaver.routing.disco import Disco
from palaver.routing.failures import failed
from palaver.routing.iqs import BARE, FULL, HOST, SELF, IqRoute, IqTable, Requests, check_request
from palaver.routing.pipeline import Pipeline, Reply, Step, Track, run
from palaver.routing.router import Router
from palaver.routing.users import NS_BIND, NS_SESSION, User
from palaver.stanza import Child, Stanza

# MongooseIM's built-in limit.
MAX_USER_SESSIONS = 100

Nonza = Callable[[Stanza, Any], object]
PresenceType = Callable[[Any, Stanza], Deferred[Any] | None]


def _bind_again(iq: Stanza) -> None:
    raise StanzaError("not-allowed", "A stream has one resource")


# RFC 6120 section 7.1 binds once; RFC 3921 section 3 opened a session after that, which means nothing now.
_OF_BOUND_SESSIONS = (
    IqRoute("set", NS_BIND, "bind", SELF, "core", _bind_again),
    IqRoute("set", NS_SESSION, "session", SELF, "core", lambda iq: None),
    IqRoute("set", NS_SESSION, "session", HOST, "core", lambda iq: None),
)


@implementer(IHost, IService)
class Host:
    """One domain with accounts. Everything on it is put there by modules."""

    def __init__(
        self,
        domain: str,
        router: Router,
        storage: Any,
        accounts: Any,
        clock: IReactorTime,
        registry: Components | None = None,
        max_user_sessions: int = MAX_USER_SESSIONS,
    ) -> None:
        self.domain = domain
        self.name = domain
        self.jid = JID("", domain, "")
        self.router = router
        self.storage = storage
        self.accounts = accounts
        self.clock = clock
        self.max_user_sessions = max_user_sessions
        self.registry = Components(domain, bases=(registry,) if registry is not None else ())
        self._provided: set[type[Interface]] = set()
        # Bare JIDs of those who administer the host by the configuration.
        self.admins: frozenset[str] = frozenset()
        # Those among them who administer the whole server.
        self.server_admins: frozenset[str] = frozenset()
        self.users: dict[str, User] = {}
        # Streams that have logged in and bound no resource yet.
        self.unbound: set[Any] = set()
        self.modules: dict[str, Any] = {}
        self.pipeline = Pipeline()
        self.iqs = IqTable()
        self.requests = Requests(clock)
        self.disco = Disco(self)
        self.events = Events(self.guard)
        self.nonzas: dict[Child, Nonza] = {}
        # Presence of types that RFC 6121 does not know, from clients, by type.
        self.presence_types: dict[str | None, PresenceType] = {}
        self.stream_features: list[Callable[[Any], bytes | None]] = []
        # What clients may ask for within a login, see `palaver.modules.inline`, and how it is announced.
        self.inline: dict[tuple[str, str, str], Callable[[Any, Any], Any]] = {}
        self.inline_features: list[Callable[[Any], bytes | None]] = []
        # What one login reads beside the account in its one query; modules add to it.
        self.login_kinds: list[str] = []
        for route in _OF_BOUND_SESSIONS:
            self.iqs.add(route)
        # Tells of a session's stanza that it may begin while earlier ones wait; set by the module that knows.
        self.may_overlap: Callable[[Any, Stanza], bool] | None = None
        # Takes messages for the host itself that come from elsewhere; None: they come back.
        self.own_messages: Callable[[Stanza], Deferred[Any] | None] | None = None
        # Gives the route of an IQ request that somebody else than a module answers, by kind of addressee.
        self.delegates: Callable[[str, Stanza], IqRoute | None] | None = None
        # SASL mechanisms of modules by name: what makes them takes the IAccounts and the Facts of the stream.
        self.mechanisms: dict[str, Callable[[Any, Any], Any]] = {}
        # Begins logins; set by whoever knows how people log in (palaver.auth.sasl.Authenticator).
        self.authenticator: Any = None

    # -- for modules ---------------------------------------------------------------

    def query(self, interface: type[Interface]) -> Any:
        """Give the component that provides an interface on this host or on the server, or None."""
        return self.registry.queryUtility(interface)

    def provide(self, component: object, interface: type[Interface]) -> Callable[[], object]:
        """Make a component found by `query`; gives the function that takes it back.

        Raises `ValueError` for a second one.
        """
        if interface in self._provided:
            raise ValueError(f"{self.domain} has {interface.__name__} already")
        self._provided.add(interface)
        self.registry.registerUtility(component, interface)

        def remove() -> None:
            self._provided.discard(interface)
            self.registry.unregisterUtility(component, interface)

        return remove

    def add_nonza(self, ns: str, name: str, method: Nonza) -> Callable[[], object]:
        """Take top-level elements of a stream; gives the function that takes it back.

        Raises `ValueError` for a second one.
        """
        if (ns, name) in self.nonzas:
            raise ValueError(f"{{{ns}}}{name} is taken already")
        self.nonzas[ns, name] = method
        return lambda: self.nonzas.pop((ns, name))

    def add_inline(
        self, when: str, ns: str, name: str, method: Callable[[Any, Any], Any]
    ) -> Callable[[], object]:
        """Do what clients ask for within a login; gives the function that takes it back.

        Raises `ValueError` for a second one.
        """
        key = (when, ns, name)
        if key in self.inline:
            raise ValueError(f"{{{ns}}}{name} is taken already")
        self.inline[key] = method
        return lambda: self.inline.pop(key)

    def add_presence_type(self, kind: str, method: PresenceType) -> Callable[[], object]:
        """Take clients' presence of another type; gives the function that takes it back.

        ``method`` takes (session, stanza) and gives None, or a Deferred that does not fail.
        """
        self.presence_types[kind] = method
        return lambda: self.presence_types.pop(kind)

    def add_stream_feature(self, feature: Callable[[Any], bytes | None]) -> Callable[[], object]:
        """Announce something in stream features; gives the function that takes it back."""
        self.stream_features.append(feature)
        return lambda: self.stream_features.remove(feature)

    def add_login_kind(self, kind: str) -> Callable[[], object]:
        """Have documents of a kind read with the account at login; gives the function that takes it back."""
        self.login_kinds.append(kind)
        return lambda: self.login_kinds.remove(kind)

    def request(self, iq: Stanza, timeout: float | None = None) -> Deferred[Stanza]:
        """Send an IQ from this host and wait for its answer; see `Requests.send`."""
        iq = iq.replace(from_=self.domain)
        if timeout is None:
            return self.requests.send(iq, self.router.route)
        return self.requests.send(iq, self.router.route, timeout)

    # -- IService --------------------------------------------------------------------

    def deliver(self, stanza: Stanza, to: JID) -> Deferred[Any] | None:
        """Take a stanza for this domain or one of its accounts."""
        name = stanza.name
        if name == "message":
            if to.local:
                return delivery.message(self, stanza, to)
            if self.own_messages is not None:
                return self.own_messages(stanza)
            return self.router.bounce(stanza, StanzaError("service-unavailable"))
        if name == "iq":
            return self._deliver_iq(stanza, to)
        return presence.inbound(self, stanza, to)

    def deliver_self(self, stanza: Stanza, session: ISession) -> Deferred[Any] | None:
        """Take a message or IQ without ``to``: it is for the sender's own account."""
        if stanza.name == "iq":
            return self._deliver_iq(stanza, None)
        return delivery.message(self, stanza.replace(to=session.user.bare), session.user.jid)

    # -- IQs ------------------------------------------------------------------------------

    def _deliver_iq(self, iq: Stanza, to: JID | None) -> Deferred[Any] | None:
        wrong = check_request(iq)
        if wrong is not None:
            return self.router.bounce(iq, wrong)
        kind = iq.attrs["type"]
        if to is not None and to.resource and to.local:
            return self._iq_to_session(iq, to)
        if kind == "result" or kind == "error":
            sender = iq.sender
            if sender is not None:
                self.requests.answer(iq, sender)
            return None
        addressee = HOST if to is not None and not to.local else self._kind(iq, to)
        if addressee is BARE and to is not None:
            # What is answered for an account passes its guards; the other phases are about its clients.
            steps = [step for step in self._track(to).to_user.get("iq", ()) if step.phase == "guard"]
            if steps:
                return self._guarded(tuple(steps), iq, to, lambda iq, to: self._answer_for(BARE, iq))
        return self._answer_for(addressee, iq)

    def _answer_for(self, addressee: str, iq: Stanza) -> Deferred[Any] | None:
        """Have the route for a get or set answer it, if there is one."""
        route = self.delegates(addressee, iq) if self.delegates is not None else None
        if route is None:
            route = self.iqs.find(addressee, iq.attrs["type"], iq.children[0])
        if route is None:
            return self.router.bounce(iq, StanzaError("service-unavailable"))
        return self.call(route, iq)

    @staticmethod
    def _kind(iq: Stanza, to: JID | None) -> str:
        """Tell whose account an IQ is for."""
        if to is None:
            return SELF
        sender = iq.sender
        return SELF if sender is not None and sender.bare == to.bare else BARE

    def _iq_to_session(self, iq: Stanza, to: JID) -> Deferred[Any] | None:
        if self.iqs.has_full and iq.attrs["type"] in ("get", "set"):
            route = self.iqs.find(FULL, iq.attrs["type"], iq.children[0])
            if route is not None:
                return self.call(route, iq)
        steps = self._track(to).to_user.get("iq")
        if steps is None:
            return self._hand_over(iq, to)
        return self._guarded(steps, iq, to, self._hand_over)

    def _track(self, to: JID) -> Track:
        """Give what the stanzas for an account go through."""
        user = self.users.get(to.local)
        return user.pipeline if user is not None else self.pipeline.guarded

    def _guarded(
        self,
        steps: tuple[Step, ...],
        iq: Stanza,
        to: JID,
        deliver: Callable[[Stanza, JID], Deferred[Any] | None],
    ) -> Deferred[Any] | None:
        """Take an IQ for an account through steps of the TO_USER phases, then deliver it."""

        def settle(outcome: Any) -> Deferred[Any] | None:
            if isinstance(outcome, Stanza):
                return deliver(outcome, to)
            if isinstance(outcome, Reply):
                return self.router.reply(iq, outcome.stanza)
            return None

        outcome = run(steps, iq, to)
        return outcome.addCallback(settle) if isinstance(outcome, Deferred) else settle(outcome)

    def _hand_over(self, iq: Stanza, to: JID) -> Deferred[Any] | None:
        user = self.users.get(to.local)
        session = user.sessions.get(to.resource) if user is not None else None
        if session is None or not session.send(iq):
            return self.router.bounce(iq, StanzaError("service-unavailable"))
        return None

    def call(self, route: IqRoute, iq: Stanza) -> Deferred[Any] | None:
        """Have a route answer an IQ; every kind of failure becomes the right error."""
        try:
            answer = self.iqs.call(route, iq) if route.queued else route.handler(iq)
        except Exception:
            return self.router.bounce(iq, failed(route.module, Failure()))
        if type(answer) is Stanza:
            return self.router.reply(iq, answer)
        if not isinstance(answer, Awaitable):
            return self._answer(iq, answer)
        waiting = Deferred.fromCoroutine(self._await_answer(route, iq, answer))
        if route.policy != "parallel":
            return waiting
        # It does not hold up the session's next stanzas, but counts as handled when it is.
        if iq.origin is not None and iq.origin.managed is not None:
            iq.origin.managed.received.beside(waiting)
        return None

    async def _await_answer(self, route: IqRoute, iq: Stanza, answer: Awaitable[Any]) -> None:
        try:
            self._answer(iq, await answer)
        except Exception:
            self.router.bounce(iq, failed(route.module, Failure()))

    def _answer(self, iq: Stanza, answer: Any) -> Deferred[Any] | None:
        if not isinstance(answer, Stanza):
            answer = iq.result(answer)
        return self.router.reply(iq, answer)

    def guard(self, module: str, function: Callable[..., Any], *arguments: Any) -> Deferred[Any] | None:
        """Call a module's function; a failure is logged and counted, never raised."""
        try:
            answer = function(*arguments)
        except Exception:
            failed(module, Failure())
            return None
        if not isinstance(answer, Awaitable):
            return None

        async def wait() -> None:
            try:
                await answer
            except Exception:
                failed(module, Failure())

        return Deferred.fromCoroutine(wait())
