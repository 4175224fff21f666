"""What logs a program in without the password, as the account's owner is shown it."""

from __future__ import annotations

from typing import NamedTuple


class Held(NamedTuple):
    """A token: its key among those of its module, what its owner knows it by, and until when it is good.

    ``until`` is in seconds since 1970; None when nothing says so.
    """

    key: str
    name: str
    until: float | None = None
