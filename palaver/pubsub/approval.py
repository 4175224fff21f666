"""Requests to subscribe that an owner decides on, by forms in messages (XEP-0060 sections 8.6 and 8.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver import forms, jid
from palaver.forms import Field, Form
from palaver.jid import JID, InvalidJID
from palaver.pubsub import access, membership, notices, retrieving
from palaver.pubsub.conditions import NS_AUTHORIZATION
from palaver.pubsub.node import Node, Subscription
from palaver.stanza import Stanza, make

if TYPE_CHECKING:
    from palaver.pubsub.space import Space

_YES = ("1", "true")


async def ask_owners(space: Space, node: Node, held: Subscription) -> None:
    """Send the request to every owner; the first who answers decides."""
    await ask(space, node, held, space.owners(node))


async def ask(space: Space, node: Node, held: Subscription, owners: list[str]) -> None:
    """Send a request to these owners (section 8.6)."""
    fields = [
        Field("hidden", "pubsub#subid", held.subid),
        Field("text-single", "pubsub#node", node.name, label="Node"),
        Field("jid-single", "pubsub#subscriber_jid", held.jid, label="Address of the subscriber"),
        Field("boolean", "pubsub#allow", "false", label="Allow the subscription?"),
    ]
    form = forms.encode(
        Form("form", title="A request to subscribe", formNamespace=NS_AUTHORIZATION, fields=fields)
    )
    waiting = []
    for owner in owners:
        attrs = {"from": space.address.full, "to": owner, "id": f"ask-{held.subid}"}
        answer = space.send(make("message", attrs, form))
        if answer is not None:
            waiting.append(answer)
    await notices.done(waiting)


async def answered(space: Space, message: Stanza) -> bool:
    """Take an owner's answer; gives False when the message is none. Raises StanzaError, StorageError."""
    sender = message.sender
    values = forms.read(message.element, NS_AUTHORIZATION) if message.has(forms.NS_DATA, "x") else None
    if sender is None or values is None or "pubsub#allow" not in values:
        return False
    name, subscriber, allow = (
        next(iter(values.get(f"pubsub#{field}", ())), "") for field in ("node", "subscriber_jid", "allow")
    )
    try:
        who = jid.parse(subscriber)
    except InvalidJID:
        return True
    await decide(space, name, who, sender, allow in _YES)
    return True


async def decide(space: Space, name: str, who: JID, by: JID, allowed: bool) -> None:
    """Grant or refuse a pending subscription; nothing happens when it is not pending any more.

    Raises StanzaError, StorageError.
    """

    async def work(node: Node) -> tuple[Node, Subscription | None]:
        access.check_owner(space, node, by)
        # There is never more than one: nobody asks again while the first request is pending.
        held = next((one for one in membership.of(node, who) if one.state == "pending"), None)
        if held is None:
            return node, None
        held = held._replace(state="subscribed" if allowed else "none")
        if allowed:
            await membership.put(space, node, held)
        else:
            await membership.drop(space, node, held)
        return node, held

    node, held = await space.change(name, work)
    if held is None:
        return
    await membership.tell_subscriber(space, node, held)
    if allowed:
        await membership.tell_owners(space, node, held)
        if node.config["send_last_published_item"] != "never":
            await retrieving.send_newest(space, node, held.jid, notices.manner_of(held))


async def pending(space: Space, owner: JID, name: str) -> None:
    """Send all pending requests of a node to one owner (section 8.7). Raises StanzaError, StorageError."""
    node = await space.get(name)
    access.check_owner(space, node, owner)
    for held in list(node.subscriptions.values()):
        if held.state == "pending":
            await ask(space, node, held, [owner.bare])
