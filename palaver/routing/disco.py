"""What a host and its accounts can do (XEP-0030, 0115, 0128), collected from modules."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from palaver.markup import element
from palaver.tree import parse_element

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.stanza import Stanza

NS_INFO = "http://jabber.org/protocol/disco#info"
NS_ITEMS = "http://jabber.org/protocol/disco#items"
NS_CAPS = "http://jabber.org/protocol/caps"
NS_DATA = "jabber:x:data"
# Names this software in capability hashes (XEP-0115 section 4).
CAPS_NODE = "https://palaver.example/caps"

Identity = tuple[str, str, str]
"""category, type, name."""

NodeHandler = Callable[["Stanza"], bytes | Awaitable[bytes]]
"""See `Disco.add_node`."""


class Disco:
    """The identities, features, forms and items of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._modules: list[Any] = []
        self._ver: str | None = None
        # By kind of addressee (host, or self for any account), namespace of the query, and node.
        self.nodes: dict[tuple[str, str, str], NodeHandler] = {}
        # See `add_account_nodes`.
        self.account_nodes: Any = None

    def add_node(self, to: str, ns: str, node: str, handler: NodeHandler) -> Callable[[], object]:
        """Have requests for a node answered; gives the function that takes it back.

        ``to`` is HOST, or SELF for every account, and then whoever may look at the account may ask: the
        handler checks who else may. It takes the request, and gives the payload or an awaitable of it.
        Raises `ValueError` for a second one.
        """
        if (to, ns, node) in self.nodes:
            raise ValueError(f"{node} is answered already")
        self.nodes[to, ns, node] = handler
        return lambda: self.nodes.pop((to, ns, node))

    def add_account_nodes(self, answers: Any) -> Callable[[], object]:
        """Have somebody answer for what accounts publish (XEP-0163); gives the function that takes it back.

        For nodes of accounts that nobody has added, ``node_info`` and ``node_items`` are called with the
        request and the node, and ``listed`` with the request for the ``<item/>`` of each. All give
        awaitables of bytes.
        """
        if self.account_nodes is not None:
            raise ValueError("the nodes of accounts are answered for already")
        self.account_nodes = answers
        return self._remove_account_nodes

    def _remove_account_nodes(self) -> None:
        self.account_nodes = None

    def add(self, module: Any) -> Callable[[], None]:
        """Take what a module announces; gives the function that takes it back."""
        self._modules.append(module)
        self.changed()

        def remove() -> None:
            self._modules.remove(module)
            self.changed()

        return remove

    def changed(self) -> None:
        """Forget the hash; what is announced has changed."""
        self._ver = None

    # -- the server ---------------------------------------------------------------------

    def identities(self) -> list[Identity]:
        """Give the server's identities, sorted, one for each category and type."""
        found: dict[tuple[str, str], Identity] = {}
        for module in self._modules:
            for identity in module.identities:
                found.setdefault(identity[:2], identity)
        return sorted(found.values())

    def features(self) -> list[str]:
        """Give the server's features, sorted, without doubles."""
        return sorted({name for module in self._modules for name in module.features})

    def forms(self) -> list[bytes]:
        """Give the server's XEP-0128 forms."""
        return [form for module in self._modules for form in module.disco_forms()]

    def items(self, hidden: bool = False) -> list[tuple[str, str]]:
        """Give (domain, name) of the services below this host; ``hidden`` adds those that hide."""
        ending = f".{self._host.domain}"
        return sorted(
            (service.domain, service.name)
            for service in self._host.router.services.values()
            if service.domain.endswith(ending) and (hidden or not getattr(service, "hidden", False))
        )

    def info(self, node: str | None = None) -> bytes:
        """Give the answer to disco#info on the server."""
        return info(self.identities(), self.features(), self.forms(), node)

    @property
    def node(self) -> str:
        """The node that the capability hash stands for."""
        return f"{CAPS_NODE}#{self.ver()}"

    def ver(self) -> str:
        """Give the XEP-0115 hash of what the server announces."""
        if self._ver is None:
            self._ver = verification(self.identities(), self.features(), self.forms())
        return self._ver

    def caps(self) -> bytes:
        """Give the ``<c/>`` element for stream features (XEP-0115 section 6.3)."""
        return element("c", NS_CAPS, hash="sha-1", node=CAPS_NODE, ver=self.ver())

    # -- accounts -------------------------------------------------------------------------

    def account_info(self) -> bytes:
        """Give the answer to disco#info on an account."""
        identities: set[Identity] = set()
        features: set[str] = set()
        for module in self._modules:
            identities.update(module.account_identities)
            features.update(module.account_features)
        return info(sorted(identities), sorted(features))


def info(
    identities: Iterable[Identity],
    features: Iterable[str],
    forms: Iterable[bytes] = (),
    node: str | None = None,
) -> bytes:
    """Give a disco#info result's payload."""
    parts = [
        element("identity", category=category, type=type, name=name or None)
        for category, type, name in identities
    ]
    parts += [element("feature", var=feature) for feature in features]
    parts += forms
    return element("query", NS_INFO, b"".join(parts), node=node)


def verification(identities: Iterable[Identity], features: Iterable[str], forms: Iterable[bytes]) -> str:
    """Give the verification string's hash (XEP-0115 section 5.1)."""
    parts = [f"{category}/{type}//{name}<" for category, type, name in sorted(identities)]
    parts += [f"{feature}<" for feature in sorted(set(features))]
    for fields in sorted(_fields(form) for form in forms):
        for var, values in fields:
            parts += [f"{value}<" for value in ([var, *sorted(values)] if var != "FORM_TYPE" else values)]
    return base64.b64encode(hashlib.sha1("".join(parts).encode()).digest()).decode()


def _fields(form: bytes) -> list[tuple[str, list[str]]]:
    """Give a form's fields in hash order: FORM_TYPE first, then by name."""
    fields = [
        (field.getAttribute("var", ""), [str(value) for value in field.elements(NS_DATA, "value")])
        for field in parse_element(form).elements(NS_DATA, "field")
    ]
    return sorted(fields, key=lambda field: (field[0] != "FORM_TYPE", field[0]))
