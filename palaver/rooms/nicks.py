"""Which nicks are too much alike to be two people (XEP-0045 section 14.1, RFC 8266).

Two nicks are the same to us when they differ only by letter case, by width or other compatible forms,
by spaces around or between words, by characters that are not seen, or by Cyrillic, Greek or Armenian
letters that look like Latin ones; and by a capital I where the other one has a small l. Digits and letters
that look alike (1 and l) stay different, as many names end in numbers.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Generic, TypeVar

T = TypeVar("T")

# Letters after case folding, each with the Latin one that it is taken for.
_CYRILLIC = (
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455"
    "\u04bb\u0501\u051b\u051d\u043a\u043c\u0442\u043d\u0432"
)
_OTHERS = (
    "\u03b1\u03bf\u03bd\u03c1\u03b9\u03ba\u03c4\u03c5\u03c7\u03b2"
    "\u03b3\u03b5\u03b7\u03c9\u0585\u057d\u0578\u0261\u0131\u04cf"
)
_LOOK_ALIKES = str.maketrans(_CYRILLIC + _OTHERS, "aeopcyxijshdqwkmthb" + "aovpiktuxbyenwoungil")
# Capital letters that look like a small l: Latin, Cyrillic and Greek.
_CAPITALS = str.maketrans("I\u0406\u0399\u04c0", "llll")
# Categories of characters that nobody sees.
_UNSEEN = frozenset(("Cf", "Cc"))
# Of nicks that people use just now.
REMEMBERED = 4096


@lru_cache(REMEMBERED)
def keys(nick: str) -> tuple[str, ...]:
    """Give what a nick goes by: two that look alike have one of it in common."""
    first, second = _key(nick), _key(nick.translate(_CAPITALS))
    return (first,) if first == second else (first, second)


def _key(nick: str) -> str:
    if nick.isascii():
        return " ".join(nick.lower().split())
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", nick).casefold())
    seen = "".join(char for char in text if unicodedata.category(char) not in _UNSEEN)
    return " ".join(seen.translate(_LOOK_ALIKES).split())


class Alike(Generic[T]):
    """Something for each nick, found by every nick that looks like it."""

    __slots__ = ("_by_key",)

    def __init__(self) -> None:
        self._by_key: dict[str, T] = {}

    def get(self, nick: str, but: T | None = None) -> T | None:
        """Give what there is, other than ``but``, for a nick or one that looks like it."""
        for key in keys(nick):
            found = self._by_key.get(key)
            if found is not None and found != but:
                return found
        return None

    def put(self, nick: str, value: T) -> None:
        """Take something for a nick."""
        for key in keys(nick):
            self._by_key[key] = value

    def drop(self, nick: str, value: T) -> None:
        """Forget something for a nick, unless there is something else for it."""
        for key in keys(nick):
            if self._by_key.get(key) == value:
                del self._by_key[key]
