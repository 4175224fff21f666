"""What owners do with their nodes (XEP-0060 sections 8.4, 8.8 and 8.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.markup import element
from palaver.pubsub import access, graph, membership, notices, store
from palaver.pubsub.conditions import NS_OWNER, NS_PUBSUB, refusal
from palaver.pubsub.node import AFFILIATIONS, Node, Subscription
from palaver.stanza import make
from palaver.storage import Batch

if TYPE_CHECKING:
    from palaver.pubsub.request import Request
    from palaver.pubsub.space import Space

MAX_REDIRECT_CHARS = 1000


# -- the end of a node ------------------------------------------------------------------------


async def delete(space: Space, request: Request) -> None:
    """Delete a node, perhaps in favour of another (section 8.4). Raises StanzaError, StorageError."""
    if request.redirect is not None and not 0 < len(request.redirect) <= MAX_REDIRECT_CHARS:
        raise StanzaError("not-acceptable", f"A redirect has 1 to {MAX_REDIRECT_CHARS} characters")
    await remove(space, request.nodeIdentifier, request.sender, request.redirect)


async def remove(space: Space, name: str, by: JID | None, redirect: str | None = None) -> None:
    """Delete a node; ``by`` None is a module for the owner. Raises StanzaError, StorageError."""
    node, waiting = await space.configuring(lambda: _remove(space, name, by, redirect))
    await notices.done(waiting)
    told = space.retracted(node, None)
    if told is not None:
        await told


async def _remove(
    space: Space, name: str, by: JID | None, redirect: str | None
) -> tuple[Node, list[Deferred[Any]]]:
    """Commit the end of a node; those that were in it are in its place no more."""
    node = await space.get(name)
    if by is not None:
        access.check_owner(space, node, by)
    inside = await graph.children(space, name) if node.is_collection else []
    orphans = await graph.taken_out(space, name, inside)

    async def work(node: Node) -> tuple[Node, list[Deferred[Any]]]:
        if by is not None:
            access.check_owner(space, node, by)
        recipients = await notices.about_node(space, node, with_pending=True)
        batch = Batch()
        store.drop_node(batch, space.place(name), node, redirect)
        graph.put(space, batch, orphans)
        await space.store.write(batch)
        graph.take_over(orphans)
        space.cache.drop(space.key(name))
        space.unmade(node)
        inner = element("redirect", None, uri=redirect) if redirect else b""
        event = element("delete", None, inner, node=name)
        return node, await notices.Notice(space, node, event).send(recipients)

    return await space.change(name, work)


# -- subscribers --------------------------------------------------------------------------------


async def get_subscriptions(space: Space, request: Request) -> bytes:
    """List who is subscribed (section 8.8.1). Raises StanzaError, StorageError."""
    node = await access.owned(space, request)
    listed = [
        element("subscription", None, jid=held.jid, subscription=held.state, subid=held.subid)
        for held in node.subscriptions.values()
        if held.state != "pending"
    ]
    inner = b"".join(listed)
    return element("pubsub", NS_OWNER, element("subscriptions", None, inner, node=node.name))


async def set_subscriptions(space: Space, request: Request) -> None:
    """Change who is subscribed (section 8.8.2), all of it or nothing. Raises StanzaError, StorageError."""

    async def work(node: Node) -> tuple[Node, list[Subscription]]:
        access.check_owner(space, node, request.sender)
        changed = [_changed(space, node, *change) for change in request.changes]
        told = [held for held in changed if held is not None]
        new = [held for held in told if held.state != "none" and held.subid not in node.subscriptions]
        if len(node.subscriptions) + len(new) > space.limits.max_subscriptions_node:
            raise refusal("policy-violation", "too-many-subscriptions", type="wait")
        batch, place = Batch(), space.place(node.name)
        for held in told:
            if held.state == "none":
                store.drop_subscription(batch, place, held.subid)
            else:
                store.put_subscription(batch, place, held)
        await space.store.write(batch)
        for held in told:
            if held.state != "none":
                node.put(held)
            elif held.subid in node.subscriptions:
                node.drop(held.subid)
        return node, told

    node, told = await space.change(request.nodeIdentifier, work)
    for held in told:
        await membership.tell_subscriber(space, node, held)


def _changed(space: Space, node: Node, who: JID, state: str, subid: str | None) -> Subscription | None:
    """Give a subscription as an owner wants it; None when nothing changes."""
    if state not in ("subscribed", "pending", "none"):
        raise StanzaError("not-acceptable", f"There is no subscription {state} here")
    held = membership.pick(node, who, subid)
    if held is None:
        if state == "none":
            return None
        if node.affiliation(who.bare) == "outcast":
            raise StanzaError("not-acceptable", "An outcast cannot be subscribed")
        return membership.new(who, state)
    return held._replace(state=state) if held.state != state else None


# -- affiliations -------------------------------------------------------------------------------


async def get_affiliations(space: Space, request: Request) -> bytes:
    """List who is affiliated (section 8.9.1). Raises StanzaError, StorageError."""
    node = await access.owned(space, request)
    held = {**dict.fromkeys(space.owners(node), "owner"), **node.affiliations}
    inner = b"".join([element("affiliation", None, jid=bare, affiliation=held[bare]) for bare in held])
    return element("pubsub", NS_OWNER, element("affiliations", None, inner, node=node.name))


async def set_affiliations(space: Space, request: Request) -> None:
    """Change who is affiliated (section 8.9.2), all of it or nothing. Raises StanzaError, StorageError."""
    wanted = {who.bare: affiliation for who, affiliation, _ in request.changes}
    if not set(wanted.values()) <= set(AFFILIATIONS):
        raise StanzaError("not-acceptable", f"An affiliation is one of {', '.join(AFFILIATIONS)}")

    async def work(node: Node) -> tuple[Node, list[Subscription]]:
        access.check_owner(space, node, request.sender)
        changed = {**node.affiliations, **wanted}
        if not [bare for bare in space.owners(node) if changed.get(bare, "owner") == "owner"] and (
            "owner" not in changed.values()
        ):
            raise StanzaError("not-acceptable", "A node has an owner")
        if sum(is_ != "none" for is_ in changed.values()) > space.limits.max_affiliations_node:
            raise StanzaError(
                "policy-violation", f"At most {space.limits.max_affiliations_node} affiliations"
            )
        batch, place = Batch(), space.place(node.name)
        gone = [
            held for bare, is_ in wanted.items() if is_ == "outcast" for held in node.subscriptions_of(bare)
        ]
        for held in gone:
            store.drop_subscription(batch, place, held.subid)
        for bare, is_ in wanted.items():
            store.put_affiliation(batch, place, bare, is_)
        await space.store.write(batch)
        for held in gone:
            node.drop(held.subid)
        node.affiliations = {bare: is_ for bare, is_ in changed.items() if is_ != "none"}
        return node, gone

    node, gone = await space.change(request.nodeIdentifier, work)
    for held in gone:
        await membership.tell_subscriber(space, node, held._replace(state="none"))
    await _tell_affiliated(space, node, wanted)


async def _tell_affiliated(space: Space, node: Node, wanted: dict[str, str]) -> None:
    """Tell those whose affiliation has changed (section 8.9.4)."""
    waiting = []
    for bare, is_ in wanted.items():
        inner = element(
            "affiliations", None, element("affiliation", None, jid=bare, affiliation=is_), node=node.name
        )
        attrs = {"from": space.address.full, "to": bare, "type": "headline"}
        answer = space.send(make("message", attrs, element("pubsub", NS_PUBSUB, inner)))
        if answer is not None:
            waiting.append(answer)
    await notices.done(waiting)
