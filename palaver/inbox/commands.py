"""What administrators do with inboxes: empty bins, of one account or of all."""

from __future__ import annotations

import time

from pydantic import BaseModel, Field

from palaver.commands.accounts import existing
from palaver.commands.command import Arguments, Call, Done
from palaver.commands.typed import Account
from palaver.inbox.conversations import Conversations
from palaver.storage import ids

DAY_S = 86_400
# Ten years: nobody means more, and the times of ids begin in 1970.
MAX_DAYS = 3650


class Bins(Arguments):
    """How old is what goes."""

    days: int = Field(
        0, ge=0, le=MAX_DAYS, description="Only what has been in the bin for so many days; 0: all of it."
    )


class Bin(Bins):
    """Whose bin, and how old is what goes."""

    jid: Account = Field(description="The account.")


class Emptied(BaseModel):
    """How many conversations were removed."""

    num: int


def before(days: float) -> int:
    """Give the id that something would have been given so many days ago."""
    return ids.from_time(time.time() - days * DAY_S) if days else ids.new_id()


async def empty_one(call: Call, given: Bin) -> Done:
    """Empty the bin of one account. Raises StanzaError, StorageError."""
    local = await existing(call.host, given.jid)
    return _done(await _of(call).empty_bin(local, before(given.days)))


async def empty_all(call: Call, given: Bins) -> Done:
    """Empty the bins of all accounts of the host. Raises StorageError."""
    return _done(await _of(call).clean_bin(before(given.days)))


def _of(call: Call) -> Conversations:
    return Conversations(call.host.storage, call.host.domain)


def _done(number: int) -> Done:
    return Done(f"Conversations removed: {number}", Emptied(num=number))
