"""Framing: from the bytes of a stream to stanzas, by the one parser that ever reads from the network.

expat finds where elements begin and end and checks that all is well-formed; text has no
handler. The bytes between a stanza's tags are kept as they came whenever a strict reader
would see the same in them, and are written anew from a tree otherwise (RFC 6120 sections 4 and 11).
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import NamedTuple, Protocol
from xml.parsers import expat

from palaver.errors import StreamError
from palaver.markup import attribute, element
from palaver.stanza import CONTENT_NAMESPACES, NS_CLIENT, NS_XML, Child, Stanza, reread

NS_STREAM = "http://etherx.jabber.org/streams"
NS_ERRORS = "urn:xmpp:errors"

MAX_DEPTH = 100
MAX_ATTRIBUTES = 200
# expat scans an unfinished tag anew for every segment; past this size segments wait for the tag's end.
MAX_RESCANNED_BYTES = 4096
# expat remembers every name it has read; a new parser now and then forgets those of a stranger.
MAX_PARSER_BYTES = 4 * 1024 * 1024
MAX_NAMES = 4096
# What keeps a connection alive is a space or a line feed; it need not wake a parser.
MAX_KEEPALIVE_BYTES = 4

_LESS_THAN, _SLASH = b"</"
_NOTHING: dict[str, str] = {}
_SPACE = b" \t\r\n"
# XML forbids this character, so that no namespace can hold it.
_SEPARATOR = "\x01"
_TAG = re.compile(rb"<[^>'\"]*+(?:'[^']*+'[^>'\"]*+|\"[^\"]*+\"[^>'\"]*+)*+>")
_QUOTE_OR_END = re.compile(rb"['\">]")
_PREFIXED = re.compile(rb"<[^\s/>]*:")
_HAS_DEFERRAL = hasattr(expat.ParserCreate(), "SetReparseDeferralEnabled")

# Numbers are those of expat.h; the three without a name in every pyexpat are reserved prefixes.
_INVALID_TOKEN, _PARTIAL_CHAR, _UNDEFINED_ENTITY = 4, 6, 11
_CONDITIONS = {_UNDEFINED_ENTITY: "restricted-xml"} | dict.fromkeys(
    (27, 28, 38, 39, 40), "bad-namespace-prefix"
)


class StreamHeader(NamedTuple):
    """A stream's start tag.

    ``ns`` is the content namespace, which is the default one ("" when none is declared);
    ``attrs`` are named as those of a `Stanza`; ``prefixes`` gives the other namespaces by prefix.
    """

    ns: str
    attrs: dict[str, str]
    prefixes: dict[str, str]


class Receiver(Protocol):
    """What a `Framer` calls, from inside ``feed`` and in the order of the stream."""

    def stream_opened(self, header: StreamHeader) -> None:
        """Take the stream's start tag."""

    def stanza_received(self, stanza: Stanza) -> None:
        """Take one child of the stream."""

    def stream_closed(self) -> None:
        """Take the stream's end tag; whatever follows it is ignored."""


class _Names(dict[str, Child]):
    """Namespace and name by expat's name for both; the content namespace reads as `NS_CLIENT`."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self._content = content

    def __missing__(self, key: str) -> Child:
        ns, _, name = key.rpartition(_SEPARATOR)
        if len(self) >= MAX_NAMES:
            self.clear()
        child = self[key] = (NS_CLIENT if ns == self._content else ns, name)
        return child


_NAMES = {ns: _Names(ns) for ns in CONTENT_NAMESPACES}
_OTHER_NAMES = _Names("")


class _Stopped(Exception):
    """Leaves expat in the middle of a chunk, with the bytes that it has not read."""

    def __init__(self, rest: bytes) -> None:
        self.rest = rest


class Framer:
    """Cuts one stream into stanzas.

    ``max_stanza_bytes`` may be changed at any time; it bounds the stream's start tag too.
    A stanza of the content namespace is given in `NS_CLIENT`; any other keeps its own.
    """

    # _fed and _end count from the parser's beginning: the bytes it was given, and where its last
    # complete element ended. _base is where _buffer (or _held, while something is unfinished) begins.
    __slots__ = (
        "_attrs", "_base", "_buffer", "_cdata", "_children", "_closed", "_depth", "_end", "_fed", "_held",
        "_header", "_names", "_outer", "_parser", "_prefixes", "_quote", "_receiver", "_start", "_stopping",
        "_tag", "max_attributes", "max_depth", "max_stanza_bytes",
    )  # fmt: skip

    def __init__(
        self,
        receiver: Receiver,
        max_stanza_bytes: int,
        *,
        max_depth: int = MAX_DEPTH,
        max_attributes: int = MAX_ATTRIBUTES,
    ) -> None:
        self._receiver = receiver
        self.max_stanza_bytes = max_stanza_bytes
        self.max_depth = max_depth
        self.max_attributes = max_attributes
        self.reset()

    # -- what the stream calls ---------------------------------------------------

    def reset(self) -> None:
        """Expect a new stream; nothing of the old one is kept. Stops a ``feed`` that is under way."""
        self._prefixes: dict[str, str] = {}
        self._header: bytes | None = None
        self._names = _OTHER_NAMES
        self._outer: tuple[bytes, ...] = ()
        self._closed = False
        self._depth = 0
        self._forget()
        self._stopping = True

    def stop(self) -> None:
        """Make the ``feed`` under way return what follows the current element; the stream may go on later."""
        self._stopping = True

    def release(self) -> bool:
        """Give the parser's memory back; later bytes make a new one.

        False, and nothing done, inside ``feed`` and while an element is unfinished.
        """
        if self._held is not None or self._depth != 1 or self._buffer:
            return False
        self._forget()
        return True

    def feed(self, data: bytes) -> bytes:
        """Read bytes; gives those left unread because of ``stop`` or ``reset``, normally none.

        Raises `StreamError` once everything before the mistake was delivered; the stream is over then.
        """
        if self._held is None and self._depth <= 1:
            if len(data) <= MAX_KEEPALIVE_BYTES and not data.strip(_SPACE):
                return b""
            if self._closed:
                return b""
        self._stopping = False
        try:
            self._parse(data)
        except _Stopped as stopped:
            self._forget()
            return stopped.rest
        except BaseException:
            # Nothing can go on here: expat is of no use after an exception in one of its handlers.
            self._closed = True
            self._depth = 0
            self._forget()
            raise
        return b""

    # -- bytes ---------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        parser = self._parser
        if self._held is not None:
            self._held += data
            if self._quote is not None:
                if not self._tag_ends(data):
                    self._check_size(self._base + len(self._held) - self._start)
                    return
                data = bytes(self._held[self._fed - self._base :])
        else:
            if parser is None:
                parser = self._parser = self._open_parser()
                if self._depth == 0:
                    # A client may end its last element before a restart with a line feed.
                    data = data.lstrip(_SPACE)
            self._buffer = data
            self._base = self._fed
        self._fed += len(data)
        if self._depth == 0 and b"\0" in data:
            # UTF-16, which expat would take for what it is.
            raise StreamError("unsupported-encoding")
        try:
            parser.Parse(data, False)
        except expat.ExpatError as error:
            raise self._stream_error(error) from None
        if self._end != self._fed:
            self._keep()
        self._buffer = b""
        if self._fed > MAX_PARSER_BYTES:
            self.release()

    def _open_parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate("UTF-8", _SEPARATOR, None)
        if _HAS_DEFERRAL:
            parser.SetReparseDeferralEnabled(False)
        if self._header is None:
            parser.StartNamespaceDeclHandler = self._declared
            parser.XmlDeclHandler = _check_declaration
            parser.StartElementHandler = self._opened
        else:
            parser.Parse(self._header, False)
            self._fed = self._end = len(self._header)
            parser.StartElementHandler = self._started
        parser.EndElementHandler = self._ended
        parser.StartCdataSectionHandler = self._cdata_started
        parser.CommentHandler = _refuse_markup
        parser.ProcessingInstructionHandler = _refuse_markup
        parser.StartDoctypeDeclHandler = _refuse_markup
        return parser

    def _forget(self) -> None:
        """Drop the parser and all bytes."""
        self._parser: expat.XMLParserType | None = None
        self._buffer = b""
        self._held: bytearray | None = None
        self._quote: bytes | None = None
        self._cdata = False
        self._base = self._fed = self._start = self._end = 0
        self._tag = ""
        self._attrs: dict[str, str] = _NOTHING
        self._children: list[Child] = []

    def _whole(self) -> bytes:
        """Give all bytes from ``_base`` on as one piece."""
        if self._held is not None:
            self._buffer = bytes(self._held)
            self._held = None
        return self._buffer

    def _keep(self) -> None:
        """Hold the bytes of what is unfinished at the end of a segment, within the limit."""
        if self._held is None:
            tail = self._buffer[self._end - self._base :]
            if self._depth <= 1:
                tail = tail.lstrip(_SPACE)
                self._start = self._end = self._fed - len(tail)
                if not tail:
                    return
                if self._depth and tail[0] != _LESS_THAN:
                    raise StreamError("bad-format", "text between stanzas")
            self._held = bytearray(tail)
            self._base = self._end
        self._check_size(self._fed - self._start)
        assert self._parser is not None
        token = self._parser.CurrentByteIndex
        if self._fed - token > MAX_RESCANNED_BYTES:
            self._hold_back(bytes(self._held[token - self._base :]))

    def _hold_back(self, token: bytes) -> None:
        """Have expat wait for the end of a large tag; nothing else that is unfinished may be large."""
        if token[0] != _LESS_THAN or token[1:2] in (b"!", b"?"):
            raise StreamError("restricted-xml")
        self._quote = b""
        self._tag_ends(token)

    def _tag_ends(self, data: bytes) -> bool:
        """Tell whether the tag that is held back ends in these bytes; remembers an open quote."""
        quote = self._quote or b""
        position = 0
        while True:
            if quote:
                position = data.find(quote, position) + 1
                if not position:
                    break
                quote = b""
            found = _QUOTE_OR_END.search(data, position)
            if found is None:
                break
            position = found.end()
            quote = found[0]
            if quote == b">":
                self._quote = None
                return True
        self._quote = quote
        return False

    def _check_size(self, size: int) -> None:
        if size > self.max_stanza_bytes:
            raise StreamError("policy-violation", extra=element("stanza-too-big", NS_ERRORS))

    def _stream_error(self, error: expat.ExpatError) -> StreamError:
        condition = _CONDITIONS.get(error.code, "not-well-formed")
        if error.code in (_INVALID_TOKEN, _PARTIAL_CHAR) and self._parser is not None:
            at = self._parser.ErrorByteIndex - self._base
            try:
                codecs.utf_8_decode(self._whole()[at : at + 4], "strict", False)
            except UnicodeDecodeError:
                # RFC 6120 section 4.9.3.22 counts broken UTF-8 among the encodings.
                condition = "unsupported-encoding"
        return StreamError(condition, expat.ErrorString(error.code))

    # -- what expat calls ----------------------------------------------------------------

    def _declared(self, prefix: str | None, uri: str | None) -> None:
        self._prefixes[prefix or ""] = uri or ""

    def _opened(self, name: str, attrs: dict[str, str]) -> None:
        """Take the stream's start tag."""
        parser = self._parser
        assert parser is not None
        ns, _, local = name.rpartition(_SEPARATOR)
        if ns != NS_STREAM:
            raise StreamError("invalid-namespace")
        if local != "stream":
            raise StreamError("bad-format")
        if len(attrs) > self.max_attributes:
            raise StreamError("policy-violation", "too many attributes")
        parser.StartElementHandler = self._started
        parser.StartNamespaceDeclHandler = None
        parser.XmlDeclHandler = None
        buffer = self._whole()
        end = _tag_end(buffer, parser.CurrentByteIndex - self._base)
        self._end = self._base + end
        self._check_size(self._end)
        prefixes, self._prefixes = self._prefixes, _NOTHING
        content = prefixes.pop("", "")
        self._names = _NAMES.get(content, _OTHER_NAMES)
        self._header, self._outer = _context(content, tuple(prefixes.items()))
        self._depth = 1
        self._receiver.stream_opened(StreamHeader(content, _named(attrs), prefixes))
        if self._stopping:
            raise _Stopped(buffer[end:])

    def _started(self, name: str, attrs: dict[str, str]) -> None:
        depth = self._depth
        if depth == 2:
            self._children.append(self._names[name])
        elif depth == 1:
            self._start = self._parser.CurrentByteIndex  # type: ignore[union-attr]
            self._tag = name
            self._attrs = attrs
            self._children = []
        elif depth >= self.max_depth:
            raise StreamError("policy-violation", "too deep")
        if len(attrs) > self.max_attributes:
            raise StreamError("policy-violation", "too many attributes")
        self._depth = depth + 1

    def _ended(self, name: str) -> None:
        depth = self._depth = self._depth - 1
        if depth == 1:
            self._deliver()
        elif depth == 0:
            parser = self._parser
            assert parser is not None
            if self._whole()[self._end - self._base : parser.CurrentByteIndex - self._base].strip(_SPACE):
                raise StreamError("bad-format", "text between stanzas")
            self._closed = True
            self._receiver.stream_closed()
            raise _Stopped(b"")

    def _cdata_started(self) -> None:
        self._cdata = True

    def _deliver(self) -> None:
        """Hand over the element that has just ended."""
        buffer = self._whole() if self._held is not None else self._buffer
        base = self._base
        start = self._start - base
        end = self._parser.CurrentByteIndex - base  # type: ignore[union-attr]
        tag_end = _tag_end(buffer, start)
        if buffer[tag_end - 2] == _SLASH:
            inner = b""
            after = end
        else:
            inner = buffer[tag_end:end]
            after = buffer.index(b">", end) + 1
        if after - start > self.max_stanza_bytes:
            self._check_size(after - start)
        if self._end != self._start and buffer[self._end - base : start].strip(_SPACE):
            raise StreamError("bad-format", "text between stanzas")
        self._end = base + after
        if self._is_plain(buffer, start, tag_end, inner):
            ns, name = self._names[self._tag]
            stanza = Stanza(name, self._attrs, tuple(self._children), inner, ns)
        else:
            assert self._header is not None
            self._cdata = False
            stanza = reread(self._header, buffer[start:after])
        self._receiver.stanza_received(stanza)
        if self._stopping:
            raise _Stopped(buffer[after:])

    def _is_plain(self, buffer: bytes, start: int, tag_end: int, inner: bytes) -> bool:
        """Tell whether ``inner`` means the same wherever the stanza goes; names the attributes."""
        if buffer.find(b":", start, tag_end) >= 0:
            tag = buffer[start:tag_end]
            if b"xmlns:" in tag or _PREFIXED.match(tag):
                return False
            self._attrs = _named(self._attrs)
        for token in self._outer:
            if token in inner:
                return False
        if not inner.isascii():
            # expat has checked this; another build of it might not.
            inner.decode()
        return not self._cdata


def _tag_end(buffer: bytes, start: int) -> int:
    found = _TAG.match(buffer, start)
    assert found is not None
    return found.end()


@lru_cache(256)
def _context(ns: str, prefixes: tuple[tuple[str, str], ...]) -> tuple[bytes, tuple[bytes, ...]]:
    """Give a start tag with a stream's declarations, and what an element that leans on them has in it."""
    declared = "".join(f" xmlns:{prefix}='{attribute(uri)}'" for prefix, uri in prefixes)
    tag = f"<stream xmlns='{attribute(ns)}'{declared}>".encode()
    tokens = [f"{prefix}:".encode() for prefix, _ in prefixes]
    # A child that repeats the content namespace would keep it in a stream with another one.
    return tag, tuple([*tokens, ns.encode()] if ns else tokens)


def _named(attrs: dict[str, str]) -> dict[str, str]:
    """Give attributes by the names that a `Stanza` has for them."""
    named = {}
    for key, value in attrs.items():
        ns, _, name = key.rpartition(_SEPARATOR)
        if ns == NS_XML:
            key = f"xml:{name}"
        elif ns:
            key = f"{{{ns}}}{name}"
        named[key] = value
    return named


def _check_declaration(version: str, encoding: str | None, standalone: int) -> None:
    if version != "1.0":
        raise StreamError("not-well-formed", "XML 1.0 only")
    if encoding is not None and encoding.upper() != "UTF-8":
        raise StreamError("unsupported-encoding")


def _refuse_markup(*what: object) -> None:
    raise StreamError("restricted-xml")
