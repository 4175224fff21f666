"""Server-sent events: an account's messages as they come, until the client goes."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from twisted.internet.defer import Deferred

from palaver.jid import parse
from palaver.muclight.namespaces import NS_AFFILIATIONS
from palaver.stanza import Stanza, make
from palaver.web.rest import chat
from palaver.web.rest.routes import Ask
from palaver.web.rest.session import RestStream

US = 1_000_000
# So that proxies and we hear whether the client is still there.
PING_S = 30.0
# What waits for a client that does not read; then it is taken for gone.
MAX_WAITING = 1000


class Events:
    """The answer to one request."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._request = ask.request
        self._count = 0
        self._paused = False
        self._waiting: deque[bytes] = deque()
        self._over: Deferred[bytes] = Deferred()
        self._timer: Any = None
        self._stream = RestStream(ask.host, ask.caller.local, chat.address_of(ask), self._heard)

    async def run(self) -> bytes:
        """Answer until one side ends it; the last bytes are given."""
        self._stream.on_end = self._end
        await self._stream.open("sse")
        request = self._request
        try:
            request.setHeader("content-type", "text/event-stream")
            request.setHeader("cache-control", "no-cache")
            request.channel.setTimeout(None)
            request.write(b": here\n\n")
            request.registerProducer(self, True)
            self._ping()
            await self._stream.send(make("presence", {}, b"<priority>1</priority>"))
            return await self._over
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._stream.on_end = None
            await self._stream.close()
            if not request.finished and request.channel is not None:
                request.unregisterProducer()

    # -- IPushProducer ------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Wait: the client does not read."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on."""
        self._paused = False
        while self._waiting and not self._paused:
            self._request.write(self._waiting.popleft())

    def stopProducing(self) -> None:
        """Stop: the client is gone."""
        self._end()

    # -- how --------------------------------------------------------------------------------------

    def _heard(self, stanza: Stanza) -> None:
        if stanza.name != "message" or stanza.type not in ("chat", "groupchat"):
            return
        kind, data = self._event(stanza)
        self._count += 1
        text = json.dumps(data, ensure_ascii=False)
        self._write(f"id: {self._count}\nevent: {kind}\ndata: {text}\n\n".encode())

    def _event(self, stanza: Stanza) -> tuple[str, dict[str, Any]]:
        node, sender = stanza.element, parse(stanza.attrs["from"])
        data: dict[str, Any] = {
            "timestamp": int(self._ask.host.clock.seconds() * US),
            "id": stanza.id,
        }
        if stanza.type == "chat":
            to, body = self._ask.caller.bare, chat.child_text(node, "body")
            return "message", {"to": to, **data, "from": stanza.attrs["from"], "body": body}
        data |= {"room": sender.local, "from": sender.resource or sender.bare}
        change = next((child for child in node.elements() if child.uri == NS_AFFILIATIONS), None)
        user = next((child for child in change.elements() if child.name == "user"), None) if change else None
        if user is not None:
            came = {"user": str(user), "affiliation": user.getAttribute("affiliation")}
            return "room.message", {"type": "affiliation", **data, **came}
        return "room.message", {"type": "message", **data, "body": chat.child_text(node, "body")}

    def _ping(self) -> None:
        self._write(b": \n\n")
        self._timer = self._ask.host.clock.callLater(PING_S, self._ping)

    def _write(self, data: bytes) -> None:
        if not self._paused:
            self._request.write(data)
            return
        self._waiting.append(data)
        if len(self._waiting) > MAX_WAITING:
            self._end()

    def _end(self) -> None:
        if not self._over.called:
            self._over.callback(b"")


async def listen(ask: Ask) -> bytes:
    """Tell of messages as they come."""
    return await Events(ask).run()
