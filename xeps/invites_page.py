"""Pages for invitations (XEP-0401): a landing page for each, and a form that makes an account in the browser.

The form makes accounts by the rules of mod_register, which has to be on for it. Where that is open to
strangers, the form needs no invitation.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pydantic import Field

from palaver.auth.registration import Stranger
from palaver.interfaces import IRegistration
from palaver.modules import Module, Settings
from palaver.web.addresses import LOCAL, local_url
from palaver.web.interfaces import IInvitePages, IWeb
from palaver.web.pages.links import Link, add
from palaver.web.proxies import Client


class InvitesPageSettings(Settings):
    """Options of mod_invites_page."""

    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#\s]+$",
        description="Where browsers reach this server, such as https://chat.example.org; without it "
        "invitations name no page, but for the host localhost, which is at its port on this machine.",
    )
    path: str = Field(
        default="/invite",
        pattern=r"^/[^?#]+$",
        description="Where the pages are; the token stands behind it.",
    )
    register_path: str = Field(
        default="/register",
        pattern=r"^/[^?#]+$",
        description="Where the form is; a token may stand behind it.",
    )


class InvitesPage(Module):
    """Shows invitations in a browser, and makes accounts there."""

    Settings = InvitesPageSettings
    provides = (IInvitePages,)

    settings: InvitesPageSettings

    def start(self) -> None:
        """Mount the pages."""
        web = self.host.query(IWeb)
        if web is None:
            return
        domain, chosen = self.host.domain, self.settings
        self.undo(web.mount(domain, chosen.path, lambda: self._landing(web)))
        self.undo(web.mount(domain, chosen.register_path, lambda: self._form(web)))
        purpose = "make one in this browser"
        self.undo(add(self.host, Link(chosen.register_path, "An account", purpose, self._is_open)))

    def address(self, token: str) -> str | None:
        """See IInvitePages."""
        base, web = self.settings.public_url, self.host.query(IWeb)
        if web is None or (base is None and self.host.domain != LOCAL):
            return None
        base = base or local_url(web)
        return f"{base}{self.settings.path.rstrip('/')}/{quote(token)}"

    def _is_open(self, client: Client) -> bool:
        """Tell whether somebody without an invitation may make an account."""
        registration = self.host.query(IRegistration)
        return registration is not None and registration.admits(Stranger(client.address, client.secure))

    def _landing(self, web: Any) -> Any:
        from palaver.web.pages.invite import InvitePage

        return InvitePage(self.host, web, self.settings.register_path.rstrip("/"))

    def _form(self, web: Any) -> Any:
        from palaver.web.pages.invite import RegisterPage

        return RegisterPage(self.host, web, self.settings.register_path)
