"""How hard a password is to guess, by the characters in it."""

from __future__ import annotations

import math
import re

# Kinds of characters, and how many an attacker must try at each place once one of the kind occurs.
_ALPHABETS = (
    (re.compile("[a-z]"), 26),
    (re.compile("[A-Z]"), 26),
    (re.compile("[0-9]"), 10),
    (re.compile(r"[ -/:-@\[-`{-~]"), 33),
    (re.compile("[^ -~]"), 128),
)


def entropy(password: str) -> float:
    """Give the most bits that the password can be worth: its length times those of its alphabet."""
    size = sum(size for alphabet, size in _ALPHABETS if alphabet.search(password))
    return len(password) * math.log2(size) if size else 0.0
