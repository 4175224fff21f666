"""Self-service: pages where people look after their own account, with a copy of its data (XEP-0227).

They change the password, see which programs are logged in and end them, withdraw tokens, choose what
everybody sees (mod_webpresence), save a copy of what is stored for them (XEP-0227), and delete the account.
The pages have no script; what changes something is a form of ours, from the browser that has logged in.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from palaver.modules import Module, Settings
from palaver.web.interfaces import IWeb
from palaver.web.pages.links import Link, add


class SelfServiceSettings(Settings):
    """Options of mod_self_service."""

    path: str = Field(default="/account", pattern=r"^/[^?#]*[^?#/]$", description="Where the pages are.")
    allow_deletion: bool = Field(default=True, description="Let people delete their account there.")


class SelfService(Module):
    """Lets people look after their account in a browser."""

    Settings = SelfServiceSettings

    settings: SelfServiceSettings

    def start(self) -> None:
        """Mount the pages."""
        web = self.host.query(IWeb)
        if web is None:
            return
        self.undo(web.mount(self.host.domain, self.settings.path, lambda: self._page(web)))
        purpose = "the password, who is logged in, a copy of your data"
        self.undo(add(self.host, Link(self.settings.path, "Your account", purpose)))

    def _page(self, web: Any) -> Any:
        from palaver.web.account.page import AccountPage

        return AccountPage(self.host, web, self.settings)
