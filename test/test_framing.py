"""Framing: what is accepted goes on unchanged in meaning, what is not gets its stream error."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from palaver import framing, parsing, segments
from palaver.errors import StreamError
from palaver.framing import NS_STREAM, Framer, StreamHeader
from palaver.stanza import NS_CLIENT, NS_SERVER, Stanza

OPEN = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    b" xmlns:o='urn:outer' to='example.org' version='1.0' xml:lang='en'>"
)
OPEN_SERVER = OPEN.replace(b"jabber:client", b"jabber:server")
CLOSE = b"</stream:stream>"
LIMIT = 256 * 1024


class Recorder:
    """Takes what a framer gives, and may act in the middle of it."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.headers: list[StreamHeader] = []
        self.stanzas: list[Stanza] = []
        self.closed = 0
        self.after = lambda stanza: None
        self.framer = Framer(self, limit)

    def stream_opened(self, header: StreamHeader) -> None:
        self.headers.append(header)

    def stanza_received(self, stanza: Stanza) -> None:
        self.stanzas.append(stanza)
        self.after(stanza)

    def stream_closed(self) -> None:
        self.closed += 1


def opened(limit: int = LIMIT, header: bytes = OPEN) -> Recorder:
    """Give a recorder whose stream is open."""
    recorder = Recorder(limit)
    recorder.framer.feed(header)
    return recorder


def canonical(data: bytes) -> bytes:
    """Give one document in exclusive canonical form, with prefixes and CDATA sections out of the way."""
    root = etree.fromstring(data, etree.XMLParser(strip_cdata=True, resolve_entities=False))
    return repr(_plain(root)).encode()


def _plain(node: etree._Element) -> tuple[object, ...]:
    """Give name, attributes and content; text on both sides of an element, none as ''."""
    content: list[object] = [node.text or ""]
    for child in node:
        content += [_plain(child), child.tail or ""]
    return (node.tag, sorted(node.attrib.items()), content)


def relayed(stanza: Stanza, ns: str = NS_CLIENT) -> bytes:
    """Give what a receiver reads in a stream of content namespace ``ns`` that declares nothing else."""
    return canonical(b"<r xmlns='%b'>%b</r>" % (ns.encode(), stanza.encode()))


def sent(data: bytes, header: bytes = OPEN) -> bytes:
    """Give what a strict reader of the sender's stream sees of one element."""
    root = etree.fromstring(header + data + CLOSE)
    wrapper = etree.Element(f"{{{NS_CLIENT}}}r")
    wrapper.append(root[0])
    wrapper[0].tail = None
    return repr(_plain(wrapper)).encode()


# -- any XML ----------------------------------------------------------------------------------

_CHARS = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
_TEXT = st.text(st.one_of(st.sampled_from("ab<>&'\"\n\t :]"), _CHARS), max_size=12)
_NAMES = st.sampled_from(["a", "body", "x-y", "stream", "é", "message", "o"])
_NAMESPACES = st.sampled_from(
    ["", "jabber:client", "jabber:server", "urn:a", "urn:outer", NS_STREAM, "b%20c"]
)
_PREFIXES = st.sampled_from(["p", "q", "a0", "stream", "o"])


def _escaped(text: str, hexadecimal: bool) -> str:
    form = "&#x{:x};" if hexadecimal else "&#{};"
    return "".join(form.format(ord(c)) if c in "<>&'\"\n\t" or ord(c) % 5 == 0 else c for c in text)


@st.composite
def text_pieces(draw: st.DrawFn) -> str:
    """Draw character data: plain, with references, or in a CDATA section."""
    text = draw(_TEXT)
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return f"<![CDATA[{text.replace(']]>', '')}]]>" if not text.endswith("]") else ""
    if kind == 1:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _escaped(text, kind == 2)


@st.composite
def elements(draw: st.DrawFn, scope: frozenset[str] = frozenset({"stream", "o"}), depth: int = 0) -> str:
    """Draw one element; ``scope`` are the prefixes that are declared around it."""
    declared: dict[str, str] = {}
    if draw(st.booleans()):
        declared["xmlns"] = draw(_NAMESPACES)
    inner = set(scope)
    for prefix in draw(st.lists(_PREFIXES, max_size=2, unique=True)):
        inner.add(prefix)
        declared[f"xmlns:{prefix}"] = draw(_NAMESPACES.filter(bool))
    prefixes = st.sampled_from(["", "", "", *[f"{prefix}:" for prefix in sorted(inner)]])
    # Each local name once, so that two prefixes for one namespace cannot make a double attribute.
    names = draw(st.lists(st.sampled_from(["to", "from", "id", "type", "k", "ñ"]), max_size=4, unique=True))
    attrs = {f"{draw(prefixes)}{name}": draw(_TEXT) for name in names}
    for name in draw(st.lists(st.sampled_from(["lang", "space"]), max_size=1)):
        attrs[f"xml:{name}"] = "en" if name == "lang" else "preserve"
    tag = draw(prefixes) + draw(_NAMES)
    text = [f"{name}={_quoted(value, draw(st.booleans()))}" for name, value in (declared | attrs).items()]
    start = tag + "".join(draw(st.sampled_from([" ", "\n", "  "])) + piece for piece in text)
    if depth == 3 or draw(st.integers(0, 3)) == 0:
        return f"<{start}{draw(st.sampled_from(['/', ' /']))}>"
    pieces = st.one_of(text_pieces(), elements(frozenset(inner), depth + 1))
    content = "".join(draw(st.lists(pieces, max_size=4)))
    return f"<{start}>{content}</{tag}{draw(st.sampled_from(['', ' ']))}>"


def _quoted(value: str, double: bool) -> str:
    quote = '"' if double else "'"
    value = value.replace("&", "&amp;").replace("<", "&lt;")
    return quote + value.replace(quote, "&#39;" if quote == "'" else "&quot;") + quote


def _feed_cut(framer: Framer, data: bytes, cuts: list[int]) -> None:
    position = 0
    for cut in sorted(cut % (len(data) + 1) for cut in cuts):
        framer.feed(data[position:cut])
        position = cut
    framer.feed(data[position:])


_SETTINGS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


class RelayTests(SynchronousTestCase):
    """What is forwarded equals what was sent, wherever the network cut it."""

    @_SETTINGS
    @given(elements(), st.lists(st.integers(0, 4000), max_size=6))
    @example("<stream xmlns='urn:a' xmlns:p='urn:b'><p:a p:k='v'/></stream>", [])
    @example("<message><o:a/></message>", [3])
    @example("<message><body xmlns=''>a</body></message>", [])
    @example("<message><body><![CDATA[<]]></body></message>", [])
    @example("<message k='/'/>", [])
    @example("<message k='\">'><a k=\"'>\"/></message>", [])
    def test_same_meaning(self, element: str, cuts: list[int]) -> None:
        """Any element, cut anywhere, reads the same for its receiver."""
        recorder = Recorder()
        data = element.encode()
        _feed_cut(recorder.framer, OPEN + data + b" <presence/>" + CLOSE, cuts)
        self.assertEqual([len(recorder.headers), len(recorder.stanzas), recorder.closed], [1, 2, 1])
        self.assertEqual(relayed(recorder.stanzas[0]), sent(data))
        self.assertEqual(recorder.stanzas[1].encode(), b"<presence/>")

    @_SETTINGS
    @given(elements(), st.lists(st.integers(0, 4000), max_size=6))
    def test_released_between(self, element: str, cuts: list[int]) -> None:
        """A stream whose parser is given back at every chance reads the same."""
        recorder = opened()
        data = element.encode() + b"<presence/>"
        places = sorted({0, len(data), *[cut % len(data) for cut in cuts]})
        for begin, end in pairwise(places):
            recorder.framer.release()
            recorder.framer.feed(data[begin:end])
        self.assertEqual(relayed(recorder.stanzas[0]), sent(element.encode()))
        self.assertEqual(len(recorder.stanzas), 2)

    @_SETTINGS
    @given(elements())
    def test_tree(self, element: str) -> None:
        """The tree of a stanza, written and read again, has the same meaning and the same children."""
        recorder = opened()
        recorder.framer.feed(element.encode())
        stanza = recorder.stanzas[0]
        again = stanza.with_children(stanza.element.children)
        self.assertEqual(relayed(again), relayed(stanza))
        self.assertEqual(again.children, stanza.children)
        self.assertEqual([(node.uri, node.name) for node in stanza.element.elements()], list(stanza.children))

    def test_bytes_are_kept(self) -> None:
        """The inside of an ordinary message goes on byte by byte, odd quotes and spaces and all."""
        inner = b'<body >1 &gt; 0 \xc3\xa9</body><x\nxmlns="urn:a"/>'
        recorder = opened()
        recorder.framer.feed(b"<message to=\"a'>b\" xml:lang='de'>" + inner + b"</message >")
        stanza = recorder.stanzas[0]
        self.assertEqual(stanza.inner, inner)
        self.assertEqual(stanza.attrs, {"to": "a'>b", "xml:lang": "de"})
        self.assertEqual(stanza.children, ((NS_CLIENT, "body"), ("urn:a", "x")))

    def test_server_stream(self) -> None:
        """A stanza of another server is in the house's namespace, and so is a child that repeats its own."""
        recorder = opened(header=OPEN_SERVER)
        recorder.framer.feed(b"<message><body>a</body><subject xmlns='jabber:server'>b</subject></message>")
        recorder.framer.feed(b"<message xmlns='jabber:client'/>")
        stanza, foreign = recorder.stanzas
        self.assertEqual(
            (stanza.ns, stanza.children), (NS_CLIENT, ((NS_CLIENT, "body"), (NS_CLIENT, "subject")))
        )
        self.assertEqual(stanza.inner, b"<body>a</body><subject>b</subject>")
        self.assertEqual(foreign.ns, NS_CLIENT)

    def test_other_content_namespace(self) -> None:
        """A client cannot pass for a server: another content namespace stays, prefixed or not."""
        recorder = opened()
        recorder.framer.feed(b"<iq xmlns='jabber:server'/><s:iq xmlns:s='jabber:server'/>")
        self.assertEqual([stanza.ns for stanza in recorder.stanzas], [NS_SERVER, NS_SERVER])


class SegmentTests(SynchronousTestCase):
    """However the bytes arrive."""

    def test_one_byte_per_segment(self) -> None:
        """A whole stream in single bytes."""
        recorder = Recorder()
        for byte in (
            b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>\n" + OPEN + b"<a>\xc3\xa9</a> <b/>" + CLOSE
        ):
            self.assertEqual(recorder.framer.feed(bytes([byte])), b"")
        self.assertEqual([stanza.encode() for stanza in recorder.stanzas], [b"<a>\xc3\xa9</a>", b"<b/>"])
        self.assertEqual(recorder.closed, 1)

    def test_header(self) -> None:
        """The header says which namespaces and attributes the stream has."""
        header = opened().headers[0]
        self.assertEqual(header.ns, NS_CLIENT)
        self.assertEqual(header.attrs, {"to": "example.org", "version": "1.0", "xml:lang": "en"})
        self.assertEqual(header.prefixes, {"stream": NS_STREAM, "o": "urn:outer"})

    def test_white_space_is_free(self) -> None:
        """White space between stanzas costs no memory and does not count as part of a stanza."""
        recorder = opened(300)
        for segment in (b" ", b"\r\n", b" " * 99, b"\n" * 1000) * 50:
            recorder.framer.feed(segment)
        recorder.framer.feed(b" " * 400 + b"<presence/>" + b" " * 400)
        self.assertEqual(len(recorder.stanzas), 1)
        self.assertTrue(recorder.framer.release())

    def test_space_before_header(self) -> None:
        """A line feed left over from before a restart does not spoil the new stream."""
        recorder = Recorder()
        for segment in (b"\n", b"\n" * 9, b" " * 9 + b"<?xml version='1.0'?>" + OPEN):
            recorder.framer.feed(segment)
        self.assertEqual(len(recorder.headers), 1)

    def test_large_tag_in_small_segments(self) -> None:
        """A tag of 200 KB in small segments is read, and expat does not scan it anew for each of them."""
        recorder = opened()
        value = b">'" * 100_000
        scanned = self._count_parsed(recorder, b'<message id="' + value + b'"><body/></message>', 100)
        self.assertEqual(recorder.stanzas[0].id, value.decode())
        self.assertEqual(recorder.stanzas[0].inner, b"<body/>")
        self.assertLess(scanned, 100)

    def _count_parsed(self, recorder: Recorder, data: bytes, size: int) -> int:
        """Feed in segments of ``size``; give how often expat was called with some of it."""
        calls = 0
        fed = recorder.framer._fed
        for position in range(0, len(data), size):
            recorder.framer.feed(data[position : position + size])
            calls += recorder.framer._fed != fed
            fed = recorder.framer._fed
        return calls

    def test_large_tag_inside(self) -> None:
        """A large tag is held back inside a stanza as well, up to its end and no further."""
        recorder = opened()
        tag = b"<x k='%b'/>" % (b'">' * 5000)
        self._count_parsed(recorder, b"<iq>" + tag + b"</iq><presence/>", 7)
        self.assertEqual([stanza.name for stanza in recorder.stanzas], ["iq", "presence"])
        self.assertEqual(recorder.stanzas[0].inner, tag)

    def test_parser_is_renewed(self) -> None:
        """After much input the parser makes room for a new one, and the stream goes on."""
        self.patch(segments, "MAX_PARSER_BYTES", 500)
        recorder = opened()
        for number in range(100):
            recorder.framer.feed(b"<o:a%d/>" % number)
        self.assertEqual([stanza.name for stanza in recorder.stanzas], [f"a{n}" for n in range(100)])
        self.assertLess(recorder.framer._fed, 600)


class ControlTests(SynchronousTestCase):
    """What the stream may do to its framer."""

    def test_reset_inside(self) -> None:
        """A restart in the middle of a segment gives back what belongs to the new stream."""
        recorder = opened()
        recorder.after = lambda stanza: recorder.framer.reset()
        rest = recorder.framer.feed(b"<auth xmlns='urn:a'>AA==</auth>" + OPEN_SERVER + b"<x/>")
        self.assertEqual(rest, OPEN_SERVER + b"<x/>")
        recorder.after = lambda stanza: None
        self.assertEqual(recorder.framer.feed(rest), b"")
        self.assertEqual([header.ns for header in recorder.headers], [NS_CLIENT, NS_SERVER])
        self.assertEqual(recorder.stanzas[0].text, "AA==")

    def test_stop_inside(self) -> None:
        """A stream that is stopped gives the rest back and goes on with it later."""
        recorder = opened()
        recorder.after = lambda stanza: recorder.framer.stop()
        rest = b"<o:a/><o:b/><o:c/> <d"
        names = []
        while rest := recorder.framer.feed(rest):
            names.append(recorder.stanzas[-1].name)
        recorder.framer.feed(b"/>")
        self.assertEqual(names, ["a", "b", "c"])
        self.assertEqual([stanza.name for stanza in recorder.stanzas], ["a", "b", "c", "d"])

    def test_end_after_stop(self) -> None:
        """A stream that was stopped, or whose memory was given back, still ends by its end tag."""
        for name in (b"stream:stream", b"s:stream"):
            header = OPEN.replace(b"stream:stream", name).replace(b"xmlns:stream", b"xmlns:" + name[:-7])
            recorder = opened(header=header)
            recorder.after = lambda stanza, framer=recorder.framer: framer.stop()  # type: ignore[misc]
            recorder.framer.feed(b"<auth xmlns='urn:a'/>")
            recorder.framer.feed(b"<o:a/>")
            self.assertTrue(recorder.framer.release())
            recorder.framer.feed(b"</%b>" % name)
            self.assertEqual((len(recorder.stanzas), recorder.closed), (2, 1))

    def test_end_of_stream_by_default_namespace(self) -> None:
        """A stream element without a prefix is ended without one, also by a new parser."""
        recorder = opened(header=b"<stream xmlns='http://etherx.jabber.org/streams' version='1.0'>")
        recorder.framer.release()
        recorder.framer.feed(b"</stream>")
        self.assertEqual(recorder.closed, 1)

    def test_release_refused(self) -> None:
        """Memory is not given back while it is needed."""
        recorder = opened()
        given_back = []
        recorder.after = lambda stanza: given_back.append(recorder.framer.release())
        recorder.framer.feed(b"<a>")
        self.assertFalse(recorder.framer.release())
        recorder.framer.feed(b"</a><b")
        self.assertFalse(recorder.framer.release())
        recorder.framer.feed(b"/>")
        self.assertTrue(recorder.framer.release())
        self.assertTrue(recorder.framer.release())
        self.assertEqual(given_back, [False, False])
        self.assertFalse(Recorder().framer.release())

    def test_keepalive_wakes_nobody(self) -> None:
        """A space on a stream without a parser makes none."""
        recorder = opened()
        recorder.framer.release()
        recorder.framer.feed(b"\n")
        self.assertIsNone(recorder.framer._parser)

    def test_after_the_end(self) -> None:
        """What follows the end of a stream is ignored."""
        recorder = opened()
        recorder.framer.feed(CLOSE + b"<presence/><!--")
        recorder.framer.feed(b"<presence/>")
        self.assertEqual((recorder.closed, recorder.stanzas), (1, []))

    def test_receiver_fails(self) -> None:
        """A mistake of the receiver's comes out of feed, and no byte is read after it."""
        recorder = opened()

        def fail(stanza: Stanza) -> None:
            raise KeyError("mine")

        recorder.after = fail
        self.assertRaises(KeyError, recorder.framer.feed, b"<a/><b/>")
        recorder.framer.feed(b"<c/>")
        self.assertEqual(len(recorder.stanzas), 1)


BILLION = b"<!DOCTYPE a [<!ENTITY b 'c'><!ENTITY d '&b;&b;'>]>"

REFUSED_HEADERS = [
    (b"hello", "not-well-formed"),
    (b"GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
    (b"\x16\x03\x01", "not-well-formed"),
    (b"<!-- -->" + OPEN, "restricted-xml"),
    (b"<?php ?>" + OPEN, "restricted-xml"),
    (BILLION + OPEN, "restricted-xml"),
    (b"<!DOCTYPE stream SYSTEM 'file:///etc/passwd'>" + OPEN, "restricted-xml"),
    (b"<?xml version='1.1'?>" + OPEN, "not-well-formed"),
    (b"<?xml version='1.0' encoding='latin1'?>" + OPEN, "unsupported-encoding"),
    (b"<?xml version='1.0' encoding='UTF-16'?>" + OPEN, "unsupported-encoding"),
    (OPEN.decode().encode("utf-16"), "unsupported-encoding"),
    (OPEN.decode().encode("utf-16-le"), "unsupported-encoding"),
    (OPEN.decode().encode("utf-16-be"), "unsupported-encoding"),
    (b"<stream xmlns='jabber:client'>", "invalid-namespace"),
    (b"<s:stream xmlns='jabber:client' xmlns:s='urn:a'>", "invalid-namespace"),
    (b"<stream:stream xmlns='jabber:client'>", "bad-namespace-prefix"),
    (b"<s:foo xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>", "bad-format"),
    (OPEN.replace(b"to='example.org'", b"to='a' to='b'"), "not-well-formed"),
]

REFUSED = [
    (b"<!-- hello -->", "restricted-xml"),
    (b"<message><!-- hello --></message>", "restricted-xml"),
    (b"<?pi ?>", "restricted-xml"),
    (b"<message><?pi ?></message>", "restricted-xml"),
    (b"<message>&b;</message>", "restricted-xml"),
    (b"<message to='&b;'/>", "restricted-xml"),
    (BILLION, "not-well-formed"),
    (b"<message></iq>", "not-well-formed"),
    (b"<message to=a/>", "not-well-formed"),
    (b"<message to='a' to='b'/>", "not-well-formed"),
    (b"<message to='<'/>", "not-well-formed"),
    (b"<message>]]></message>", "not-well-formed"),
    (b"<message>&#0;</message>", "not-well-formed"),
    (b"<message>&#x1F;</message>", "not-well-formed"),
    (b"<message>&#xD800;</message>", "not-well-formed"),
    (b"<message>\x01</message>", "not-well-formed"),
    (b"<message>\0</message>", "not-well-formed"),
    (b"<?xml version='1.0'?><message/>", "not-well-formed"),
    (b"<message>\xff</message>", "unsupported-encoding"),
    (b"<message>\xc0\xaf</message>", "unsupported-encoding"),
    (b"<message>\xed\xa0\x80</message>", "unsupported-encoding"),
    (b"<message>\xf4\x90\x80\x80</message>", "unsupported-encoding"),
    (b"<message to='\xe9'/>", "unsupported-encoding"),
    (b"<message>\xef\xbf\xbf</message>", "not-well-formed"),
    (b"<p:message/>", "bad-namespace-prefix"),
    (b"<message><p:a/></message>", "bad-namespace-prefix"),
    (b"<message p:a=''/>", "bad-namespace-prefix"),
    (b"<message xmlns:p=''/>", "bad-namespace-prefix"),
    (b"<message xmlns:xml='urn:a'/>", "bad-namespace-prefix"),
    (b"<message xmlns:xmlns='urn:a'/>", "bad-namespace-prefix"),
    (b"<message xmlns='http://www.w3.org/2000/xmlns/'/>", "bad-namespace-prefix"),
    (b"<message xmlns:p='http://www.w3.org/XML/1998/namespace'/>", "bad-namespace-prefix"),
    (b"<xmlns:message/>", "bad-namespace-prefix"),
    (b"<o:p:message/>", "not-well-formed"),
    (b"<:message/>", "not-well-formed"),
    (b"<o:/>", "not-well-formed"),
    (b"<o:1/>", "not-well-formed"),
    (b"<message o:p:a=''/>", "not-well-formed"),
    (b"<message xmlns:a='u' xmlns:b='u' a:k='' b:k=''/>", "not-well-formed"),
    (b"hello", "bad-format"),
    (b"<a/>hello<b/>", "bad-format"),
    (b"<a/>&#32;<b/>", "bad-format"),
    (b"<![CDATA[ ]]><b/>", "bad-format"),
    (b"hello</stream:stream>", "bad-format"),
    (b"</message>", "not-well-formed"),
    (b"<message " + b" ".join(b"a%d=''" % n for n in range(201)) + b"/>", "policy-violation"),
    (b"<iq><a " + b" ".join(b"a%d=''" % n for n in range(201)) + b"/></iq>", "policy-violation"),
    (b"<a>" * 101, "policy-violation"),
    (b"<message>&" + b"a" * 9000, "restricted-xml"),
    (b"<!--" + b"a" * 9000, "restricted-xml"),
    (b"<iq><?a" + b"a" * 9000, "restricted-xml"),
]


class RefusalTests(SynchronousTestCase):
    """What is refused, and with which stream error."""

    def _refused(self, framer: Framer, data: bytes, size: int) -> StreamError | None:
        try:
            for position in range(0, len(data), size):
                framer.feed(data[position : position + size])
        except StreamError as error:
            return error
        return None

    def test_headers(self) -> None:
        """A stream that begins badly gets its error, whole or byte by byte."""
        for data, condition in REFUSED_HEADERS:
            for size in (len(data), 1):
                recorder = Recorder()
                error = self._refused(recorder.framer, data, size)
                self.assertEqual(error and error.condition, condition, (data, size))
                self.assertEqual(recorder.headers, [])

    def test_elements(self) -> None:
        """A bad element gets its error, whole or byte by byte, after everything before it was delivered."""
        for data, condition in REFUSED:
            for size in (len(data) + 11, 1):
                recorder = opened()
                error = self._refused(recorder.framer, b"<presence/>" + data, size)
                self.assertEqual(error and error.condition, condition, (data[:80], size))
                self.assertEqual(recorder.stanzas[0].name, "presence")
                self.assertEqual(recorder.framer.feed(b"<presence/>"), b"")
                self.assertEqual(len([s for s in recorder.stanzas if s.name == "presence"]), 1)

    def test_at_the_limits(self) -> None:
        """200 attributes and a depth of 100 are allowed, the stream itself not counted."""
        recorder = opened()
        recorder.framer.feed(b"<a " + b" ".join(b"a%d=''" % n for n in range(200)) + b"/>")
        recorder.framer.feed(b"<a>" * 99 + b"</a>" * 99)
        self.assertEqual(len(recorder.stanzas), 2)

    def test_too_big(self) -> None:
        """A stanza over the limit is refused while it is read: text, attribute, tag, header, or complete."""
        limit = 10_000
        for data in (
            b"<message><body>" + b"a" * limit,
            b"<message to='" + b"a" * limit,
            b"<" + b"a" * limit,
            b"<message" + b" " * limit,
            b"<message><body" + b" " * limit,
            b"<message><body></body" + b" " * limit,
            b"<message>" + b"<a/>" * limit,
            b"<message>" + b"a" * limit + b"</message>",
        ):
            for size in (len(data), 500, 1):
                recorder = opened(limit)
                error = self._refused(recorder.framer, data, size)
                self.assertEqual(error and error.condition, "policy-violation", (data[:30], size))
                self.assertIn(b"<stanza-too-big xmlns='urn:xmpp:errors'/>", error and error.encode())
                self.assertEqual(recorder.stanzas, [])

    def test_header_of_prefixes(self) -> None:
        """A header with many prefixes is refused: each later stanza would be searched for all of them."""
        for declarations, refused in (
            (b"".join(b" xmlns:p%d='urn:p'" % number for number in range(13)), False),
            (b"".join(b" xmlns:p%d='urn:p'" % number for number in range(14)), True),
            (b" xmlns:p='%b'" % (b"u" * framing.MAX_HEADER_BYTES), True),
        ):
            recorder = Recorder()
            header = OPEN[:-1] + declarations + b">"
            if refused:
                error = self.assertRaises(StreamError, recorder.framer.feed, header)
                self.assertEqual(error.condition, "policy-violation")
            else:
                recorder.framer.feed(header)
            self.assertEqual(len(recorder.headers), not refused)

    def test_long_names_are_not_kept(self) -> None:
        """Long names that strangers make up cost memory only while their stanza is there."""
        names = parsing.Names("jabber:client", "jabber:client")
        self.assertEqual(names[f"jabber:client{parsing.SEPARATOR}body"], ("jabber:client", "body"))
        self.assertEqual(names["n" * 60_000], ("", "n" * 60_000))
        self.assertEqual(len(names), 1)

    def test_header_too_big(self) -> None:
        """The limit holds for the header as well."""
        for data in (OPEN[:-1] + b" " * 10_000, OPEN[:-2] + b"a" * 10_000, OPEN[:-1] + b" " * 10_000 + b">"):
            for size in (len(data), 1):
                error = self._refused(Recorder(10_000).framer, data, size)
                self.assertEqual(error and error.condition, "policy-violation")

    def test_exactly_the_limit(self) -> None:
        """A stanza of exactly the limit is read, in one piece and in many; one byte more is not."""
        data = b"<message><body>" + b"a" * 9968 + b"</body></message>"
        for size in (20_000, 999, 1):
            recorder = opened(len(data))
            self.assertIsNone(self._refused(recorder.framer, data + data, size))
            self.assertEqual(len(recorder.stanzas), 2)
            self.assertIsNotNone(self._refused(opened(len(data) - 1).framer, data, size))

    @_SETTINGS
    @given(st.binary(max_size=60), st.lists(st.integers(0, 4000), max_size=4))
    def test_garbage(self, garbage: bytes, cuts: list[int]) -> None:
        """Any bytes are read or refused with a stream error, wherever they are cut."""
        results = []
        for where in (cuts, []):
            recorder = opened()
            try:
                _feed_cut(recorder.framer, b"<a>" + garbage + b"</a><b>", where)
                condition = None
            except StreamError as error:
                condition = error.condition
            results.append((condition, [stanza.encode() for stanza in recorder.stanzas]))
        self.assertEqual(results[0][1], results[1][1])
        self.assertEqual(results[0][0] is None, results[1][0] is None)
        for encoded in results[0][1]:
            etree.fromstring(b"<r xmlns='jabber:client'>" + encoded + b"</r>")
