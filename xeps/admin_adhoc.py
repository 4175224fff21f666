"""XEP-0133: Service Administration, as commands of XEP-0050 for those who administer the host.

Administrators are those of ``general.admins``, of the host's own ``admins``, and those whom they add. Who
administers one host has no say on another. There is no command that gives a password, since none is kept.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from twisted.internet.interfaces import IDelayedCall

from palaver.commands import admins
from palaver.commands import command as commands
from palaver.commands.accounts import ACCOUNTS, NS_ADMIN
from palaver.commands.command import Arguments, Call, Command, Done, Permission
from palaver.commands.domains import DOMAINS
from palaver.commands.notices import everybody, say
from palaver.commands.reports import REPORTS
from palaver.commands.typed import Bares, Lines
from palaver.errors import StanzaError
from palaver.interfaces import IProcess
from palaver.log import Log
from palaver.modules import Module
from palaver.routing.host import Host

log = Log("administration")


class Admins(Arguments):
    """Who administers the host."""

    adminjids: Bares = Field((), description="All who administer the host; those of the configuration stay.")


class Ending(Arguments):
    """When the server ends, and what people are told."""

    delay: Literal["30", "60", "90", "120", "180", "240", "300"] = Field(
        "60", description="Seconds until then."
    )
    announcement: Lines = Field("", description="What everybody who is online is told now.")


class ServiceAdministration(Module):
    """Accounts, sessions, figures and the list of administrators, from a client."""

    def start(self) -> None:
        """Register the commands; those that end the process where it can be ended."""
        self._ending: IDelayedCall | None = None
        found = [*ACCOUNTS, *REPORTS, *DOMAINS]
        found.append(
            Command(
                f"{NS_ADMIN}#edit-admin",
                "admins edit",
                "Edit the administrators",
                self._edit_admins,
                Admins,
                form_type=NS_ADMIN,
                prefill=self._admins,
            )
        )
        if self.host.query(IProcess) is not None:
            found.append(self._of_process("restart", "Restart the server", self._restart))
            found.append(self._of_process("shutdown", "Shut the server down", self._shut_down))
        for each in found:
            self.undo(commands.add(self.host, each))

    def stop(self) -> None:
        """Take back what was still to end the process."""
        if self._ending is not None and self._ending.active():
            self._ending.cancel()

    @staticmethod
    def _of_process(node: str, title: str, run: Any) -> Command:
        permission: Permission = "server"
        return Command(
            f"{NS_ADMIN}#{node}",
            f"server {node}",
            title,
            run,
            Ending,
            permission,
            form_type=NS_ADMIN,
            harm="Everybody's sessions end.",
        )

    # -- who administers (section 4.29) ------------------------------------------------------

    async def _admins(self, call: Call) -> dict[str, list[str]]:
        return {"adminjids": await admins.all_admins(call.host)}

    async def _edit_admins(self, call: Call, given: Admins) -> Done:
        """Store the list; who is an administrator by the configuration remains one."""
        await admins.set_added_admins(call.host, given.adminjids)
        log.info("admins-changed", host=call.host.domain, by=call.by.full if call.by else None)
        kept = sorted(call.host.admins - set(given.adminjids))
        also = f" The configuration still names {', '.join(kept)}." if kept else ""
        return Done(f"The administrators have been changed.{also}")

    # -- the end of the process (sections 4.30 and 4.31) --------------------------------------

    async def _restart(self, call: Call, given: Ending) -> Done:
        return await self._end(call, given, restart=True)

    async def _shut_down(self, call: Call, given: Ending) -> Done:
        return await self._end(call, given, restart=False)

    async def _end(self, call: Call, given: Ending, restart: bool) -> Done:
        """Tell everybody, and end the process after the delay."""
        if self._ending is not None and self._ending.active():
            raise StanzaError("conflict", "The server is going down already.")
        process: Any = self.host.query(IProcess)
        delay_s = int(given.delay)
        self._ending = self.host.clock.callLater(delay_s, process.end, restart)
        log.info("ending", by=call.by.full if call.by else None, in_s=delay_s, restart=restart)
        if given.announcement:
            hosts = [host for host in self.host.router.services.values() if isinstance(host, Host)]
            for host in hosts:
                for full in everybody(host):
                    await say(host, full, given.announcement, kind="headline")
        return Done(f"The server {'restarts' if restart else 'ends'} in {delay_s} seconds.")
