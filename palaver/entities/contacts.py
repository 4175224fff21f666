"""The presence of contacts elsewhere, as the accounts of a host together see it (XEP-0356 section 7.4)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from palaver.jid import JID
from palaver.stanza import Stanza

# Sessions of contacts; whoever has more loses the longest silent ones, and may hear of one twice.
MAX_KNOWN = 100_000


class _Known(NamedTuple):
    """The last presence of a session elsewhere, and the accounts that it was for."""

    presence: Stanza
    accounts: set[str]


class ContactPresence:
    """Says each presence once, however many accounts have the contact, and repeats what still holds."""

    def __init__(self, show: Callable[[Stanza], object]) -> None:
        """``show`` is called with each presence that is news."""
        self._show = show
        # By full JID, the longest silent first; and the full JIDs by bare JID.
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._of: dict[str, set[str]] = {}

    def received(self, presence: Stanza, sender: JID, local: str) -> None:
        """Take available or unavailable presence of a contact of an account."""
        full = sender.full
        before = self._known.pop(full, None)
        accounts = before.accounts if before is not None else set()
        accounts.add(local)
        self._known[full] = _Known(presence, accounts)
        self._of.setdefault(sender.bare, set()).add(full)
        if len(self._known) > MAX_KNOWN:
            self._drop(next(iter(self._known)))
        if before is None or _content(before.presence) != _content(presence):
            self._show(presence)

    def available(self) -> list[Stanza]:
        """Give the presence of every session that is online."""
        return [known.presence for known in self._known.values() if known.presence.type is None]

    def forget(self, local: str, contact: str | None = None) -> None:
        """Note that an account sees a contact no longer, or none at all; what no other one sees is gone."""
        for full in list(self._known if contact is None else self._of.get(contact, ())):
            known = self._known[full]
            known.accounts.discard(local)
            if not known.accounts:
                self._drop(full)
                if known.presence.type is None:
                    self._show(Stanza("presence", {"type": "unavailable", "from": full}))

    def _drop(self, full: str) -> None:
        del self._known[full]
        bare = full.partition("/")[0]
        self._of[bare].discard(full)
        if not self._of[bare]:
            del self._of[bare]


def _content(presence: Stanza) -> tuple[str | None, bytes]:
    """Give what a presence says, which is the same in the copies for several accounts."""
    return presence.type, presence.inner
