"""A copy of what an account has, written as fast as its owner's browser reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from palaver.errors import StorageError
from palaver.log import Log
from palaver.portable.document import TYPE, document
from palaver.web.account.visit import Refusal, Visit

log = Log("accounts")


@implementer(IPushProducer)
class Outflow:
    """Writes pieces to a request while its connection takes them."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._resumed: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        """See IPushProducer."""
        if self._resumed is None:
            self._resumed = Deferred()

    def resumeProducing(self) -> None:
        """See IPushProducer."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)

    def stopProducing(self) -> None:
        """See IPushProducer; whoever waits is cancelled by the end of the request."""

    async def write(self, pieces: AsyncIterator[bytes]) -> None:
        """Write all of them."""
        self._request.registerProducer(self, True)
        try:
            async for piece in pieces:
                if piece:
                    self._request.write(piece)
                if self._resumed is not None:
                    await self._resumed
        finally:
            self._request.unregisterProducer()


async def export(visit: Visit) -> bytes:
    """Send the copy; gives its end. Raises Refusal, and StorageError as long as nothing has been sent."""
    exporting, local, request = visit.pages.exporting, visit.local, visit.request
    if local in exporting:
        raise Refusal("A copy is on its way already.", HTTPStatus.TOO_MANY_REQUESTS)
    exporting.add(local)
    try:
        pieces = document(visit.host, local)
        # The second one is the roster: where the storage fails, it does so before the answer has begun.
        first = [await anext(pieces), await anext(pieces)]
        _set_headers(visit)
        log.info("account-exported", user=local, host=visit.host.domain)
        request.write(b"".join(first))
        await Outflow(request).write(pieces)
    except StorageError as error:
        if not request.startedWriting:
            raise
        log.warn("export-broken-off", user=local, host=visit.host.domain, reason=error)
        # What has come is no whole document, and its reader is to know.
        request.channel.forceAbortClient()
    finally:
        exporting.discard(local)
    return b""


def _set_headers(visit: Visit) -> None:
    name = f"{visit.local}@{visit.host.domain}.xml"
    plain = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "@.-") else "_" for letter in name
    )
    for key, value in (
        ("content-type", TYPE),
        ("content-disposition", f'attachment; filename="{plain}"'),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ):
        visit.request.setHeader(key, value)
