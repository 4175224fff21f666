"""Answers that are waited for, and forms that no other site can send."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET

from palaver.errors import StorageError
from palaver.log import Log
from palaver.web.problems import problem

# 144 bits, as a name that nobody guesses within a cookie's life.
KEY_BYTES = 18
# An hour to fill in a form.
COOKIE_MAX_AGE_S = 3600
# Nobody types longer than that into one field.
MAX_FIELD_BYTES = 4096
# The most that a form brings; see `palaver.web.site.WebRequest`.
MAX_FORM_BYTES = 64 * 1024

log = Log("web")


def respond(request: Any, work: Coroutine[Any, Any, bytes]) -> int:
    """Answer a request with what a coroutine gives; it is cancelled when the client goes."""
    waiting = Deferred.fromCoroutine(work)
    gone: list[object] = []

    def left(_: Failure) -> None:
        gone.append(True)
        waiting.cancel()

    request.notifyFinish().addErrback(left)

    def answer(body: bytes) -> None:
        if not gone:
            request.setHeader(b"content-length", b"%d" % len(body))
            if request.method != b"HEAD":
                request.write(body)
            request.finish()

    waiting.addErrback(_failed, request).addCallback(answer)
    return NOT_DONE_YET


def _failed(failure: Failure, request: Any) -> bytes:
    if failure.check(StorageError):
        log.warn("page-failed", path=path_of(request), reason=failure.value)
        return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, "Try again in a moment", retry_after="5")
    if not failure.check(CancelledError):
        log.failure("page-failed", failure)
    return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here")


def path_of(request: Any) -> str:
    """Give the part of a request's path that its owner has: no token stands in it."""
    path: bytes = b"/" + b"/".join(request.prepath[: request.found.depth])
    return path.decode("latin-1")


def given(request: Any, name: str) -> str:
    """Give a field of the form or query of a request; "" when it is missing, twice there, or no text."""
    values = request.args.get(name.encode(), [])
    if len(values) != 1 or len(values[0]) > MAX_FIELD_BYTES:
        return ""
    try:
        text: str = values[0].decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return text


class Forms:
    """Keeps forms of other sites out: a form's key belongs to a cookie, which only our pages set.

    The cookie goes with no request that another site makes (SameSite=Strict), and nobody can make the key
    for a cookie that he has put there himself.
    """

    def __init__(self, cookie: str) -> None:
        """``cookie`` is its name."""
        self._cookie = cookie.encode()
        self._secret = secrets.token_bytes(32)

    def key(self, request: Any, secure: bool, path: str) -> str:
        """Give the key for a form of a page; sets the cookie when there is none."""
        value = request.getCookie(self._cookie)
        if not value:
            value = secrets.token_urlsafe(KEY_BYTES).encode()
            request.addCookie(
                self._cookie,
                value,
                path=path.encode(),
                httpOnly=True,
                secure=secure,
                sameSite="strict",
                max_age=b"%d" % COOKIE_MAX_AGE_S,
            )
        return self._sign(value)

    def is_ours(self, request: Any) -> bool:
        """Tell whether what was posted is a form that a page of ours has shown."""
        if request.getHeader("sec-fetch-site") not in (None, "same-origin", "none"):
            return False
        value = request.getCookie(self._cookie)
        return bool(value) and hmac.compare_digest(self._sign(value).encode(), given(request, "key").encode())

    def _sign(self, value: bytes) -> str:
        return hmac.new(self._secret, value, "sha256").hexdigest()
