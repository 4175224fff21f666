"""What a host and its accounts can do (XEP-0030, 0115, 0128), collected from modules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from palaver.capabilities.information import (
    NS_CAPS,
    NS_ECAPS2,
    NS_HASHES,
    NS_INFO,
    Information,
    digest,
    read_form,
)
from palaver.markup import element
from palaver.routing.iqs import HOST, SELF
from palaver.routing.nesting import Announced, Identity, nest
from palaver.tree import parse_element

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.stanza import Stanza

__all__ = (
    "NS_CAPS",
    "NS_INFO",
    "NS_ITEMS",
    "Disco",
    "Identity",
    "NodeHandler",
    "info",
    "information",
    "verification",
)

NS_ITEMS = "http://jabber.org/protocol/disco#items"
# Names this software in capability hashes (XEP-0115 section 4).
CAPS_NODE = "https://palaver.example/caps"
# Every implementation has this one (XEP-0300 section 6).
ECAPS2_ALGORITHM = "sha-256"

NodeHandler = Callable[["Stanza"], bytes | Awaitable[bytes]]
"""See `Disco.add_node`."""

NodeFinder = Callable[[str, str, "Stanza"], Awaitable[bytes | None]]
"""Takes the namespace of the query, the node and the request; gives None for a node that is not theirs."""


class Disco:
    """The identities, features, forms and items of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._modules: list[Any] = []
        # By namespace of the protocol; see `_hash`.
        self._hashes: dict[str, str] = {}
        # By kind of addressee (host, or self for any account), namespace of the query, and node.
        self.nodes: dict[tuple[str, str, str], NodeHandler] = {}
        # Those who may know nodes of the server that come and go.
        self.finders: list[NodeFinder] = []
        # Nodes of the server among its items: (node, name).
        self.listed_nodes: list[tuple[str, str]] = []
        # See `add_account_nodes`.
        self.account_nodes: Any = None
        # What services announce, by kind of addressee (host, or self for any account) and namespace.
        self._nested: dict[tuple[str, str], Announced] = {}

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

    def add_nodes(self, finder: NodeFinder) -> Callable[[], object]:
        """Have somebody asked about nodes of the server that nobody has added; gives what takes it back."""
        self.finders.append(finder)
        return lambda: self.finders.remove(finder)

    def add_item(self, node: str, name: str) -> Callable[[], object]:
        """List a node of the server among its items; gives the function that takes it back."""
        entry = (node, name)
        self.listed_nodes.append(entry)
        return lambda: self.listed_nodes.remove(entry)

    def nest(self, to: str, ns: str, announced: Announced) -> Callable[[], None]:
        """Announce what a service says of a namespace, and nothing that modules do; gives what takes it back.

        ``to`` is HOST, or SELF for every account. What was nested before is replaced.
        """
        self._nested[to, ns] = announced
        self.changed()

        def remove() -> None:
            self._nested.pop((to, ns), None)
            self.changed()

        return remove

    def add(self, module: Any) -> Callable[[], None]:
        """Take what a module announces; gives the function that takes it back."""
        self._modules.append(module)
        self.changed()

        def remove() -> None:
            self._modules.remove(module)
            self.changed()

        return remove

    def changed(self) -> None:
        """Forget the hashes; what is announced has changed."""
        self._hashes.clear()

    # -- the server ---------------------------------------------------------------------

    def announced(self) -> Announced:
        """Give what is announced of the server: sorted, without doubles, one identity for each kind."""
        found: dict[tuple[str, str], Identity] = {}
        for module in self._modules:
            for identity in module.identities:
                found.setdefault(identity[:2], identity)
        features = {name for module in self._modules for name in module.features}
        forms = [form for module in self._modules for form in module.disco_forms()]
        announced = Announced(tuple(sorted(found.values())), tuple(sorted(features)), tuple(forms))
        return self._with_nested(HOST, announced)

    def _with_nested(self, to: str, announced: Announced) -> Announced:
        for (kind, ns), by in self._nested.items():
            if kind == to:
                announced = nest(announced, ns, by)
        return announced

    def features(self) -> list[str]:
        """Give the server's features, sorted, without doubles."""
        return list(self.announced().features)

    def items(self, hidden: bool = False) -> list[tuple[str, str]]:
        """Give (domain, name) of the services below this host; ``hidden`` adds those that hide."""
        return sorted(
            (domain, service.name)
            for domain, service in self._host.router.below(self._host.domain)
            if hidden or not getattr(service, "hidden", False)
        )

    def service_node(self, domain: str) -> str | None:
        """Give the node under which the service of a domain is listed; most have none."""
        return getattr(self._host.router.services.get(domain), "disco_node", None)

    def info(self, node: str | None = None) -> bytes:
        """Give the answer to disco#info on the server."""
        return info(*self.announced(), node)

    @property
    def node(self) -> str:
        """The node that the capability hash stands for."""
        return f"{CAPS_NODE}#{self.ver()}"

    def is_own(self, node: str) -> bool:
        """Tell whether a node stands for what the server announces now: for one of its hashes."""
        return node == self.node or node == f"{NS_ECAPS2}#{ECAPS2_ALGORITHM}.{self._hash(NS_ECAPS2)}"

    def ver(self) -> str:
        """Give the XEP-0115 hash of what the server announces."""
        return self._hash(NS_CAPS)

    def _hash(self, protocol: str) -> str:
        found = self._hashes.get(protocol)
        if found is None:
            algorithm = "sha-1" if protocol == NS_CAPS else ECAPS2_ALGORITHM
            announced = information(*self.announced())
            found = self._hashes[protocol] = digest(announced, protocol, algorithm)
        return found

    def caps(self) -> bytes:
        """Give the ``<c/>`` element for stream features (XEP-0115 section 6.3)."""
        return element("c", NS_CAPS, hash="sha-1", node=CAPS_NODE, ver=self.ver())

    def ecaps2(self) -> bytes:
        """Give the ``<c/>`` element of XEP-0390 for stream features."""
        hashed = element("hash", NS_HASHES, self._hash(NS_ECAPS2).encode(), algo=ECAPS2_ALGORITHM)
        return element("c", NS_ECAPS2, hashed)

    # -- accounts -------------------------------------------------------------------------

    def account_info(self) -> bytes:
        """Give the answer to disco#info on an account."""
        identities: set[Identity] = set()
        features: set[str] = set()
        for module in self._modules:
            identities.update(module.account_identities)
            features.update(module.account_features)
        return info(*self._with_nested(SELF, Announced(tuple(sorted(identities)), tuple(sorted(features)))))


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
    return digest(information(identities, features, forms), NS_CAPS, "sha-1")


def information(
    identities: Iterable[Identity], features: Iterable[str], forms: Iterable[bytes]
) -> Information:
    """Give what is announced as a value."""
    return Information(
        tuple((category, type, "", name) for category, type, name in identities),
        tuple(features),
        tuple(read_form(parse_element(form)) for form in forms),
    )
