"""Addresses (RFC 7622), prepared once and remembered.

A `JID` is a value: it never changes, and two that mean the same address are equal.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

import idna
from precis_i18n import get_profile

# RFC 7622 section 3: each part is at most 1023 bytes.
MAX_PART_BYTES = 1023
# Composed and wide characters shrink in preparation, at most to a third; more than this cannot fit.
MAX_RAW_BYTES = 3 * MAX_PART_BYTES
# Longer texts are prepared anew each time, so that a stranger cannot fill the cache with large ones.
MAX_CACHED_CHARS = 256
CACHE_SIZE = 16384

# What the PRECIS profiles leave as it is; everything else takes the long way.
_PLAIN_LOCAL = re.compile(r"[a-z0-9._+=~!$%*?#^|`{}()\[\]\\,;-]{1,1023}\Z")
_PLAIN_LABEL = r"(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN_DOMAIN = re.compile(rf"(?=.{{1,255}}\Z){_PLAIN_LABEL}(?:\.{_PLAIN_LABEL})*\Z")
_PLAIN_RESOURCE = re.compile(r"[!-~](?:[ -~]{0,1021}[!-~])?\Z")

# Names that DNS allows and IDNA does not are still the addresses of machines in many a local network.
_DNS_LABEL = r"(?!xn--)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DNS_DOMAIN = re.compile(rf"(?=.{{1,255}}\Z){_DNS_LABEL}(?:\.{_DNS_LABEL})*\Z")

# XEP-0106 section 4.2.
_ESCAPES = {c: f"\\{ord(c):02x}" for c in " \"&'/:<>@\\"}
_UNESCAPES = {escaped: c for c, escaped in _ESCAPES.items()}
# A backslash is escaped only where it would be read as the beginning of an escape.
_TO_ESCAPE = re.compile(r"[ \"&'/:<>@]|\\(?=20|22|26|27|2f|3a|3c|3e|40|5c)")
_TO_UNESCAPE = re.compile(r"\\(?:20|22|26|27|2f|3a|3c|3e|40|5c)")


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
        return self if not self.resource else JID(self.local, self.domain, "")

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


def _prepare(profile: str, text: str, part: str) -> str:
    """Enforce a PRECIS profile; raises `InvalidJID`."""
    if len(text) > MAX_RAW_BYTES or len(text.encode(errors="surrogatepass")) > MAX_RAW_BYTES:
        raise InvalidJID(f"the {part} has more than {MAX_PART_BYTES} bytes")
    try:
        prepared = str(get_profile(profile).enforce(text))
        # RFC 8264 section 7: what is not stable under its own rules is refused.
        if prepared != text and str(get_profile(profile).enforce(prepared)) != prepared:
            raise InvalidJID(f"the {part} has no stable form")
    except UnicodeError as error:
        raise InvalidJID(f"the {part} is not allowed: {error.args[-1]}") from None
    return _checked(prepared, part)


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
    if text.isascii() and _PLAIN_LOCAL.match(lowered := text.lower()):
        return lowered
    prepared = _prepare("UsernameCaseMapped", text, "localpart")
    # RFC 7622 section 3.3.1 forbids these beyond the PRECIS class.
    if any(c in "\"&'/:<>@" for c in prepared):
        raise InvalidJID("the localpart has one of \"&'/:<>@")
    return prepared


def prepare_domain(text: str) -> str:
    """Prepare a domainpart (RFC 7622 section 3.2); raises `InvalidJID`."""
    if _PLAIN_DOMAIN.match(text):
        return text
    if text.isascii() and _PLAIN_DOMAIN.match(lowered := text.lower().removesuffix(".")):
        return lowered
    return _prepare_other_domain(text)


def _prepare_other_domain(text: str) -> str:
    """Prepare an internationalised name, an IPv6 address or an unusual name."""
    if len(text) > MAX_RAW_BYTES:
        raise InvalidJID(f"the domainpart has more than {MAX_PART_BYTES} bytes")
    if text.startswith("[") and text.endswith("]"):
        return _prepare_ipv6(text[1:-1])
    try:
        # A-labels become U-labels, so that both forms are one address.
        prepared = idna.decode(text, uts46=True, std3_rules=True).removesuffix(".")
        if idna.decode(idna.encode(prepared)) != prepared:
            raise InvalidJID("the domainpart has no stable form")
    except UnicodeError:
        prepared = text.lower().removesuffix(".")
        if _DNS_DOMAIN.match(prepared) is None:
            raise InvalidJID("the domainpart is no domain name") from None
    return _checked(prepared, "domainpart")


def _prepare_ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise InvalidJID("the domainpart is no IPv6 address") from None
    if address.scope_id is not None:
        raise InvalidJID("the domainpart names an interface of one machine")
    return f"[{address.compressed}]"


def prepare_resource(text: str) -> str:
    """Prepare a resourcepart (RFC 7622 section 3.4); raises `InvalidJID`."""
    if _PLAIN_RESOURCE.match(text):
        return text
    return _prepare("OpaqueString", text, "resourcepart")


def escape_local(text: str) -> str:
    """Give any text as a localpart (XEP-0106); raises `InvalidJID` for space at either end."""
    if text != text.strip(" "):
        raise InvalidJID("an escaped localpart neither begins nor ends with a space")
    return _TO_ESCAPE.sub(lambda found: _ESCAPES[found[0]], text)


def unescape_local(text: str) -> str:
    """Give the text that a localpart stands for (XEP-0106), to be shown and never to be routed by."""
    if text.startswith("\\20") or text.endswith("\\20"):
        return text
    return _TO_UNESCAPE.sub(lambda found: _UNESCAPES[found[0]], text)


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
    if slash and not resource:
        raise InvalidJID("the resourcepart is empty")
    return make(local, domain, resource)


_parse_cached = lru_cache(CACHE_SIZE)(_parse)


def parse(text: str) -> JID:
    """Read an address; raises `InvalidJID`."""
    if len(text) <= MAX_CACHED_CHARS:
        return _parse_cached(text)
    return _parse(text)
