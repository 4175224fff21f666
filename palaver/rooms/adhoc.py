"""Commands of rooms (XEP-0050): one form each, sent at once or asked for first; nothing of it is kept."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from palaver import forms
from palaver.commands.typed import NS_COMMANDS, bad_payload
from palaver.errors import StanzaError
from palaver.markup import element
from palaver.rooms.hooks import RoomRequest
from palaver.routing.disco import NS_INFO, NS_ITEMS, info

if TYPE_CHECKING:
    from palaver.rooms.service import Service

ACTIONS = ("execute", "next", "prev", "complete", "cancel")
ID_BYTES = 16

Submitted = Mapping[str, list[str]]


class RoomCommand(NamedTuple):
    """One command.

    ``check`` raises StanzaError for who may not run it; ``form`` gives what is to be filled in, and is None
    for a command that takes nothing. ``run`` takes the request and the fields that were submitted, and gives
    what the answer holds, b"" for nothing.
    """

    node: str
    title: str
    form_type: str
    check: Callable[[RoomRequest], None]
    run: Callable[[RoomRequest, Submitted], Awaitable[bytes]]
    form: Callable[[RoomRequest], forms.Form] | None = None


# -- finding them ----------------------------------------------------------------------


def items(service: Service, request: RoomRequest) -> bytes:
    """List the commands that the asker may run (section 2.2)."""
    assert request.room is not None
    found = [
        element("item", None, jid=request.room.jid.bare, node=command.node, name_=command.title)
        for command in service.hooks.commands.values()
        if _may(command, request)
    ]
    return element("query", NS_ITEMS, b"".join(found), node=NS_COMMANDS)


def describe(service: Service, request: RoomRequest, node: str) -> bytes | None:
    """Say what the list of commands, or one that the asker may run, is; None for another node."""
    if node == NS_COMMANDS and service.hooks.commands:
        return info([("automation", "command-list", "Commands")], [NS_INFO, NS_ITEMS], (), node)
    command = service.hooks.commands.get(node)
    if command is None or not _may(command, request):
        return None
    identity = ("automation", "command-node", command.title)
    return info([identity], [NS_COMMANDS, forms.NS_DATA], (), node)


def _may(command: RoomCommand, request: RoomRequest) -> bool:
    try:
        command.check(request)
    except StanzaError:
        return False
    return True


# -- running them ----------------------------------------------------------------------


async def run(service: Service, request: RoomRequest) -> bytes:
    """Run a command, or give its form; who asks is checked each time. Raises StanzaError, StorageError."""
    node = request.iq.child(NS_COMMANDS, "command")
    assert node is not None
    command = service.hooks.commands.get(node.getAttribute("node", ""))
    if command is None:
        raise StanzaError("item-not-found", "There is no such command")
    command.check(request)
    action = node.getAttribute("action", "execute")
    if action not in ACTIONS:
        raise _refused("malformed-action")
    key = node.getAttribute("sessionid")
    if action == "prev" or (action != "execute" and not key):
        raise _refused("bad-action")
    if action == "cancel":
        return _answer(command, key, "canceled")
    if command.form is None:
        return _answer(command, key, "completed", await command.run(request, {}))
    fields = forms.read(node, command.form_type)
    if fields is None:
        if key:
            raise bad_payload("The command's form is wanted, submitted")
        actions = element("actions", None, element("complete"), execute="complete")
        return _answer(command, None, "executing", actions + forms.encode(command.form(request)))
    return _answer(command, key, "completed", await command.run(request, fields))


def _answer(command: RoomCommand, key: str | None, status: str, inner: bytes = b"") -> bytes:
    # The form holds all that there is to know: an id is only what clients go on with.
    key = key or secrets.token_urlsafe(ID_BYTES)
    return element("command", NS_COMMANDS, inner, node=command.node, sessionid=key, status=status)


def _refused(condition: str) -> StanzaError:
    return StanzaError("bad-request", extra=element(condition, NS_COMMANDS))
