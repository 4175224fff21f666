"""The namespaces of XEP-0060, and its error conditions beside those of RFC 6120."""

from __future__ import annotations

from palaver.errors import NS_STANZAS, StanzaError
from palaver.markup import element, escape

NS_PUBSUB = "http://jabber.org/protocol/pubsub"
NS_ERRORS = f"{NS_PUBSUB}#errors"
NS_EVENT = f"{NS_PUBSUB}#event"
NS_OWNER = f"{NS_PUBSUB}#owner"
NS_NODE_CONFIG = f"{NS_PUBSUB}#node_config"
NS_PUBLISH_OPTIONS = f"{NS_PUBSUB}#publish-options"
NS_SUBSCRIBE_OPTIONS = f"{NS_PUBSUB}#subscribe_options"
NS_AUTHORIZATION = f"{NS_PUBSUB}#subscribe_authorization"
NS_META_DATA = f"{NS_PUBSUB}#meta-data"


def refusal(
    condition: str,
    detail: str,
    text: str | None = None,
    *,
    type: str | None = None,
    feature: str | None = None,
) -> StanzaError:
    """Give an error with a condition of XEP-0060 beside that of RFC 6120."""
    return StanzaError(condition, text, type=type, extra=element(detail, NS_ERRORS, feature=feature))


def unsupported(feature: str, text: str | None = None) -> StanzaError:
    """Give the error for what a node or the service does not do; ``feature`` is named as in disco."""
    return refusal("feature-not-implemented", "unsupported", text, feature=feature)


def invalid_payload(text: str) -> StanzaError:
    """Give the error for an item with a payload that cannot be (section 7.1.3.6)."""
    return refusal("bad-request", "invalid-payload", text)


class Moved(StanzaError):
    """The node is gone, and something else has taken its place (section 6.1.3.11)."""

    def __init__(self, uri: str) -> None:
        super().__init__("gone", type="cancel")
        self.uri = uri

    def encode(self) -> bytes:
        """Give the ``<error/>`` element as bytes; the condition holds the address."""
        return element("error", None, element("gone", NS_STANZAS, escape(self.uri)), type=self.type)


def too_big(limit: int) -> StanzaError:
    """Give the error for a payload beyond ``limit`` bytes (section 7.1.3.5)."""
    return refusal("not-acceptable", "payload-too-big", f"A payload has at most {limit} bytes")
