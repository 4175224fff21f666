"""Bad XML over real sockets: whoever sends it loses the stream, and nobody else notices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from palaver.test.served import PASSWORD, ServedCase
from palaver.test.wire import Wire, bind, plain

KIB = 1024
# The limits that the server has before and after a login (RFC 6120 section 13.12; XEP-0478).
MAX_STRANGER_BYTES = 64 * KIB
MAX_STANZA_BYTES = 256 * KIB

HEADER = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
OPENING = f"{HEADER} to='localhost' version='1.0'>"

# What is wrong between the tags of a stream, by the stream error that it earns (RFC 6120 section 4.9.3).
WRONG = {
    "tags that do not match": (b"<message></presence>", "not-well-formed"),
    "an end of nothing": (b"</message>", "not-well-formed"),
    "a name that is none": (b"<1/>", "not-well-formed"),
    "an attribute without quotes": (b"<message to=juliet/>", "not-well-formed"),
    "an attribute twice": (b"<message id='1' id='2'/>", "not-well-formed"),
    "a lone ampersand": (b"<message><body>a & b</body></message>", "not-well-formed"),
    "a forbidden character": (b"<message><body>\x01</body></message>", "not-well-formed"),
    "a zero": (b"<message><body>\0</body></message>", "not-well-formed"),
    "a forbidden character by number": (b"<message><body>&#1;</body></message>", "not-well-formed"),
    "an unknown prefix": (b"<x:message/>", "bad-namespace-prefix"),
    "an unknown prefix of an attribute": (b"<message x:a='b'/>", "bad-namespace-prefix"),
    "text between stanzas": (b"hello<message/>", "bad-format"),
    "a comment": (b"<!-- hello --><message/>", "restricted-xml"),
    "a comment in a stanza": (b"<message><!-- hello --></message>", "restricted-xml"),
    "a processing instruction": (b"<?php echo 1 ?>", "restricted-xml"),
    "an unknown entity": (b"<message><body>&hello;</body></message>", "restricted-xml"),
    "an unknown entity in an attribute": (b"<message id='&hello;'/>", "restricted-xml"),
    "bytes that are no UTF-8": (b"<message><body>\xff</body></message>", "unsupported-encoding"),
    "half a character": (b"<message><body>\xc3</body></message>", "unsupported-encoding"),
    "a surrogate": (b"<message><body>\xed\xa0\x80</body></message>", "unsupported-encoding"),
}

# What is wrong with the beginning of a stream.
WRONG_OPENING = {
    "another protocol": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "not-well-formed"),
    # Its zeros look like UTF-16.
    "TLS where there is none": (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", "unsupported-encoding"),
    "no stream": (b"<message xmlns='jabber:client'/>", "invalid-namespace"),
    "another element of streams": (
        OPENING.replace("stream:stream", "stream:features").encode(),
        "bad-format",
    ),
    "another namespace of streams": (OPENING.replace("etherx", "ether").encode(), "invalid-namespace"),
    "another prefix": (b"<flow:stream to='localhost'>", "bad-namespace-prefix"),
    "a server's namespace": (OPENING.replace("jabber:client", "jabber:server").encode(), "invalid-namespace"),
    "UTF-16": (OPENING.encode("utf-16"), "unsupported-encoding"),
    "Latin 1": (b"<?xml version='1.0' encoding='iso-8859-1'?>", "unsupported-encoding"),
    "a document type": (b"<!DOCTYPE stream><stream/>", "restricted-xml"),
    "entities of one's own": (
        b"<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]>" + OPENING.encode(),
        "restricted-xml",
    ),
    "a comment": (b"<!-- hello -->" + OPENING.encode(), "restricted-xml"),
    "a processing instruction": (b"<?php echo 1 ?>" + OPENING.encode(), "restricted-xml"),
    "no addressee": (f"{HEADER} version='1.0'>".encode(), "improper-addressing"),
    "an addressee that is none": (f"{HEADER} to='a@b@c' version='1.0'>".encode(), "improper-addressing"),
    "an unknown host": (f"{HEADER} to='padua.example' version='1.0'>".encode(), "host-unknown"),
    "no version": (f"{HEADER} to='localhost'>".encode(), "unsupported-version"),
    "an old version": (f"{HEADER} to='localhost' version='0.9'>".encode(), "unsupported-version"),
    "a start without an end": (
        OPENING[:-1].encode() + b" a='" + b"b" * MAX_STRANGER_BYTES,
        "policy-violation",
    ),
}

Conditions = Mapping[str, tuple[bytes, str]]


class WrongXml(ServedCase):
    """What is no XML of a stream ends the stream that it comes on, at every stage."""

    async def check(self, rows: Conditions, reach: Callable[[], Awaitable[Wire]]) -> None:
        """Send each row on a connection of its own that has come to a stage; compare the errors."""
        found = {}
        for name, (data, _) in rows.items():
            wire = await reach()
            wire.send(data)
            try:
                found[name] = await wire.stream_error()
            except AssertionError as error:
                found[name] = str(error)
        self.assertEqual(found, {name: condition for name, (_, condition) in rows.items()})
        await self.assert_serves()

    async def opened(self) -> Wire:
        """Give a connection whose stream is open."""
        wire = await self.connect()
        await wire.features()
        return wire

    async def authenticated(self) -> Wire:
        """Give a connection that has logged in and opened its second stream."""
        wire = await self.opened()
        await wire.authenticate("romeo", PASSWORD)
        await wire.features()
        return wire

    async def bound(self) -> Wire:
        """Give a session."""
        return await self.log_in("romeo@localhost/orchard")

    async def encrypted(self) -> Wire:
        """Give a session over TLS."""
        return await self.log_in("romeo@localhost/orchard", "required")

    async def test_opening(self) -> None:
        """What does not begin a stream is refused, with a header so that the error can be read."""
        await self.check(WRONG_OPENING, self.connect)

    async def test_before_login(self) -> None:
        """Broken XML behind the stream header ends the stream."""
        await self.check(WRONG, self.opened)

    async def test_before_binding(self) -> None:
        """Broken XML between the login and the binding ends the stream."""
        await self.check(WRONG, self.authenticated)

    async def test_session(self) -> None:
        """Broken XML in a session ends it."""
        await self.check(WRONG, self.bound)

    async def test_session_over_tls(self) -> None:
        """Broken XML in an encrypted session ends it, and its error can be read."""
        await self.check(WRONG, self.encrypted)

    async def test_opening_over_direct_tls(self) -> None:
        """What does not begin a stream is refused within TLS too."""

        async def direct() -> Wire:
            return await self.connect("direct")

        await self.check(WRONG_OPENING, direct)

    async def test_contacts_see_the_end(self) -> None:
        """Who breaks the XML of a session becomes unavailable; what was sent before it has arrived."""
        romeo = await self.bound()
        juliet = await self.log_in("juliet@localhost/balcony")
        romeo.send(f"<presence to='{juliet.jid}'/><message to='{juliet.jid}' id='1'/></oops>")
        self.assertEqual(await romeo.stream_error(), "not-well-formed")
        came = [await juliet.next() for _ in range(3)]
        self.assertEqual([element.getAttribute("type") for element in came], [None, None, "unavailable"])
        await juliet.ask()


class TooMuch(ServedCase):
    """Stanzas beyond the limits end the stream; those within them go through."""

    async def assert_violates(self, wire: Wire, data: str) -> None:
        """Send what ends the stream, and see that the next client is served."""
        wire.send(data)
        self.assertEqual(await wire.stream_error(), "policy-violation")
        await self.assert_serves()

    @staticmethod
    def message(to: str, length: int) -> str:
        """Give a message of so many bytes."""
        message = f"<message to='{to}'><body></body></message>"
        return message.replace("><body>", "><body>" + "x" * (length - len(message)))

    async def test_longest(self) -> None:
        """A stanza of the length that the features announce arrives whole."""
        wire = await self.log_in("romeo@localhost/orchard")
        wire.send(self.message(wire.jid, MAX_STANZA_BYTES))
        self.assertGreater(len(str((await wire.next()).body)), MAX_STANZA_BYTES - KIB)
        await self.assert_serves()

    async def test_too_long(self) -> None:
        """One byte more ends the stream."""
        wire = await self.log_in("romeo@localhost/orchard")
        await self.assert_violates(wire, self.message(wire.jid, MAX_STANZA_BYTES + 1))
        self.assertIn("stanza-too-big", wire.elements[-1].toXml())

    async def test_without_end(self) -> None:
        """A stanza that does not end is refused as soon as it is too long."""
        wire = await self.log_in("romeo@localhost/orchard")
        await self.assert_violates(wire, "<message><body>" + "x" * MAX_STANZA_BYTES)

    async def test_too_long_for_a_stranger(self) -> None:
        """Before the login the limit is lower."""
        wire = await self.connect()
        await wire.features()
        await self.assert_violates(wire, plain("romeo", "x" * MAX_STRANGER_BYTES))

    async def test_many_stanzas_for_a_stranger(self) -> None:
        """The limit is one of a stanza, not of the stream."""
        wire = await self.connect()
        await wire.features()
        wire.send(" " * 1000 * KIB)
        self.assertEqual((await wire.authenticate("romeo", PASSWORD)).name, "success")

    async def test_deep(self) -> None:
        """A stanza of a hundred levels is refused, one that is not so deep arrives."""
        wire = await self.log_in("romeo@localhost/orchard")
        wire.send(f"<message to='{wire.jid}'>" + "<a>" * 90 + "</a>" * 90 + "</message>")
        await wire.next()
        await self.assert_violates(wire, "<message>" + "<a>" * 1000)

    async def test_attributes(self) -> None:
        """An element with more attributes than anybody needs ends the stream."""
        wire = await self.log_in("romeo@localhost/orchard")
        attributes = " ".join(f"a{number}=''" for number in range(1000))
        await self.assert_violates(wire, f"<message {attributes}/>")


class Segments(ServedCase):
    """How bytes are cut into segments makes no difference."""

    def pipelined(self, password: str = PASSWORD) -> str:
        """Give all that a client sends from its header to its first message, waiting for nothing."""
        message = "<message to='romeo@localhost/orchard' id='m1'><body>è l'allodola ☼</body></message>"
        return OPENING + plain("romeo", password) + OPENING + bind("orchard") + message

    async def assert_received(self, wire: Wire) -> None:
        """See the answers that a client gets that waits for each of them."""
        names: list[str] = []
        while names[-1:] != ["message"]:
            element = await wire.next()
            names.append(element.name)
        self.assertEqual(names, ["features", "success", "features", "iq", "message"])
        self.assertEqual(str(element.body), "è l'allodola ☼")

    async def test_one_segment(self) -> None:
        """A whole login and a message in one segment is understood."""
        wire = await self.connect()
        wire.send(self.pipelined())
        await self.assert_received(wire)
        await self.assert_serves()

    async def test_one_byte_a_segment(self) -> None:
        """A whole login and a message, every byte in a segment of its own, is understood."""
        wire = await self.connect()
        await wire.send_slowly(self.pipelined())
        await self.assert_received(wire)
        await self.assert_serves()

    async def test_one_segment_refused(self) -> None:
        """What is pipelined behind a login that fails is not obeyed."""
        wire = await self.connect()
        wire.send(self.pipelined("wrong"))
        self.assertEqual([(await wire.next()).name for _ in range(2)], ["features", "failure"])
        await self.assert_serves()
        self.assertFalse(wire.elements)
        self.assertNotIn("romeo", self.palaver.hosts["localhost"].users)

    async def test_white_space(self) -> None:
        """White space between stanzas keeps a connection alive and means nothing."""
        wire = await self.log_in("romeo@localhost/orchard")
        wire.send(" \n\t \r\n")
        self.assertEqual((await wire.ask())["type"], "result")
        wire.send("\n" * 1000)
        self.assertEqual((await wire.ask())["type"], "result")
        self.assertFalse(wire.elements)
