"""TLS without detours, behind the handshake; whatever is out of the ordinary is left to Twisted.

What a turn has queued is joined already (see `palaver.streams.flush`), so it is encrypted and handed to the
socket at once. Twisted's own way keeps it for another turn to join it with more, and again until the
reactor has found the socket writable. And what one read brings goes on in one piece, not record by record.
"""

from __future__ import annotations

import errno
from functools import partial
from typing import Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.protocols.tls import BufferingTLSTransport

# The largest record of TLS; more would take several.
MAX_RECORD_BYTES = 16 * 1024
# A record with all that TLS adds to it; one after it may be the answer to a change of keys.
READ_BYTES = 2 * MAX_RECORD_BYTES

# The socket takes nothing now.
FULL = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS)


def read_whole(transport: Any) -> None:
    """Have what one read of the socket brings go on in one piece, whatever records it came in."""
    tls = transport.protocol
    if _is_twisteds(tls):
        tls.dataReceived = partial(_received, tls)


def _is_twisteds(tls: Any) -> bool:
    """Tell whether TLS is Twisted's own, whose ways are known here."""
    return type(tls) is BufferingTLSTransport


def _received(tls: Any, data: bytes) -> None:
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
    if pieces and not tls._aborted:
        tls.wrappedProtocol.dataReceived(b"".join(pieces))
    if ended and not tls._lostTLSConnection:
        # It meets the same again, and knows what to do.
        tls._flushReceiveBIO()


def send(transport: Any, data: bytes) -> Exception | None:
    """Send over a transport that speaks TLS, in order with what it still holds; gives why it is broken."""
    tls = transport.protocol
    if not _holds_nothing(transport, tls):
        transport.write(data)
        return None
    connection = tls._tlsConnection
    records: list[bytes] = []
    for start in range(0, len(data), MAX_RECORD_BYTES):
        try:
            connection.send(data[start : start + MAX_RECORD_BYTES])
        except SSL.Error:
            # Nothing of this record is gone; Twisted's own way behind those before it knows what to do.
            tls.transport.write(b"".join(records))
            transport.write(data[start:])
            return None
        records.append(connection.bio_read(READ_BYTES))
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
