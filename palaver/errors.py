"""Whose fault it is, as a type.

`StanzaError` refuses one stanza, `StreamError` ends one stream, `StorageError`
means a backend could not do its part. Anything else that is raised is a defect
of ours: it is logged with the module's name and answered with
``internal-server-error``.
"""

from __future__ import annotations

from functools import lru_cache

from palaver.markup import element, escape

NS_STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
NS_STREAMS = "urn:ietf:params:xml:ns:xmpp-streams"
# Conditions that say more of a policy-violation (XEP-0205).
NS_ERRORS = "urn:xmpp:errors"

# RFC 6120 section 8.3.3: the type that goes with each condition unless the caller says otherwise.
DEFAULT_TYPES = {
    "bad-request": "modify",
    "conflict": "cancel",
    "feature-not-implemented": "cancel",
    "forbidden": "auth",
    "gone": "cancel",
    "internal-server-error": "cancel",
    "item-not-found": "cancel",
    "jid-malformed": "modify",
    "not-acceptable": "modify",
    "not-allowed": "cancel",
    "not-authorized": "auth",
    "policy-violation": "modify",
    "recipient-unavailable": "wait",
    "redirect": "modify",
    "registration-required": "auth",
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
    "service-unavailable": "cancel",
    "subscription-required": "auth",
    "undefined-condition": "cancel",
    "unexpected-request": "wait",
}


@lru_cache(64)
def _condition(name: str, ns: str) -> bytes:
    return element(name, ns)


class StanzaError(Exception):
    """A stanza is refused (RFC 6120 section 8.3).

    ``condition`` is one of `DEFAULT_TYPES`; ``type`` is auth, cancel, continue,
    modify or wait; ``extra`` is serialised XML put after the condition.
    """

    def __init__(
        self,
        condition: str,
        text: str | None = None,
        *,
        type: str | None = None,
        extra: bytes = b"",
    ) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.type = type or DEFAULT_TYPES[condition]
        self.text = text
        self.extra = extra

    def encode(self) -> bytes:
        """Give the ``<error/>`` element as bytes."""
        text = element("text", NS_STANZAS, escape(self.text)) if self.text else b""
        return b"<error type='%b'>%b%b%b</error>" % (
            self.type.encode(),
            _condition(self.condition, NS_STANZAS),
            text,
            self.extra,
        )


class StreamError(Exception):
    """A stream ends (RFC 6120 section 4.9): the error is written, then the close tag."""

    def __init__(self, condition: str, text: str | None = None, *, extra: bytes = b"") -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text
        self.extra = extra

    def encode(self) -> bytes:
        """Give the ``<stream:error/>`` element as bytes; the stream declares the prefix."""
        text = element("text", NS_STREAMS, escape(self.text)) if self.text else b""
        return b"<stream:error>%b%b%b</stream:error>" % (
            _condition(self.condition, NS_STREAMS),
            text,
            self.extra,
        )


class StorageError(Exception):
    """A backend could not read or commit; nothing of the batch was written."""
