"""The ``palaver`` command: start, init, check, status, reload, storage upgrade, and what administrators do.

Exit status: 0 done; 1 it failed; 2 wrong usage or a wrong configuration. What went
wrong is said in a sentence on standard error.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palaver import __version__
from palaver.ask import NotRunning, ask
from palaver.config import CONFIG_FILE, SOME_DOMAIN, Config, ConfigError, load_config
from palaver.errors import StorageError
from palaver.template import TEMPLATE

if TYPE_CHECKING:
    from palaver.server import Server

OK, FAILED, WRONG = 0, 1, 2


class CommandFailed(Exception):
    """The command could not be done; the message is for the person who gave it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or OK)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return WRONG
    except CommandFailed as error:
        print(error, file=sys.stderr)
        return FAILED
    except NotRunning as error:
        print(f"No server has {error} open; start it with: palaver start", file=sys.stderr)
        return FAILED
    except StorageError as error:
        print(f"The storage cannot be used: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("palaver", description="An XMPP server.")
    parser.add_argument("--version", action="version", version=f"palaver {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int | None], help: str, to: Any = commands) -> Any:
        command = to.add_parser(name, help=help, description=help)
        command.add_argument("--config", metavar="FILE", help="the configuration; default ./palaver.toml")
        command.set_defaults(run=run)
        return command

    add("start", start, "Run the server in the foreground.")
    add("init", init, "Write a configuration for localhost.")
    check_command = add("check", check, "Say what is wrong with the configuration.")
    check_command.add_argument(
        "--pipeline", action="store_true", help="print who handles which stanza, in order"
    )
    status_command = add("status", status, "Say how the running server is.")
    status_command.add_argument("--json", action="store_true", help="as one JSON object")
    add("reload", reload, "Have the running server read its configuration and certificates again.")
    _add_accounts(add, commands.add_parser("account", help="Make, delete and list accounts."))
    _add_domains(add, commands.add_parser("domain", help="Add and remove domains while the server runs."))
    _add_invites(add, commands.add_parser("invite", help="Make, list and delete links for new accounts."))
    _add_tokens(
        add, commands.add_parser("rest-token", help="Make and remove tokens for programs that use REST.")
    )
    command = add("run", run_command, "Run any command of a host; without one: list them.")
    command.add_argument("host", metavar="HOST")
    command.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="of the command, and FIELD=VALUE for what it takes: room create room=hall owner=you@HOST",
    )
    storage = commands.add_parser("storage", help="Look after the storage.").add_subparsers(
        required=True, metavar="COMMAND"
    )
    add("upgrade", storage_upgrade, "Bring the storage's tables up to date.", storage)
    return parser


def _add_accounts(add: Callable[..., Any], parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, help in (
        ("create", "Make an account."),
        ("delete", "Delete an account and everything stored for it."),
        ("passwd", "Give an account another password; its sessions end."),
        ("disable", "Lock an account out; its sessions end."),
        ("enable", "Let an account in again."),
        ("kick", "End an account's sessions; it may log in again."),
    ):
        command = add(name, account, help, commands)
        command.set_defaults(command=f"account {name}")
        command.add_argument("jid", metavar="USER@HOST")
        if name in ("create", "passwd"):
            command.add_argument("--password", help="asked for, or read from standard input, when not given")
    listing = add("list", account, "List the accounts.", commands)
    listing.set_defaults(command="account list")
    listing.add_argument("host", nargs="?", metavar="HOST", help="of this host only")


def _add_domains(add: Callable[..., Any], parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, help in (
        ("add", "Serve another domain."),
        ("remove", "Serve an added domain no longer, and delete what is stored for it."),
        ("disable", "Serve an added domain no longer, and keep what is stored for it."),
        ("enable", "Serve a disabled domain again."),
        ("list", "List the domains that were added."),
    ):
        command = add(name, domain, help, commands)
        command.set_defaults(command=f"domain {name}")
        if name != "list":
            command.add_argument("domain", metavar="DOMAIN")
        if name == "add":
            command.add_argument("--host-type", metavar="TYPE", help="one of general.host_types")


def _add_invites(add: Callable[..., Any], parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, help in (
        ("create", "Make a link by which somebody makes an account."),
        ("list", "List the links that count."),
        ("history", "Say who invited whom."),
        ("delete", "Delete a link."),
    ):
        command = add(name, invite, help, commands)
        command.set_defaults(command=f"invite {name}")
        command.add_argument("host", metavar="HOST")
        if name == "delete":
            command.add_argument("invite", metavar="ID", help="as the list shows it")
        if name == "create":
            command.add_argument("--username", metavar="NAME", help="keep this name for whoever comes")
            command.add_argument("--inviter", metavar="USER@HOST", help="who invites; becomes a contact")
            command.add_argument("--uses", type=int, metavar="N", help="how many accounts; default 1")
            command.add_argument("--lifetime", type=int, metavar="SECONDS", help="for which it counts")


def _add_tokens(add: Callable[..., Any], parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, help in (
        ("add", "Make a token and print it, this once."),
        ("list", "List the tokens."),
        ("remove", "Remove a token."),
    ):
        command = add(name, rest_token, help, commands)
        command.set_defaults(command=f"rest-token {name}")
        command.add_argument("host", metavar="HOST")
        if name != "list":
            command.add_argument("name", metavar="NAME", help="what it is for")
        if name == "add":
            command.add_argument("--scope", choices=("read", "write"), default="read", help="what it may do")


# -- the commands -----------------------------------------------------------------------


def start(options: argparse.Namespace) -> int:
    """Run the server until SIGTERM or SIGINT; prints one line once every listener accepts."""
    from palaver.foreground import run

    return run(load_config(options.config))


def init(options: argparse.Namespace) -> None:
    """Write a configuration with comments; refuses to overwrite one."""
    path = Path(options.config or CONFIG_FILE)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise CommandFailed(f"{path} is there already and stays as it is.") from None
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}.") from None
    print(f"{path} has been written; start the server with: palaver start --config {path}")


def check(options: argparse.Namespace) -> None:
    """Read the configuration and every module's options; prints the pipeline when asked to."""
    config = load_config(options.config)
    for host in config.hosts:
        config.modules_for(host)
    for host_type in config.general.host_types:
        config.modules_for(SOME_DOMAIN, host_type)
    if not options.pipeline:
        print(f"{config.file or 'The default configuration'} has no mistakes.")
        return
    with tempfile.TemporaryDirectory(prefix="palaver-check-") as folder:

        async def rows(server: Server) -> list[tuple[str, ...]]:
            return server.pipeline()

        table = _opened(config.aside(Path(folder)), rows)
    header = ("host", "direction", "stanza", "phase", "module")
    widths = [max(len(row[column]) for row in (header, *table)) for column in range(len(header))]
    for row in (header, *table):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def status(options: argparse.Namespace) -> None:
    """Print what the running server says about itself."""
    found = _ask(load_config(options.config), {"command": "status"})
    if options.json:
        print(json.dumps(found))
        return
    print(f"up for {found['uptime_s']} s, {found['sessions']} sessions, hosts: {', '.join(found['hosts'])}")
    for listener in found["listeners"]:
        print(f"listening: {listener}")
    for name, value in sorted(found["metrics"].items()):
        print(f"{name} {value:g}")


def reload(options: argparse.Namespace) -> None:
    """Have the running server apply its configuration again."""
    print(_ask(load_config(options.config), {"command": "reload"}))


def account(options: argparse.Namespace) -> None:
    """Do something with accounts: by the running server, else with the storage opened for it."""
    request = {"command": options.command, "host": getattr(options, "host", None)}
    if hasattr(options, "jid"):
        request["jid"] = options.jid
    if hasattr(options, "password"):
        request["password"] = _password() if options.password is None else options.password
    _run(options, request)


def domain(options: argparse.Namespace) -> None:
    """Do something with domains, like `account`."""
    names = ("command", "domain", "host_type")
    _run(options, {name: getattr(options, name, None) for name in names})


def invite(options: argparse.Namespace) -> None:
    """Do something with links, like `account`."""
    names = ("command", "host", "invite", "username", "uses", "lifetime")
    request = {name: getattr(options, name, None) for name in names}
    if inviter := getattr(options, "inviter", None):
        request |= {"accountjid": inviter, "roster-subscription": True}
    _run(options, request)


def rest_token(options: argparse.Namespace) -> None:
    """Do something with tokens, like `account`."""
    names = ("command", "host", "name", "scope")
    _run(options, {name: getattr(options, name, None) for name in names})


def run_command(options: argparse.Namespace) -> None:
    """Run any command, like `account`."""
    words = [word for word in options.words if "=" not in word]
    fields: dict[str, list[str]] = {}
    for word in options.words:
        name, sign, value = word.partition("=")
        if sign:
            fields.setdefault(name, []).append(value)
    _run(options, {"command": " ".join(words), "host": options.host, "fields": fields})


def _run(options: argparse.Namespace, request: dict[str, Any]) -> None:
    """Have a command run and print what it says: by the running server, else with the storage opened."""
    config = load_config(options.config)
    try:
        said = _ask(config, request)
    except NotRunning:
        said = _run_opened(config, request)
    if said:
        print(said)


def _run_opened(config: Config, request: dict[str, Any]) -> str:
    from palaver.admin import Refused, run

    try:
        return str(_opened(config, lambda server: run(server, request)))
    except Refused as error:
        raise CommandFailed(str(error)) from None


def storage_upgrade(options: argparse.Namespace) -> None:
    """Bring the storage's tables up to date, which a start does as well."""
    from palaver.storage.open import upgrade

    config = load_config(options.config)
    try:
        _ask(config, {"command": "status"})
        done = False
    except NotRunning:
        config.make_data_dir()
        done = upgrade(config.storage.url, config.general.data_dir)
    print("The storage has been upgraded." if done else "The storage is up to date.")


# -- how ----------------------------------------------------------------------------------


def _ask(config: Config, request: dict[str, Any]) -> Any:
    """Have the running server do something; raises `NotRunning`."""
    answer = ask(config.general.data_dir, request)
    if answer["ok"]:
        return answer["result"]
    raise (ConfigError if answer.get("config") else CommandFailed)(answer["error"])


def _opened(config: Config, work: Callable[[Server], Awaitable[Any]]) -> Any:
    """Do something with the storage and the modules of a server that does not listen."""
    from palaver.foreground import run_opened

    return run_opened(config, work)


def _password() -> str:
    """Ask for a password at a terminal, twice; else read a line."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise CommandFailed("The two passwords differ.")
    return first


if __name__ == "__main__":
    sys.exit(main())
