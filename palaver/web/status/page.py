"""The pages ``/status/ADDRESS`` and ``/status/ADDRESS/FORMAT``, which everybody may ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

from twisted.web.resource import Resource

from palaver import jid
from palaver.throttle import Throttle, parse_address
from palaver.web.interfaces import IWeb
from palaver.web.pages.html import HEADERS, POLICY
from palaver.web.pages.respond import respond
from palaver.web.problems import problem
from palaver.web.site import NOT_FOUND
from palaver.web.status.formats import FORMATS, Body, image
from palaver.web.status.icons import icons
from palaver.web.status.shown import Status

PERIOD_S = 60.0
MAX_ADDRESSES = 10_000
# An address and a format.
MAX_SEGMENTS = 2


class StatusPage(Resource):
    """Says whether an account is there; of whom nobody is to know, that it is offline."""

    isLeaf = True

    def __init__(self, host: Any, web: IWeb, settings: Any, modules: Mapping[str, Any]) -> None:
        """Answer by ``settings``, those of mod_webpresence; ``modules`` are the IWebPresence by domain."""
        super().__init__()
        self._host = host
        self._web: Any = web
        self._settings = settings
        self._modules = modules
        self._icons = icons(settings.presence_icons)
        self._throttle = Throttle(host.clock, settings.requests_per_minute, PERIOD_S, MAX_ADDRESSES)

    def render_GET(self, request: Any) -> Any:
        """Answer."""
        asked = [segment.decode("utf-8", "replace") for segment in request.postpath]
        if not asked or not asked[0] or len(asked) > MAX_SEGMENTS:
            return NOT_FOUND.render(request)
        if not self._may(request):
            wait = str(ceil(PERIOD_S / self._settings.requests_per_minute))
            return problem(request, HTTPStatus.TOO_MANY_REQUESTS, "Ask less often", retry_after=wait)
        return respond(request, self._answer(request, asked[0], asked[1] if asked[1:] else ""))

    def _may(self, request: Any) -> bool:
        if not self._settings.requests_per_minute:
            return True
        address = parse_address(self._web.client(request).address)
        return address is None or self._throttle.allow(address)

    async def _answer(self, request: Any, name: str, wanted: str) -> bytes:
        status = await self._status(request, name)
        body = FORMATS.get(wanted, image)(status, self._icons[status.state])
        self._set_headers(request, body)
        # Both ways the answer has a body, of which nothing is sent when the asker has it already.
        request.setETag(b'"%b"' % hashlib.sha256(body.type.encode() + body.data).hexdigest()[:32].encode())
        return body.data

    async def _status(self, request: Any, name: str) -> Status:
        found = self._address(request, name)
        if found is None:
            return Status("")
        module = self._modules.get(found.domain)
        if module is None:
            return Status(found.bare)
        status: Status = await module.status(found.local)
        return status

    def _address(self, request: Any, name: str) -> jid.JID | None:
        """Give whom a name in the path means; None when it means nobody.

        A name alone is of the host that the request names, which it may name wrongly or not at all.
        """
        try:
            found = jid.parse(name)
            if found.local:
                return found.without_resource()
            domain = jid.prepare_domain(request.getRequestHostname().decode("latin-1"))
            if domain != self._host.domain:
                return None
            return jid.make(name, domain)
        except jid.InvalidJID:
            return None

    def _set_headers(self, request: Any, body: Body) -> None:
        chosen = self._settings
        for key, value in HEADERS.items():
            request.setHeader(key, value)
        request.setHeader("content-type", body.type)
        age = f"public, max-age={chosen.max_age}" if chosen.max_age else "no-cache"
        request.setHeader("cache-control", age)
        frames = " ".join(chosen.origins) or "'none'"
        request.setHeader(
            "content-security-policy", POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {frames}")
        )
        if chosen.origins:
            # The policy says it more exactly.
            request.responseHeaders.removeHeader("x-frame-options")
        self._allow_scripts(request)

    def _allow_scripts(self, request: Any) -> None:
        """Let scripts of the pages that are configured read the answer."""
        origins = self._settings.origins
        if "*" in origins:
            request.setHeader("access-control-allow-origin", "*")
        elif origins:
            request.setHeader("vary", "origin")
            origin = (request.getHeader("origin") or "").strip()
            if origin in origins:
                request.setHeader("access-control-allow-origin", origin)
