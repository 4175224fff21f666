"""TLS without detours, behind the handshake; whatever is out of the ordinary is left to Twisted.

What a turn has queued is joined already (see `palaver.streams.flush`), so it is encrypted and handed to the
socket at once. Twisted's own way keeps it for another turn to join it with more, and again until the
reactor has found the socket writable. And what one read brings goes on in one piece, not record by record.
"""

from __future__ import annotations

import errno
from typing import Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.protocols.tls import BufferingTLSTransport

# The largest record of TLS; more would take several.
MAX_RECORD_BYTES = 16 * 1024
# A record with all that TLS adds to it, and some answers to changes of keys.
READ_BYTES = 2 * MAX_RECORD_BYTES
# A peer that changes its keys all the time is answered as often, which OpenSSL keeps for the next write;
# with a record behind it, that is still less than one read.
MAX_UNANSWERED_BYTES = 8 * 1024

# The socket takes nothing now.
FULL = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS)


def read_whole(transport: Any) -> None:
    """Have what one read of the socket brings go on in one piece, whatever records it came in."""
    tls = transport.protocol
    if _is_twisteds(tls):
        tls.dataReceived = _Records(tls).received


def _is_twisteds(tls: Any) -> bool:
    """Tell whether TLS is Twisted's own, whose ways are known here."""
    return type(tls) is BufferingTLSTransport


class _Records:
    """What one TLS connection reads."""

    __slots__ = ("_tls", "_unanswered")

    def __init__(self, tls: Any) -> None:
        self._tls = tls
        # Bytes that were no content, since what OpenSSL answers to such was last looked for.
        self._unanswered = 0

    def received(self, data: bytes) -> None:
        """Take what one read of the socket has brought."""
        tls = self._tls
        if not tls._handshakeDone or tls._appSendBuffer:
            BufferingTLSTransport.dataReceived(tls, data)
            return
        connection = tls._tlsConnection
        connection.bio_write(data)
        pieces = []
        ended = False
        try:
            while True:
                pieces.append(connection.recv(READ_BYTES))
        except SSL.WantReadError:
            # That was all.
            pass
        except SSL.Error:
            ended = True
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._unanswered += len(data) - len(content)
        if content and not tls._aborted:
            tls.wrappedProtocol.dataReceived(content)
        if tls._lostTLSConnection:
            return
        if ended:
            # It meets the same again, and knows what to do.
            tls._flushReceiveBIO()
        elif not content or self._unanswered > MAX_UNANSWERED_BYTES:
            self._unanswered = 0
            tls.transport.write(_queued(connection))


def _queued(connection: Any) -> bytes:
    """Give what OpenSSL has to send, answers of its own among it."""
    parts: list[bytes] = []
    try:
        while not parts or len(parts[-1]) == READ_BYTES:
            parts.append(connection.bio_read(READ_BYTES))
    except SSL.WantReadError:
        # That was all.
        pass
    return parts[0] if len(parts) == 1 else b"".join(parts)


def send(transport: Any, data: bytes) -> Exception | None:
    """Send over a transport that speaks TLS, in order with what it still holds; gives why it is broken."""
    tls = transport.protocol
    if not _holds_nothing(transport, tls):
        transport.write(data)
        return None
    connection = tls._tlsConnection
    records: list[bytes] = []
    start = 0
    while start < len(data):
        try:
            # A record is smaller than that where the peer wants it so (RFC 6066 section 4).
            start += connection.send(data[start : start + MAX_RECORD_BYTES])
        except SSL.Error:
            # Nothing of this record is gone; Twisted's own way behind those before it knows what to do.
            tls.transport.write(b"".join(records))
            transport.write(data[start:])
            return None
        records.append(_queued(connection))
    return _hand_over(transport, tls, records[0] if len(records) == 1 else b"".join(records))


def _holds_nothing(transport: Any, tls: Any) -> bool:
    """Tell whether the handshake is done, and nothing that was written before is still on its way."""
    return bool(
        _is_twisteds(tls)
        and tls._handshakeDone
        # At its end Twisted has something else in the aggregator's place.
        and not (getattr(tls._aggregator, "_buffer", True) or tls._appSendBuffer or tls.disconnecting)
        and not (transport.dataBuffer or transport._tempDataBuffer)
    )


def _hand_over(transport: Any, tls: Any, data: bytes) -> Exception | None:
    sent = 0
    try:
        sent = transport.socket.send(data)
    except OSError as error:
        if error.errno not in FULL:
            return ConnectionLost(str(error))
    if sent < len(data):
        tls.transport.write(data[sent:])
    return None
