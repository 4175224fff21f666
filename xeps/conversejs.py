"""Web chat: Converse.js at ``/chat``, from a folder of this machine or from where an option says.

Converse.js itself does not come with Palaver: ``npm pack converse.js`` downloads it. Without a folder and
without an address the page says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from palaver.modules import Module, Settings
from palaver.web.interfaces import IWeb
from palaver.web.pages.links import Link, add


class ConverseJsSettings(Settings):
    """Options of mod_conversejs."""

    path: str = Field(default="/chat", pattern=r"^/[^?#]+$", description="Where the chat is.")
    folder: Path | None = Field(
        default=None, description="The folder `dist` of Converse.js, which is served below the path."
    )
    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^?#\s]+$",
        description="The address of a `dist` elsewhere, which lets other sites load modules; whoever serves "
        "it can read along.",
    )
    script: str = Field(default="converse.min.js", description="The script in there.")
    css: str = Field(default="converse.min.css", description="The style sheet in there.")
    title: str = Field(default="", max_length=200, description="The page's title; empty: one of ours.")
    options: dict[str, Any] = Field(
        default={}, description="Options of Converse.js, which take the place of those that are filled in."
    )

    @model_validator(mode="after")
    def _one_place(self) -> ConverseJsSettings:
        if self.folder is not None and self.url is not None:
            raise ValueError("Converse.js is in a folder or at an address, not both")
        for name in (self.script, self.css):
            if self.folder is not None and not (self.folder / name).is_file():
                raise ValueError(f"there is no file {self.folder / name}")
        return self


class ConverseJs(Module):
    """Lets people chat in a browser."""

    Settings = ConverseJsSettings

    settings: ConverseJsSettings

    def start(self) -> None:
        """Mount the page."""
        web = self.host.query(IWeb)
        if web is None:
            return
        self.undo(web.mount(self.host.domain, self.settings.path, lambda: self._page(web)))
        if self.settings.folder or self.settings.url:
            self.undo(add(self.host, Link(self.settings.path, "Chat", "in this browser")))

    def _page(self, web: Any) -> Any:
        from palaver.web.pages.chat import ChatPage

        return ChatPage(self.host, web, self.settings)
