"""Markup and errors: small pieces of XML, escaped so that any reader gets back what was meant."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from palaver import markup
from palaver.errors import DEFAULT_TYPES, NS_STANZAS, NS_STREAMS, StanzaError, StreamError

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Surrogates too: they can come from JSON.
_TEXT = st.text(st.one_of(st.sampled_from("&<>'\"\t\n\r\x00\x1f\ufffe\ud800]"), st.characters()))


class EscapeTests(SynchronousTestCase):
    """Text and attributes."""

    @given(_TEXT)
    def test_text(self, text: str) -> None:
        """Any text is read back as it was; what XML cannot hold becomes a replacement character."""
        root = etree.fromstring(b"<a>" + markup.escape(text) + b"</a>")
        self.assertEqual(root.text or "", _FORBIDDEN.sub("\ufffd", text))

    @given(_TEXT, _TEXT)
    def test_attributes(self, one: str, other: str) -> None:
        """Any attribute is read back as it was, white space and all."""
        text = f"<a{markup.attributes({'k': one, 'm': other})}/>"
        root = etree.fromstring(text.encode())
        self.assertEqual(
            dict(root.attrib), {"k": _FORBIDDEN.sub("\ufffd", one), "m": _FORBIDDEN.sub("\ufffd", other)}
        )

    def test_element(self) -> None:
        """An element leaves out attributes that are None, and the underscore after a reserved word."""
        self.assertEqual(markup.element("a", "u'"), b"<a xmlns='u&apos;'/>")
        self.assertEqual(markup.element("a", None, b"<b/>", from_="x<", to=None), b"<a from='x&lt;'><b/></a>")


class ErrorTests(SynchronousTestCase):
    """Stanza errors and stream errors."""

    def test_stanza_error(self) -> None:
        """Each condition has its type, and text and details come after it."""
        for condition, kind in DEFAULT_TYPES.items():
            root = etree.fromstring(StanzaError(condition, "a < b", extra=b"<x xmlns='u'/>").encode())
            self.assertEqual(root.get("type"), kind)
            self.assertEqual(
                [(node.tag, node.text) for node in root],
                [(f"{{{NS_STANZAS}}}{condition}", None), (f"{{{NS_STANZAS}}}text", "a < b"), ("{u}x", None)],
            )
        self.assertIn(b"type='wait'", StanzaError("internal-server-error", type="wait").encode())
        self.assertRaises(KeyError, StanzaError, "no-such-condition")

    def test_stream_error(self) -> None:
        """A stream error is written with the stream's own prefix."""
        self.assertEqual(
            StreamError("not-well-formed").encode(),
            b"<stream:error><not-well-formed xmlns='%b'/></stream:error>" % NS_STREAMS.encode(),
        )
        self.assertIn(
            b"'>a &lt; b</text><x/></stream:error>", StreamError("reset", "a < b", extra=b"<x/>").encode()
        )
