"""From a domain to a stream with its server: every place that DNS names, until one does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError

from palaver.errors import StanzaError
from palaver.log import Log
from palaver.streams.s2s.connection import Dialled, ServerConnection
from palaver.streams.s2s.outgoing import OutgoingStream, Unreachable
from palaver.streams.s2s.resolving import Target, Unresolved

if TYPE_CHECKING:
    from palaver.streams.s2s.federation import Federation
    from palaver.streams.s2s.link import Link

log = Log("s2s")

# RFC 8305 section 5: how long an address may be silent before the next one is tried beside it.
NEXT_ADDRESS_S = 0.25


async def connect(federation: Federation, link: Link) -> OutgoingStream:
    """Give a stream over which the link's domain may send; raises `Unreachable`.

    ``link.stream`` is the one that is being tried.
    """
    try:
        targets = await federation.resolving.targets(link.remote)
    except Unresolved as error:
        log.info("s2s-unresolved", remote=link.remote, reason=str(error))
        condition = "remote-server-not-found" if error.lasting else "remote-server-timeout"
        raise Unreachable(StanzaError(condition, "The other server cannot be found")) from None
    problem = Unreachable(StanzaError("remote-server-not-found", "The other server cannot be reached"))
    for target in targets:
        try:
            stream = await _dial(federation, link, target)
        except (ConnectError, DNSLookupError, ValueError) as error:
            log.info(
                "s2s-unreachable", remote=link.remote, host=target.host, port=target.port, reason=str(error)
            )
            continue
        link.stream = stream
        try:
            await stream.established
        except Unreachable as error:
            problem = error
            if stream.id:
                # It was the right server, which does not want us or which we do not want.
                break
            continue
        return stream
    raise problem


async def _dial(federation: Federation, link: Link, target: Target) -> OutgoingStream:
    """Connect to the address that answers first."""

    def make_stream(connection: ServerConnection) -> OutgoingStream:
        stream = OutgoingStream(connection, federation, link.local, link.remote, target.direct)
        federation.began(stream)
        return stream

    endpoint = HostnameEndpoint(
        federation.naming, target.host, target.port,
        timeout=federation.settings.outgoing.connection_timeout, attemptDelay=NEXT_ADDRESS_S,
    )  # fmt: skip
    factory: Any = Dialled(federation.outgoing, make_stream)
    connection: Any = await endpoint.connect(factory)
    stream: OutgoingStream = connection.stream
    return stream
