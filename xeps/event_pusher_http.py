"""Posts what clients say to web servers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field
from twisted.internet.defer import Deferred, DeferredList
from twisted.web.iweb import IAgent
from zope.interface import implementer

from palaver import metrics
from palaver.interfaces import IEventPusher, IEventRequests
from palaver.log import Log
from palaver.mistakes import ConfigError
from palaver.modules import Module, Settings
from palaver.push.events import Event, MessageSent
from palaver.push.http import HttpPool, Url
from palaver.push.service import PushFailed
from palaver.stanza import NS_CLIENT

log = Log("push")

posted = metrics.tally("http_events", "Events for web servers.", "outcome")

FORM = "application/x-www-form-urlencoded"


@implementer(IEventRequests)
class ChatMessages:
    """What clients say in chats, as the fields of a form: author, server, receiver and message."""

    events = frozenset((MessageSent,))

    def request(self, event: Event) -> tuple[str, bytes] | None:
        """See IEventRequests."""
        if not isinstance(event, MessageSent) or event.message.type != "chat":
            return None
        body = event.message.child(NS_CLIENT, "body")
        text = str(body) if body is not None else ""
        if not text:
            return None
        sender, to = event.sender, event.to
        fields = {"author": sender.local, "server": sender.domain, "receiver": to.local, "message": text}
        return FORM, urlencode(fields).encode()


BUILT_IN = {"mod_event_pusher_http_defaults": ChatMessages}


class Handler(BaseModel):
    """One web server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Url = Field(description="Where it is, such as http://localhost:8000; a path may follow.")
    path: str = Field("", description="What is put behind the URL.")
    callback_module: str = Field(
        "mod_event_pusher_http_defaults",
        description="Who says what is posted: mod_event_pusher_http_defaults (what is said in chats), or the "
        "name under which an application has registered an IEventRequests.",
    )


class HttpEventsSettings(Settings):
    """Options of mod_event_pusher_http."""

    handlers: tuple[Handler, ...] = Field(min_length=1, description="The web servers.")
    max_http_connections: int = Field(100, ge=1, le=10_000, description="Connections at a time.")
    request_timeout: float = Field(2, gt=0, le=600, description="Seconds that a web server has to answer.")


class HttpEvents(Module):
    """Posts events to web servers, each to all of them; nobody waits for that, and any answer will do.

    With too many under way new ones are dropped. An application that provides IAgent on the host has the
    requests made by that.
    """

    Settings = HttpEventsSettings
    requires = (IEventPusher,)

    settings: HttpEventsSettings

    def start(self) -> None:
        """Begin to be told of events. Raises ConfigError for a callback that there is not."""
        settings = self.settings
        self._requests = [(handler, self._find(handler.callback_module)) for handler in settings.handlers]
        agent = self.host.query(IAgent)
        self._http = HttpPool(
            self.host.clock, settings.max_http_connections, settings.request_timeout, agent=agent
        )
        self.events = {kind for _, requests in self._requests for kind in requests.events}
        self.undo(self.host.query(IEventPusher).add(self))

    def stop(self) -> Deferred[Any]:
        """Close the connections that are kept."""
        return self._http.close()

    def _find(self, name: str) -> Any:
        built_in = BUILT_IN.get(name)
        if built_in is not None:
            return built_in()
        found = self.host.registry.queryUtility(IEventRequests, name)
        if found is None:
            raise ConfigError(f"{self.name}: there is no {name!r}; allowed: {', '.join(BUILT_IN)}")
        return found

    def push(self, event: Event) -> Deferred[Any]:
        """See IEventBackend."""
        return DeferredList(
            [
                Deferred.fromCoroutine(self._post(handler, *request))
                for handler, requests in self._requests
                if type(event) in requests.events and (request := requests.request(event)) is not None
            ]
        )

    async def _post(self, handler: Handler, content_type: str, body: bytes) -> None:
        url = f"{handler.url}/{handler.path.lstrip('/')}"
        try:
            await self._http.post(url, content_type, body)
        except PushFailed as error:
            posted["failed"] += 1
            log.warn("event-not-posted", host=self.host.domain, url=handler.url, reason=str(error))
            return
        posted["sent"] += 1
