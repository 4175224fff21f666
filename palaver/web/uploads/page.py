"""The page that takes uploads (PUT with a slot's token) and gives them (GET, HEAD, with ranges)."""

from __future__ import annotations

import errno
import time
from http import HTTPStatus
from typing import Any, BinaryIO
from urllib.parse import parse_qs, quote, unquote

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from palaver.errors import StorageError
from palaver.log import Log
from palaver.web.problems import problem
from palaver.web.uploads.asked import UNKNOWN_TYPE
from palaver.web.uploads.files import Folder, Incoming
from palaver.web.uploads.sending import FileProducer, Unsatisfiable, span
from palaver.web.uploads.slots import Slot, Slots
from palaver.web.uploads.stored import Uploads

log = Log("uploads")

# Browsers show these by themselves, and run nothing that is in them.
SHOWN = ("image/", "audio/", "video/")
NEVER_SHOWN = ("image/svg+xml",)
# An address names one content for ever.
CACHE_S = 365 * 86400
PREFLIGHT_S = 7200
# How long a disk may take to rename a file whose document is stored.
SETTLE_S = 60
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

SAFETY = {
    b"x-content-type-options": b"nosniff",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; sandbox",
    b"cross-origin-resource-policy": b"cross-origin",
    b"referrer-policy": b"no-referrer",
    b"access-control-allow-origin": b"*",
    b"access-control-expose-headers": b"content-range, content-length, etag",
}


class UploadPage(Resource):
    """What is below the path of uploads: ``ID/NAME``."""

    isLeaf = True

    def __init__(self, slots: Slots, uploads: Uploads, folder: Folder, max_bytes: int) -> None:
        super().__init__()
        self._slots = slots
        self._uploads = uploads
        self._folder = folder
        self._max_bytes = max_bytes

    # -- before the body is read ------------------------------------------------------------

    def max_body_bytes(self, request: Any) -> int:
        """See WebRequest: what the slot says; what is refused is read up to the usual limit, and not kept."""
        request.slot = self._slot(request) if request.channel._command == b"PUT" else None
        return self._max_bytes if request.slot is None else int(request.slot.wanted.size)

    def open_body(self, request: Any) -> Any:
        """See WebRequest."""
        slot: Slot | None = request.slot
        if slot is None:
            return None
        self._slots.take(slot)
        incoming = self._folder.incoming(request.channel.transport)
        incoming.abandoned = lambda: self._slots.give_back(slot)
        return incoming

    def _slot(self, request: Any) -> Slot | None:
        path, _, query = request.channel._path.decode("latin-1").partition("?")
        segments = path.split("/")[1 + request.found.depth :]
        tokens = parse_qs(query).get("token", [])
        if len(segments) != 2 or len(tokens) != 1:
            return None
        slot = self._slots.find(segments[0], tokens[0])
        return slot if slot is not None and unquote(segments[1]) == slot.wanted.filename else None

    # -- PUT ----------------------------------------------------------------------------------

    def render_PUT(self, request: Any) -> Any:
        """Take a file."""
        _set(request, SAFETY)
        slot: Slot | None = request.slot
        if slot is None:
            return problem(
                request, HTTPStatus.FORBIDDEN, "Ask for a slot; this one is used, too old or unknown"
            )
        wanted = slot.wanted
        if request.content.size != wanted.size:
            return problem(
                request, HTTPStatus.BAD_REQUEST, f"Send exactly the {wanted.size} bytes that the slot is for"
            )
        given = (request.getHeader("content-type") or "").strip().lower()
        if wanted.type and given != wanted.type:
            return problem(
                request, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the content type that the slot is for"
            )
        return _later(request, self._take(request, slot, request.content))

    async def _take(self, request: Any, slot: Slot, content: Incoming) -> None:
        await content.finish()
        try:
            await self._keep(slot, content)
        except StorageError:
            # Whether its document is there is not known, so the slot is not good for another one.
            content.abandoned = None
            self._slots.close(slot)
            content.discard()
            raise
        except BaseException:
            content.discard()
            raise
        self._slots.close(slot)
        log.info("uploaded", owner=slot.wanted.owner, bytes=slot.wanted.size)
        request.setResponseCode(HTTPStatus.CREATED.value)
        request.setHeader(b"content-length", b"0")
        request.finish()

    async def _keep(self, slot: Slot, content: Incoming) -> None:
        """Store the document, then put the file into its place: no crash leaves a file that nobody knows of.

        Raises OSError, StorageError.
        """
        await self._uploads.add(slot, int(time.time()) + SETTLE_S)
        try:
            await content.keep(slot.id)
        except BaseException:
            await self._folder.delete(slot.id)
            await self._uploads.cancel(slot)
            raise
        try:
            is_wanted = await self._uploads.seen(slot.id)
        except StorageError as error:
            # It is there, which the next look at what is unseen will show.
            log.warn("upload-not-noted", reason=error)
            return
        if not is_wanted:
            await self._folder.delete(slot.id)
            raise StorageError("it was deleted while it came")

    # -- GET and HEAD ---------------------------------------------------------------------------

    def render_GET(self, request: Any) -> Any:
        """Give a file."""
        _set(request, SAFETY)
        return _later(request, self._give(request))

    render_HEAD = render_GET

    def render_OPTIONS(self, request: Any) -> bytes:
        """Allow scripts of any site to upload and download: they need an address that nobody guesses."""
        _set(request, SAFETY)
        request.setHeader(b"access-control-allow-methods", b"OPTIONS, HEAD, GET, PUT")
        request.setHeader(b"access-control-allow-headers", b"content-type, range")
        request.setHeader(b"access-control-max-age", b"%d" % PREFLIGHT_S)
        request.setResponseCode(HTTPStatus.NO_CONTENT.value)
        return b""

    async def _give(self, request: Any) -> None:
        document = await self._find(request)
        if document is None:
            _refuse(request, HTTPStatus.NOT_FOUND, "There is no such file, or not any more")
            return
        size, etag = document.value["size"], f'"{document.key[:32]}"'
        _set(request, _headers(document.value))
        request.setHeader(b"etag", etag.encode())
        if etag in [each.strip() for each in (request.getHeader("if-none-match") or "").split(",")]:
            request.setResponseCode(HTTPStatus.NOT_MODIFIED.value)
            request.finish()
            return
        try:
            part = self._part(request, etag, size)
        except Unsatisfiable:
            wrong = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            _refuse(request, wrong, "Ask for a part of the file", content_range=f"bytes */{size}")
            return
        first, last = part or (0, size - 1)
        file = await self._folder.read(document.key)
        if file is None:
            _refuse(request, HTTPStatus.NOT_FOUND, "There is no such file, or not any more")
            return
        if part is not None:
            request.setResponseCode(HTTPStatus.PARTIAL_CONTENT.value)
            request.setHeader(b"content-range", b"bytes %d-%d/%d" % (first, last, size))
        request.setHeader(b"content-length", b"%d" % (last - first + 1))
        await self._send(request, file, first, last)

    async def _find(self, request: Any) -> Any:
        if len(request.postpath) != 2:
            return None
        try:
            id, name = (segment.decode() for segment in request.postpath)
        except UnicodeDecodeError:
            return None
        document = await self._uploads.get(id)
        return document if document is not None and document.value["name"] == name else None

    @staticmethod
    def _part(request: Any, etag: str, size: int) -> tuple[int, int] | None:
        """Give the range that is asked for, if it is one of this content; raises `Unsatisfiable`."""
        if request.method != b"GET" or request.getHeader("if-range") not in (None, etag):
            return None
        return span(request.getHeader("range"), size)

    async def _send(self, request: Any, file: BinaryIO, first: int, last: int) -> None:
        if request.method == b"HEAD":
            file.close()
            request.write(b"")
            request.finish()
            return
        producer = FileProducer(self._folder, file, request, first, last - first + 1)
        left = request.notifyFinish()
        left.addErrback(lambda _: producer.stopProducing())
        producer.start()
        await producer.done
        if request.channel is not None and not request._disconnected:
            request.finish()


def _headers(value: dict[str, Any]) -> dict[bytes, bytes]:
    """Give what says what a file is; only what runs nothing is shown by browsers."""
    kind = value["type"] or UNKNOWN_TYPE
    bare = kind.partition(";")[0].strip()
    is_shown = bare.startswith(SHOWN) and bare not in NEVER_SHOWN
    how = "inline" if is_shown else "attachment"
    return {
        b"content-type": (kind if is_shown else UNKNOWN_TYPE).encode(),
        b"content-disposition": f"{how}; filename*=UTF-8''{quote(value['name'], safe='')}".encode(),
        b"accept-ranges": b"bytes",
        b"cache-control": b"private, max-age=%d, immutable" % CACHE_S,
    }


def _set(request: Any, headers: dict[bytes, bytes]) -> None:
    for name, value in headers.items():
        request.setHeader(name, value)


def _refuse(request: Any, status: HTTPStatus, detail: str, **headers: str) -> None:
    for name in (b"etag", b"content-disposition", b"cache-control"):
        request.responseHeaders.removeHeader(name)
    body = problem(request, status, detail, **headers)
    request.setHeader(b"content-length", b"%d" % len(body))
    request.write(b"" if request.method == b"HEAD" else body)
    request.finish()


def _later(request: Any, work: Any) -> int:
    """Do something whose end is the request's; it goes on when the client leaves, and tells nobody then."""
    Deferred.fromCoroutine(work).addErrback(_failed, request)
    return NOT_DONE_YET


def _failed(failure: Failure, request: Any) -> None:
    status, detail = HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here"
    if isinstance(failure.value, OSError) and failure.value.errno in NO_ROOM:
        status, detail = HTTPStatus.INSUFFICIENT_STORAGE, "There is no room for it now"
        log.error("no-room", reason=failure.value.strerror)
    elif isinstance(failure.value, OSError):
        # Without the path, by which whoever reads the log could get the file.
        log.error("upload-failed", reason=failure.value.strerror)
    elif failure.check(StorageError):
        status, detail = HTTPStatus.SERVICE_UNAVAILABLE, "Try again in a moment"
        log.warn("upload-failed", reason=failure.value)
    elif not failure.check(CancelledError):
        log.failure("upload-failed", failure)
    if not request.startedWriting and not request._disconnected:
        _refuse(request, status, detail)
