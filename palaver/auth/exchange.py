"""The words of a SASL exchange, shared by the mechanisms and by `palaver.auth.sasl`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from palaver.jid import InvalidJID, parse

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from twisted.internet.defer import Deferred

    from palaver.storage import Document


class Facts(NamedTuple):
    """What a stream knows about itself when it offers mechanisms and begins an exchange.

    ``bindings`` gives the data for each channel binding type (RFC 5056) when called;
    ``certificate`` is the client's, verified, or None; ``offered`` is what was announced
    to this client, for the downgrade check of RFC 5802 section 6.
    """

    domain: str
    secure: bool
    bindings: Mapping[str, Callable[[], bytes]]
    certificate: Certificate | None = None
    offered: tuple[str, ...] = ()


class Challenge(NamedTuple):
    """The server asks on; ``data`` may be empty."""

    data: bytes


class Success(NamedTuple):
    """The client is who it says.

    ``data`` is additional data for the client, or None; ``documents`` is what one login reads
    besides the account (see `palaver.auth.accounts`), or None when nobody has read it yet.
    """

    local: str
    data: bytes | None
    mechanism: str
    anonymous: bool = False
    documents: list[Document] | None = None


class SaslFailure(Exception):
    """The exchange has failed; ``condition`` is one of RFC 6120 section 6.5."""

    def __init__(self, condition: str, text: str | None = None) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text


class Mechanism(ABC):
    """The server's side of one exchange. In every mechanism here the client speaks first.

    ``local`` is whose account it is about, once the client has said so.
    """

    local: str | None = None

    @abstractmethod
    def step(self, data: bytes) -> Deferred[Any] | Challenge | Success:
        """Take the client's next message; gives a Deferred of the same when it must wait.

        Raises, or fails with, `SaslFailure`.
        """


def local_of(authzid: str, domain: str) -> str:
    """Give the localpart of an authorization identity, a bare JID of this domain; raises SaslFailure."""
    try:
        jid = parse(authzid)
    except InvalidJID:
        raise SaslFailure("invalid-authzid") from None
    if not jid.local or jid.resource or jid.domain != domain:
        raise SaslFailure("invalid-authzid")
    return jid.local
