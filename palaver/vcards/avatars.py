"""Avatars as items (XEP-0084): reading and writing data and metadata."""

from __future__ import annotations

import base64

from twisted.words.xish import domish

from palaver.markup import element
from palaver.vcards.photo import Photo, decode

NS_DATA = "urn:xmpp:avatar:data"
NS_METADATA = "urn:xmpp:avatar:metadata"


def data(photo: Photo) -> bytes:
    """Give the payload of the data node's item, whose id is the photo's hash."""
    return element("data", NS_DATA, base64.b64encode(photo.data))


def metadata(photo: Photo | None) -> bytes:
    """Give the payload of the metadata node's item; None says that there is no avatar any more."""
    if photo is None:
        return element("metadata", NS_METADATA)
    told = element("info", None, b"", id=photo.hash, bytes=str(len(photo.data)), type=photo.type)
    return element("metadata", NS_METADATA, told)


def published_here(given: domish.Element) -> tuple[str, str] | None:
    """Give id and type of the image in metadata that is not at some address; None without one."""
    for node in given.elements(NS_METADATA, "info"):
        if node.getAttribute("id") and not node.hasAttribute("url"):
            return node["id"], node.getAttribute("type", "image/png")
    return None


def is_disabled(given: domish.Element) -> bool:
    """Tell whether metadata say that there is no avatar (XEP-0084 section 4.2.2)."""
    return next(given.elements(NS_METADATA, "info"), None) is None


def read(payload: domish.Element, identity: str, kind: str) -> Photo | None:
    """Give the image in a data item; None when it does not have the hash that it is published under."""
    found = decode(str(payload))
    photo = Photo(kind, found) if found is not None else None
    return photo if photo is not None and photo.hash == identity.lower() else None
