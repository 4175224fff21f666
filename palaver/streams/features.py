"""Stream features, in the order of XEP-0170."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from palaver.errors import StreamError
from palaver.markup import element
from palaver.routing.failures import failed
from palaver.routing.users import NS_BIND, NS_SESSION

if TYPE_CHECKING:
    from palaver.streams.c2s import ClientStream

NS_TLS = "urn:ietf:params:xml:ns:xmpp-tls"
NS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
NS_BINDINGS = "urn:xmpp:sasl-cb:0"
NS_LIMITS = "urn:xmpp:stream-limits:0"

BIND_AND_SESSION = element("bind", NS_BIND) + element("session", NS_SESSION, element("optional"))


def encode(stream: ClientStream) -> bytes:
    """Give ``<stream:features/>`` for what the stream may do now."""
    if stream.authenticated_as is None:
        parts = _before_login(stream)
        if not parts:
            raise StreamError("undefined-condition", "There is no way to log in here")
    elif stream.session is None:
        parts = [BIND_AND_SESSION, *_of_modules(stream)]
    else:
        # A login that has bound a resource as well (XEP-0386).
        parts = _of_modules(stream)
    parts.append(_limits(stream))
    return b"<stream:features>%b</stream:features>" % b"".join(parts)


def _before_login(stream: ClientStream) -> list[bytes]:
    parts = []
    if not stream.secure and stream.settings.tls in ("optional", "required"):
        required = stream.settings.tls == "required"
        parts.append(element("starttls", NS_TLS, element("required") if required else b""))
        if required:
            return parts
    return parts + mechanisms(stream) + _of_modules(stream)


def mechanisms(stream: ClientStream) -> list[bytes]:
    """Give the SASL mechanisms, and the channel bindings (XEP-0440) that go with them."""
    facts = stream.facts()
    offered = stream.host.authenticator.mechanisms(facts)
    stream.offered = offered
    if not offered:
        return []
    return [_mechanisms(offered, stream.host.authenticator.binding_types(facts))]


@lru_cache(64)
def _mechanisms(offered: tuple[str, ...], types: tuple[str, ...]) -> bytes:
    names = b"".join(element("mechanism", None, name.encode()) for name in offered)
    bindings = b"".join(element("channel-binding", None, type=name) for name in types)
    return element("mechanisms", NS_SASL, names) + (
        element("sasl-channel-binding", NS_BINDINGS, bindings) if types else b""
    )


def _of_modules(stream: ClientStream) -> list[bytes]:
    parts = []
    for feature in stream.host.stream_features:
        try:
            part = feature(stream)
        except Exception:
            failed("stream-features", Failure())
            continue
        if part is not None:
            parts.append(part)
    return parts


def _limits(stream: ClientStream) -> bytes:
    """Say how large a stanza may be and how long silence may last (XEP-0478)."""
    settings = stream.settings
    size = settings.max_stanza_bytes if stream.authenticated else settings.max_unauthenticated_bytes
    return _encode_limits(size, int(settings.idle_s))


@lru_cache(16)
def _encode_limits(size: int, idle_s: int) -> bytes:
    return element(
        "limits",
        NS_LIMITS,
        element("max-bytes", None, str(size).encode()) + element("idle-seconds", None, str(idle_s).encode()),
    )
