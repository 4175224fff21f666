"""The ad-hoc command by which owners ask for pending subscriptions (XEP-0060 section 8.7, XEP-0050)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver import forms
from palaver.errors import StanzaError
from palaver.forms import Field, Form
from palaver.markup import element
from palaver.pubsub import approval
from palaver.pubsub.conditions import NS_AUTHORIZATION, NS_PUBSUB
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.pubsub.space import Space

NS_COMMANDS = "http://jabber.org/protocol/commands"
GET_PENDING = f"{NS_PUBSUB}#get-pending"
# There is nothing to remember between the two steps.
SESSION = "get-pending"


async def get_pending(space: Space, iq: Stanza) -> bytes:
    """Give the form with the asker's nodes, or have one node's requests sent.

    Raises StanzaError, StorageError.
    """
    command, asker = iq.child(NS_COMMANDS, "command"), iq.sender
    assert command is not None and asker is not None
    if command.getAttribute("node") != GET_PENDING:
        raise StanzaError("item-not-found", "There is no such command")
    if command.getAttribute("action") == "cancel":
        return _command("canceled")
    if next(command.elements(forms.NS_DATA, "x"), None) is None:
        owned = [node for node in await space.of_entity(asker.bare) if space.is_owner(node, asker.bare)]
        waiting = [
            node.name
            for node in owned
            if any(held.state == "pending" for held in node.subscriptions.values())
        ]
        field = Field("list-single", "pubsub#node", options=dict.fromkeys(waiting), label="Node")
        return _command("executing", Form("form", formNamespace=NS_AUTHORIZATION, fields=[field]))
    values = forms.read(command, NS_AUTHORIZATION) or {}
    name = next(iter(values.get("pubsub#node", ())), "")
    if not name:
        raise StanzaError("bad-request", "A node has to be chosen")
    await approval.pending(space, asker, name)
    return _command("completed")


def _command(status: str, form: Form | None = None) -> bytes:
    inner = forms.encode(form) if form is not None else b""
    return element("command", NS_COMMANDS, inner, node=GET_PENDING, sessionid=SESSION, status=status)
