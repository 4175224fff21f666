"""Where requests go: patterns of hosts and paths with bindings, and URLs that these are filled into.

A pattern is compared part by part (labels of a host, segments of a path): ``_`` is any part, ``:name`` is any
too and keeps it under that name; the same name twice stands for the same text. A path's pattern may be
followed by more; ``_`` alone is any host, or any path.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

ANY = "_"
# What stays as it came, as RFC 3986 section 3.3 has it; all else that came raw is percent-encoded.
UNTOUCHED = "/%!$&'()*+,;=:@~"
UNTOUCHED_IN_QUERY = string.punctuation.replace("#", "")
_is_name = re.compile(r"[A-Za-z]\w*", re.ASCII).fullmatch
_is_label = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?").fullmatch
_find_bindings = re.compile(r":([A-Za-z]\w*)", re.ASCII)

Bindings = dict[str, str]


class UnsafePath(ValueError):
    """A path leads out of where it seems to be."""


class Target(NamedTuple):
    """Where a request goes."""

    url: str
    headers: tuple[tuple[str, str], ...]
    """What is set beside its own headers."""


class Pattern:
    """A pattern, of parts."""

    def __init__(self, parts: Sequence[str]) -> None:
        """Take parts; raises ValueError for a name that is none."""
        self.parts = tuple(parts)
        for part in self.parts:
            if part.startswith(":") and not _is_name(part[1:]):
                raise ValueError(f"{part!r} is no binding; allowed: such as :name")

    @property
    def names(self) -> set[str]:
        """The names of its bindings."""
        return {part[1:] for part in self.parts if part.startswith(":")}

    def match(self, parts: Sequence[str], bindings: Bindings) -> bool:
        """Tell whether as many parts as there are here are as they should be; adds to ``bindings``."""
        for pattern, part in zip(self.parts, parts, strict=False):
            if pattern.startswith(":"):
                if not part or bindings.setdefault(pattern[1:], part) != part:
                    return False
            elif pattern not in (ANY, part):
                return False
        return len(parts) >= len(self.parts)


class Route:
    """One way for requests to go."""

    def __init__(
        self, host: str, path: str, method: str, upstream: str, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Raise ValueError for what is no pattern, no URL, or names what nothing is bound to."""
        if not path.startswith("/") and path != ANY:
            raise ValueError(f"the path {path!r} begins with no slash")
        self._host = None if host == ANY else Pattern(host.lower().split("."))
        self._path = Pattern(() if path == ANY else [part for part in path.split("/") if part])
        self._method = method.upper()
        self._headers = tuple(headers)
        # A binding in the place of a port would be taken for one by nobody, so names begin with a letter.
        parts = urlsplit(_find_bindings.sub("x", upstream))
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
            raise ValueError(f"{upstream!r} is no URL; allowed: such as http://localhost:8080/:name")
        parts.port  # noqa: B018 (raises ValueError)
        scheme, _, rest = upstream.partition("://")
        authority, slash, tail = rest.partition("/")
        self._base, self._folder = f"{scheme}://{authority}", f"{slash}{tail}".rstrip("/")
        # Without a path of its own the upstream gets the whole path, else what follows the matched part.
        self._is_whole = not slash
        bound = self._path.names | (self._host.names if self._host is not None else set())
        unknown = set(_find_bindings.findall(rest)) - bound
        if unknown:
            raise ValueError(f"nothing is bound to :{min(unknown)} of {upstream!r}")

    @property
    def mount(self) -> str:
        """The part of the path that is the same for every request."""
        fixed = []
        for part in self._path.parts:
            if part == ANY or part.startswith(":"):
                break
            fixed.append(part)
        return "/" + "/".join(fixed)

    def find(self, host: str, segments: Sequence[str], method: str) -> Target | None:
        """Give where a request goes; ``segments`` are those of its path, as they came.

        None when it goes another way.
        """
        if self._method not in (ANY, method):
            return None
        bindings: Bindings = {}
        if self._host is not None:
            labels = host.split(".")
            if len(labels) != len(self._host.parts) or not self._host.match(labels, bindings):
                return None
        if not self._path.match([unquote(segment) for segment in segments], bindings):
            return None
        base = self._fill_host(bindings)
        if base is None:
            return None
        rest = segments if self._is_whole else segments[len(self._path.parts) :]
        folder = _find_bindings.sub(lambda found: quote(bindings[found[1]], safe=""), self._folder)
        return Target(f"{base}{folder}/{'/'.join(rest)}", self._headers)

    def _fill_host(self, bindings: Bindings) -> str | None:
        """Give scheme and host of the upstream; None when what is bound is no part of a host."""
        for name in _find_bindings.findall(self._base.partition("://")[2]):
            if not _is_label(bindings[name].lower()):
                return None
        return _find_bindings.sub(lambda found: bindings[found[1]].lower(), self._base)


def segments_of(path: bytes) -> list[str]:
    """Give the segments of a path as they came, percent-encoded.

    Raises `UnsafePath` when a segment, decoded, leads elsewhere, or has what no URL has.
    """
    if not path.startswith(b"/"):
        raise UnsafePath
    segments = quote(path[1:], safe=UNTOUCHED).split("/")
    for segment in segments:
        decoded = unquote(segment, "latin-1")
        if any(part in (".", "..") for part in re.split(r"[/\\]", decoded)) or not _is_printable(decoded):
            raise UnsafePath
    return segments


def query_of(target: bytes) -> str:
    """Give the query of a request's target as it came, with its question mark; "" without one."""
    _, mark, query = target.partition(b"?")
    return mark.decode() + quote(query, safe=UNTOUCHED_IN_QUERY)


def _is_printable(text: str) -> bool:
    return all(char >= " " and char != "\x7f" for char in text)
