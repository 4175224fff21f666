"""What a service announces in the place of modules: identities, features and forms for one namespace."""

from __future__ import annotations

from typing import NamedTuple

from twisted.words.xish import domish

from palaver.capabilities.information import NS_DATA, NS_INFO, read_form
from palaver.tree import parse_element, serialize

Identity = tuple[str, str, str]
"""category, type, name."""


class Announced(NamedTuple):
    """What a disco#info answer says; ``forms`` are serialised (XEP-0128)."""

    identities: tuple[Identity, ...] = ()
    features: tuple[str, ...] = ()
    forms: tuple[bytes, ...] = ()


NOTHING = Announced()


def read(query: domish.Element | None) -> Announced:
    """Read a result's ``<query/>``; without one nothing is announced, and what is empty is left out."""
    if query is None:
        return NOTHING
    identities = [
        (node.getAttribute("category", ""), node.getAttribute("type", ""), node.getAttribute("name", ""))
        for node in query.elements(NS_INFO, "identity")
    ]
    features = [node.getAttribute("var", "") for node in query.elements(NS_INFO, "feature")]
    forms = [serialize([node], "") for node in query.elements(NS_DATA, "x")]
    return Announced(
        tuple(identity for identity in identities if identity[0] and identity[1]),
        tuple(feature for feature in features if feature),
        tuple(forms),
    )


def nest(announced: Announced, ns: str, by: Announced) -> Announced:
    """Give what is announced once a service has taken a namespace over (XEP-0355 section 7.2).

    What modules announce of the namespace makes room: its features, forms whose type is of it, and
    identities of a category for which the service has its own.
    """
    categories = {identity[0] for identity in by.identities}
    kept = [identity for identity in announced.identities if identity[0] not in categories]
    features = [feature for feature in announced.features if not _is_of(feature, ns)]
    forms = [form for form in announced.forms if not _is_of(read_form(parse_element(form)).type or "", ns)]
    return Announced(
        tuple(sorted({*kept, *by.identities})),
        tuple(sorted({*features, *by.features})),
        (*forms, *by.forms),
    )


def _is_of(name: str, ns: str) -> bool:
    """Tell whether a feature or a kind of form belongs to a namespace: is that, or one of its ``#`` names."""
    return name == ns or name.startswith(f"{ns}#")
