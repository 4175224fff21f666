"""Addresses (RFC 7622), prepared once and remembered.

A `JID` is a value: it never changes, and two that mean the same address are equal.
"""

from __future__ import annotations

import re
from functools import lru_cache

from precis_i18n import get_profile

# RFC 7622 section 3: each part is at most 1023 bytes.
MAX_PART_BYTES = 1023
# Longer texts are prepared anew each time, so that a stranger cannot fill the cache with large ones.
MAX_CACHED_CHARS = 256
CACHE_SIZE = 16384

_PLAIN_LOCAL = re.compile(r"[a-z0-9._+=~!$%*?#^|`{}()\[\],;-]{1,1023}\Z")
_PLAIN_DOMAIN = re.compile(r"(?=.{1,255}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*\Z")
_PLAIN_RESOURCE = re.compile(r"[!-~](?:[ -~]{0,1021}[!-~])?\Z")


class InvalidJID(ValueError):
    """The text is no JID; the message says which part is wrong."""


class JID:
    """One address: ``local@domain/resource``.

    ``local`` and ``resource`` are "" when absent. ``full`` is the canonical text
    of the whole address, ``bare`` the same without the resource.
    """

    __slots__ = ("bare", "domain", "full", "local", "resource")

    def __init__(self, local: str, domain: str, resource: str) -> None:
        """Take parts that are prepared already; `parse` and `make` prepare them."""
        self.local = local
        self.domain = domain
        self.resource = resource
        self.bare = f"{local}@{domain}" if local else domain
        self.full = f"{self.bare}/{resource}" if resource else self.bare

    def without_resource(self) -> JID:
        """Give the bare JID."""
        return self if not self.resource else parse(self.bare)

    def with_resource(self, resource: str) -> JID:
        """Give the full JID for a resource, which is prepared; raises `InvalidJID`."""
        return JID(self.local, self.domain, prepare_resource(resource))

    def __str__(self) -> str:
        return self.full

    def __repr__(self) -> str:
        return f"JID({self.full!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JID) and self.full == other.full

    def __hash__(self) -> int:
        return hash(self.full)


def _checked(text: str, part: str) -> str:
    if not text:
        raise InvalidJID(f"the {part} is empty")
    if len(text.encode()) > MAX_PART_BYTES:
        raise InvalidJID(f"the {part} has more than {MAX_PART_BYTES} bytes")
    return text


def prepare_local(text: str) -> str:
    """Prepare a localpart (RFC 7622 section 3.3); raises `InvalidJID`."""
    if _PLAIN_LOCAL.match(text):
        return text
    _checked(text, "localpart")
    try:
        prepared = str(get_profile("UsernameCaseMapped").enforce(text))
    except UnicodeError as error:
        raise InvalidJID(f"the localpart is not allowed: {error.args[-1]}") from None
    # RFC 7622 section 3.3.1 forbids these beyond the PRECIS class.
    if any(c in "\"&'/:<>@" for c in prepared):
        raise InvalidJID("the localpart has one of \"&'/:<>@")
    return _checked(prepared, "localpart")


def prepare_domain(text: str) -> str:
    """Prepare a domainpart (RFC 7622 section 3.2); raises `InvalidJID`."""
    if _PLAIN_DOMAIN.match(text):
        return text
    return _prepare_other_domain(text)


def _prepare_other_domain(text: str) -> str:
    """Prepare what is not lower-case ASCII: IDNs, capitals, a trailing dot, address literals."""
    import idna

    text = _checked(text.removesuffix("."), "domainpart")
    if text.startswith("[") and text.endswith("]"):
        import ipaddress

        try:
            return f"[{ipaddress.IPv6Address(text[1:-1]).compressed}]"
        except ValueError:
            raise InvalidJID("the domainpart is no IPv6 address") from None
    try:
        # A-labels become U-labels, so that both forms are one address.
        prepared = idna.decode(text.lower(), uts46=True)
    except (idna.IDNAError, UnicodeError):
        # The library refuses names that DNS allows but IDNA does not (an underscore, say).
        prepared = text.lower()
        if not re.fullmatch(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", prepared):
            raise InvalidJID("the domainpart is no domain name") from None
    return _checked(prepared, "domainpart")


def prepare_resource(text: str) -> str:
    """Prepare a resourcepart (RFC 7622 section 3.4); raises `InvalidJID`."""
    if _PLAIN_RESOURCE.match(text):
        return text
    _checked(text, "resourcepart")
    try:
        prepared = str(get_profile("OpaqueString").enforce(text))
    except UnicodeError as error:
        raise InvalidJID(f"the resourcepart is not allowed: {error.args[-1]}") from None
    return _checked(prepared, "resourcepart")


def make(local: str, domain: str, resource: str = "") -> JID:
    """Prepare the parts of an address; raises `InvalidJID`."""
    return JID(
        prepare_local(local) if local else "",
        prepare_domain(domain),
        prepare_resource(resource) if resource else "",
    )


def _parse(text: str) -> JID:
    rest, slash, resource = text.partition("/")
    local, at, domain = rest.rpartition("@")
    if at and not local:
        raise InvalidJID("the localpart is empty")
    if "@" in local:
        raise InvalidJID("the localpart has one of \"&'/:<>@")
    if slash and not resource:
        raise InvalidJID("the resourcepart is empty")
    return make(local, domain, resource)


_parse_cached = lru_cache(CACHE_SIZE)(_parse)


def parse(text: str) -> JID:
    """Read an address; raises `InvalidJID`."""
    if len(text) <= MAX_CACHED_CHARS:
        return _parse_cached(text)
    return _parse(text)
