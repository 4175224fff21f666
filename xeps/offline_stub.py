"""Messages for accounts that nobody is online with vanish, and their senders hear nothing of it."""

from __future__ import annotations

from typing import Any

from palaver.modules import Module, phase
from palaver.routing.pipeline import DROP, UNDELIVERED, Drop
from palaver.stanza import Stanza


class OfflineStub(Module):
    """Takes the error away that a sender gets when nobody keeps messages: an archive may, for instance."""

    @phase(UNDELIVERED, "store", "message")
    def drop(self, message: Stanza, context: Any) -> Drop:
        """End the message here."""
        return DROP
