"""Framing: from the bytes of a stream to stanzas, by the one parser that ever reads from the network.

expat finds where elements begin and end and checks that all is well-formed; text has no
handler. The bytes between a stanza's tags are kept as they came whenever a strict reader
would see the same in them, and are written anew from a tree otherwise (RFC 6120 sections 4 and 11).
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol
from xml.parsers import expat

from palaver import parsing
from palaver.errors import StreamError
from palaver.segments import SPACE, Segments
from palaver.stanza import CONTENT_NAMESPACES, NS_CLIENT, Child, Stanza, reread

NS_STREAM = "http://etherx.jabber.org/streams"

MAX_DEPTH = 100
MAX_ATTRIBUTES = 200
# Every later stanza is searched for the header's prefixes, so these are few. Full addresses fit in.
MAX_HEADER_BYTES = 8192
MAX_HEADER_PREFIXES = 16
# What keeps a connection alive is a space or a line feed; it need not wake a parser.
MAX_KEEPALIVE_BYTES = 4

_SLASH = ord("/")
_match_tag = re.compile(rb"<[^>'\"]*+(?:'[^']*+'[^>'\"]*+|\"[^\"]*+\"[^>'\"]*+)*+>").match
_match_name = re.compile(rb"<([^\s/>]+)").match
_match_prefixed = re.compile(rb"<[^\s/>]*:").match

_NAMES = {ns: parsing.Names(ns, NS_CLIENT) for ns in CONTENT_NAMESPACES}
_OTHER_NAMES = parsing.Names()
_NOTHING: dict[str, str] = {}


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


class _StopParsing(Exception):
    """Leaves expat in the middle of a segment, with the bytes that it has not read."""

    def __init__(self, rest: bytes) -> None:
        self.rest = rest


class Framer(Segments):
    """Cuts one stream into stanzas.

    ``max_stanza_bytes`` may be changed at any time; it bounds the stream's start tag too.
    A stanza of the content namespace is given in `NS_CLIENT`; any other keeps its own.
    """

    _tag: str
    _attrs: dict[str, str]
    _children: list[Child]

    __slots__ = (
        "_attrs", "_cdata", "_children", "_closed", "_content", "_context", "_marks", "_names",
        "_prefixes", "_receiver", "_stopping", "_tag", "max_attributes", "max_depth",
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
        self._content = ""
        self._context = b""
        self._marks: tuple[bytes, ...] = ()
        self._names = _OTHER_NAMES
        self._closed = False
        self._depth = 0
        self._forget()
        self._stopping = True

    def stop(self) -> None:
        """Make the ``feed`` under way return what follows the current element; the stream may go on later."""
        self._stopping = True

    def feed(self, data: bytes) -> bytes:
        """Read bytes; gives those left unread because of ``stop`` or ``reset``, normally none.

        Raises `StreamError` once everything before the mistake was delivered; the stream is over then.
        """
        if self._closed:
            return b""
        if len(data) <= MAX_KEEPALIVE_BYTES and self.between_elements and not data.strip(SPACE):
            return b""
        self._stopping = False
        try:
            self._read(data)
        except _StopParsing as stopped:
            self._forget()
            return stopped.rest
        except BaseException:
            # Nothing can go on here: expat is of no use after an exception in one of its handlers.
            self._closed = True
            self._depth = 0
            self._forget()
            raise
        return b""

    def _open_parser(self) -> expat.XMLParserType:
        parser = self._parser = parsing.create_parser()
        if self._context:
            parser.Parse(self._context, False)
            self._fed = self._end = len(self._context)
            parser.StartElementHandler = self._started
        else:
            parser.StartNamespaceDeclHandler = self._declared
            parser.StartElementHandler = self._opened
        parser.EndElementHandler = self._ended
        parser.StartCdataSectionHandler = self._cdata_started
        return parser

    def _forget(self) -> None:
        super()._forget()
        self._cdata = False
        self._tag = ""
        self._attrs = _NOTHING
        self._children = []

    # -- what expat calls ----------------------------------------------------------------

    def _declared(self, prefix: str | None, uri: str | None) -> None:
        self._prefixes[prefix or ""] = uri or ""

    def _opened(self, name: str, attrs: dict[str, str]) -> None:
        """Take the stream's start tag."""
        parser = self._parser
        assert parser is not None
        ns, _, local = name.rpartition(parsing.SEPARATOR)
        if ns != NS_STREAM:
            raise StreamError("invalid-namespace")
        if local != "stream":
            raise StreamError("bad-format")
        if len(attrs) > self.max_attributes:
            raise StreamError("policy-violation", "too many attributes")
        buffer = self._whole()
        start = parser.CurrentByteIndex - self._base
        end = _match_tag(buffer, start).end()  # type: ignore[union-attr]
        self._end = self._base + end
        self._check_size(self._end)
        if end - start > MAX_HEADER_BYTES or len(self._prefixes) > MAX_HEADER_PREFIXES:
            raise StreamError("policy-violation", "too large a stream header")
        parser.StartElementHandler = self._started
        parser.StartNamespaceDeclHandler = None
        self._depth = 1
        header = self._header(_match_name(buffer, start)[1].decode(), attrs)  # type: ignore[index]
        self._receiver.stream_opened(header)
        if self._stopping:
            raise _StopParsing(buffer[end:])

    def _header(self, name: str, attrs: dict[str, str]) -> StreamHeader:
        """Give the stream's header, and note what later elements may lean on.

        ``name`` is the start tag's as it was written.
        """
        prefixes, self._prefixes = self._prefixes, _NOTHING
        ns = prefixes.pop("", "")
        declarations = tuple(prefixes.items())
        self._names = _NAMES.get(ns, _OTHER_NAMES)
        self._context = parsing.start_tag(name, ns, declarations)
        self._marks = parsing.prefix_marks(declarations)
        self._content = ns
        if ns not in ("", NS_CLIENT):
            # A child that repeats this namespace would no longer be in the content namespace elsewhere.
            self._marks += (ns.encode(),)
        return StreamHeader(ns, parsing.attribute_names(attrs), prefixes)

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
            self._check_between(self._whole(), parser.CurrentByteIndex)
            self._closed = True
            self._receiver.stream_closed()
            raise _StopParsing(b"")

    def _cdata_started(self) -> None:
        self._cdata = True

    def _deliver(self) -> None:
        """Hand over the element that has just ended."""
        buffer = self._buffer if self._held is None else self._whole()
        base = self._base
        start = self._start - base
        end = self._parser.CurrentByteIndex - base  # type: ignore[union-attr]
        tag_end = _match_tag(buffer, start).end()  # type: ignore[union-attr]
        if buffer[tag_end - 2] == _SLASH:
            inner = b""
            after = end
        else:
            inner = buffer[tag_end:end]
            after = buffer.index(b">", end) + 1
        if after - start > self.max_stanza_bytes:
            self._check_size(after - start)
        if self._end != self._start:
            self._check_between(buffer, self._start)
        self._end = base + after
        if buffer.find(b":", start, tag_end) < 0 and inner.isascii() and not self._cdata:
            # What nearly every stanza is: no prefix on its tag, no text to check.
            plain = True
            for mark in self._marks:
                if mark in inner:
                    plain = False
        else:
            plain = self._is_plain(buffer[start:tag_end], inner)
        if plain:
            ns, name = self._names[self._tag]
            stanza = Stanza(name, self._attrs, tuple(self._children), inner, ns)
        else:
            self._cdata = False
            stanza = reread(buffer[start:after], self._context, self._content)
        self._receiver.stanza_received(stanza)
        if self._stopping:
            raise _StopParsing(buffer[after:])

    def _is_plain(self, tag: bytes, inner: bytes) -> bool:
        """Tell whether ``inner`` means the same wherever the stanza goes; names the attributes."""
        if b":" in tag:
            if b"xmlns:" in tag or _match_prefixed(tag):
                return False
            self._attrs = parsing.attribute_names(self._attrs)
        for mark in self._marks:
            if mark in inner:
                return False
        # expat has checked this; another build of it might not.
        inner.decode()
        return not self._cdata
