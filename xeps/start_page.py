"""A start page at ``/`` on the ports for HTTP: what this server is, and how to connect to it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from palaver.modules import Module, Settings
from palaver.web.interfaces import IWeb


class StartPageSettings(Settings):
    """Options of mod_start_page."""

    path: str = Field(default="/", pattern=r"^/[^?#]*$", description="Where the page is.")
    title: str = Field(default="", max_length=200, description="Its title; empty: the domain.")
    about: str = Field(
        default="", max_length=4000, description="What it says of this server; empty: a sentence of ours."
    )


class StartPage(Module):
    """Says in a browser how to connect."""

    Settings = StartPageSettings

    settings: StartPageSettings

    def start(self) -> None:
        """Mount the page."""
        web = self.host.query(IWeb)
        if web is not None:
            self.undo(web.mount(self.host.domain, self.settings.path, lambda: self._page(web)))

    def _page(self, web: Any) -> Any:
        from palaver.web.pages.start import StartPage as Page

        return Page(self.host, web, self.settings.title, self.settings.about)
