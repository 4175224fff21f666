"""Keys of a BOSH session: each request proves that it is of the same client (XEP-0124 section 15)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping


class Keys:
    """The chain of them, if the client uses one."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        # What the digest of the next key must be; None without keys.
        self._next: str | None = None

    def accept(self, attrs: Mapping[str, str]) -> bool:
        """Check the key of a request, and note what the next one must have; False when it is wrong."""
        key = attrs.get("key")
        if self._next is not None:
            if key is None:
                return False
            digest = hashlib.sha1(key.lower().encode(), usedforsecurity=False).hexdigest()
            if not hmac.compare_digest(digest, self._next):
                return False
        following = attrs.get("newkey", key if self._next is not None else None)
        self._next = following.lower() if following is not None else None
        return True
