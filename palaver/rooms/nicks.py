"""Which nicks are too much alike to be two people (XEP-0045 section 14.1, RFC 8266).

Two nicks are the same to us when they differ only by letter case, by width or other compatible forms,
by spaces around or between words, by characters that are not seen, or by Cyrillic, Greek or Armenian
letters that look like Latin ones. Digits and letters that look alike (1 and l) stay different, as many
names end in numbers.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# Letters after case folding, each with the Latin one that it is taken for.
_CYRILLIC = (
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455"
    "\u04bb\u0501\u051b\u051d\u043a\u043c\u0442\u043d\u0432"
)
_OTHERS = (
    "\u03b1\u03bf\u03bd\u03c1\u03b9\u03ba\u03c4\u03c5\u03c7\u03b2"
    "\u03b3\u03b5\u03b7\u03c9\u0585\u057d\u0578\u0261\u0131"
)
_LOOK_ALIKES = str.maketrans(_CYRILLIC + _OTHERS, "aeopcyxijshdqwkmthb" + "aovpiktuxbyenwoungi")
# Categories of characters that nobody sees.
_UNSEEN = frozenset(("Cf", "Cc"))
# Of nicks that people use just now.
REMEMBERED = 4096


@lru_cache(REMEMBERED)
def key(nick: str) -> str:
    """Give what two nicks that look alike have in common."""
    if nick.isascii():
        return " ".join(nick.lower().split())
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", nick).casefold())
    seen = "".join(char for char in text if unicodedata.category(char) not in _UNSEEN)
    return " ".join(seen.translate(_LOOK_ALIKES).split())
