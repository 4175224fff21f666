"""A component over no connection: a test sends text and compares what was written."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from twisted.internet.defer import maybeDeferred

from palaver.markup import attributes
from palaver.settings import Component, ComponentListener
from palaver.streams.components.connection import STREAM_HEADER
from palaver.streams.components.directory import Directory
from palaver.streams.components.stream import ComponentStream
from palaver.streams.settings import StreamSettings
from palaver.test.house import House
from palaver.test.streams.talker import FakeConnection

GATEWAY = "irc.example.org"
SECRET = "keep it"
NS = "jabber:component:accept"
SHAKEN = "<handshake/>"


class ComponentConnection(FakeConnection):
    """A connection whose stream header says its content namespace."""

    def open_stream(self, attrs: dict[str, str]) -> None:
        self.write(STREAM_HEADER % attributes(attrs).encode())


class Gates:
    """A house, and the components that it lets in: those of ``tables``, by domain."""

    def __init__(
        self,
        tables: dict[str, dict[str, Any]] | None = None,
        house: House | None = None,
        gateway: type[Gateway] | None = None,
    ) -> None:
        """``gateway`` is what connects; over TCP without one."""
        self.gateway = gateway or Gateway
        self.house = house or House()
        self.router: Any = self.house.router
        self.components = Directory(self.router, maybeDeferred)
        self.configure(tables if tables is not None else {GATEWAY: {"secret": SECRET}})

    def configure(self, tables: dict[str, dict[str, Any]]) -> None:
        """Take other tables."""
        self.components.configure({domain: Component(**table) for domain, table in tables.items()})

    def open(self, **listener: Any) -> Gateway:
        """Give a component that has said nothing yet."""
        return self.gateway(self, ComponentListener(**listener))


class Gateway:
    """One component's end of its stream."""

    def __init__(self, gates: Gates, listener: ComponentListener) -> None:
        self.connection = ComponentConnection(listener.tls == "direct")
        settings = StreamSettings(tls=listener.tls, max_stanza_bytes=listener.max_stanza_bytes)
        self.stream = ComponentStream(self.connection, gates.components, listener, settings)

    def send(self, text: str | bytes) -> str:
        """Send text; gives what came back."""
        self.stream.data_received(text.encode() if isinstance(text, str) else text)
        return self.take()

    def take(self) -> str:
        """Give what was written since the last call."""
        text = b"".join(self.connection.written).decode()
        self.connection.written.clear()
        return text

    def greet(self, domain: str = GATEWAY, ns: str = NS, more: str = "") -> str:
        """Open the stream; gives its id."""
        answer = self.send(header(domain, ns, more))
        found = re.search(r"<stream:stream [^>]*? id='([^']*)'[^>]*>\Z", answer)
        if found is None:
            raise AssertionError(answer)
        return found[1]

    def connect(self, domain: str = GATEWAY, secret: str = SECRET, more: str = "") -> str:
        """Open the stream and shake hands; gives what the server says to that."""
        return self.send(handshake(self.greet(domain, more=more), secret))


def header(domain: str | None = GATEWAY, ns: str = NS, more: str = "") -> str:
    """Give a component's stream header."""
    to = f" to='{domain}'" if domain is not None else ""
    return f"<stream:stream xmlns='{ns}' xmlns:stream='http://etherx.jabber.org/streams'{to}{more}>"


def handshake(identity: str, secret: str = SECRET) -> str:
    """Give the handshake for a stream."""
    return f"<handshake>{hashlib.sha1(f'{identity}{secret}'.encode()).hexdigest()}</handshake>"
