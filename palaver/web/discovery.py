"""How clients reach a host, as web host metadata (RFC 6415): XRD and JRD, by XEP-0156 and XEP-0487."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from twisted.web.resource import Resource

from palaver.markup import element
from palaver.web.interfaces import IWeb

RELS = "urn:xmpp:alt-connections:"
BOSH, WEBSOCKET, TLS, S2S_TLS = (f"{RELS}{name}" for name in ("xbosh", "websocket", "tls", "s2s-tls"))
NS_XRD = "http://docs.oasis-open.org/ns/xri/xrd-1.0"

# All ways lead to the same server.
PRIORITY, WEIGHT = 10, 50

_match_host = re.compile(rb"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?").fullmatch


class DiscoveryPage(Resource):
    """Both forms: JSON when the path says so or the client asks for it, XML otherwise."""

    isLeaf = True

    def __init__(self, web: IWeb, domain: str, settings: Any) -> None:
        """Take the settings of mod_host_meta."""
        super().__init__()
        self._web: Any = web
        self._domain = domain
        self._settings = settings

    def render_GET(self, request: Any) -> bytes:
        """Tell how the host is reached."""
        # Section 4: scripts of any site may read it, without credentials.
        request.setHeader(b"access-control-allow-origin", b"*")
        request.setHeader(b"vary", b"host, accept")
        links = self._links(request)
        if request.path.endswith(b".json") or b"json" in (request.getHeader(b"accept") or b""):
            request.setHeader(b"content-type", b"application/json")
            return json.dumps(self._jrd(links)).encode()
        request.setHeader(b"content-type", b"application/xrd+xml; charset=utf-8")
        inner = b"".join(element("Link", None, rel=rel, href=href) for rel, href in links.items())
        return b"<?xml version='1.0' encoding='utf-8'?>" + element("XRD", NS_XRD, inner)

    def _links(self, request: Any) -> dict[str, str]:
        """Give addresses by what they are for; all of them with TLS, as section 3 demands."""
        settings = self._settings
        base = settings.public_url or self._base(request)
        found = {}
        for rel, wanted, url, scheme in (
            (WEBSOCKET, settings.advertise_websocket, settings.websocket_url, "wss:"),
            (BOSH, settings.advertise_bosh, settings.bosh_url, "https:"),
        ):
            path = self._web.advertised(self._domain).get(rel)
            if wanted and url is not None:
                found[rel] = url
            elif wanted and path is not None and base is not None:
                found[rel] = scheme + base.partition(":")[2] + path
        return found

    def _base(self, request: Any) -> str | None:
        """Give the address at which a request came, when that was by HTTPS."""
        name: bytes = request.getHeader(b"host") or b""
        if not self._web.client(request).secure or not _match_host(name):
            return None
        return f"https://{name.decode()}"

    def _jrd(self, links: dict[str, str]) -> dict[str, Any]:
        """Give the form in JSON, with what XEP-0487 adds when the config names our addresses."""
        settings = self._settings
        shown: list[dict[str, Any]] = [{"rel": rel, "href": href} for rel, href in links.items()]
        if not settings.ips:
            return {"links": shown}
        for link in shown:
            link["sni"] = urlsplit(link["href"]).hostname
        for rel, port in ((TLS, settings.tls_port), (S2S_TLS, settings.s2s_tls_port)):
            if port is not None:
                shown.append({"rel": rel, "port": port, "sni": self._domain})
        for link in shown:
            link.update(ips=settings.ips, priority=PRIORITY, weight=WEIGHT)
        about: dict[str, Any] = {"ttl": settings.ttl}
        if settings.public_key_pins:
            about["public-key-pins-sha-256"] = settings.public_key_pins
        return {"xmpp": about, "links": shown}
