"""Sessions: one bound resource each. What comes from the client enters here, what goes to it leaves here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from palaver.errors import StanzaError, StreamError
from palaver.events import SessionUnbound
from palaver.interfaces import ISession, IStream
from palaver.jid import JID
from palaver.routing import announce, presence
from palaver.routing.pipeline import Drop, Handled, Reply, Step, Verdict, run
from palaver.routing.roster import SUBSCRIPTION_TYPES
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.routing.users import User


@implementer(ISession)
class Session:
    """One bound resource of a local account."""

    __slots__ = (
        "ahead",
        "asks_contacts",
        "directed",
        "host",
        "invisible",
        "jid",
        "managed",
        "presence",
        "priority",
        "roster_interested",
        "state",
        "stream",
        "user",
    )

    def __init__(self, user: User, jid: JID, stream: IStream) -> None:
        self.user = user
        self.host: Host = user.host
        self.jid = jid
        self.stream: IStream | None = stream
        self.presence: Stanza | None = None
        self.priority = 0
        # Nobody is shown its presence (XEP-0186), and then it may ask for nobody's.
        self.invisible = False
        self.asks_contacts = True
        self.roster_interested = False
        # Who got directed presence and is to hear of its end; None until there is somebody.
        self.directed: set[str] | None = None
        # While a stanza is begun behind others that wait (`Host.may_overlap`): fires once those are done.
        self.ahead: Deferred[None] | None = None
        # Stream management (palaver.streams.managed.Managed), once the client has switched it on.
        self.managed: Any = None
        self.state: dict[str, Any] | None = None

    # -- from the client -----------------------------------------------------------

    def receive(self, stanza: Stanza) -> Deferred[Any] | None:
        """Take a stanza from the client, ``from`` set to the full JID.

        Gives None when all is done, or a Deferred that fires when everything that had to be
        stored for it is committed. Never fails: refusals go back as error stanzas.
        """
        steps = self.user.pipeline.from_client.get(stanza.name)
        # A subscription stanza meets the guards after the roster, so that even a blocked contact can go.
        if steps is None or (stanza.name == "presence" and stanza.attrs.get("type") in SUBSCRIPTION_TYPES):
            return self._route(stanza)
        outcome = run(steps, stanza, self)
        if isinstance(outcome, Deferred):
            return outcome.addCallback(self._routed)
        return self._routed(outcome)

    def _routed(self, outcome: Stanza | Verdict) -> Deferred[Any] | None:
        if isinstance(outcome, Stanza):
            waiting = self._route(outcome)
            steps = self.user.pipeline.sent.get(outcome.name)
            return waiting if steps is None else self._finish(steps, outcome, waiting)
        if isinstance(outcome, Reply):
            self.send(outcome.stanza)
        return None

    def _finish(
        self, steps: tuple[Step, ...], stanza: Stanza, waiting: Deferred[Any] | None
    ) -> Deferred[Any] | None:
        """Take a stanza through the SENT phases once the router is done with it."""
        if waiting is not None:
            return waiting.addCallback(lambda _: self._finish(steps, stanza, None))
        outcome = run(steps, stanza, self)
        if isinstance(outcome, Deferred):
            return outcome.addCallback(self._finished)
        self._finished(outcome)
        return None

    def _finished(self, outcome: Stanza | Verdict) -> None:
        if isinstance(outcome, Reply):
            self.send(outcome.stanza)

    def _route(self, stanza: Stanza) -> Deferred[Any] | None:
        if stanza.name == "presence":
            # Nobody would ever hear of the end of what is shown after that end.
            gone = self.stream is None and stanza.attrs.get("type") not in SUBSCRIPTION_TYPES
            return None if gone else presence.outbound(self.host, self, stanza)
        if "to" not in stanza.attrs:
            return self.host.deliver_self(stanza, self)
        return self.host.router.route(stanza)

    # -- to the client ---------------------------------------------------------------

    def send(self, stanza: Stanza, encoded: bytes | None = None) -> bool:
        """Put a stanza on its way to the client; ``encoded`` are its bytes when they are known.

        Gives True when it was taken, False when the session is gone.
        """
        stream = self.stream
        if stream is None:
            return False
        steps = self.user.pipeline.to_session.get(stanza.name)
        if steps is not None:
            outcome = run(steps, stanza, self)
            if isinstance(outcome, Drop | Handled):
                return True
            if isinstance(outcome, Reply):
                self.host.router.reply(stanza, outcome.stanza)
                return True
            if isinstance(outcome, Deferred):
                raise TypeError("a TO_SESSION handler does not wait: what follows would overtake")
            if outcome is not stanza:
                stanza, encoded = outcome, None
        stream.write(stanza.encode() if encoded is None else encoded)
        return True

    def remember(self, key: str) -> dict[str, Any]:
        """Give a module's own dictionary on this session, made on first use."""
        if self.state is None:
            self.state = {}
        found: dict[str, Any] = self.state.setdefault(key, {})
        return found

    # -- its end -----------------------------------------------------------------------

    def end(self, error: StreamError | None = None) -> None:
        """End the session now and close its stream; one that only fell silent may come back to be resumed."""
        silent = error is not None and error.condition == "connection-timeout"
        if silent and self.managed is not None and self.managed.hang_up(error):
            return
        stream = self.stream
        self.unbind(error.text if error is not None else None)
        if stream is not None:
            stream.end(error)

    def unbind(self, status: str | None = None) -> Deferred[Any] | None:
        """Take the session off the account; contacts hear that it is unavailable. Does nothing twice."""
        if self.stream is None:
            return None
        self.stream = None
        shown, priority = self.presence, self.priority
        sessions = self.user.sessions
        if sessions.get(self.jid.resource) is self:
            del sessions[self.jid.resource]
        gone = presence.session_gone(self, status)
        # Before what the listeners may have held back: that came later.
        kept = self.managed.ended(shown, priority) if self.managed is not None else None
        told = self.host.events.fire(SessionUnbound(self))
        if not sessions and self.host.users.get(self.user.local) is self.user:
            del self.host.users[self.user.local]
        return announce.settle([waiting for waiting in (gone, kept, told) if waiting is not None])


def refuse(session: Session, stanza: Stanza, error: StanzaError) -> None:
    """Answer a client's stanza with an error; never an error in answer to an error or a result."""
    if stanza.type not in ("error", "result"):
        session.send(stanza.error(error))
