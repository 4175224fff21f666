"""The start page: what this server is, and how to connect to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.web.resource import Resource

from palaver.web.addresses import client_port
from palaver.web.pages.html import Html, document, facts, show, tag
from palaver.web.pages.links import CLIENTS, client_line, links_section
from palaver.web.site import NOT_FOUND

NAMES = {
    "urn:xmpp:alt-connections:websocket": ("WebSocket", "ws"),
    "urn:xmpp:alt-connections:xbosh": ("BOSH", "http"),
}


class StartPage(Resource):
    """What is at ``/``, and nowhere below."""

    def __init__(self, host: Any, web: Any, title: str, about: str) -> None:
        """``title`` and ``about`` are texts for people."""
        super().__init__()
        self._host = host
        self._web = web
        self._title = title
        self._about = about

    def getChild(self, path: bytes, request: Any) -> Any:
        """Be found with a slash at the end and without; nothing else is here."""
        return self if not path and not request.postpath else NOT_FOUND

    def render_GET(self, request: Any) -> bytes:
        """Show it."""
        title = self._title or self._host.domain
        return show(request, document(title, tag("h1", title), *self._parts(request)))

    def _parts(self, request: Any) -> Iterable[Html]:
        if self._about:
            yield tag("p", self._about)
        else:
            yield tag("p", "Chat with anybody, from any program that speaks XMPP. Here is how to connect.")
        yield links_section(self._host, self._web.client(request))
        yield tag("section", tag("h2", "With a program of yours"), self._connecting(request))
        yield tag("section", tag("h2", "Programs"), facts(*map(client_line, CLIENTS)))

    def _connecting(self, request: Any) -> Html:
        domain, port = self._host.domain, client_port(self._web.addresses())
        found = [
            ("Address", tag("code", f"you@{domain}")),
            ("Server", tag("code", domain)),
            ("Port", Html(f"most programs find it by themselves; else <code>{port}</code>")),
        ]
        client = self._web.client(request)
        authority = _authority(request)
        for rel, path in self._web.advertised(domain).items():
            name, scheme = NAMES.get(rel, (rel, "http"))
            address = f"{scheme}{'s' if client.secure else ''}://{authority}{path}"
            found.append((name, tag("code", address)))
        return facts(*found)


def _authority(request: Any) -> str:
    """Give host and port as the browser has written them; shown to nobody else."""
    given: str = request.getHeader("host") or request.getRequestHostname().decode("latin-1")
    return given.strip()
