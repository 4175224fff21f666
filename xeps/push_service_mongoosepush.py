"""Hands push notifications to a MongoosePush server, which reaches Apple's and Google's devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.web.iweb import IAgent

from palaver.interfaces import IPushService
from palaver.mistakes import ConfigError
from palaver.modules import Module, Settings
from palaver.push.elements import Summary
from palaver.push.http import HttpPool, Url
from palaver.push.registrations import Options
from palaver.push.service import DeviceGone, PushFailed

GONE = 410
# Options of the client that are handed on under their own names, as texts.
HANDED_ON = ("mode", "priority", "topic", "mutable_content", "time_to_live")
HANDED_ON_IN_ALERT = ("click_action", "sound")


class MongoosePushSettings(Settings):
    """Options of mod_push_service_mongoosepush."""

    url: Url = Field(description="Where MongoosePush is, such as https://localhost:8443; a path may follow.")
    api_version: Literal["v2", "v3"] = Field("v3", description="The version of its interface.")
    max_http_connections: int = Field(100, ge=1, le=10_000, description="Connections to it at a time.")
    request_timeout: float = Field(2, gt=0, le=600, description="Seconds that it has to answer.")
    cacertfile: Path | None = Field(
        None, description="PEM file with the certificates to trust instead of the system's."
    )
    default_title: str = Field(
        "New message", description="The title of an alert that does not tell who wrote."
    )


class MongoosePush(Module):
    """The push service for nodes of the type push (mod_pubsub) and for virtual ones (mod_event_pusher_push).

    An application that provides IAgent on the host has all requests made by that.
    """

    Settings = MongoosePushSettings
    provides = (IPushService,)

    settings: MongoosePushSettings

    def start(self) -> None:
        """Get ready to connect. Raises ConfigError for a file of certificates that cannot be used."""
        settings = self.settings
        try:
            self._http = HttpPool(
                self.host.clock,
                settings.max_http_connections,
                settings.request_timeout,
                settings.cacertfile,
                self.host.query(IAgent),
            )
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.name}: cacertfile: {error}") from None

    def stop(self) -> Deferred[Any]:
        """Close the connections that are kept."""
        return self._http.close()

    def push(self, summary: Summary, options: Options) -> Deferred[None]:
        """See IPushService."""
        return Deferred.fromCoroutine(self._push(summary, options))

    async def _push(self, summary: Summary, options: Options) -> None:
        settings = self.settings
        given = {name.removeprefix("pubsub#"): texts[0] for name, texts in options.items() if any(texts)}
        device = given.get("device_id", "")
        if not device or "service" not in given:
            raise PushFailed("device_id and service are needed")
        url = f"{settings.url}/{settings.api_version}/notification/{quote(device, safe='')}"
        body = json.dumps(notification(summary, given, settings.default_title)).encode()
        status = await self._http.post(url, "application/json", body)
        if status == GONE:
            raise DeviceGone
        if not 200 <= status < 300:
            raise PushFailed(f"MongoosePush answered {status}")


def notification(summary: Summary, given: dict[str, str], default_title: str) -> dict[str, Any]:
    """Give the body of a request: an alert, or data where the client wants to stay silent."""
    made: dict[str, Any] = {"service": given["service"]}
    made.update({name: given[name] for name in HANDED_ON if name in given})
    count = summary.get("message-count", "")
    number = int(count) if count.isascii() and count.isdecimal() else 1
    if given.get("silent") == "true":
        made["data"] = {**summary, "message-count": number}
        return made
    sender = summary.get("last-message-sender", "")
    alert: dict[str, Any] = {
        "body": summary.get("last-message-body", ""),
        "title": sender or default_title,
        "badge": number,
    }
    if sender:
        # The next one of the same conversation takes its place.
        alert["tag"] = sender
    alert.update({name: given[name] for name in HANDED_ON_IN_ALERT if name in given})
    made["alert"] = alert
    return made
