"""Commands for administrators that are there whatever modules are on; only clients need mod_admin_adhoc."""

from __future__ import annotations

from palaver.commands import command as commands
from palaver.commands.accounts import ACCOUNTS
from palaver.commands.command import Command
from palaver.commands.domains import DOMAINS
from palaver.commands.reports import REPORTS
from palaver.routing.host import Host

ALWAYS = {command.name: command for command in (*ACCOUNTS, *REPORTS, *DOMAINS)}
"""By their words."""


def named_commands(host: Host) -> dict[str, Command]:
    """Give all commands of a host that have words, by these."""
    return ALWAYS | {command.name: command for command in commands.commands(host) if command.name}
