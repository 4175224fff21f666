"""Web chat: the page that loads Converse.js, and its files from a folder of this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from twisted.web.resource import Resource
from twisted.web.static import File

from palaver.web.pages.html import Html, document, show, tag, void
from palaver.web.site import NOT_FOUND

REL_WEBSOCKET = "urn:xmpp:alt-connections:websocket"
REL_BOSH = "urn:xmpp:alt-connections:xbosh"

# A module, like Converse.js itself: they run in order. The addresses are those at which the browser has found
# this page, behind whatever proxies. Converse.js 14 resumes a session once; after the next cut it begins
# another, which does not get what waits for the first. So it is told each time that it has not resumed yet.
START = """\
const options = %s;
const absolute = (path) => (path && path.startsWith("/") ? location.origin + path : path);
if (options.websocket_url) {
  options.websocket_url = absolute(options.websocket_url).replace(/^http/, "ws");
}
options.bosh_service_url = absolute(options.bosh_service_url);
converse.plugins.add("palaver", {
  initialize() {
    const { _converse } = this;
    const resumable = () => _converse.session.save("smacks_resumed", false);
    _converse.api.listen.on("connected", resumable);
    _converse.api.listen.on("reconnected", resumable);
    // Its footer has pictures of elsewhere.
    _converse.api.elements.define("converse-footer", class extends HTMLElement {});
  },
});
options.whitelisted_plugins = [...(options.whitelisted_plugins ?? []), "palaver"];
converse.initialize(options);
"""

# Its files do not change while a version is in use, and are asked for again after a day.
MAX_AGE_S = 86400


class ChatPage(Resource):
    """The page, ``start.js`` that fills in what it connects to, and ``dist/`` with the program's files."""

    def __init__(self, host: Any, web: Any, settings: Any) -> None:
        """Show what ``settings``, those of mod_conversejs, say."""
        super().__init__()
        self._host = host
        self._web = web
        self._settings = settings
        self._path = settings.path.rstrip("/")
        self._base = f"{self._path}/dist/" if settings.folder else f"{(settings.url or '').rstrip('/')}/"
        self._policy = _policy(settings.url or "")
        if settings.folder:
            self.putChild(b"dist", _Files(str(settings.folder)))
        self.putChild(b"start.js", _Start(self.options))

    def getChild(self, path: bytes, request: Any) -> Any:
        """Be found with a slash at the end and without."""
        return self if not path and not request.postpath else NOT_FOUND

    def render_GET(self, request: Any) -> bytes:
        """Show the chat, or how to have one."""
        if not (self._settings.folder or self._settings.url):
            return show(request, _how_to())
        page = show(request, self._page())
        request.setHeader("content-security-policy", self._policy)
        return page

    def _page(self) -> bytes:
        chosen = self._settings
        head = tag(
            "head",
            void("meta", charset="utf-8"),
            void("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", chosen.title or f"Chat on {self._host.domain}"),
            void("link", rel="stylesheet", href=f"{self._base}{chosen.css}"),
            tag("script", src=f"{self._base}{chosen.script}", type="module"),
            tag("script", src=f"{self._path}/start.js", type="module"),
        )
        body = tag("body", tag("div", id="conversejs-bg"), class_="converse-fullscreen")
        return f'<!doctype html><html lang="en">{head}{body}</html>'.encode()

    def options(self) -> dict[str, Any]:
        """Give what Converse.js is started with; what the operator has set counts last."""
        domain, advertised = self._host.domain, self._web.advertised(self._host.domain)
        return {
            "view_mode": "fullscreen",
            "authentication": "login",
            "assets_path": self._base,
            "default_domain": domain,
            "domain_placeholder": domain,
            "allow_registration": False,
            "discover_connection_methods": False,
            "bosh_service_url": advertised.get(REL_BOSH),
            "websocket_url": advertised.get(REL_WEBSOCKET),
            "message_archiving": "always",
            "keepalive": True,
            # Its keys and messages stay in the browser after the tab is closed, so that a reload finds them.
            "persistent_store": "IndexedDB",
            **self._settings.options,
        }


class _Start(Resource):
    """The script that starts the chat."""

    isLeaf = True

    def __init__(self, options: Any) -> None:
        super().__init__()
        self._options = options

    def render_GET(self, request: Any) -> bytes:
        """Give it with the options of now."""
        request.setHeader("content-type", "text/javascript; charset=utf-8")
        request.setHeader("x-content-type-options", "nosniff")
        request.setHeader("cache-control", "no-cache")
        return (START % _script_json(self._options())).encode()


class _Files(File):
    """The files of the program; folders are not listed."""

    childNotFound: Any = NOT_FOUND

    def getChild(self, path: bytes, request: Any) -> Any:
        """See File, for which no name is too odd to ask the system for."""
        return NOT_FOUND if b"\0" in path else super().getChild(path, request)

    def directoryListing(self) -> Resource:
        """See File."""
        return NOT_FOUND

    def render_GET(self, request: Any) -> Any:
        """Give a file."""
        request.setHeader("x-content-type-options", "nosniff")
        request.setHeader("cache-control", f"public, max-age={MAX_AGE_S}")
        return super().render_GET(request)


def _script_json(value: Mapping[str, Any]) -> str:
    """Give JSON that is harmless within a script wherever that stands."""
    return json.dumps(value).replace("<", "\\u003c").replace("\u2028", "\\u2028")


def _policy(url: str) -> str:
    """Give the policy of the page: scripts from here and from where the program is, nothing inline."""
    parts = urlsplit(url)
    there = f" {parts.scheme}://{parts.netloc}" if parts.netloc else ""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self'{there} 'wasm-unsafe-eval'",
            # Converse.js sets styles on its elements.
            f"style-src 'self'{there} 'unsafe-inline'",
            f"font-src 'self'{there} data:",
            # People send pictures from anywhere, and files are uploaded to where their server says.
            "img-src * data: blob:",
            "media-src * data: blob:",
            "connect-src * data:",
            f"worker-src 'self'{there} blob:",
            f"manifest-src 'self'{there}",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def _how_to() -> bytes:
    """Tell the operator how to have a chat here."""
    commands = "npm pack converse.js\ntar -xf converse.js-*.tgz"
    table = '[modules.mod_conversejs]\nfolder = "package/dist"'
    return document(
        "Web chat",
        tag("h1", "Web chat"),
        tag("p", "There is none on this server yet. Whoever runs it downloads Converse.js:"),
        tag("section", tag("pre", tag("code", commands))),
        tag("p", "and says in palaver.toml where it is:"),
        tag("section", tag("pre", tag("code", table))),
        Html('<p><a href="/">How to connect with a program of your own</a></p>'),
    )
