"""XEP-0138: Stream Compression."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from palaver.markup import element
from palaver.modules import Module, Settings, nonza
from palaver.stanza import Stanza
from palaver.streams.compression import NS_COMPRESS
from palaver.streams.negotiation import State

if TYPE_CHECKING:
    from palaver.streams.c2s import ClientStream

ZLIB = b"zlib"
FEATURE = element("compression", "http://jabber.org/features/compress", element("method", None, ZLIB))
COMPRESSED = element("compressed", NS_COMPRESS)


class CompressionSettings(Settings):
    """Options of mod_compression."""

    compression_level: int = Field(
        default=6, ge=1, le=9, description="How hard to compress: 1 is fast, 9 is small."
    )


class StreamCompression(Module):
    """Compresses the streams of clients that ask for it, by zlib, once they have logged in.

    It costs CPU and some 50 KiB for each stream. Secrets that are sent beside what others write may show in
    the sizes of what is compressed (CRIME), so it is off by default, and never there before the login.
    """

    Settings = CompressionSettings

    settings: CompressionSettings

    def stream_feature(self, stream: ClientStream) -> bytes | None:
        """Announce it between the login and the resource (section 3, XEP-0170)."""
        return FEATURE if self._may(stream) else None

    @nonza(NS_COMPRESS, "compress")
    def compress(self, request: Stanza, stream: ClientStream) -> None:
        """Begin, or say why not (section 2)."""
        methods = [child for child in request.element.elements() if child.uri == NS_COMPRESS]
        wanted = [str(child).strip().encode() for child in methods if child.name == "method"]
        if not self._may(stream) or not wanted:
            stream.write(_failure("setup-failed"))
        elif ZLIB not in wanted:
            stream.write(_failure("unsupported-method"))
        else:
            stream.compress(COMPRESSED, self.settings.compression_level)

    @staticmethod
    def _may(stream: ClientStream) -> bool:
        return (
            stream.state is State.AUTHENTICATED and stream.session is None and stream.connection.may_compress
        )


def _failure(condition: str) -> bytes:
    return element("failure", NS_COMPRESS, element(condition))
