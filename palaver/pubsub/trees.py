"""How the names of nodes hang together: free names, paths, and a home for each account."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from zope.interface import implementer

from palaver.errors import StanzaError
from palaver.interfaces import INodeTree
from palaver.jid import parse

NAME_BYTES = 12

Owners = Callable[[str], Awaitable[list[str] | None]]


@implementer(INodeTree)
class FreeNames:
    """Any name; nodes hang together by collections (XEP-0248), or not at all."""

    def check_name(self, name: str, creator: str, owners: Owners) -> Deferred[None] | None:
        """See INodeTree."""
        return None

    def new_name(self, creator: str) -> str:
        """See INodeTree."""
        return secrets.token_urlsafe(NAME_BYTES)


@implementer(INodeTree)
class Paths(FreeNames):
    """Names are paths: what is before the last slash is a node of the same owner."""

    def check_name(self, name: str, creator: str, owners: Owners) -> Deferred[None] | None:
        """See INodeTree."""
        parent, slash, last = name.rpartition("/")
        if slash and not last:
            raise StanzaError("not-acceptable", "A path does not end with a slash")
        return Deferred.fromCoroutine(self._check_parent(parent, creator, owners)) if parent else None

    async def _check_parent(self, parent: str, creator: str, owners: Owners) -> None:
        owned_by = await owners(parent)
        if owned_by is None:
            raise StanzaError("item-not-found", f"There is no node {parent}")
        if creator not in owned_by:
            raise StanzaError("forbidden", f"The node {parent} is somebody else's")


@implementer(INodeTree)
class Homes(FreeNames):
    """Everybody's nodes are below ``/home/DOMAIN/USER``, which is there without being made."""

    def check_name(self, name: str, creator: str, owners: Owners) -> Deferred[None] | None:
        """See INodeTree."""
        home = self._home(creator)
        if name != home and not name.startswith(f"{home}/"):
            raise StanzaError("forbidden", f"Your nodes are below {home}")
        if name.endswith("/"):
            raise StanzaError("not-acceptable", "A path does not end with a slash")
        return None

    def new_name(self, creator: str) -> str:
        """See INodeTree."""
        return f"{self._home(creator)}/{super().new_name(creator)}"

    @staticmethod
    def _home(creator: str) -> str:
        owner = parse(creator)
        return f"/home/{owner.domain}/{owner.local}"
