"""Where BOSH is spoken: requests find their session here, and new ones begin (XEP-0124 section 7)."""

from __future__ import annotations

import re
import secrets
from http import HTTPStatus
from typing import Any

from twisted.web.resource import Resource

from palaver import metrics
from palaver.framing import MAX_HEADER_BYTES
from palaver.web.bosh import body
from palaver.web.bosh.body import NS_XBOSH, Body, InvalidBody, number
from palaver.web.bosh.session import BoshSession
from palaver.web.bosh.terms import Terms
from palaver.web.exchange import answer
from palaver.web.interfaces import IWeb
from palaver.web.problems import problem

PAGE = (
    b"<!doctype html><title>XMPP</title>"
    b"<p>Here speaks XMPP over BOSH (XEP-0124). Give this address to a client."
)
VERSION = (1, 11)
# More than one request waiting is for clients without persistent connections, which there are none of.
MAX_HOLD = 1
SID_BYTES = 18
# No wait is longer, whatever the config says: what stands between would have forgotten the connection.
DAY_S = 86400
CONTENT_TYPE = "text/xml; charset=utf-8"

_match_version = re.compile(r"(\d{1,4})\.(\d{1,4})").fullmatch
# What a client that is bound to other types may ask for; nothing that a browser would run.
_TYPES = {"text/xml", "application/xml", "text/plain", "text/html"}
# An answer that is read as a page is one without a script.
_SANDBOX = b"content-security-policy: sandbox; default-src 'none'\r\nx-content-type-options: nosniff\r\n"


class BoshPage(Resource):
    """The page of one host; the sessions are those of the whole server."""

    isLeaf = True

    def __init__(self, web: IWeb, settings: Any) -> None:
        """Take the settings of mod_bosh."""
        super().__init__()
        self._web: Any = web
        self._settings = settings
        self._sessions: dict[str, BoshSession] = self._web.shared("bosh", dict)

    def max_body_bytes(self, request: Any) -> int:
        """See WebRequest: one stanza of the largest kind, and the wrapper."""
        limit: int = self._web.listener("bosh").settings.max_stanza_bytes
        return limit + MAX_HEADER_BYTES

    def render_GET(self, request: Any) -> bytes:
        """Say what this is."""
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        return PAGE

    def render_OPTIONS(self, request: Any) -> bytes:
        """Answer a script of another site that asks whether it may."""
        origin = self._allowed(request)
        if origin is None:
            return problem(request, HTTPStatus.FORBIDDEN, "Scripts of this origin may not connect")
        request.setResponseCode(HTTPStatus.NO_CONTENT)
        request.setHeader(b"access-control-allow-origin", origin)
        request.setHeader(b"access-control-allow-methods", b"POST, OPTIONS")
        request.setHeader(b"access-control-allow-headers", b"content-type")
        request.setHeader(b"access-control-max-age", b"%d" % DAY_S)
        return b""

    def receive(self, request: Any, data: bytes) -> None:
        """Take a POST; see WebRequest."""
        try:
            what = body.read(data)
        except InvalidBody:
            self._refuse(request, "bad-request")
            return
        rid = what.rid
        if rid is None:
            self._refuse(request, "bad-request")
            return
        sid = what.attrs.get("sid")
        if sid is None:
            self._begin(what, rid, request)
            return
        session = self._sessions.get(sid)
        if session is None:
            self._refuse(request, "item-not-found")
        else:
            session.receive(what, rid, request)

    def _begin(self, what: Body, rid: int, request: Any) -> None:
        """Begin a session."""
        listener = self._web.listener("bosh")
        wait, hold = (
            number(what.attrs.get("wait"), body.MAX_RID),
            number(what.attrs.get("hold", "1"), body.MAX_RID),
        )
        origin = self._allowed(request)
        if wait is None or hold is None:
            self._refuse(request, "bad-request")
            return
        if origin is None:
            self._refuse(request, "policy-violation")
            return
        if not what.attrs.get("to"):
            self._refuse(request, "improper-addressing")
            return
        client = self._web.client(request)
        if not listener.admission.admit(client.address):
            metrics.connections_refused[listener.name] += 1
            self._refuse(request, "policy-violation")
            return
        metrics.connections[listener.name] += 1
        terms = self._terms(what, wait, hold, origin)
        sid = secrets.token_urlsafe(SID_BYTES)
        secure = client.secure or self._settings.consider_bosh_secure
        session = BoshSession(listener, client.address, secure, self._sessions, sid, terms)
        session.begin(what, rid, request, _opened(what, sid, rid, terms, secure))

    def _terms(self, what: Body, wait: int, hold: int, origin: bytes) -> Terms:
        settings = self._settings
        wait = min(wait, settings.max_wait, DAY_S)
        hold = min(hold, MAX_HOLD) if wait else 0
        # Who polls is silent for longer, and must not be taken for gone.
        inactivity = settings.inactivity + (0 if hold else settings.polling)
        return Terms(
            wait=wait,
            hold=hold,
            inactivity=inactivity,
            polling=settings.polling,
            max_pause=settings.max_pause,
            acks=settings.server_acks,
            client_acks=what.attrs.get("ack") == "1",
            headers=_headers(what.attrs.get("content", CONTENT_TYPE), origin),
        )

    def _allowed(self, request: Any) -> bytes | None:
        """Give what is said to a browser of the request's origin; None when that may not connect."""
        if not self._settings.origins:
            return b"*"
        origin: bytes = request.getHeader(b"origin") or b""
        return origin if not origin or origin.decode("latin-1") in self._settings.origins else None

    def _refuse(self, request: Any, condition: str) -> None:
        """Answer with a condition; as everything of BOSH that is a 200."""
        metrics.bosh_requests[condition] += 1
        answer(request, body.terminate(condition), _headers(CONTENT_TYPE, self._allowed(request) or b""))


def _headers(content: str, origin: bytes) -> bytes:
    """Give the header lines of a session's answers."""
    kind = content.partition(";")[0].strip().lower()
    if kind not in _TYPES:
        kind = "text/xml"
    lines = b"content-type: %b; charset=utf-8\r\n" % kind.encode()
    if kind == "text/html":
        lines += _SANDBOX
    if origin:
        lines += b"access-control-allow-origin: %b\r\n" % origin
    if origin not in (b"", b"*"):
        lines += b"vary: origin\r\n"
    return lines


def _opened(what: Body, sid: str, rid: int, terms: Terms, secure: bool) -> dict[str, str]:
    """Give what the first answer says of a session (section 7.2)."""
    opened = {
        "sid": sid,
        "wait": str(terms.wait),
        "requests": str(terms.requests),
        "hold": str(terms.hold),
        "inactivity": str(int(terms.inactivity)),
        "polling": str(terms.polling),
        "maxpause": str(terms.max_pause),
        "ver": _version(what.attrs.get("ver")),
        "xmlns:xmpp": NS_XBOSH,
        "xmpp:version": "1.0",
        "xmpp:restartlogic": "true",
    }
    if secure:
        opened["secure"] = "true"
    if terms.acks:
        opened["ack"] = str(rid)
    return opened


def _version(text: str | None) -> str:
    """Give the lower one of the client's version and ours."""
    found = _match_version(text) if text is not None else None
    theirs = (int(found[1]), int(found[2])) if found is not None else VERSION
    return "{}.{}".format(*min(theirs, VERSION))
