"""@xmpp/client under Node as a peer: a process that takes commands and tells events as lines of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from palaver.test.peers.npm import installed
from palaver.test.peers.peer import PASSWORD, WAIT_S, wait_for
from palaver.test.peers.slix import LoginRefused

FOLDER = Path(__file__).with_name("node")

Event = dict[str, Any]


class NodePeer:
    """One account; see `palaver.test.peers.peer.Peer`."""

    folder = FOLDER

    def __init__(
        self, jid: str, port: int, certificate: Path, *, password: str = PASSWORD, service: str = ""
    ) -> None:
        """``service``: an address to connect to, such as one for ws (default: the port)."""
        self.jid = jid
        self._password = password
        self._service = service or f"xmpp://127.0.0.1:{port}"
        self.events: list[Event] = []
        self._since = 0
        self._presence: dict[str, set[str]] = {}
        self._process = subprocess.Popen(
            ["node", "peer.mjs"],
            cwd=installed(self.folder),
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(certificate)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        threading.Thread(target=self._read, name="node", daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                event = json.loads(line)
                self.events.append(event)
                if event["event"] == "presence":
                    self._note_presence(event)
                elif event["event"] == "disconnect":
                    self._presence.clear()
                    self._since = len(self.events)

    def _note_presence(self, event: Event) -> None:
        resources = self._presence.setdefault(event["from"], set())
        if event.get("type") is None:
            resources.add(event["full"])
        elif event["type"] == "unavailable":
            resources.discard(event["full"])

    def _do(self, command: str, **arguments: str) -> None:
        assert self._process.stdin is not None
        print(json.dumps({"do": command, **arguments}), file=self._process.stdin, flush=True)

    def expect(self, what: str, condition: Callable[[Event], bool], since: int = 0) -> Event:
        """Give the first event for which a condition holds, of those after the first so many."""

        def found() -> list[Event]:
            return [event for event in self.events[since:] if condition(event)]

        return wait_for(found, lambda: f"{self.jid} saw no {what}: {self.events[since:]}")[0]  # type: ignore[no-any-return]

    # -- Peer -----------------------------------------------------------------------------

    def connect(self) -> None:
        """See Peer. After a disconnection the client comes back by itself. Raises `LoginRefused`."""
        if self._since == 0:
            local, _, domain = self.jid.partition("@")
            self._do(
                "connect", service=self._service,
                domain=domain, username=local, password=self._password,
            )  # fmt: skip
        outcome = self.expect("login", lambda event: event["event"] in ("online", "refused"), self._since)
        if outcome["event"] == "refused":
            raise LoginRefused(outcome["condition"])

    def send(self, to: str, body: str) -> None:
        """See Peer."""
        self._do("send", to=to, body=body)

    def expect_message(self, sender: str, body: str) -> None:
        """See Peer."""
        self.expect(
            f"{body!r} from {sender}",
            lambda event: (event["event"], event.get("from"), event.get("body")) == ("message", sender, body),
        )

    def add(self, contact: str) -> None:
        """See Peer."""
        self._do("add", contact=contact)

    def expect_request(self, contact: str) -> None:
        """See Peer."""
        self.expect(
            f"request from {contact}",
            lambda event: (event.get("from"), event.get("type")) == (contact, "subscribe"),
        )

    def accept(self, contact: str) -> None:
        """See Peer."""
        self._do("accept", contact=contact)

    def expect_presence(self, contact: str, available: bool) -> None:
        """See Peer."""
        wait_for(
            lambda: bool(self._presence.get(contact)) is available,
            lambda: f"{self.jid} sees of {contact}: {self._presence.get(contact)}",
        )

    def expect_subscription(self, contact: str, subscription: str) -> None:
        """See Peer."""
        since = len(self.events)
        self._do("roster")
        self.expect(
            f"{contact} with {subscription} on the roster",
            lambda event: event["event"] == "roster" and event["items"].get(contact) == subscription,
            since,
        )

    def cut(self, service: str = "") -> None:
        """Lose the connection; the client comes back by itself, over another service if one is given."""
        self._do("cut", service=service)

    def expect_disconnected(self) -> None:
        """See Peer."""
        self.expect("end of the connection", lambda event: event["event"] == "disconnect")

    def close(self) -> None:
        """See Peer."""
        if self._process.poll() is None:
            self._do("stop")
            try:
                self._process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
