"""What is served at which path of which host; resources are made when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from palaver import jid

# No path of ours is deeper; what is deeper is nobody's, and costs no search.
MAX_SEGMENTS = 32


class Found(NamedTuple):
    """What owns a path."""

    resource: Any
    depth: int
    """How many segments of the path are the owner's."""
    path: str
    """Those segments."""


class Mounts:
    """The table of paths."""

    def __init__(self, hosts: Mapping[str, Any]) -> None:
        """``hosts`` by domain; the first one speaks where a request names none of them."""
        self._hosts = hosts
        self._makers: dict[tuple[str, str], Callable[[], Any]] = {}
        self._made: dict[tuple[str, str], Any] = {}
        # Another one after each change.
        self.version = 0

    def mount(self, domain: str, path: str, make: Callable[[], Any]) -> Callable[[], None]:
        """See IWeb."""
        key = (domain, path.strip("/"))
        if key in self._makers:
            raise ValueError(f"two modules serve {path} on {domain}")
        self._makers[key] = make
        self.version += 1

        def take_back() -> None:
            del self._makers[key]
            self.version += 1
            self._made.pop(key, None)

        return take_back

    @property
    def paths(self) -> Collection[tuple[str, str]]:
        """What has an owner: pairs of a domain and a path without its first slash."""
        return self._makers.keys()

    def domain(self, name: str) -> str:
        """Give the host that a request means by the name in its Host header."""
        try:
            domain = jid.prepare_domain(name)
        except jid.InvalidJID:
            domain = ""
        return domain if domain in self._hosts else next(iter(self._hosts), "")

    def find(self, domain: str, path: str) -> Found | None:
        """Give the owner of a path: the one with the longest part of it."""
        segments = [unquote(segment) for segment in path[1:].split("/")]
        if len(segments) > MAX_SEGMENTS:
            return None
        for depth in range(len(segments), -1, -1):
            key = (domain, "/".join(segments[:depth]))
            make = self._makers.get(key)
            if make is not None:
                resource = self._made.get(key)
                if resource is None:
                    resource = self._made[key] = make()
                return Found(resource, depth if key[1] else 0, f"/{key[1]}")
        return None
