"""Stanza: one value, never changed in place."""

from __future__ import annotations

from lxml import etree
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver import stanza
from palaver.errors import StanzaError
from palaver.jid import JID, InvalidJID
from palaver.stanza import NS_CLIENT, NS_XML, Stanza
from palaver.tree import parse_element, serialize

BODY = b"<body>a &lt; b</body>"
STATE = b"<active xmlns='urn:state'/>"


def message() -> Stanza:
    """Give a message with two children."""
    return Stanza(
        "message",
        {"from": "romeo@example.org/orchard", "to": "juliet@example.com", "id": "1", "type": "chat"},
        ((NS_CLIENT, "body"), ("urn:state", "active")),
        BODY + STATE,
    )


class ReadingTests(SynchronousTestCase):
    """What a stanza says."""

    def test_properties(self) -> None:
        """Addresses, type, id and children."""
        one = message()
        self.assertEqual((one.type, one.id), ("chat", "1"))
        self.assertEqual(
            (one.to, one.sender), (JID("juliet", "example.com", ""), JID("romeo", "example.org", "orchard"))
        )
        self.assertEqual(one.payload, (NS_CLIENT, "body"))
        self.assertTrue(one.has("urn:state") and one.has("urn:state", "active"))
        self.assertFalse(one.has("urn:other") or one.has("urn:state", "body"))

    def test_nothing_there(self) -> None:
        """An empty stanza says so."""
        one = Stanza("presence", {})
        self.assertEqual([one.type, one.id, one.to, one.sender, one.payload], [None] * 5)
        self.assertIsNone(one.child("urn:a", "a"))
        self.assertEqual(one.text, "")

    def test_bad_address(self) -> None:
        """A bad address shows when it is asked for."""
        one = Stanza("message", {"to": "@", "from": "@"})
        self.assertRaises(InvalidJID, lambda: one.to)
        self.assertRaises(InvalidJID, lambda: one.sender)

    def test_text(self) -> None:
        """The text of an element is read with and without the help of a tree."""
        for inner, text in [
            (b"AGp1bGlldAByMG0zMG15cjBtMzA=", "AGp1bGlldAByMG0zMG15cjBtMzA="),
            (b"\xc3\xa9&#97;&amp;", "éa&"),
            (b"a\r\nb", "a\nb"),
            (b"a<x>no</x>b", "ab"),
        ]:
            self.assertEqual(Stanza("auth", {}, (), inner, "urn:sasl").text, text)

    def test_tree(self) -> None:
        """The tree is built once, and children are found in it."""
        one = message()
        self.assertIs(one.element, one.element)
        self.assertEqual(str(one.child(NS_CLIENT, "body")), "a < b")
        self.assertEqual(one.element["to"], "juliet@example.com")
        self.assertIsNone(one.child("urn:state", "body"))


class ChangingTests(SynchronousTestCase):
    """Stanzas made from others."""

    def test_replace(self) -> None:
        """Other attributes make another stanza with the same bytes."""
        one = message()
        other = one.replace(to="a@b", from_=None, lang="de")
        self.assertEqual(other.attrs, {"to": "a@b", "id": "1", "type": "chat", "xml:lang": "de"})
        self.assertIs(other.inner, one.inner)
        self.assertEqual(one.attrs, message().attrs)

    def test_with_and_without(self) -> None:
        """Children come and go; the rest stays."""
        one = message().with_child(b"<x xmlns='u'/>", "u", "x")
        self.assertEqual((one.inner, one.children[2]), (BODY + STATE + b"<x xmlns='u'/>", ("u", "x")))
        self.assertEqual(one.without_child("urn:state").inner, BODY + b"<x xmlns='u'/>")
        self.assertEqual(one.without_child("u", "x").children, message().children)
        self.assertIs(one.without_child("u", "y"), one)

    def test_origin(self) -> None:
        """Where a stanza came from is not part of what is sent."""
        self.assertEqual(message().with_origin(None).encode(), message().encode())

    def test_result(self) -> None:
        """A result goes back with the same id."""
        iq = Stanza("iq", {"type": "get", "id": "x", "from": "a@b/c", "to": "d"})
        self.assertEqual(iq.result().attrs, {"type": "result", "id": "x", "to": "a@b/c", "from": "d"})
        answer = iq.result(b"<query xmlns='urn:q'/>")
        self.assertEqual((answer.children, answer.inner), ((("urn:q", "query"),), b"<query xmlns='urn:q'/>"))
        tree = domish.Element(("urn:q", "query"))
        self.assertEqual(iq.result(tree).encode(), answer.encode())

    def test_error(self) -> None:
        """An error goes back with what it refuses."""
        error = message().error(StanzaError("forbidden"))
        self.assertEqual(error.attrs["to"], "romeo@example.org/orchard")
        self.assertEqual(error.attrs["from"], "juliet@example.com")
        self.assertEqual((error.type, error.id), ("error", "1"))
        self.assertTrue(error.inner.startswith(BODY + STATE + b"<error type='auth'>"))
        self.assertTrue(error.has(NS_CLIENT, "error"))

    def test_large_error(self) -> None:
        """An error does not repeat what is large."""
        one = Stanza(
            "message", {}, ((NS_CLIENT, "body"),), b"<body>%b</body>" % (b"a" * stanza.MAX_ECHO_BYTES)
        )
        error = one.error(StanzaError("forbidden"))
        self.assertEqual(error.children, ((NS_CLIENT, "error"),))
        self.assertLess(len(error.encode()), 200)


class WritingTests(SynchronousTestCase):
    """Stanzas and trees as bytes."""

    def test_encode(self) -> None:
        """A stanza takes the stream's namespace unless it must say its own."""
        one = Stanza("iq", {"to": "a'b"})
        self.assertEqual(one.encode(), b"<iq to='a&apos;b'/>")
        self.assertEqual(one.encode(declare=True), b"<iq to='a&apos;b' xmlns='jabber:client'/>")
        self.assertEqual(Stanza("r", {}, ns="urn:sm").encode(), b"<r xmlns='urn:sm'/>")
        self.assertEqual(
            Stanza("r", {}, inner=b"a", ns="jabber:server").encode(), b"<r xmlns='jabber:server'>a</r>"
        )

    def test_foreign_attributes(self) -> None:
        """An attribute with a namespace gets a prefix; one with a brace in its value does not."""
        one = Stanza("iq", {"id": "{a}b", "{urn:a}k": "v", "xml:lang": "de"})
        root = etree.fromstring(one.encode())
        self.assertEqual(dict(root.attrib), {"id": "{a}b", "{urn:a}k": "v", f"{{{NS_XML}}}lang": "de"})

    def test_from_element(self) -> None:
        """A tree of any content namespace becomes a stanza of the house's."""
        for ns in ("jabber:client", "jabber:server", "jabber:component:accept", None):
            node = domish.Element((ns, "message"))
            node["to"] = "a@b"
            node[(NS_XML, "lang")] = "de"
            node.addElement("body", content="hi")
            node.addElement(("urn:x", "x")).addElement("y")
            one = stanza.from_element(node)
            self.assertEqual(one.ns, NS_CLIENT)
            self.assertEqual(one.attrs, {"to": "a@b", "xml:lang": "de"})
            self.assertEqual(one.children, ((NS_CLIENT, "body"), ("urn:x", "x")))
            self.assertEqual(one.inner, b"<body>hi</body><x xmlns='urn:x'><y/></x>")

    def test_serialize(self) -> None:
        """Namespaces, prefixes of text and text itself survive; raw XML is written as it is."""
        node = domish.Element(("urn:a", "a"), localPrefixes={"a0": "urn:p"})
        node[("urn:b", "k")] = "<"
        node.addElement(("", "none"), content="&").addElement(("urn:a", "a"))
        node.addRawXml("<raw/>")
        data = serialize([node, "<tail>"], "urn:a")
        self.assertTrue(data.startswith(b"<a xmlns:a0='urn:p' "))
        self.assertTrue(data.endswith(b"<raw/></a>&lt;tail&gt;"))
        root = etree.fromstring(b"<r xmlns='urn:a'>" + data + b"</r>")[0]
        self.assertEqual(dict(root.attrib), {"{urn:b}k": "<"})
        self.assertEqual([child.tag for child in root.iter()], ["{urn:a}a", "none", "{urn:a}a", "{urn:a}raw"])

    def test_parse_element(self) -> None:
        """One element is read; anything else, and whatever XMPP forbids, is a ValueError."""
        node = parse_element(b"<a xmlns='u' xml:lang='de'>x<b xmlns=''/></a>")
        self.assertEqual((node.uri, node.name, node.attributes), ("u", "a", {(NS_XML, "lang"): "de"}))
        self.assertEqual([child.uri for child in node.elements()], [""])
        self.assertIsNone(node.parent)
        for data in (b"", b"text", b"<a/><b/>", b"<a>", b"</r><r>", b"<a/></r><!-- -->", b"<!-- -->"):
            self.assertRaises(ValueError, parse_element, data)
        for data in (b"<?p?><a/>", b"<p:a/>", b"<a>&b;</a>", b"<a>\xff</a>"):
            self.assertRaises(ValueError, parse_element, data)

    def test_make(self) -> None:
        """A stanza is made with one child, in bytes or as a tree, or with none."""
        self.assertEqual(stanza.make("iq", {}).children, ())
        self.assertEqual(stanza.make("iq", {}, b"<a/>").children, ((NS_CLIENT, "a"),))
        self.assertEqual(
            stanza.make("iq", {}, stanza.text_element("a", "u", "<")).inner, b"<a xmlns='u'>&lt;</a>"
        )
        self.assertRaises(ValueError, stanza.make, "iq", {}, b"text")
