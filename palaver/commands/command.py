"""What a command is, who may run it, and where the commands of a host are found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from pydantic import BaseModel, ConfigDict
from zope.interface import implementer

from palaver.commands.admins import is_admin
from palaver.errors import StanzaError
from palaver.interfaces import ICommand
from palaver.jid import JID

if TYPE_CHECKING:
    from palaver.routing.host import Host

Permission = Literal["server", "admin", "local", "anyone"]
"""Who may run a command.

server: those of ``general.admins``, who administer every host; admin: the administrators of the host; local:
those who have an account on the host; anyone: anybody.
"""


class Arguments(BaseModel):
    """What a command takes: closed, typed, each field with a description, which forms show."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Call(NamedTuple):
    """One use of a command; ``by`` is who asks, None for whoever owns the process or has a key to it.

    ``everywhere`` is False for a key to this host alone.
    """

    host: Host
    by: JID | None
    everywhere: bool = True


class Done(NamedTuple):
    """A command has done its work: what to tell people, and what to tell programs.

    ``said`` may be empty. ``form_type`` is the FORM_TYPE of ``result`` where it is not that of the command.
    """

    said: str = ""
    result: BaseModel | None = None
    form_type: str | None = None


class Step(NamedTuple):
    """A command wants something filled in.

    ``values`` are shown in the form by the names of fields; ``proceed`` takes the call and the arguments.
    """

    arguments: type[Arguments]
    proceed: Callable[[Call, Any], Awaitable[Answer]]
    values: Mapping[str, Any] = {}


Answer = Done | Step
Prefill = Callable[[Call], Awaitable[Mapping[str, Any]]]


@implementer(ICommand)
class Command(NamedTuple):
    """One operation; see ICommand.

    ``run`` takes the call and an instance of ``arguments``, or None when there are none. It raises
    StanzaError with a sentence in its text, or StorageError. ``prefill`` gives values for the first form.
    ``harm`` says what cannot be taken back; pages ask once more before they do it.
    """

    node: str
    name: str
    title: str
    run: Callable[[Call, Any], Awaitable[Answer]]
    arguments: type[Arguments] | None = None
    permission: Permission = "admin"
    form_type: str | None = None
    prefill: Prefill | None = None
    harm: str = ""

    async def begin(self, call: Call) -> Answer:
        """Give the first step, or the outcome of a command that takes nothing."""
        if self.arguments is None:
            return await self.run(call, None)
        values = await self.prefill(call) if self.prefill is not None else {}
        return Step(self.arguments, self.run, values)


async def has(permission: Permission, call: Call) -> bool:
    """Tell whether the asker has a permission now. Raises StorageError."""
    if permission == "anyone":
        return True
    if call.by is None:
        return call.everywhere or permission != "server"
    if permission == "local":
        # A guest has an address here, but no account.
        here = bool(call.by.local) and call.by.domain == call.host.domain
        return here and bool(await call.host.accounts.exists(call.by.local))
    if permission == "server":
        return call.by.bare in call.host.server_admins
    return await is_admin(call.host, call.by)


async def may_run(command: Command, call: Call) -> bool:
    """Tell whether the asker may run a command now. Raises StorageError."""
    return await has(command.permission, call)


async def runnable(call: Call) -> list[Command]:
    """Give the commands that the asker may run now, by title. Raises StorageError."""
    found = commands(call.host)
    # Each permission is looked up once, however many commands there are.
    held = {permission: await has(permission, call) for permission in {each.permission for each in found}}
    return [command for command in found if held[command.permission]]


async def check(command: Command, call: Call) -> None:
    """Raise StanzaError ``forbidden`` for who may not run a command."""
    if not await may_run(command, call):
        raise StanzaError("forbidden", "You may not run this command")


def add(host: Host, command: Command) -> Callable[[], object]:
    """Make a command found on a host; gives the function that takes it back.

    Raises ValueError for a second one with its node.
    """
    if find(host, command.node) is not None:
        raise ValueError(f"{host.domain} has a command {command.node} already")
    host.registry.registerUtility(command, ICommand, command.node)

    def remove() -> None:
        host.registry.unregisterUtility(command, ICommand, command.node)

    return remove


def find(host: Host, node: str) -> Command | None:
    """Give the command with a node, or None."""
    found: Any = host.registry.queryUtility(ICommand, node)
    return cast("Command | None", found)


def named(host: Host, name: str) -> Command | None:
    """Give the command with these words on the command line, or None."""
    return next((command for command in commands(host) if command.name == name), None)


def commands(host: Host) -> list[Command]:
    """Give the commands of a host, by title."""
    found: Any = host.registry.getUtilitiesFor(ICommand)
    return sorted((command for _, command in found), key=lambda command: str(command.title))
