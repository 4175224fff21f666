"""What an administrator asks of a server, whether it runs or is only opened for one command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo

from palaver import jid, log
from palaver.commands import always, lines, typed
from palaver.commands import command as commands
from palaver.commands.accounts import LIST
from palaver.commands.command import Arguments, Call, Command, Done
from palaver.commands.domains import DOMAINS
from palaver.config import Config
from palaver.errors import StanzaError, StorageError
from palaver.routing.host import Host
from palaver.server import Server
from palaver.service import Palaver

Request = Mapping[str, Any]

ALWAYS = {**always.ALWAYS, LIST.name: LIST}
"""Commands that are there whatever modules are on, by their words."""

# Those that are about the whole server, so that one host does them for all.
ONCE = frozenset(command.name for command in DOMAINS)

# What to do about a refusal to do something with an account, where the command line knows.
HINTS = {
    "conflict": "use: palaver account passwd",
    "item-not-found": "palaver account list shows those there are",
}


class Refused(Exception):
    """The command cannot be done; the message is one sentence that says what to do."""


async def run(server: Server, request: Request) -> str:
    """Run the command ``command`` of a request and give a text for people. Raises `Refused`.

    ``jid`` is the account that it is about; ``host`` the host, where there is no account (without
    either it is every host); the rest are the command's arguments by name, or ``fields`` has them as
    lists of texts by the fields of its form. An empty command gives those there are.
    """
    if request["command"] in ONCE:
        return await _run_on(next(iter(server.hosts.values())), request)
    domain = _added(server, request)
    waking = server.added.domains.wake(domain) if domain is not None else None
    if waking is not None:
        await waking
    hosts = _hosts(server, request)
    said = [await _run_on(host, request) for host in hosts]
    return "\n".join(text for text in said if text)


async def _run_on(host: Host, request: Request) -> str:
    name = request["command"]
    if not name:
        return "\n".join(sorted({_usage(each) for each in (*ALWAYS.values(), *commands.commands(host))}))
    command = ALWAYS.get(name) or commands.named(host, name)
    if command is None:
        raise Refused(f"There is no command {name!r} on {host.domain}; its module may be off.")
    try:
        return lines.text(await _done(command, Call(host, None), _arguments(command, request)))
    except StanzaError as error:
        text = error.text or f"The command cannot be done: {error.condition}."
        hint = HINTS.get(error.condition) if name in ALWAYS and name not in ONCE else None
        raise Refused(f"{text[:-1]}; {hint}." if hint else text) from None
    except StorageError as error:
        raise Refused(f"The storage cannot do that now: {error}.") from error


async def _done(command: Command, call: Call, given: Arguments | None) -> Done:
    answer = await command.run(call, given)
    if not isinstance(answer, Done):
        raise Refused("This command asks in several steps; run it with a client.")
    return answer


def _arguments(command: Command, request: Request) -> Arguments | None:
    """Give the command's arguments: the account goes where the model has its field."""
    model = command.arguments
    if model is None:
        return None
    if "fields" in request:
        fields = [_field(name, info) for name, info in model.model_fields.items()]
        for unknown in sorted(request["fields"].keys() - set(fields)):
            raise Refused(f"{command.name} takes no {unknown}; it takes: {', '.join(fields)}.")
        return typed.read(model, request["fields"])
    others = {name: value for name, value in request.items() if name not in ("command", "host", "jid")}
    values = {name: value for name, value in others.items() if value is not None}
    if "jid" in request:
        plural = "accountjids" in model.model_fields
        values["accountjids" if plural else "accountjid"] = [request["jid"]] if plural else request["jid"]
    return typed.check(model, values)


def _usage(command: Command) -> str:
    """Give a command's words and what it takes."""
    fields = command.arguments.model_fields if command.arguments is not None else {}
    taken = [
        f"{_field(name, info)}=" if info.is_required() else f"[{_field(name, info)}=]"
        for name, info in fields.items()
    ]
    return " ".join((command.name, *taken))


def _field(name: str, info: FieldInfo) -> str:
    return info.alias or name


async def reload(palaver: Palaver) -> None:
    """Read the config file again and apply it; raises `ConfigError`, and then nothing changes."""
    file = palaver.config.file
    config = Config.from_file(file) if file else palaver.config
    await palaver.reload(config)
    log.set_level(config.general.loglevel)


def _added(server: Server, request: Request) -> str | None:
    """Give the added domain that a request is about, if it is about one."""
    about = str(request.get("jid") or request.get("host") or "")
    return server.added.domains.named(about.partition("/")[0].rpartition("@")[2])


def _hosts(server: Server, request: Request) -> list[Host]:
    """Give the hosts that a request is about."""
    if "jid" in request:
        return [_account(server, request["jid"])]
    wanted = request.get("host")
    return [_host(server, wanted)] if wanted else list(server.hosts.values())


def _host(server: Server, domain: str) -> Host:
    try:
        host = server.hosts.get(jid.prepare_domain(domain))
    except jid.InvalidJID as error:
        raise Refused(f"{domain!r} is no domain: {error}.") from None
    if host is None:
        raise Refused(f"{domain} is not served here; served: {', '.join(sorted(server.hosts))}.")
    return host


def _account(server: Server, text: str) -> Host:
    try:
        parsed = jid.parse(text)
    except jid.InvalidJID as error:
        raise Refused(f"{text!r} is no account: {error}.") from None
    if not parsed.local or parsed.resource:
        raise Refused(f"{text!r} is no account; write user@host.")
    return _host(server, parsed.domain)
