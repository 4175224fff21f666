"""What a client says that logs in by XEP-0388, and a client that does."""

from __future__ import annotations

import hmac
import re
from typing import Any

from palaver.test.house import House
from palaver.test.streams.talker import HEADER, Talker, encoded
from palaver.xeps.bind2 import Bind2
from palaver.xeps.sasl2 import ExtensibleSasl

SASL2 = "urn:xmpp:sasl:2"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND2 = "urn:xmpp:bind:0"
FAST = "urn:xmpp:fast:0"
SM = "urn:xmpp:sm:3"

PHONE = "d4565fa7-4d72-4749-b3d3-740edbf87770"
LAPTOP = "4f2ad0f5-24b9-4a6f-8a0e-6b1d0a2c9be1"
CHANNEL = b"channel"


def authenticate(mechanism: str, data: str | bytes | None, *more: str, client: str | None = PHONE) -> str:
    """Give ``<authenticate/>``; ``data`` is the initial response, None for none."""
    initial = f"<initial-response>{encoded(data)}</initial-response>" if data is not None else ""
    agent = f" id='{client}'" if client is not None else ""
    inner = f"{initial}<user-agent{agent}><software>Balcony</software></user-agent>{''.join(more)}"
    return f"<authenticate xmlns='{SASL2}' mechanism='{mechanism}'>{inner}</authenticate>"


def plain2(*more: str, local: str = "romeo", password: str = "pencil", client: str | None = PHONE) -> str:
    """Give ``<authenticate/>`` for PLAIN."""
    return authenticate("PLAIN", f"\0{local}\0{password}", *more, client=client)


def bind2(*more: str, tag: str | None = "Balcony") -> str:
    """Give the request for a resource."""
    named = f"<tag>{tag}</tag>" if tag is not None else ""
    return f"<bind xmlns='{BIND2}'>{named}{''.join(more)}</bind>"


def success(inner: str) -> str:
    """Give ``<success/>``."""
    return f"<success xmlns='{SASL2}'>{inner}</success>"


def identifier(jid: str) -> str:
    """Give ``<authorization-identifier/>``."""
    return f"<authorization-identifier>{jid}</authorization-identifier>"


def failure2(condition: str, text: str | None = None) -> str:
    """Give the ``<failure/>`` of the profile."""
    inner = f"<text>{text}</text>" if text else ""
    return f"<failure xmlns='{SASL2}'><{condition} xmlns='{SASL}'/>{inner}</failure>"


def hashed(token: str, name: str = "romeo", channel: bytes = b"") -> bytes:
    """Give the one message of HT-SHA-256."""
    return name.encode() + b"\0" + hmac.digest(token.encode(), b"Initiator" + channel, "sha256")


def attribute(name: str, text: str) -> str:
    """Give the first attribute of this name."""
    found = re.search(rf" {name}='([^']*)'", text)
    if found is None:
        raise AssertionError(f"no {name} in {text}")
    return found[1]


class Device(Talker):
    """A client on an encrypted stream; the server has what it takes to log in by XEP-0388."""

    def __init__(self, house: House | None = None, **settings: Any) -> None:
        super().__init__(house or House(ExtensibleSasl, Bind2), **{"secure": True} | settings)

    def open(self, sender: str = "") -> str:
        """Open the stream; gives what comes back."""
        said = f" from='{sender}'" if sender else ""
        return self.send(HEADER.replace(" to=", f"{said} to="))

    def enter(self, *more: str, **who: Any) -> str:
        """Open the stream and log in with PLAIN; gives what comes back."""
        self.open()
        return self.send(plain2(*more, **who))

    @property
    def jid(self) -> str:
        """The full JID."""
        session: Any = self.stream.session
        return str(session.jid.full)
