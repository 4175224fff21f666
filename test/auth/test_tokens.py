"""Signed tokens: what they hold, and what is refused."""

from __future__ import annotations

import hmac

from twisted.trial.unittest import SynchronousTestCase

from palaver.auth.tokens import (
    ACCESS,
    GREGORIAN_EPOCH_S,
    MAX_TOKEN_BYTES,
    PROVISION,
    REFRESH,
    InvalidToken,
    Token,
    decode,
    encode,
)
from palaver.jid import parse

KEY = b"k" * 32
KEYS = {ACCESS: KEY, REFRESH: KEY, PROVISION: b"p" * 32}
ROMEO = parse("romeo@example.org/orchard")


class TokenTests(SynchronousTestCase):
    """Made and read."""

    def test_form(self) -> None:
        """The fields are as MongooseIM has them: Gregorian seconds, a hexadecimal signature."""
        made = encode(Token(REFRESH, ROMEO, 1, b"7"), KEY)
        *fields, signature = made.split(b"\0")
        self.assertEqual(fields, [b"refresh", b"romeo@example.org/orchard", b"62167219201", b"7"])
        self.assertEqual(len(bytes.fromhex(signature.decode())), 48)

    def test_both_ways(self) -> None:
        """What was made is read again, a vCard with NULs in it too."""
        for token in (
            Token(ACCESS, ROMEO, 5),
            Token(REFRESH, ROMEO, 5, b"1"),
            Token(PROVISION, ROMEO, 5, b"<vCard>\0</vCard>"),
        ):
            self.assertEqual(decode(encode(token, KEYS[token.kind]), KEYS), token)

    def test_refused(self) -> None:
        """What is not signed with the key of its kind, or is no token at all, is none."""
        good = encode(Token(ACCESS, ROMEO, 5), KEY)
        forged = [
            good.replace(b"romeo", b"tybalt"),
            good[:-1] + (b"0" if good[-1:] != b"0" else b"1"),
            good.upper(),
            good.replace(b"access", b"refresh"),
            encode(Token(PROVISION, ROMEO, 5, b""), KEY),
            encode(Token("admin", ROMEO, 5, b""), KEY),
            encode(Token(ACCESS, ROMEO, 5), b"another"),
            b"",
            b"\0",
            b"access",
            b"\xff\0\xff",
            b"x" * (MAX_TOKEN_BYTES + 1),
        ]
        for data in forged:
            self.assertRaises(InvalidToken, decode, data, KEYS)

    def test_signed_nonsense(self) -> None:
        """Fields that say nothing are refused, whoever signed them."""
        body = b"access\0not@@a jid\0%d" % GREGORIAN_EPOCH_S
        for text in (body, b"access\0romeo@example.org\0soon", b"access\0romeo@example.org"):
            signed = text + b"\0" + hmac.digest(KEY, text, "sha384").hex().encode()
            self.assertRaises(InvalidToken, decode, signed, KEYS)
