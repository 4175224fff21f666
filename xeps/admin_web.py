"""Administration in a browser at ``/admin``: what the server does, accounts, sessions, rooms, invitations.

Administrators log in with their account. Whoever administers the server sees every host, and whoever
administers a host sees that one. Every command that clients and the command line have is there too.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from palaver.modules import Module, Settings
from palaver.throttle import parse_address
from palaver.web.interfaces import IWeb
from palaver.web.pages.links import Link, add
from palaver.web.proxies import Client


class AdminWebSettings(Settings):
    """Options of mod_admin_web."""

    path: str = Field(default="/admin", pattern=r"^/[^?#]+$", description="Where the pages are.")


def _is_here(client: Client) -> bool:
    """Tell whether somebody looks from this machine; others who may come in know the address."""
    address = parse_address(client.address)
    return address is not None and address.is_loopback


class AdminWeb(Module):
    """Lets administrators work in a browser.

    Who they are stands in the configuration. Make an account (``palaver account create you@example.org``),
    name it in ``admins``, of ``[general]`` for the whole server or of a ``[[host_config]]`` for one host, and
    run ``palaver reload``. Administrators of one host see and change nothing of the others.
    """

    Settings = AdminWebSettings

    settings: AdminWebSettings

    def start(self) -> None:
        """Mount the pages."""
        web = self.host.query(IWeb)
        if web is None:
            return
        path = self.settings.path
        self.undo(web.mount(self.host.domain, path, lambda: self._pages(web)))
        purpose = "for those who run this server"
        self.undo(add(self.host, Link(path, "Administration", purpose, _is_here)))

    def _pages(self, web: Any) -> Any:
        # Loaded with the first request.
        from palaver.web.admin.site import AdminPages

        return AdminPages(self.host, web, self.settings.path)
