"""Web presence: whether an account is there, on a page for everybody, if the account's owner wants that.

An account says so by the command "Web presence", or on its page (mod_self_service); the status text is shown
only if the owner wants that as well. All others are offline to whoever asks, like those that do not exist.
The formats are those of Prosody's mod_webpresence; in JSON a missing text is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import Field, field_validator

from palaver.commands import command as commands
from palaver.commands.accounts import existing
from palaver.commands.admins import is_admin
from palaver.commands.command import Arguments, Call, Command, Done
from palaver.commands.typed import Account
from palaver.errors import StanzaError
from palaver.modules import Module, Settings
from palaver.stanza import NS_CLIENT
from palaver.storage import Batch
from palaver.web.interfaces import IWeb, IWebPresence
from palaver.web.status.icons import missing
from palaver.web.status.shown import AWAY_STATES, ONLINE, Shown, Status

if TYPE_CHECKING:
    from palaver.routing.sessions import Session
    from palaver.stanza import Stanza

KIND = "webpresence"
NODE = "palaver#webpresence"
# RFC 6121 has no limit for a status; a page that everybody may ask for has one.
MAX_TEXT_CHARS = 1024


class WebPresenceSettings(Settings):
    """Options of mod_webpresence."""

    path: str = Field(
        default="/status",
        pattern=r"^/[^?#]+$",
        description="Where the pages are; an address stands behind it, and behind that a format.",
    )
    presence_icons: Path | None = Field(
        default=None,
        description="A folder with `status_online.png` and the same for chat, away, xa, dnd and offline; "
        "without it they are drawn.",
    )
    max_age: int = Field(
        default=10, ge=0, le=3600, description="Seconds for which others may keep an answer."
    )
    requests_per_minute: int = Field(
        default=120, ge=0, le=100000, description="How often one address may ask; 0 is without limit."
    )
    origins: tuple[str, ...] = Field(
        default=(),
        description="The sites whose scripts may read the answers and whose pages may frame them, such as "
        "https://blog.example.org; `*` for all. Any page may show the picture.",
    )

    @field_validator("presence_icons")
    @classmethod
    def _complete(cls, folder: Path | None) -> Path | None:
        if folder is not None and (names := missing(folder)):
            raise ValueError(f"{folder} lacks {', '.join(names)}, or they are too large")
        return folder

    @field_validator("origins")
    @classmethod
    def _origins(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for origin in given:
            scheme, _, rest = origin.partition("://")
            # They go into a header, and browsers write no slash at the end of an origin.
            if origin != "*" and (
                scheme not in ("http", "https") or not rest or any(c in "/;, '\"" or c <= " " for c in rest)
            ):
                raise ValueError(f"{origin!r} is no origin such as https://blog.example.org")
        return given


class Showing(Arguments):
    """What everybody may see."""

    presence: bool = Field(False, description="Everybody may see on the web whether I am there.")
    text: bool = Field(False, description="Everybody may read my status text there, too.")
    accountjid: Account | None = Field(None, description="The account; nobody: whoever asks.")


class WebPresence(Module):
    """Shows on pages for everybody who is there, of those who want that."""

    Settings = WebPresenceSettings
    provides = (IWebPresence,)

    settings: WebPresenceSettings

    def start(self) -> None:
        """Mount the pages, and offer the command."""
        command = Command(
            NODE, "webpresence", "Web presence", self._show, Showing, "local", prefill=self._prefill
        )
        self.undo(commands.add(self.host, command))
        web = self.host.query(IWeb)
        if web is None:
            return
        domain = self.host.domain
        modules: dict[str, WebPresence] = web.shared(self.name, dict)
        modules[domain] = self
        self.undo(lambda: modules.pop(domain, None))
        self.undo(web.mount(domain, self.settings.path, lambda: self._page(web, modules)))

    def _page(self, web: Any, modules: Mapping[str, Any]) -> Any:
        from palaver.web.status.page import StatusPage

        return StatusPage(self.host, web, self.settings, modules)

    # -- IWebPresence ---------------------------------------------------------------------------

    def path_of(self, local: str) -> str:
        """See IWebPresence."""
        return f"{self.settings.path.rstrip('/')}/{quote(f'{local}@{self.host.domain}', safe='@')}"

    async def shown(self, local: str) -> Shown:
        """See IWebPresence."""
        document = await self.host.storage.documents.get(self.host.domain, local, KIND)
        return Shown(**document.value) if document is not None else Shown()

    async def show(self, local: str, shown: Shown) -> None:
        """See IWebPresence; of whoever shows nothing, nothing is stored."""
        batch = Batch()
        if shown.presence:
            batch.put(self.host.domain, local, KIND, "", shown._asdict())
        else:
            batch.delete(self.host.domain, local, KIND)
        await self.host.storage.write(batch)

    async def status(self, local: str) -> Status:
        """See IWebPresence."""
        bare = f"{local}@{self.host.domain}"
        shown = await self.shown(local)
        session = self._shown_session(local)
        if not shown.presence or session is None or session.presence is None:
            return Status(bare)
        state = _text(session.presence, "show") or ONLINE
        if state not in AWAY_STATES:
            state = ONLINE
        text = _text(session.presence, "status") if shown.text else None
        return Status(bare, state, text)

    def _shown_session(self, local: str) -> Session | None:
        """Give the session that counts: visible, of the highest priority, which is not negative."""
        user = self.host.users.get(local)
        found = [session for session in user.visible() if session.priority >= 0] if user is not None else []
        return max(found, key=lambda session: session.priority, default=None)

    # -- the command ------------------------------------------------------------------------------

    async def _prefill(self, call: Call) -> dict[str, bool]:
        return (await self.shown(call.by.local))._asdict() if call.by is not None else {}

    async def _show(self, call: Call, given: Showing) -> Done:
        """Store what the asker lets everybody see; administrators may say it for others."""
        local = await self._local(call, given.accountjid)
        if given.text and not given.presence:
            raise StanzaError("not-acceptable", "The text is shown with the presence only.")
        await self.show(local, Shown(given.presence, given.text))
        return Done(f"Shown at {self.path_of(local)}." if given.presence else "Not shown.")

    async def _local(self, call: Call, account: str | None) -> str:
        """Give the account that a call is about. Raises StanzaError."""
        if account is None:
            if call.by is None:
                raise StanzaError("not-acceptable", "Say which account.")
            return call.by.local
        if call.by is not None and account != call.by.bare and not await is_admin(self.host, call.by):
            raise StanzaError("forbidden", "You may say that of your own account only.")
        return await existing(self.host, account)


def _text(presence: Stanza, name: str) -> str | None:
    """Give what a child of a presence says; None when there is none or it is empty."""
    node = presence.child(NS_CLIENT, name)
    return str(node).strip()[:MAX_TEXT_CHARS] or None if node is not None else None
