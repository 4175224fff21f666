"""Which devices have been notified of which messages, so that none is notified twice of one."""

from __future__ import annotations

from collections import OrderedDict

from palaver.jid import JID
from palaver.push.plugins import body_of
from palaver.stanza import Stanza

NS_DELAY = "urn:xmpp:delay"
# A message is given back, or sent again, within minutes.
MAX_REMEMBERED = 10_000


class Notified:
    """Remembers messages for a while: the same one may be queued for a session, given back and stored."""

    def __init__(self, max_remembered: int = MAX_REMEMBERED) -> None:
        self._max = max_remembered
        self._keys: OrderedDict[int, set[str]] = OrderedDict()

    def note(self, message: Stanza, to: JID, key: str) -> bool:
        """Note that a registration is notified of a message; gives False when it was before."""
        # Some clients use an id again, so the content counts too.
        identity = hash((to.bare, message.attrs.get("from"), message.id, body_of(message)))
        keys = self._keys.setdefault(identity, set())
        self._keys.move_to_end(identity)
        if len(self._keys) > self._max:
            self._keys.popitem(last=False)
        # Without an id the same words may well be said twice; what is given back says when it came.
        if key in keys and (message.id or message.has(NS_DELAY, "delay")):
            return False
        keys.add(key)
        return True
