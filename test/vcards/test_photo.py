"""Photos in vCards."""

from __future__ import annotations

import base64

from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.tree import parse_element, serialize
from palaver.vcards.photo import Photo, read_photo, replace_photo

PNG = b"\x89PNG\r\n\x1a\n some pixels"
ENCODED = base64.b64encode(PNG).decode()


def card(inner: str) -> domish.Element:
    """Give a vCard."""
    return parse_element(f"<vCard xmlns='vcard-temp'>{inner}</vCard>".encode())


class PhotoTests(SynchronousTestCase):
    """Reading and changing the photo."""

    def test_read(self) -> None:
        """A photo has its type and bytes, lines and spaces in between or not, and a hash of the bytes."""
        found = read_photo(
            card(f"<PHOTO><TYPE>image/png</TYPE><BINVAL>\n {ENCODED[:8]}\n{ENCODED[8:]}</BINVAL></PHOTO>")
        )
        self.assertEqual(found, Photo("image/png", PNG))
        self.assertEqual(Photo("image/png", b"abc").hash, "a9993e364706816aba3e25717850c26c9cd0d89d")

    def test_type_left_out(self) -> None:
        """Without a type that of the bytes counts; bytes of no known type are no photo."""
        self.assertEqual(
            read_photo(card(f"<PHOTO><BINVAL>{ENCODED}</BINVAL></PHOTO>")), Photo("image/png", PNG)
        )
        self.assertIsNone(read_photo(card("<PHOTO><BINVAL>AAAA</BINVAL></PHOTO>")))

    def test_unreadable(self) -> None:
        """An address, nothing, and what is no Base64 are no photo."""
        for inner in (
            "",
            "<PHOTO/>",
            "<PHOTO><TYPE>image/png</TYPE><BINVAL/></PHOTO>",
            "<PHOTO><TYPE>image/png</TYPE><BINVAL>%%%%</BINVAL></PHOTO>",
            "<PHOTO><TYPE>image/png</TYPE><BINVAL>AAA</BINVAL></PHOTO>",
            "<PHOTO><TYPE>image/png</TYPE><BINVAL>\u00e4\u00e4\u00e4\u00e4</BINVAL></PHOTO>",
            "<PHOTO><EXTVAL>https://example.org/x.png</EXTVAL></PHOTO>",
        ):
            self.assertIsNone(read_photo(card(inner)), inner)

    def test_replace(self) -> None:
        """A new photo takes the place of all, and what else is said stays."""
        node = card("<FN>R</FN><PHOTO><EXTVAL>x</EXTVAL></PHOTO><PHOTO/><NICKNAME>r</NICKNAME>")
        replace_photo(node, Photo("image/png", PNG))
        again = parse_element(serialize([node], ""))
        self.assertEqual([child.name for child in again.elements()], ["FN", "NICKNAME", "PHOTO"])
        self.assertEqual(read_photo(again), Photo("image/png", PNG))
        replace_photo(again, None)
        self.assertEqual([child.name for child in again.elements()], ["FN", "NICKNAME"])
