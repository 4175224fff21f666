"""A peer that speaks TLS by OpenSSL itself, and so does what Python's own TLS has no words for.

It has its own library, the system's; the server's comes with `cryptography`.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import Any

TLS_1_2, TLS_1_3 = 0x0303, 0x0304
# RFC 6066 section 4: records of no more than 512 bytes.
RECORDS_OF_512 = 1
# Numbers of ssl.h.
_CTRL_MIN_VERSION, _CTRL_MAX_VERSION = 123, 124
_ERROR_WANT_READ, _ERROR_ZERO_RETURN = 2, 6
_KEY_UPDATE_REQUESTED = 1

_POINTERS = ("TLS_client_method", "SSL_CTX_new", "SSL_new", "BIO_new", "BIO_s_mem")
_READ_BYTES = 1 << 20


def library() -> Any:
    """Give the system's OpenSSL; None without one."""
    name = ctypes.util.find_library("ssl")
    if name is None:
        return None
    found = ctypes.CDLL(name)
    for function in _POINTERS:
        getattr(found, function).restype = ctypes.c_void_p
    return found


class Peer:
    """The client's side of TLS, in memory. It believes any certificate."""

    def __init__(self, version: int, record_mode: int = 0) -> None:
        """``version``: TLS_1_2 or TLS_1_3; ``record_mode``: how large records may be (RFC 6066 section 4)."""
        self._ssl = ssl = library()
        self._context = ctypes.c_void_p(ssl.SSL_CTX_new(ctypes.c_void_p(ssl.TLS_client_method())))
        for control in (_CTRL_MIN_VERSION, _CTRL_MAX_VERSION):
            ssl.SSL_CTX_ctrl(self._context, control, ctypes.c_long(version), None)
        self._connection = ctypes.c_void_p(ssl.SSL_new(self._context))
        if record_mode:
            ssl.SSL_set_tlsext_max_fragment_length(self._connection, ctypes.c_uint8(record_mode))
        self._in, self._out = (
            ctypes.c_void_p(ssl.BIO_new(ctypes.c_void_p(ssl.BIO_s_mem()))) for _ in range(2)
        )
        ssl.SSL_set_bio(self._connection, self._in, self._out)
        ssl.SSL_set_connect_state(self._connection)

    def close(self) -> None:
        """Free it."""
        self._ssl.SSL_free(self._connection)
        self._ssl.SSL_CTX_free(self._context)

    # -- below TLS -------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Take what has come from the server."""
        if data:
            self._ssl.BIO_write(self._in, data, len(data))

    def give(self) -> bytes:
        """Give what is to be sent to the server."""
        buffer = ctypes.create_string_buffer(_READ_BYTES)
        size = self._ssl.BIO_read(self._out, buffer, _READ_BYTES)
        return buffer.raw[:size] if size > 0 else b""

    # -- above TLS --------------------------------------------------------------------------

    def shake(self) -> bool:
        """Go on with a handshake; True once it is done."""
        return self._done(self._ssl.SSL_do_handshake(self._connection))

    def write(self, data: bytes) -> None:
        """Write a record or more."""
        self._done(self._ssl.SSL_write(self._connection, data, len(data)))

    def read(self) -> bytes:
        """Give all that has come; raises ConnectionError for what no TLS is."""
        buffer, data = ctypes.create_string_buffer(_READ_BYTES), b""
        while (size := self._ssl.SSL_read(self._connection, buffer, _READ_BYTES)) > 0:
            data += buffer.raw[:size]
        self._done(size)
        return data

    def change_keys(self) -> None:
        """Change keys, and ask for the same (RFC 8446 section 4.6.3)."""
        self._ssl.SSL_key_update(self._connection, _KEY_UPDATE_REQUESTED)
        self._done(self._ssl.SSL_do_handshake(self._connection))

    def renegotiate(self) -> None:
        """Ask for another handshake, as TLS 1.2 has it."""
        self._ssl.SSL_renegotiate(self._connection)
        self._done(self._ssl.SSL_do_handshake(self._connection))

    def end(self) -> None:
        """Say that nothing more will come."""
        self._ssl.SSL_shutdown(self._connection)

    def _done(self, outcome: int) -> bool:
        if outcome > 0:
            return True
        error = self._ssl.SSL_get_error(self._connection, outcome)
        if error not in (_ERROR_WANT_READ, _ERROR_ZERO_RETURN):
            raise ConnectionError(f"OpenSSL says {error}")
        return False
