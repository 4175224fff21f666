"""Server dialback (XEP-0220): keys (XEP-0185), and the elements that carry them."""

from __future__ import annotations

import hmac

from palaver.auth.certificates import ascii_domain
from palaver.errors import StanzaError
from palaver.markup import attributes, escape

NS_DIALBACK = "jabber:server:dialback"
# Where dialback is offered, errors are understood too (XEP-0220 section 2.4.1).
NS_DIALBACK_FEATURE = "urn:xmpp:features:dialback"
# What one stream may have us ask for at once; each may cost a connection.
MAX_PENDING = 16


class Keys:
    """Makes and checks dialback keys.

    ``secret`` is text that is the same wherever a key of this server may be checked. No key is stored.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def make(self, receiving: str, originating: str, stream_id: str) -> str:
        """Give the key for a stream; the domains are prepared. ``stream_id`` is the receiving server's."""
        # The import costs a tenth of a second, which a server without dialback need not spend.
        from wokkel.server import generateKey

        plain = stream_id.encode("ascii", "backslashreplace").decode()
        key: str = generateKey(self._secret, ascii_domain(receiving), ascii_domain(originating), plain)
        return key

    def check(self, key: str, receiving: str, originating: str, stream_id: str) -> bool:
        """Tell whether a key is the one that `make` gives."""
        return hmac.compare_digest(key.encode(), self.make(receiving, originating, stream_id).encode())


def result(sender: str, to: str, key: str) -> bytes:
    """Give ``<db:result/>`` with a key (XEP-0220 section 2.1.1)."""
    return _element("result", {"from": sender, "to": to}, escape(key))


def verify(sender: str, to: str, stream_id: str, key: str) -> bytes:
    """Give ``<db:verify/>`` with a key (XEP-0220 section 2.1.2)."""
    return _element("verify", {"from": sender, "to": to, "id": stream_id}, escape(key))


def answer(
    name: str, sender: str, to: str, outcome: bool | StanzaError, stream_id: str | None = None
) -> bytes:
    """Give the answer to a ``result`` or ``verify``: valid, invalid, or that it cannot be told and why."""
    kind = "error" if isinstance(outcome, StanzaError) else "valid" if outcome else "invalid"
    attrs = {"from": sender, "to": to, "type": kind}
    if stream_id is not None:
        attrs["id"] = stream_id
    return _element(name, attrs, outcome.encode() if isinstance(outcome, StanzaError) else b"")


def _element(name: str, attrs: dict[str, str], inner: bytes) -> bytes:
    # Old servers know these elements by the prefix that XEP-0220 writes them with.
    head = f"<db:{name}{attributes(attrs)}"
    return f"{head}>".encode() + inner + f"</db:{name}>".encode() if inner else f"{head}/>".encode()
