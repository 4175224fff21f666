"""vCards as documents: one with the XML, and one with what its owner is found by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.words.xish import domish
from zope.interface import implementer

from palaver.interfaces import IVCards
from palaver.storage import Batch
from palaver.tree import parse_element
from palaver.vcards.fields import Criteria, tags, values
from palaver.vcards.photo import NS_VCARD

KIND = "vcard"
# Apart from the vCard, so that a search does not read photos.
SEARCH_KIND = "vcard-search"
# What an application provides has no name, and comes first.
STORED = "stored"
# A search of a common beginning looks at no more people than this.
MAX_SCANNED = 5000
PAGE = 200


def vcards(host: Any) -> Any:
    """Give a host's IVCards: an application's, or else the stored ones; None while nothing keeps any."""
    return host.query(IVCards) or host.registry.queryUtility(IVCards, STORED)


@implementer(IVCards)
class StoredVCards:
    """The vCards of a host in its storage."""

    def __init__(self, domain: str, storage: Any, opt_in: bool) -> None:
        """With ``opt_in`` only those are found whose vCards say that they are public."""
        self._domain = domain
        self._storage = storage
        self._opt_in = opt_in

    async def _get(self, local: str) -> bytes | None:
        document = await self._storage.documents.get(self._domain, local, KIND)
        return document.value["xml"].encode() if document is not None else None

    def get(self, local: str) -> Deferred[bytes | None]:
        """See IVCards."""
        return Deferred.fromCoroutine(self._get(local))

    def put(self, local: str, card: bytes) -> Deferred[Any]:
        """See IVCards."""
        batch = Batch().put(self._domain, local, KIND, "", {"xml": card.decode()})
        node = parse_element(card)
        kind = _classification(node)
        if kind in ("PRIVATE", "CONFIDENTIAL"):
            batch.delete(self._domain, local, SEARCH_KIND)
        else:
            found = values(local, node)
            value = {"public": kind == "PUBLIC", "values": found}
            batch.put(self._domain, local, SEARCH_KIND, "", value, tags=tags(found))
        stored: Deferred[Any] = self._storage.write(batch)
        return stored

    def search(self, criteria: Mapping[str, str], limit: int) -> Deferred[list[tuple[str, dict[str, str]]]]:
        """See IVCards."""
        return Deferred.fromCoroutine(self._search(Criteria(criteria), limit))

    async def _search(self, criteria: Criteria, limit: int) -> list[tuple[str, dict[str, str]]]:
        tag = criteria.tag()
        found: list[tuple[str, dict[str, str]]] = []
        after = None
        scanned = 0
        while tag is not None and scanned < MAX_SCANNED:
            page = await self._storage.documents.find(self._domain, SEARCH_KIND, tag, limit=PAGE, after=after)
            for document in page:
                if self._is_open(document.value) and criteria.match(document.value["values"]):
                    found.append((document.owner, document.value["values"]))
            if len(page) < PAGE or len(found) >= limit:
                break
            scanned += len(page)
            after = (page[-1].owner, page[-1].key)
        return found[:limit]

    def _is_open(self, value: Mapping[str, Any]) -> bool:
        return value["public"] or not self._opt_in


def _classification(card: domish.Element) -> str:
    """Give how public a vCard says that it is (XEP-0054 section 6: PUBLIC, PRIVATE, CONFIDENTIAL); or ""."""
    node = next(card.elements(NS_VCARD, "CLASS"), None)
    kind = node.firstChildElement() if node is not None else None
    return kind.name.upper() if kind is not None else ""
