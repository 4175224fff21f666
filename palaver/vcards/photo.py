"""The photo in a vCard, as bytes (XEP-0054, XEP-0153)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import NamedTuple

from twisted.words.xish import domish

NS_VCARD = "vcard-temp"

# Many clients leave the type out.
_MAGIC = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


class Photo(NamedTuple):
    """A picture: its media type and its bytes."""

    type: str
    data: bytes

    @property
    def hash(self) -> str:
        """The SHA-1 of the bytes, in small hexadecimal digits (XEP-0153 section 3, XEP-0084 section 4)."""
        return hashlib.sha1(self.data).hexdigest()


def decode(text: str) -> bytes | None:
    """Give the bytes of Base64 that may be broken into lines; None when it is empty or no Base64."""
    try:
        return base64.b64decode("".join(text.split()), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def read_photo(card: domish.Element) -> Photo | None:
    """Give the first photo of a vCard; None without one that is inside and can be read."""
    for node in card.elements(NS_VCARD, "PHOTO"):
        data = decode(_text(node, "BINVAL"))
        if data is None:
            continue
        sniffed = (kind for magic, kind in _MAGIC.items() if data.startswith(magic))
        kind = _text(node, "TYPE").strip() or next(sniffed, "")
        if kind:
            return Photo(kind, data)
    return None


def replace_photo(card: domish.Element, photo: Photo | None) -> None:
    """Put a photo in the place of all that are in a vCard, or take those away; changes the tree."""
    card.children = [
        node
        for node in card.children
        if isinstance(node, str) or (node.uri, node.name) != (NS_VCARD, "PHOTO")
    ]
    if photo is not None:
        node = card.addElement((NS_VCARD, "PHOTO"))
        node.addElement((NS_VCARD, "TYPE"), content=photo.type)
        node.addElement((NS_VCARD, "BINVAL"), content=base64.b64encode(photo.data).decode())


def _text(node: domish.Element, name: str) -> str:
    child = next(node.elements(NS_VCARD, name), None)
    return str(child) if child is not None else ""
