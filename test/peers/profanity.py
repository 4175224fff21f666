"""profanity, a terminal client of Debian, as a peer: it is told by keys, and tells by its screen."""

from __future__ import annotations

import re

from palaver.test.peers.peer import PASSWORD, wait_for
from palaver.test.peers.slix import LoginRefused
from palaver.test.peers.terminal import Terminal

# A line of "/roster", such as "03:17:16 -   juliet@localhost (Juliet) - both".
ROSTER_ITEM = re.compile(r"^\S+ -   (\S+@\S+)(?: \(.*\))? - (none|to|from|both)\b")


class Profanity:
    """One account; see `palaver.test.peers.peer.Peer`."""

    def __init__(self, jid: str, port: int, *, password: str = PASSWORD) -> None:
        self.jid = jid
        self._password = password
        self._port = port
        self._terminal = Terminal("profanity", environment={"TERM": "xterm"})
        self._terminal.expect("Type '/help'")
        # The list of contacts would share its lines with what a test looks for.
        self._terminal.type("/roster hide")

    def _ask(self, command: str, heading: str) -> list[str]:
        """Give a command in the console; gives the lines of the screen once one has the heading."""
        self._clear(heading)
        self._terminal.type(command)
        self._terminal.expect(heading)
        return self._terminal.screen().splitlines()

    def _clear(self, text: str) -> None:
        """Go to the console, and empty it until a text is no longer there."""
        self._terminal.type("/win 1")
        self._terminal.type("/clear")
        wait_for(lambda: text not in self._terminal.screen(), f"{text!r} does not go away")

    def connect(self) -> None:
        """See Peer. Raises `LoginRefused`."""
        terminal = self._terminal
        self._clear("onnect")
        # The certificate is self-signed.
        terminal.type(f"/connect {self.jid} server 127.0.0.1 port {self._port} tls trust")
        terminal.expect("Enter password:")
        terminal.type(self._password)
        outcome = re.compile("logged in successfully|Login failed|Lost connection")
        found = wait_for(
            lambda: outcome.search(terminal.screen()), lambda: f"no login:\n{terminal.screen()}"
        )[0]
        if found != "logged in successfully":
            raise LoginRefused(found)

    def send(self, to: str, body: str) -> None:
        """See Peer."""
        self._terminal.type(f"/msg {to} {body}")

    def expect_message(self, sender: str, body: str) -> None:
        """See Peer."""
        self._terminal.type(f"/msg {sender}")

        def shown() -> bool:
            lines = (line.rstrip() for line in self._terminal.screen().splitlines())
            return any(line.endswith(f": {body}") for line in lines)

        wait_for(shown, lambda: f"no {body!r} from {sender}:\n{self._terminal.screen()}")

    def add(self, contact: str) -> None:
        """See Peer."""
        self._terminal.type(f"/roster add {contact}")
        self._terminal.type(f"/sub request {contact}")

    def expect_request(self, contact: str) -> None:
        """See Peer."""
        wait_for(
            lambda: any(contact in line for line in self._ask("/sub received", "subscription requests")),
            f"{self.jid} was not asked by {contact}",
        )

    def accept(self, contact: str) -> None:
        """See Peer."""
        self._terminal.type(f"/sub allow {contact}")

    def roster(self, which: str = "") -> dict[str, str]:
        """Give subscriptions by bare JID, as "/roster" shows them; of ``which`` contacts: online, or all."""
        lines = self._ask(f"/roster {which}".strip(), "Roster: jid (nick) - subscription")
        return dict(item.groups() for item in map(ROSTER_ITEM.match, lines) if item)

    def expect_presence(self, contact: str, available: bool) -> None:
        """See Peer."""
        wait_for(
            lambda: (contact in self.roster("online")) is available,
            lambda: f"{self.jid} sees:\n{self._terminal.screen()}",
        )

    def expect_subscription(self, contact: str, subscription: str) -> None:
        """See Peer."""
        wait_for(
            lambda: self.roster().get(contact) == subscription,
            lambda: f"the roster of {self.jid}:\n{self._terminal.screen()}",
        )

    def expect_disconnected(self) -> None:
        """See Peer."""
        self._terminal.type("/win 1")
        self._terminal.expect("Lost connection")

    def close(self) -> None:
        """See Peer."""
        # Killed while it is online, it would be waited for (XEP-0198).
        self._terminal.leave("/quit")
        self._terminal.close()
