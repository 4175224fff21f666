"""The steps that a client takes before it has a resource, and which of them it may take when (RFC 6120)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver import jid
from palaver.errors import StreamError
from palaver.framing import NS_STREAM, StreamHeader
from palaver.interfaces import ILogins, IRegistration
from palaver.markup import element
from palaver.routing.failures import failed
from palaver.routing.subscriptions import NS_PREAUTH
from palaver.stanza import NS_CLIENT, Stanza
from palaver.streams.binding import bind_resource, is_bind
from palaver.streams.sasl import NS_SASL, StreamLogin

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.streams.c2s import ClientStream

NS_SASL2 = "urn:xmpp:sasl:2"
NS_TLS = "urn:ietf:params:xml:ns:xmpp-tls"
NS_REGISTER = "jabber:iq:register"

STANZAS = frozenset(("message", "presence", "iq"))


class State(Enum):
    """How far a stream has come."""

    OPENING = "opening"
    """No stream header yet, or none since the restart."""
    NEGOTIATING = "negotiating"
    """The features are out; nobody has logged in."""
    AUTHENTICATING = "authenticating"
    """A login by XEP-0388 is under way, and nothing else may be sent."""
    AUTHENTICATED = "authenticated"
    """Logged in; no resource bound."""
    BOUND = "bound"
    CLOSED = "closed"


def check_header(stream: ClientStream, header: StreamHeader) -> Host | Deferred[bool]:
    """Give the host that the client wants (RFC 6120 section 4.7); raises StreamError.

    For one that is none yet it gives what fires when the same should be asked again.

    Its ``from`` is only repeated in the answer: who a client is, its login says (section 8.1.2.1).
    """
    if header.ns != NS_CLIENT:
        raise StreamError("invalid-namespace", f"A client's stream has the namespace {NS_CLIENT}")
    to = header.attrs.get("to")
    if to is None:
        raise StreamError("improper-addressing", "The stream header has no to")
    try:
        domain = jid.prepare_domain(to)
    except jid.InvalidJID as error:
        raise StreamError("improper-addressing", str(error)) from None
    host = stream.hosts.get(domain)
    if host is None:
        wake = stream.settings.wake
        waking = wake(domain) if wake is not None else None
        if waking is None:
            raise StreamError("host-unknown")
        return waking
    if stream.host is not None and host is not stream.host:
        raise StreamError("not-authorized", "A restarted stream is for the same host")
    major = header.attrs.get("version", "").partition(".")[0]
    if not major.isdecimal() or not major.strip("0"):
        raise StreamError("unsupported-version", "This server speaks XMPP 1.0")
    return host


def refuse(stanza: Stanza) -> NoReturn:
    """Raise the StreamError for an element that has no place in the stream's state."""
    if stanza.ns == NS_CLIENT and stanza.name in STANZAS:
        raise StreamError("not-authorized", "Log in and bind a resource first")
    if stanza.ns in (NS_SASL, NS_SASL2, NS_TLS):
        raise StreamError("policy-violation", f"<{stanza.name}/> does not belong here")
    raise StreamError("unsupported-stanza-type")


def _start_tls(stream: ClientStream, stanza: Stanza) -> None:
    """Begin TLS (RFC 6120 section 5)."""
    if stream.secure or stream.settings.tls not in ("optional", "required"):
        stream.write(element("failure", NS_TLS))
        raise StreamError("policy-violation", "There is no TLS to start here")
    stream.encrypt(element("proceed", NS_TLS))


def _log_in(stream: ClientStream, stanza: Stanza) -> None:
    if not isinstance(stream.login, StreamLogin):
        stream.login = StreamLogin(stream)
    stream.login.receive(stanza)


def _authenticate(stream: ClientStream, stanza: Stanza) -> None:
    """Log in by XEP-0388, while a module for that is on."""
    logins = stream.host.query(ILogins)
    if logins is None:
        refuse(stanza)
    stream.login = logins.begin(stream)
    stream.login.receive(stanza)


def _go_on(stream: ClientStream, stanza: Stanza) -> None:
    """Go on with a login by XEP-0388."""
    assert stream.login is not None
    stream.login.receive(stanza)


# What mod_register answers strangers: XEP-0077, and the tokens of XEP-0445.
BEFORE_LOGIN = (NS_REGISTER, NS_PREAUTH)


def _register(stream: ClientStream, iq: Stanza) -> None:
    """Let mod_register answer before the login (XEP-0077); anything else is too early."""
    registration = stream.host.query(IRegistration)
    wanted = iq.type in ("get", "set") and iq.payload is not None and iq.payload[0] in BEFORE_LOGIN
    if registration is None or not wanted:
        refuse(iq)
    # What a stranger sends meanwhile is not even parsed.
    stream.hold()
    Deferred.fromCoroutine(_answer(stream, iq, registration)).addErrback(
        lambda failure: failed("core", failure)
    )


async def _answer(stream: ClientStream, iq: Stanza, registration: Any) -> None:
    try:
        answer = registration.handle(stream, iq)
        if isinstance(answer, Deferred):
            answer = await answer
    except Exception:
        answer = iq.error(failed("mod_register", Failure()))
    stream.write(answer.encode())
    stream.go_on()


def _bind(stream: ClientStream, iq: Stanza) -> Deferred[Any] | None:
    if not is_bind(iq):
        refuse(iq)
    return bind_resource(stream, iq)


Step = Callable[["ClientStream", Stanza], Deferred[Any] | None]

NEGOTIATION: dict[tuple[State, str, str], Step] = {
    (State.NEGOTIATING, NS_TLS, "starttls"): _start_tls,
    (State.NEGOTIATING, NS_SASL, "auth"): _log_in,
    (State.NEGOTIATING, NS_SASL, "response"): _log_in,
    (State.NEGOTIATING, NS_SASL, "abort"): _log_in,
    (State.NEGOTIATING, NS_SASL2, "authenticate"): _authenticate,
    (State.AUTHENTICATING, NS_SASL2, "response"): _go_on,
    (State.AUTHENTICATING, NS_SASL2, "abort"): _go_on,
    (State.AUTHENTICATING, NS_SASL2, "next"): _go_on,
    (State.AUTHENTICATING, NS_SASL2, "task-data"): _go_on,
    (State.NEGOTIATING, NS_CLIENT, "iq"): _register,
    (State.AUTHENTICATED, NS_CLIENT, "iq"): _bind,
}


def take(stream: ClientStream, stanza: Stanza) -> Deferred[Any] | None:
    """Take a top-level element that is no stanza of a session; raises StreamError.

    Gives a Deferred when the next one has to wait.
    """
    step = NEGOTIATION.get((stream.state, stanza.ns, stanza.name))
    if step is not None:
        return step(stream, stanza)
    nonza = stream.host.nonzas.get((stanza.ns, stanza.name)) if stream.host is not None else None
    if nonza is not None and stream.state is not State.AUTHENTICATING:
        waiting: Deferred[Any] | None = stream.host.guard("nonza", nonza, stanza, stream)
        return waiting
    if (stanza.ns, stanza.name) != (NS_STREAM, "error"):
        refuse(stanza)
    # The client has ended the stream; an error is no answer to that (RFC 6120 section 4.9.1.1).
    stream.end()
    return None
