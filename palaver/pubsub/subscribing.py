"""Subscriptions, from the subscriber's side (XEP-0060 sections 5.6, 5.7, 6.1 to 6.4)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.markup import element
from palaver.pubsub import access, approval, fields, membership, notices, retrieving
from palaver.pubsub.conditions import NS_PUBSUB, NS_SUBSCRIBE_OPTIONS, refusal, unsupported
from palaver.pubsub.fields import Submitted, Values
from palaver.pubsub.node import OPTIONS, PRESENCE, USUAL_OPTIONS, Node, Subscription

if TYPE_CHECKING:
    from palaver.pubsub.request import Request
    from palaver.pubsub.space import Space

# One answer lists no more than this.
MAX_LISTED = 1000
# More often is not worth waiting; longer than a week nobody waits.
MIN_DIGEST_MS = 1000
MAX_DIGEST_MS = 7 * 86_400_000


# -- subscribe and unsubscribe ------------------------------------------------------------


async def subscribe(space: Space, request: Request) -> bytes:
    """Subscribe somebody, or note that they asked to be (section 6.1). Raises StanzaError, StorageError."""
    asker, subscriber = request.sender, request.subscriber
    if subscriber.bare != asker.bare:
        raise refusal("bad-request", "invalid-jid", "You may subscribe only yourself")
    options = read_options(request.choices or {})

    async def work(node: Node) -> tuple[Node, Subscription, bool]:
        may = await access.check_subscribe(space, node, subscriber.bare)
        if not node.config["subscribe"] and not space.is_owner(node, subscriber.bare):
            raise unsupported("subscribe", "Nobody may subscribe to this node")
        held = membership.of(node, subscriber)
        if any(one.state == "pending" for one in held):
            raise refusal("not-authorized", "pending-subscription")
        wanted = {**options, "expire": PRESENCE} if node.config["tempsub"] else options
        there = _same(node, held, wanted)
        if there is not None:
            return node, there, False
        _check_room(space, node, subscriber)
        # Whoever has been let in may have another subscription.
        made = membership.new(subscriber, "subscribed" if may or held else "pending")
        made = made._replace(options=wanted)
        await membership.put(space, node, made)
        return node, made, True

    node, made, new = await space.change(request.nodeIdentifier, work)
    if new:
        await _tell(space, node, made)
    return element("pubsub", NS_PUBSUB, membership.describe(node.name, made))


def _same(node: Node, held: list[Subscription], options: Values) -> Subscription | None:
    """Give the subscription that says what is asked for, so that there is no need of another.

    Whoever asks without options means the one that there is. Raises StanzaError for a collection where
    another one is for the same (XEP-0248 section 6.1.3).
    """
    asked = {**USUAL_OPTIONS, **options}
    same = [one for one in held if not options or one.all_options() == asked]
    if same:
        return same[0]
    kinds = {str(one.option("subscription_type")) for one in held}
    if held and node.is_collection and ("all" in kinds or asked["subscription_type"] in {*kinds, "all"}):
        raise StanzaError("conflict", "There is such a subscription")
    return None


def _check_room(space: Space, node: Node, subscriber: JID) -> None:
    """Refuse one subscription too many."""
    limits = space.limits
    if (
        len(node.subscriptions) >= limits.max_subscriptions_node
        or len(node.subscriptions_of(subscriber.bare)) >= limits.max_subscriptions_user
    ):
        raise refusal("policy-violation", "too-many-subscriptions", type="wait")


async def _tell(space: Space, node: Node, made: Subscription) -> None:
    """Send what a new subscription sets off: requests for the owners, the newest item."""
    if made.state == "pending":
        await approval.ask_owners(space, node, made)
        return
    await membership.tell_owners(space, node, made)
    if node.config["send_last_published_item"] != "never" and made.option("deliver"):
        await retrieving.send_newest(space, node, made.jid, notices.manner_of(made))


async def unsubscribe(space: Space, request: Request) -> bytes:
    """End a subscription (section 6.2). Raises StanzaError, StorageError."""

    async def work(node: Node) -> tuple[Node, Subscription]:
        held = _own(node, request)
        await membership.drop(space, node, held)
        return node, held._replace(state="none")

    node, gone = await space.change(request.nodeIdentifier, work)
    await membership.tell_owners(space, node, gone)
    return element("pubsub", NS_PUBSUB, membership.describe(node.name, gone))


async def end_temporary(space: Space, name: str, bare: str) -> None:
    """End somebody's subscriptions that were for the time that they are online (section 12.4).

    Raises StanzaError, StorageError.
    """

    async def work(node: Node) -> None:
        held = [held for held in node.subscriptions_of(bare) if held.option("expire") == PRESENCE]
        await membership.drop(space, node, *[held for held in held if not space.is_online(held.jid)])

    await space.change(name, work)


async def end_leases(space: Space, name: str) -> None:
    """End the subscriptions whose lease is over (section 12.18). Raises StanzaError, StorageError."""

    async def work(node: Node) -> tuple[Node, list[Subscription]]:
        gone = node.expired(time.time())
        await membership.drop(space, node, *gone)
        return node, gone

    node, gone = await space.change(name, work)
    for held in gone:
        await membership.tell_subscriber(space, node, held._replace(state="none"))


def _own(node: Node, request: Request) -> Subscription:
    """Give the subscription that a request is about, which must be the asker's (sections 6.2.3 and 6.3.4)."""
    if request.subscriber.bare != request.sender.bare:
        raise StanzaError("forbidden", "The subscription is somebody else's")
    held = membership.pick(node, request.subscriber, request.subscriptionIdentifier)
    if held is None:
        raise refusal("unexpected-request", "not-subscribed", type="cancel")
    return held


# -- options --------------------------------------------------------------------------------


def read_options(submitted: Submitted) -> Values:
    """Give the options of a subscription; raises `StanzaError` with ``invalid-options``."""
    try:
        options = fields.read(OPTIONS, submitted)
        ends = Subscription("", "", "", options).ends()
        if ends is not None and ends <= time.time():
            raise ValueError("A lease ends in the future")
        if not MIN_DIGEST_MS <= int(str(options.get("digest_frequency", MIN_DIGEST_MS))) <= MAX_DIGEST_MS:
            raise ValueError(f"digest_frequency is {MIN_DIGEST_MS} to {MAX_DIGEST_MS}")
    except ValueError as error:
        raise refusal("bad-request", "invalid-options", str(error)) from None
    return options


async def get_options(space: Space, request: Request) -> bytes:
    """Give the form with the options of a subscription (section 6.3). Raises StanzaError, StorageError."""
    node = await space.get(request.nodeIdentifier)
    held = _own(node, request)
    return element("pubsub", NS_PUBSUB, _options(held.all_options(), node.name, held))


async def set_options(space: Space, request: Request) -> None:
    """Change the options of a subscription (section 6.3.5). Raises StanzaError, StorageError."""
    options = read_options(request.choices or {})

    async def work(node: Node) -> None:
        held = _own(node, request)
        if not request.cancelled:
            await membership.put(space, node, held._replace(options={**held.options, **options}))

    await space.change(request.nodeIdentifier, work)


async def default_options(space: Space, request: Request) -> bytes:
    """Give the options that a new subscription has (section 6.4). Raises StanzaError, StorageError."""
    name = request.nodeIdentifier
    if name:
        await access.check_read(space, await space.get(name), request.sender)
    form = fields.filled(OPTIONS, USUAL_OPTIONS, NS_SUBSCRIBE_OPTIONS)
    return element("pubsub", NS_PUBSUB, element("default", None, form, node=name or None))


def _options(values: Values, name: str, held: Subscription) -> bytes:
    form = fields.filled(OPTIONS, values, NS_SUBSCRIBE_OPTIONS)
    return element("options", None, form, node=name, jid=held.jid, subid=held.subid)


# -- what somebody has to do with -----------------------------------------------------------


async def subscriptions(space: Space, request: Request) -> bytes:
    """List the asker's subscriptions, to all nodes or to one (section 5.6).

    Raises StanzaError, StorageError.
    """
    bare = request.sender.bare
    listed = [
        membership.describe(node.name, held)
        for node in await _nodes(space, request)
        for held in node.subscriptions_of(bare)
    ]
    name = request.nodeIdentifier or None
    inner = b"".join(listed[:MAX_LISTED])
    return element("pubsub", NS_PUBSUB, element("subscriptions", None, inner, node=name))


async def affiliations(space: Space, request: Request) -> bytes:
    """List the asker's affiliations, with all nodes or one (section 5.7).

    Raises StanzaError, StorageError.
    """
    bare = request.sender.bare
    listed = [
        element("affiliation", None, node=node.name, affiliation=affiliation)
        for node in await _nodes(space, request)
        if (affiliation := "owner" if space.is_owner(node, bare) else node.affiliation(bare)) != "none"
    ]
    name = request.nodeIdentifier or None
    inner = b"".join(listed[:MAX_LISTED])
    return element("pubsub", NS_PUBSUB, element("affiliations", None, inner, node=name))


async def _nodes(space: Space, request: Request) -> list[Node]:
    if request.nodeIdentifier:
        return [await space.get(request.nodeIdentifier)]
    return await space.of_entity(request.sender.bare)
