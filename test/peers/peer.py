"""What a test asks of a client that somebody else wrote, whichever it is.

Every method blocks, and none longer than `WAIT_S`; what does not come in time is an AssertionError.
JIDs are texts, and contacts are bare JIDs.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from typing import Any, NoReturn, Protocol
from unittest import SkipTest

# A client that starts a terminal or an interpreter on a busy machine takes its time.
WAIT_S = 30
POLL_S = 0.02
PASSWORD = "sesame"


class Peer(Protocol):
    """A client of one account, connected by `connect`."""

    jid: str
    """The bare JID of its account."""

    def connect(self) -> None:
        """Log in, ask for the roster, become available."""

    def send(self, to: str, body: str) -> None:
        """Send a chat message."""

    def expect_message(self, sender: str, body: str) -> None:
        """Wait for a message with this text from a contact."""

    def add(self, contact: str) -> None:
        """Put a contact on the roster and ask to see its presence."""

    def expect_request(self, contact: str) -> None:
        """Wait for a contact who asks to see our presence."""

    def accept(self, contact: str) -> None:
        """Let a contact see our presence."""

    def expect_presence(self, contact: str, available: bool) -> None:
        """Wait until a contact is shown as available, or as not available."""

    def expect_subscription(self, contact: str, subscription: str) -> None:
        """Wait until the roster has a contact with a subscription: none, to, from or both."""

    def expect_disconnected(self) -> None:
        """Wait until the client has noticed that the server has ended the stream."""

    def close(self) -> None:
        """Log out and free everything; harmless when it was done or never connected."""


def wait_for(condition: Callable[[], Any], what: Callable[[], str] | str, seconds: float = WAIT_S) -> Any:
    """Look at a condition until it gives something true, and give that. Raises AssertionError."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s: {what if isinstance(what, str) else what()}")
        time.sleep(POLL_S)


def need(*programs: str) -> None:
    """Skip a test without these programs, or fail where all of them are to be there."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        absent(f"not installed: {', '.join(missing)}; as root, make test installs them")


def absent(complaint: str) -> NoReturn:
    """Skip a test for want of something, or fail where everything is to be there."""
    if os.environ.get("CI") == "true" or os.environ.get("PALAVER_REQUIRE_PEERS") == "1":
        raise AssertionError(complaint)
    raise SkipTest(complaint)
