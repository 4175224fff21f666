"""The bytes of a stream on their way to expat: which of them are kept until their element is whole."""

from __future__ import annotations

import re
from xml.parsers import expat

from palaver import parsing
from palaver.errors import NS_ERRORS, StreamError
from palaver.markup import element

# expat scans an unfinished tag anew for every segment; past this size segments wait for the tag's end.
MAX_RESCANNED_BYTES = 4096
# expat remembers every name it has read; a new parser now and then forgets those of a stranger.
MAX_PARSER_BYTES = 4 * 1024 * 1024

SPACE = b" \t\r\n"
LESS_THAN = ord("<")
# A stream begins with a tag, a declaration or a byte order mark.
_FIRST = b"<\xef"
_UTF_16_MARKS = b"\xfe\xff"
_find_quote_or_end = re.compile(rb"['\">]").search


class Segments:
    """Feeds a parser with segments, however they are cut, and holds what is unfinished at the end of one.

    ``max_stanza_bytes`` may be changed at any time. `_forget` is to be called at the beginning.
    """

    max_stanza_bytes: int
    # Positions count from the parser's beginning: _fed is what it was given, _start where the
    # unfinished element begins, _end where the last complete one ended, _base where _buffer
    # begins (or _held, which replaces it while something is unfinished).
    _base: int
    _fed: int
    _start: int
    _end: int
    _buffer: bytes
    _held: bytearray | None
    # The quote that is open in a tag that is held back, b"" when none is; None when no tag is.
    _quote: bytes | None
    _parser: expat.XMLParserType | None
    # How many elements are open; the stream is the first.
    _depth: int

    __slots__ = (
        "_base", "_buffer", "_depth", "_end", "_fed", "_held", "_parser", "_quote", "_start",
        "max_stanza_bytes",
    )  # fmt: skip

    @property
    def between_elements(self) -> bool:
        """True when nothing is unfinished."""
        return self._held is None and self._depth <= 1

    def release(self) -> bool:
        """Give the parser's memory back; later bytes make a new one.

        False, and nothing done, inside of a parser's call and while an element is unfinished.
        """
        if self._depth == 0 or self._buffer or not self.between_elements:
            return False
        self._forget()
        return True

    def _open_parser(self) -> expat.XMLParserType:
        """Give a parser, and note it with what it was given already."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Drop the parser and all bytes."""
        self._parser = None
        self._buffer = b""
        self._held = None
        self._quote = None
        self._base = self._fed = self._start = self._end = 0

    def _read(self, data: bytes) -> None:
        """Have a segment parsed. Raises StreamError."""
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
                parser = self._open_parser()
            if self._fed == 0:
                # A client may end its last element before a restart with a line feed.
                data = data.lstrip(SPACE)
            self._buffer = data
            self._base = self._fed
        assert parser is not None
        self._fed += len(data)
        if self._depth == 0 and b"\0" in data:
            # UTF-16, which expat would take for what it is.
            raise StreamError("unsupported-encoding")
        try:
            parser.Parse(data, False)
        except expat.ExpatError as error:
            at = parser.ErrorByteIndex - self._base
            raise parsing.stream_error(error, self._whole()[at : at + 4]) from None
        if self._end != self._fed:
            self._keep()
        self._buffer = b""
        if self._fed > MAX_PARSER_BYTES:
            self.release()

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
                tail = tail.lstrip(SPACE)
                self._start = self._end = self._fed - len(tail)
                if not tail:
                    return
                self._check_beginning(tail[0])
            self._held = bytearray(tail)
            self._base = self._end
        self._check_size(self._fed - self._start)
        assert self._parser is not None
        token = self._parser.CurrentByteIndex
        if self._fed - token > MAX_RESCANNED_BYTES:
            self._hold_back(bytes(self._held[token - self._base :]))

    def _hold_back(self, token: bytes) -> None:
        """Have expat wait for the end of a large tag; nothing else that is unfinished may be large."""
        if token[0] != LESS_THAN or token[1:2] in (b"!", b"?"):
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
            found = _find_quote_or_end(data, position)
            if found is None:
                break
            position = found.end()
            quote = found[0]
            if quote == b">":
                self._quote = None
                return True
        self._quote = quote
        return False

    def _check_beginning(self, byte: int) -> None:
        """Refuse early what can be no element; expat would wait for more of it."""
        if self._depth == 0 and byte not in _FIRST:
            raise StreamError("unsupported-encoding" if byte in _UTF_16_MARKS else "not-well-formed")
        if self._depth == 1 and byte != LESS_THAN:
            raise StreamError("bad-format", "text between stanzas")

    def _check_between(self, buffer: bytes, until: int) -> None:
        """Refuse anything but white space between two elements."""
        if buffer[self._end - self._base : until - self._base].strip(SPACE):
            raise StreamError("bad-format", "text between stanzas")

    def _check_size(self, size: int) -> None:
        if size > self.max_stanza_bytes:
            raise StreamError("policy-violation", extra=element("stanza-too-big", NS_ERRORS))
