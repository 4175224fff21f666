"""What an administrator asks of a server, whether it runs or is only opened for one command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from palaver import jid, log
from palaver.auth.accounts import AccountExists, NoSuchAccount, NotSupported
from palaver.auth.keys import InvalidPassword
from palaver.config import Config
from palaver.errors import StorageError
from palaver.routing.host import Host
from palaver.routing.lifecycle import create_account, delete_account, set_password
from palaver.server import Server
from palaver.service import Palaver

Request = Mapping[str, Any]


class Refused(Exception):
    """The command cannot be done; the message is one sentence that says what to do."""


async def account_create(server: Server, request: Request) -> str:
    """Make the account ``jid`` with ``password``."""
    host, local = _account(server, request)
    await _told(create_account(host, local, request["password"]), request)
    return f"{local}@{host.domain} has been created."


async def account_delete(server: Server, request: Request) -> str:
    """Delete the account ``jid`` and everything stored for it."""
    host, local = _account(server, request)
    await _told(delete_account(host, local), request)
    return f"{local}@{host.domain} has been deleted."


async def account_passwd(server: Server, request: Request) -> str:
    """Give the account ``jid`` another ``password``; its sessions end."""
    host, local = _account(server, request)
    await _told(set_password(host, local, request["password"]), request)
    return f"{local}@{host.domain} has a new password."


async def account_list(server: Server, request: Request) -> str:
    """Give the accounts of ``host``, or of every host, a line each."""
    wanted = request.get("host")
    hosts = [_host(server, wanted)] if wanted else list(server.hosts.values())
    found = []
    for host in hosts:
        locals = await _told(host.accounts.list(), request)
        found += [f"{local}@{host.domain}" for local in locals]
    return "\n".join(found)


COMMANDS: dict[str, Callable[[Server, Request], Awaitable[str]]] = {
    "account create": account_create,
    "account delete": account_delete,
    "account passwd": account_passwd,
    "account list": account_list,
}
"""Each takes the server and the request, gives a text for people, and raises `Refused`."""


async def reload(palaver: Palaver) -> None:
    """Read the config file again and apply it; raises `ConfigError`, and then nothing changes."""
    file = palaver.config.file
    config = Config.from_file(file) if file else palaver.config
    await palaver.reload(config)
    log.set_level(config.general.loglevel)


def _host(server: Server, domain: str) -> Host:
    try:
        host = server.hosts.get(jid.prepare_domain(domain))
    except jid.InvalidJID as error:
        raise Refused(f"{domain!r} is no domain: {error}.") from None
    if host is None:
        raise Refused(f"{domain} is not served here; served: {', '.join(sorted(server.hosts))}.")
    return host


def _account(server: Server, request: Request) -> tuple[Host, str]:
    text = request["jid"]
    try:
        parsed = jid.parse(text)
    except jid.InvalidJID as error:
        raise Refused(f"{text!r} is no account: {error}.") from None
    if not parsed.local or parsed.resource:
        raise Refused(f"{text!r} is no account; write user@host.")
    return _host(server, parsed.domain), parsed.local


async def _told(work: Awaitable[Any], request: Request) -> Any:
    """Wait for work on accounts; what can go wrong becomes a sentence."""
    who = request.get("jid")
    try:
        return await work
    except AccountExists:
        raise Refused(f"{who} exists already; use: palaver account passwd {who}") from None
    except NoSuchAccount:
        raise Refused(f"There is no account {who}; palaver account list shows those there are.") from None
    except InvalidPassword as error:
        raise Refused(f"The password cannot be used: {error}.") from None
    except NotSupported:
        raise Refused("These accounts belong to another program, which has to change them.") from None
    except StorageError as error:
        raise Refused(f"The storage cannot do that now: {error}.") from error
