"""Tokens that stand in for a password: signed texts, in the form of MongooseIM's token-based reconnection.

A token is four or five fields with a NUL between them: its kind, the JID that it is for, when it
expires in seconds since the year 0, for a refresh token the sequence number of its owner or for a provision
token a vCard, and the hexadecimal HMAC-SHA-384 of all that.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple

from palaver.jid import JID, InvalidJID, parse

ACCESS, REFRESH, PROVISION = "access", "refresh", "provision"
# Seconds from the year 0 to 1970 in the Gregorian calendar.
GREGORIAN_EPOCH_S = 62167219200
# A vCard with a small picture fits in.
MAX_TOKEN_BYTES = 65536
_DIGEST = "sha384"
_FIELDS = {ACCESS: 3, REFRESH: 4, PROVISION: 4}


class Token(NamedTuple):
    """What a token says: ``expires`` in Unix seconds; ``more`` is the sequence number or the vCard."""

    kind: str
    jid: JID
    expires: int
    more: bytes = b""


class InvalidToken(ValueError):
    """The data is no token, or not one of ours."""


def encode(token: Token, key: bytes) -> bytes:
    """Give a signed token as it is inside of the base64."""
    fields = [token.kind.encode(), token.jid.full.encode(), b"%d" % (token.expires + GREGORIAN_EPOCH_S)]
    if token.kind != ACCESS:
        fields.append(token.more)
    body = b"\0".join(fields)
    return body + b"\0" + _sign(body, key)


def decode(data: bytes, keys: dict[str, bytes]) -> Token:
    """Read a token that is signed with the key of its kind; raises `InvalidToken`.

    ``data`` is what is inside of the base64; whether the token has expired is not looked at.
    """
    if len(data) > MAX_TOKEN_BYTES:
        raise InvalidToken("too long")
    body, _, signature = data.rpartition(b"\0")
    kind = body.partition(b"\0")[0].decode("ascii", "replace")
    key = keys.get(kind)
    if key is None:
        raise InvalidToken("unknown kind, or no key for it")
    if not hmac.compare_digest(_sign(body, key), signature):
        raise InvalidToken("not signed here")
    fields = body.split(b"\0", _FIELDS[kind] - 1)
    if len(fields) != _FIELDS[kind]:
        raise InvalidToken("wrong number of fields")
    try:
        jid = parse(fields[1].decode())
        expires = int(fields[2]) - GREGORIAN_EPOCH_S
    except (InvalidJID, ValueError):
        raise InvalidToken("no address or no time") from None
    return Token(kind, jid, expires, fields[3] if len(fields) > 3 else b"")


def _sign(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, body, _DIGEST).hex().encode()
