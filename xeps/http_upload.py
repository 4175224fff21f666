"""XEP-0363: HTTP File Upload, with the purposes of version 1.2 and the namespace of version 0.3."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field
from twisted.internet.defer import Deferred

from palaver import jid
from palaver.errors import StanzaError
from palaver.events import AccountDeleted, MessageRetracted
from palaver.mistakes import ConfigError
from palaver.modules import Module, Settings, every, on
from palaver.storage import Document
from palaver.web.interfaces import IDataFolder, IWeb
from palaver.web.uploads.files import Folder
from palaver.web.uploads.service import Rules, UploadService
from palaver.web.uploads.slots import Slots, Wanted
from palaver.web.uploads.stored import Uploads

# The one host whose address is known without being configured: that of `make run`.
LOCAL, LOCAL_URL = "localhost", "http://localhost:5280"
SWEEP_S = 60
DAY_S = 86400.0
Limit = int | Literal["infinity"]


class HttpUploadSettings(Settings):
    """Options of mod_http_upload."""

    host: str = Field("upload.@HOST@", description="The service's domain; @HOST@ stands for the host's.")
    base_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+$",
        description="Where browsers reach this server under the host's name, such as https://example.org; "
        f"without it nothing is offered, but for the host localhost, which is at {LOCAL_URL}.",
    )
    path: str = Field("/upload", pattern=r"^/[^?#\s]+$", description="Where files are.")
    folder: str = Field("uploads", min_length=1, description="Where they are on the disk, below data_dir.")
    expiration_time: int = Field(60, ge=1, le=86400, description="For how many seconds a slot may be used.")
    token_bytes: int = Field(
        32, ge=16, le=64, description="How many random bytes, in hexadecimal, an address has."
    )
    max_file_size: int = Field(10_485_760, ge=1, description="How large a file may be, in bytes.")
    quota: Limit = Field(
        1_073_741_824, description="How many bytes an account's files may have together, or infinity."
    )
    total_quota: Limit = Field(
        "infinity", description="How many bytes all files of the host may have together, or infinity."
    )
    expire_after_days: Limit = Field(
        30, description="After how many days files in messages are deleted, or infinity."
    )
    expire_profile_after_days: Limit = Field(
        "infinity", description="The same for files that are said to be for a profile, or permanent."
    )
    allowed_types: tuple[str, ...] = Field(
        (), description="Patterns of media types that are taken, such as image/*; empty for all."
    )


class HttpUpload(Module):
    """Gives slots, keeps what is uploaded, and deletes it in time."""

    Settings = HttpUploadSettings
    iq_policy = "one_queue"

    settings: HttpUploadSettings

    def start(self) -> Deferred[Any] | None:
        """Serve the domain and mount the page; where nobody could reach it, do nothing."""
        host, settings = self.host, self.settings
        self._base = settings.base_url or (LOCAL_URL if host.domain == LOCAL else None)
        self._is_on = False
        web, data_folder = host.query(IWeb), host.query(IDataFolder)
        if web is None or data_folder is None or self._base is None:
            return None
        # How messages name what is here.
        address = re.escape(f"{self._base}{settings.path.rstrip('/')}/")
        self._find_ids = re.compile(f"{address}([0-9a-f]{{{2 * settings.token_bytes}}})/").findall
        self._slots = Slots(host.clock, settings.expiration_time, settings.token_bytes)
        self._uploads = Uploads(host.domain, host.storage)
        self._folder = Folder(Path(data_folder) / settings.folder / host.domain, host.clock)
        try:
            domain = jid.prepare_domain(settings.host.replace("@HOST@", host.domain))
            service = UploadService(host, domain, self.name, self._rules(), self._make)
            self.undo(host.router.add(service))
            self.undo(web.mount(host.domain, settings.path, self._page))
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}") from None
        self._is_on = True
        return self._folder.in_thread(self._folder.open)

    def _rules(self) -> Rules:
        settings = self.settings
        in_messages, lasting = (
            None if days == "infinity" else days * DAY_S
            for days in (settings.expire_after_days, settings.expire_profile_after_days)
        )
        kept = {"message": in_messages, "ephemeral": in_messages, "profile": lasting, "permanent": lasting}
        return Rules(settings.max_file_size, settings.allowed_types, kept)

    def _page(self) -> Any:
        from palaver.web.uploads.page import UploadPage

        return UploadPage(self._slots, self._uploads, self._folder, self.settings.max_file_size)

    async def _make(self, wanted: Wanted) -> tuple[str, str]:
        """Give the addresses of a new slot; raises StanzaError when there is no room."""
        used, slots = await self._uploads.used(), self._slots
        mine = used[wanted.owner] + slots.reserved(wanted.owner) + wanted.size
        total = used.total() + slots.all_reserved + wanted.size
        for quota, bytes_ in ((self.settings.quota, mine), (self.settings.total_quota, total)):
            if quota != "infinity" and bytes_ > quota:
                raise StanzaError("resource-constraint", "There is no room for more files now")
        slot = slots.open(wanted)
        get = f"{self._base}{self.settings.path.rstrip('/')}/{slot.id}/{quote(wanted.filename, safe='')}"
        return f"{get}?token={slot.token}", get

    # -- what goes --------------------------------------------------------------------------

    @on(MessageRetracted)
    async def retracted(self, event: MessageRetracted) -> None:
        """Delete the files of the author's that a retracted message names."""
        author = jid.parse(event.author)
        if not self._is_on or author.domain != self.host.domain:
            return
        for id in set(self._find_ids(event.payload.decode())):
            document = await self._uploads.get(id)
            if document is not None and document.value["owner"] == author.local:
                await self._delete(document)

    @every(SWEEP_S)
    async def sweep(self) -> None:
        """Delete files that are too old, some at a time."""
        if not self._is_on:
            return
        self._slots.sweep()
        for document in await self._uploads.expired():
            await self._delete(document)

    @on(AccountDeleted)
    async def deleted(self, event: AccountDeleted) -> None:
        """Delete what an account has uploaded."""
        if not self._is_on:
            return
        self._slots.forget(event.jid.local)
        while found := await self._uploads.of(event.jid.local):
            for document in found:
                await self._delete(document)

    async def _delete(self, document: Document) -> None:
        """Delete a file, then forget it: a failure leaves what is tried again."""
        await self._folder.delete(document.key)
        await self._uploads.remove(document)
