"""The hash that a presence bears (XEP-0115 section 4, XEP-0390 section 5)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from twisted.words.xish import domish

from palaver.capabilities.information import ALGORITHMS, NS_CAPS, NS_ECAPS2, NS_HASHES
from palaver.stanza import Stanza
from palaver.tree import parse_element

# The longest hash has 88 characters; a node is an address of a web page.
MAX_VALUE_CHARS = 100
MAX_NODE_CHARS = 1024
# Clients of one release all write the same; this many releases are around on one server.
MAX_REMEMBERED = 1024

# As most clients write it. Anything else goes through the tree.
_USUAL = re.compile(rb"<c\s[^<>]*?xmlns=(['\"])http://jabber\.org/protocol/caps\1[^<>]*/>")
_PREFERRED = ("sha-256", "sha-512", "sha3-256", "blake2b-256")


class Claim(NamedTuple):
    """What is claimed: a hash, and the node that stands for it.

    ``algorithm`` is "" when nothing can be verified: an older client (XEP-0115 1.3), or an unknown function.
    """

    protocol: str
    algorithm: str
    value: str
    node: str | None

    @property
    def key(self) -> str:
        """The hash as one text; whatever says the same means the same."""
        return f"{self.protocol} {self.algorithm} {self.value}"


def read(presence: Stanza) -> Claim | None:
    """Give what a presence claims; None when it says nothing that can be used."""
    if (NS_ECAPS2, "c") in presence.children:
        node = presence.child(NS_ECAPS2, "c")
        claim = _of_hashes(node) if node is not None else None
        if claim is not None:
            return claim
    if (NS_CAPS, "c") not in presence.children:
        return None
    usual = _USUAL.search(presence.inner)
    if usual is not None:
        return _of_bytes(usual[0])
    node = presence.child(NS_CAPS, "c")
    return _of_element(node) if node is not None else None


@lru_cache(MAX_REMEMBERED)
def _of_bytes(data: bytes) -> Claim | None:
    try:
        return _of_element(parse_element(data))
    except ValueError:
        # It leans on a prefix declared around it.
        return None


def _of_element(node: domish.Element) -> Claim | None:
    """Read XEP-0115's element."""
    name, value = node.getAttribute("node", ""), node.getAttribute("ver", "")
    algorithm = node.getAttribute("hash", "")
    if not name or not value or len(name) > MAX_NODE_CHARS or len(value) > MAX_VALUE_CHARS:
        return None
    if not algorithm:
        # Until version 1.4 this was a version number, and the features of ``ext`` came on top of it.
        return Claim(NS_CAPS, "", f"{name}#{value} {node.getAttribute('ext', '')}"[:MAX_NODE_CHARS], None)
    known = algorithm if algorithm in ALGORITHMS else ""
    return Claim(NS_CAPS, known, value, f"{name}#{value}")


def _of_hashes(node: domish.Element) -> Claim | None:
    """Read XEP-0390's element: the hash with the function that we like best."""
    hashes = {found.getAttribute("algo"): str(found).strip() for found in node.elements(NS_HASHES, "hash")}
    for algorithm in (*_PREFERRED, *ALGORITHMS):
        value = hashes.get(algorithm, "")
        if value and len(value) <= MAX_VALUE_CHARS:
            return Claim(NS_ECAPS2, algorithm, value, f"{NS_ECAPS2}#{algorithm}.{value}")
    return None
