"""XEP-0363: HTTP File Upload, with the purposes of version 1.2 and the namespace of version 0.3."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from twisted.internet.defer import Deferred, DeferredLock

from palaver import jid
from palaver.commands.accounts import existing
from palaver.commands.command import Call, Done
from palaver.errors import StanzaError, StorageError
from palaver.events import AccountDeleted, MessageRetracted
from palaver.log import Log
from palaver.mistakes import ConfigError
from palaver.modules import Module, Settings, command, every, on
from palaver.storage import Document
from palaver.waiting import settled
from palaver.web.addresses import LOCAL, local_url
from palaver.web.interfaces import IDataFolder, IWeb
from palaver.web.uploads.command import SlotGiven, SlotWanted
from palaver.web.uploads.disk import Disk
from palaver.web.uploads.service import Rules, UploadService
from palaver.web.uploads.slots import Slots, Wanted
from palaver.web.uploads.stored import PAGE, Uploads

log = Log("uploads")

SWEEP_S = 60
# A disk or a bucket that fails so often is asked again by the next sweep.
MAX_FAILURES = 3
DAY_S = 86400.0
Limit = int | Literal["infinity"]


class S3Settings(BaseModel):
    """A bucket and its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    bucket_url: str = Field(
        pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$",
        description="Where it is, such as https://s3-eu-west-1.amazonaws.com/mybucket.",
    )
    region: str = Field(min_length=1, description="Its region, such as eu-west-1.")
    access_key_id: str = Field(min_length=1, description="Who signs.")
    secret_access_key: SecretStr = Field(min_length=1, description="What is signed with.")
    add_acl: bool = Field(
        False,
        description="Sign the header x-amz-acl: public-read too; clients must send it then.",
    )


class HttpUploadSettings(Settings):
    """Options of mod_http_upload."""

    model_config = ConfigDict(hide_input_in_errors=True)

    backend: Literal["disk", "s3"] = Field(
        "disk",
        description="Where files are: on this server, or in a bucket of Amazon S3 or of what speaks like it, "
        "which clients send them to and get them from. Let everybody read it, by its policy or with add_acl, "
        "but not list it; and give it a domain without pages of yours.",
    )
    s3: S3Settings | None = Field(None, description="The bucket, for the backend s3.")
    host: str = Field("upload.@HOST@", description="The service's domain; @HOST@ stands for the host's.")
    base_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+$",
        description="Where browsers reach this server under the host's name, such as https://example.org; "
        "without it nothing is offered, but for the host localhost, which is at its port on this machine.",
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

    @model_validator(mode="after")
    def _bucket(self) -> HttpUploadSettings:
        if (self.backend == "s3") != (self.s3 is not None):
            raise ValueError("the backend s3, and no other, needs a table s3")
        return self


class HttpUpload(Module):
    """Gives slots, keeps what is uploaded, and deletes it in time."""

    Settings = HttpUploadSettings
    iq_policy = "one_queue"

    settings: HttpUploadSettings

    def in_use(self) -> bool:
        """See Module: somebody may be sending a file, or be about to."""
        return self._slots.all_reserved > 0

    def start(self) -> Deferred[Any] | None:
        """Serve the domain, and mount the page if there is one; where nobody could reach it, do nothing."""
        host, settings = self.host, self.settings
        self._uploads = Uploads(host.domain, host.storage)
        self._slots = Slots(host.clock, settings.expiration_time, settings.token_bytes)
        self._sweeping = DeferredLock()
        self._place: Any = self._bucket() if settings.s3 is not None else self._disk()
        if self._place is None:
            return None
        try:
            domain = jid.prepare_domain(settings.host.replace("@HOST@", host.domain))
            self._service = UploadService(host, domain, self.name, self._rules(), self._make)
            self.undo(host.router.add(self._service))
            if settings.s3 is None:
                page = self._place.page
                self.undo(
                    host.query(IWeb).mount(host.domain, settings.path, lambda: page(settings.max_file_size))
                )
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}") from None
        started: Deferred[Any] | None = self._place.start()
        return started

    def stop(self) -> Deferred[Any]:
        """Let what is being deleted be deleted, or given up."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            await settled(place.stop())
            await self._sweeping.acquire()

    def _find_ids(self, text: str) -> list[str]:
        """Give the ids of files that a text names."""
        address = re.escape(f"{self._place.url}/")
        return re.findall(f"{address}([0-9a-f]{{{2 * self.settings.token_bytes}}})/", text)

    def _disk(self) -> Disk | None:
        """Give the folder, when browsers can reach this server."""
        host, settings = self.host, self.settings
        base, data_folder, web = settings.base_url, host.query(IDataFolder), host.query(IWeb)
        if data_folder is None or web is None or (base is None and host.domain != LOCAL):
            return None
        path = settings.path.rstrip("/")
        folder = Path(data_folder) / settings.folder / host.domain

        def where() -> str:
            # The port is known once it is open.
            return f"{base or local_url(web)}{path}"

        return Disk(folder, where, self._uploads, self._slots, host.clock)

    def _bucket(self) -> Any:
        # An HTTP client needs memory, which a server without a bucket need not spend.
        from palaver.web.uploads.bucket import Bucket
        from palaver.web.uploads.signing import Keys

        s3 = self.settings.s3
        assert s3 is not None
        keys = Keys(s3.region, s3.access_key_id, s3.secret_access_key.get_secret_value())
        lifetime_s = self.settings.expiration_time
        return Bucket(
            s3.bucket_url, keys, s3.add_acl, lifetime_s, self._uploads, self._slots, self.host.clock
        )

    def _rules(self) -> Rules:
        settings = self.settings
        in_messages, lasting = (
            None if days == "infinity" else days * DAY_S
            for days in (settings.expire_after_days, settings.expire_profile_after_days)
        )
        kept = {"message": in_messages, "ephemeral": in_messages, "profile": lasting, "permanent": lasting}
        return Rules(settings.max_file_size, settings.allowed_types, kept)

    async def _make(self, wanted: Wanted) -> tuple[str, str]:
        """Give the addresses of a new slot; raises StanzaError when there is no room."""
        place, used = self._place, await self._uploads.used()
        mine = used[wanted.owner] + place.reserved(wanted.owner) + wanted.size
        total = used.total() + place.all_reserved + wanted.size
        for quota, bytes_ in ((self.settings.quota, mine), (self.settings.total_quota, total)):
            if quota != "infinity" and bytes_ > quota:
                raise StanzaError("resource-constraint", "There is no room for more files now")
        opened: tuple[str, str] = await place.open(wanted)
        return opened

    @command("http-upload-slot", "upload slot", "Have a file uploaded for an account", SlotWanted)
    async def slot(self, call: Call, given: SlotWanted) -> Done:
        """Give addresses for PUT and GET."""
        if self._place is None:
            raise StanzaError("service-unavailable", "Nothing is uploaded here; base_url is missing.")
        put, get = await self._service.open(await existing(call.host, given.accountjid), given.asked())
        return Done(f"PutURL: {put}\nGetURL: {get}", SlotGiven(put=put, get=get))

    # -- what goes --------------------------------------------------------------------------

    @on(MessageRetracted)
    async def retracted(self, event: MessageRetracted) -> None:
        """Delete the files of the author's that a retracted message names."""
        author = jid.parse(event.author)
        if self._place is None or author.domain != self.host.domain:
            return
        found = [await self._uploads.get(id) for id in set(self._find_ids(event.payload.decode()))]
        mine = [each for each in found if each is not None and each.value["owner"] == author.local]
        if mine:
            await self._uploads.doom(mine)
            self.host.guard(self.name, self.sweep)

    @on(AccountDeleted)
    async def deleted(self, event: AccountDeleted) -> None:
        """Delete what an account has uploaded: nobody gets it from here on."""
        if self._place is None:
            return
        self._slots.forget(event.jid.local)
        while found := await self._uploads.of(event.jid.local):
            await self._uploads.doom(found)
        self.host.guard(self.name, self.sweep)

    @every(SWEEP_S)
    async def sweep(self) -> None:
        """Delete files that are too old or not wanted any more; what fails is tried again later."""
        await self._sweeping.acquire()
        try:
            self._slots.sweep()
            if await self._delete_expired() and self._place is not None:
                await self._place.look()
        except (OSError, StorageError) as error:
            log.warn("uploads-not-swept", host=self.host.domain, reason=_reason(error))
        finally:
            self._sweeping.release()

    async def _delete_expired(self) -> bool:
        """Give False when some could not be deleted; they are behind all others then."""
        failures: list[Document] = []
        while self._place is not None and len(failures) < MAX_FAILURES:
            expired = await self._uploads.expired()
            for document in expired:
                if self._place is None or len(failures) == MAX_FAILURES:
                    break
                if not await self._delete(document):
                    failures.append(document)
            if failures or len(expired) < PAGE:
                break
        if failures and self._place is not None:
            await self._uploads.doom(failures)
        return not failures

    async def _delete(self, document: Document) -> bool:
        """Delete a file, then forget it; gives False when that has failed."""
        place, there = document.value.get("place", ""), self._place
        try:
            if place == there.place:
                await there.delete(document)
            else:
                log.warn("upload-left", host=self.host.domain, place=place or "disk")
        except (OSError, StorageError) as error:
            log.warn("upload-not-deleted", host=self.host.domain, reason=_reason(error))
            return False
        await self._uploads.remove(document)
        return True


def _reason(error: Exception) -> object:
    """Give what may be logged of a failure: no path, by which whoever reads the log could get a file."""
    return error.strerror if isinstance(error, OSError) else error
