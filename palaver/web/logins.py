"""Logins of people in their browsers, by the hash of what their cookies have."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReactorTime

from palaver.jid import JID

# 192 bits: found by its hash, nobody learns from an answer's time how close a guess was.
TOKEN_BYTES = 24
# 144 bits, that nobody guesses within a login's life.
KEY_BYTES = 18
# The oldest one goes for one too many of one account, or of all.
MAX_LOGINS_EACH = 20
MAX_LOGINS = 10_000


class Login(NamedTuple):
    """Who is logged in: the account (bare), the key of its forms, and since when, in seconds of the clock."""

    account: JID
    key: str
    since: float


class Held(NamedTuple):
    """A login as it is kept: ``page`` is where it counts, ``keys`` those of the account when it began."""

    login: Login
    page: str
    keys: Mapping[str, Any]
    seen: float


class Logins:
    """All logins of a process, by the hash of their tokens; the one that was used longest ago comes first."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._held: OrderedDict[bytes, Held] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def add(self, page: str, found: JID, keys: Mapping[str, Any]) -> tuple[str, Login]:
        """Begin a login; gives the token for its cookie, and the login."""
        now = self._clock.seconds()
        own = [each for each, held in self._held.items() if held.login.account == found]
        if len(own) >= MAX_LOGINS_EACH:
            del self._held[own[0]]
        elif len(self._held) >= MAX_LOGINS:
            self._held.popitem(last=False)
        token, login = secrets.token_urlsafe(TOKEN_BYTES), Login(found, secrets.token_hex(KEY_BYTES), now)
        self._held[_hash(token)] = Held(login, page, keys, now)
        return token, login

    def get(self, page: str, token: str, idle_s: float, life_s: float) -> Held | None:
        """Give what a token stands for, unless it is too old or another page's."""
        held, now = self._held.get(_hash(token)), self._clock.seconds()
        if held is None or held.page != page:
            return None
        if now - held.seen >= idle_s or now - held.login.since >= life_s:
            self.remove(token)
            return None
        return held

    def touch(self, token: str) -> None:
        """Note that somebody is there."""
        key = _hash(token)
        if key in self._held:
            self._held[key] = self._held[key]._replace(seen=self._clock.seconds())
            self._held.move_to_end(key)

    def remove(self, token: str) -> None:
        """End a login, if it is there."""
        self._held.pop(_hash(token), None)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
