"""A client stream over no connection: a test sends text and compares what was written."""

from __future__ import annotations

import base64
import re
from typing import Any, cast

from palaver.auth.sasl import Authenticator, AuthSettings
from palaver.markup import attributes
from palaver.streams.c2s import ClientStream
from palaver.streams.settings import StreamSettings
from palaver.streams.tcp import STREAM_HEADER
from palaver.test.auth.client import FixedAccounts
from palaver.test.house import House

HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client'"
    " xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>"
)
# What the server writes, its random id apart.
SERVER_HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client'"
    " xmlns:stream='http://etherx.jabber.org/streams' id='?' from='example.org' version='1.0' xml:lang='en'>"
)
END = "</stream:stream>"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"

STARTTLS = f"<starttls xmlns='{TLS}'/>"
PROCEED = f"<proceed xmlns='{TLS}'/>"
SUCCESS = f"<success xmlns='{SASL}'/>"


class FakeConnection:
    """What a stream needs of `palaver.streams.tcp.Connection`; keeps what is asked of it."""

    port = 50000
    heard = 0.0

    def __init__(self, secure: bool = False, address: str = "127.0.0.1") -> None:
        self.secure = secure
        self.address = address
        self.written: list[bytes] = []
        self.calls: list[str] = []
        """Pauses, resumes and the end, in order."""
        self.tls_domain: str | None = None
        self.logged_in = 0

    def write(self, data: bytes) -> None:
        if "close" in self.calls:
            raise AssertionError(f"written after the close: {data!r}")
        self.written.append(data)

    def open_stream(self, attrs: dict[str, str]) -> None:
        self.write(STREAM_HEADER % attributes(attrs).encode())

    def close_stream(self) -> None:
        self.write(b"</stream:stream>")
        self.close()

    def close(self) -> None:
        self.calls.append("close")

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def start_tls(self, domain: str) -> None:
        self.tls_domain = domain
        self.secure = True

    may_compress = True

    def start_compression(self, level: int) -> None:
        self.calls.append(f"compress {level}")

    def bindings(self) -> dict[str, Any]:
        return {"tls-exporter": lambda: b"channel"} if self.secure else {}

    def certificate(self) -> None:
        return None

    def authenticated(self) -> None:
        self.logged_in += 1


class Talker:
    """A client. The accounts are romeo (pencil) and juliet (balcony)."""

    def __init__(self, house: House | None = None, *, secure: bool = False, **settings: Any) -> None:
        """Take the stream's settings; without TLS unless they say otherwise."""
        self.house = house or House()
        self.host: Any = self.house.host
        if self.host.authenticator is None:
            self.accounts = cast(Any, FixedAccounts(romeo="pencil", juliet="balcony"))
            self.host.authenticator = Authenticator(
                self.accounts, AuthSettings(b"secret", unencrypted_plain=True)
            )
        self.connection = FakeConnection(secure)
        hosts = {"example.org": self.host}
        self.stream = ClientStream(self.connection, hosts, StreamSettings(**{"tls": "off"} | settings))

    def send(self, text: str | bytes) -> str:
        """Send text; gives what came back."""
        self.stream.data_received(text.encode() if isinstance(text, str) else text)
        return self.take()

    def take(self) -> str:
        """Give what was written since the last call, random ids taken out."""
        text = b"".join(self.connection.written).decode()
        self.connection.written.clear()
        return re.sub(r"(<stream:stream [^>]*?) id='[^']*'", r"\1 id='?'", text)

    def authenticate(self, local: str = "romeo", password: str = "pencil") -> str:
        """Open the stream and log in; gives the features that follow."""
        self.send(HEADER)
        answer = self.send(plain(local, password))
        if answer != SUCCESS:
            raise AssertionError(answer)
        return self.send(HEADER).removeprefix(SERVER_HEADER)

    def log_in(self, local: str = "romeo", resource: str = "orchard", password: str = "pencil") -> Talker:
        """Go all the way to a session."""
        self.authenticate(local, password)
        answer = self.send(bind(resource))
        if answer != bound(f"{local}@example.org/{resource}"):
            raise AssertionError(answer)
        return self


def plain(local: str = "romeo", password: str = "pencil") -> str:
    """Give ``<auth/>`` for PLAIN."""
    return auth("PLAIN", encoded(f"\0{local}\0{password}"))


def auth(mechanism: str, data: str = "") -> str:
    """Give ``<auth/>``."""
    return f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{data}</auth>"


def encoded(text: str | bytes) -> str:
    """Give text as SASL data."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def failure(condition: str, text: str | None = None) -> str:
    """Give SASL's ``<failure/>``."""
    inner = f"<text>{text}</text>" if text else ""
    return f"<failure xmlns='{SASL}'><{condition}/>{inner}</failure>"


def bind(resource: str | None = None) -> str:
    """Give the IQ that binds a resource; None lets the server choose."""
    inner = f"<resource>{resource}</resource>" if resource is not None else ""
    return f"<iq type='set' id='b'><bind xmlns='{BIND}'>{inner}</bind></iq>"


def bound(jid: str) -> str:
    """Give the answer to `bind`."""
    return f"<iq type='result' id='b'><bind xmlns='{BIND}'><jid>{jid}</jid></bind></iq>"


def error(condition: str, text: str | None = None, extra: str = "") -> str:
    """Give the stream error and all that has to follow it."""
    ns = "urn:ietf:params:xml:ns:xmpp-streams"
    inner = f"<text xmlns='{ns}'>{text}</text>" if text else ""
    return f"<stream:error><{condition} xmlns='{ns}'/>{inner}{extra}</stream:error>{END}"


def condition(text: str) -> str | None:
    """Give the condition of a stream error at the end of what was written; None when it ends otherwise."""
    found = re.search(r"<stream:error><([a-z-]+) .*</stream:error></stream:stream>\Z", text)
    return found[1] if found else None
