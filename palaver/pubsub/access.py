"""Who may do what with a node: access models and affiliations (XEP-0060 sections 4.1 and 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver import jid
from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.pubsub.conditions import refusal
from palaver.pubsub.node import Node
from palaver.routing.roster import Roster
from palaver.routing.rosters import rosters

if TYPE_CHECKING:
    from palaver.pubsub.request import Request
    from palaver.pubsub.space import Space

# Whoever has one of these may see what a closed node holds.
WHITELISTED = frozenset(("owner", "publisher", "member"))


async def owners_rosters(space: Space, node: Node) -> list[Roster]:
    """Give the rosters of the owners who have accounts on this host. Raises StorageError."""
    found = []
    for bare in space.owners(node):
        owner = jid.parse(bare)
        if owner.domain == space.host.domain and owner.local:
            user = space.host.users.get(owner.local)
            found.append(user.roster if user is not None else await rosters(space.host).load(owner.local))
    return found


def relation_refused(node: Node, asker: str, held: list[Roster]) -> StanzaError | None:
    """Give why the owners' rosters do not let somebody in, for the models presence and roster; else None."""
    seen = [roster for roster in held if roster.is_seen_by(asker)]
    if not seen:
        return refusal("not-authorized", "presence-subscription-required")
    if node.config["access_model"] == "presence":
        return None
    allowed = node.config["roster_groups_allowed"]
    groups = set(allowed) if isinstance(allowed, list) else set()
    if any(not groups.isdisjoint(roster.item(asker).groups) for roster in seen):
        return None
    return refusal("not-authorized", "not-in-roster-group")


async def check_read(space: Space, node: Node, asker: JID) -> None:
    """Refuse who may not see the node's items (section 6.5.1). Raises StanzaError, StorageError."""
    await _check(space, node, asker.bare, subscribing=False)


async def check_subscribe(space: Space, node: Node, bare: str) -> bool:
    """Refuse who may not subscribe (section 6.1.3); gives False when an owner has to say.

    Raises StanzaError, StorageError.
    """
    return await _check(space, node, bare, subscribing=True)


async def _check(space: Space, node: Node, bare: str, subscribing: bool) -> bool:
    affiliation = node.affiliation(bare)
    model = node.config["access_model"]
    if space.is_owner(node, bare):
        return True
    if affiliation == "outcast" or (affiliation == "publish-only" and not subscribing):
        raise StanzaError("forbidden")
    if model == "open" or affiliation in WHITELISTED:
        return True
    if model in ("presence", "roster"):
        error = relation_refused(node, bare, await owners_rosters(space, node))
        if error is not None:
            raise error
        return True
    if not subscribing and node.is_subscribed(bare):
        return True
    if model == "whitelist":
        raise refusal("not-allowed", "closed-node")
    if not subscribing:
        raise refusal("not-authorized", "not-subscribed")
    return False


async def visible(space: Space, node: Node, asker: JID) -> bool:
    """Tell whether somebody may know of a node at all. Raises StorageError."""
    if node.config["access_model"] in ("open", "authorize"):
        return node.affiliation(asker.bare) != "outcast"
    try:
        await check_read(space, node, asker)
    except StanzaError:
        return False
    return True


def check_publish(space: Space, node: Node, asker: JID) -> None:
    """Refuse who may not publish (section 7.1.3.1). Raises StanzaError."""
    affiliation = node.affiliation(asker.bare)
    if affiliation in ("owner", "publisher", "publish-only") or space.is_owner(node, asker.bare):
        return
    model = node.config["publish_model"]
    allowed = model == "open" or (model == "subscribers" and node.is_subscribed(asker.bare))
    if affiliation == "outcast" or not allowed:
        raise StanzaError("forbidden", "You may not publish here")


def check_owner(space: Space, node: Node, asker: JID) -> None:
    """Refuse who does not own the node. Raises StanzaError."""
    if not space.is_owner(node, asker.bare):
        raise StanzaError("forbidden", "Only an owner may do that")


async def owned(space: Space, request: Request) -> Node:
    """Give the node of an owner's request. Raises StanzaError, StorageError."""
    node = await space.get(request.nodeIdentifier)
    check_owner(space, node, request.sender)
    return node
