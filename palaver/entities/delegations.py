"""Which requests a host has answered by which service (XEP-0355), and which answers count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from palaver.jid import InvalidJID
from palaver.stanza import Stanza

NS_DELEGATION = "urn:xmpp:delegation:2"
# Section 7.2: what accounts are asked and nobody here knows.
REST_OF_INFO = f"{NS_DELEGATION}:bare:disco#info:*"
REST_OF_ITEMS = f"{NS_DELEGATION}:bare:disco#items:*"
SPECIAL = (REST_OF_INFO, REST_OF_ITEMS)


class Delegated(NamedTuple):
    """A namespace that a service answers for; ``attributes`` are those that a request's payload must have."""

    domain: str
    attributes: tuple[str, ...] = ()


class Delegations:
    """The delegations of one host by namespace."""

    def __init__(self, by_service: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]]) -> None:
        """``by_service``: (namespace, attributes) by domain; raises ValueError for one that is twice."""
        self._found: dict[str, Delegated] = {}
        for domain, entries in by_service.items():
            for ns, attributes in entries:
                if ns in self._found:
                    raise ValueError(f"{ns} is delegated to {self._found[ns].domain} and again to {domain}")
                self._found[ns] = Delegated(domain, attributes)

    def __contains__(self, ns: str) -> bool:
        return ns in self._found

    def of(self, domain: str) -> dict[str, tuple[str, ...]]:
        """Give the namespaces of a service, each with its attributes."""
        return {
            ns: delegated.attributes for ns, delegated in self._found.items() if delegated.domain == domain
        }

    def service(self, ns: str, request: Stanza) -> str | None:
        """Give the domain that answers a request of a namespace; None when that is not delegated."""
        delegated = self._found.get(ns)
        if delegated is None or (delegated.attributes and not _has(request, delegated.attributes)):
            return None
        return delegated.domain


def _has(request: Stanza, attributes: tuple[str, ...]) -> bool:
    payload = request.element.firstChildElement()
    return all(payload.hasAttribute(name) for name in attributes)


def answers(result: Stanza | None, request: Stanza, *own: str) -> bool:
    """Tell whether a stanza is the result of a request, and from nobody but whom it was for (section 4.3).

    ``own`` are the addresses that answer a request without ``to``.
    """
    if result is None or (result.name, result.type, result.id) != ("iq", "result", request.id):
        return False
    try:
        to, sender = result.to, result.sender
        asker, asked = request.sender, request.to
    except InvalidJID:
        return False
    expected = (asked.full,) if asked is not None else own
    return to is not None and to == asker and (sender is None or sender.full in expected)
