"""Resource binding on a stream (RFC 6120 section 7): elements to and from `palaver.routing.users.bind`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver.log import Log
from palaver.markup import element, escape
from palaver.routing.failures import failed
from palaver.routing.iqs import check_request
from palaver.routing.users import NS_BIND, bind
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.routing.sessions import Session
    from palaver.streams.c2s import ClientStream

log = Log("c2s")

# What nearly every client writes; anything else is read as a tree.
_PLAIN = re.compile(
    rb"<bind xmlns=['\"]urn:ietf:params:xml:ns:xmpp-bind['\"] ?"
    rb"(?:/>|>(?:<resource>([^<>&\r]*)</resource>)?</bind>)\Z"
)


def is_bind(iq: Stanza) -> bool:
    """Tell whether an IQ asks for a resource."""
    return iq.type == "set" and iq.payload == (NS_BIND, "bind")


def bind_resource(stream: ClientStream, iq: Stanza) -> Deferred[Any] | None:
    """Answer an IQ that asks for a resource; gives a Deferred when that is to be waited for."""
    wrong = check_request(iq)
    if wrong is not None:
        stream.write(iq.error(wrong).encode())
        return None
    return Deferred.fromCoroutine(_answer(stream, iq))


async def _answer(stream: ClientStream, iq: Stanza) -> None:
    try:
        session = await open_session(stream, _wanted(iq))
    except Exception:
        stream.write(iq.error(failed("core", Failure())).encode())
        return
    if session is not None:
        payload = element("bind", NS_BIND, element("jid", None, escape(session.jid.full)))
        session.send(iq.replace(to=None, from_=None).result(payload))


async def open_session(stream: ClientStream, resource: str | None) -> Session | None:
    """Give whoever has logged in on the stream a session; None when the stream has ended meanwhile.

    ``resource`` is what the client asks for. Raises StanzaError as `palaver.routing.users.bind`.
    """
    local, documents = stream.authenticated_as, stream.documents
    assert local is not None
    session = await bind(stream.host, stream, local, resource, documents)
    if not stream.is_open:
        session.unbind()
        return None
    stream.bound()
    log.info("session-bound", jid=session.jid, address=stream.address, secure=stream.secure)
    return session


def _wanted(iq: Stanza) -> str | None:
    """Give the resource that the client asks for, if it asks for one."""
    plain = _PLAIN.match(iq.inner)
    if plain is not None:
        return plain[1].decode() if plain[1] is not None else None
    node = iq.child(NS_BIND, "bind")
    return next((str(child) for child in node.elements(NS_BIND, "resource")), None) if node else None
