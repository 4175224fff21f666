"""slixmpp and @xmpp/client: they send each other numbered messages, and come back when they are cut off."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from palaver.test.peers import node_peer
from palaver.test.peers.npm import installed
from palaver.test.peers.peer import PASSWORD, WAIT_S
from palaver.test.peers.slix import LOOPBACK, Slixmpp

PROGRAM = Path(__file__).with_name("client.mjs")
REST_S = 0.1
BURST = 4
# A client that waits longer than this for its next connection is not what is tested.
COME_BACK_S = 0.2


class Tally:
    """What one client has seen, as message ids in order. Filled by the client's own thread."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.acked: set[str] = set()
        self.got: list[str] = []
        self.again: set[str] = set()
        """What the program sent once more, since the library had forgotten it."""
        self.counts: Counter[str] = Counter()
        """Resumed and new sessions, errors."""
        self.errors: list[str] = []


def wrong(sender: Tally, receiver: Tally) -> list[str]:
    """Give what is not as it has to be, a line each: everything that was sent has come, once and in order.

    What a program had to send again by hand, since its library had forgotten it, may come once more.
    """
    first = [*dict.fromkeys(receiver.got)]
    found = [f"{identity} was refused" for identity in sender.errors]
    waiting = sorted(set(sender.sent) - sender.acked)
    found += [f"{identity} was sent and never acknowledged" for identity in waiting]
    found += [f"{identity} was sent and never came" for identity in sorted(set(sender.sent) - set(first))]
    found += [f"{identity} came and was never sent" for identity in sorted(set(first) - set(sender.sent))]
    found += [
        f"{identity} came {count} times"
        for identity, count in Counter(receiver.got).items()
        if count > 1 + (identity in sender.again)
    ]
    order = {identity: place for place, identity in enumerate(sender.sent)}
    places = [order[identity] for identity in first if identity in order]
    found += [
        f"{sender.sent[later]} came behind {sender.sent[before]}"
        for before, later in pairwise(places)
        if later < before
    ]
    return found


class SlixTalker(Slixmpp):
    """slixmpp, on the bad network's port."""

    def __init__(self, jid: str, to: str, port: int, certificate: Path, dice: random.Random) -> None:
        super().__init__(jid, PASSWORD, port, certificate, managed=True)
        self.tally = Tally()
        self._to = to
        self._dice = dice
        self._up = False
        self._ending = False
        self._finishing = False
        self._pending: dict[str, Any] = {}
        self.xmpp.add_event_handler("session_start", self._started)
        self.xmpp.add_event_handler("session_resumed", self._went_on)
        self.xmpp.add_event_handler("disconnected", self._cut_off)
        self.xmpp.add_event_handler("stanza_acked", self._acked)
        self.xmpp.add_event_handler("message", self._got)
        self.xmpp.add_event_handler("message_error", self._refused)

    def start(self) -> None:
        """Connect, and talk whenever there is a session."""
        self.call(self._begin)

    def _begin(self) -> None:
        self.xmpp.connect(LOOPBACK, self._port)
        self._talking = asyncio.ensure_future(self._talk())

    def _started(self, _: object) -> None:
        self.tally.counts["new"] += 1
        self.xmpp.send_presence()
        self._send_forgotten()

    def _went_on(self, _: object) -> None:
        self.tally.counts["resumed"] += 1
        self._send_forgotten()

    def _send_forgotten(self) -> None:
        # slixmpp loses what still is in its sending queue when the connection goes (run_filters raises
        # NotConnectedError), and on a new session forgets what was not acknowledged.
        kept = {stanza["id"] for _, stanza in self.xmpp["xep_0198"].unacked_queue}
        for identity, stanza in self._pending.items():
            if identity not in kept:
                self.tally.again.add(identity)
                stanza.send()
        self._up = True

    async def _cut_off(self, _: object) -> None:
        self._up = False
        await asyncio.sleep(COME_BACK_S)
        if not self._ending:
            self.xmpp.connect(LOOPBACK, self._port)

    def _acked(self, stanza: Any) -> None:
        if self._pending.pop(stanza["id"], None) is not None:
            self.tally.acked.add(stanza["id"])

    def _got(self, message: Any) -> None:
        if message["type"] == "chat":
            self.tally.got.append(message["id"])

    def _refused(self, message: Any) -> None:
        self.tally.errors.append(str(message))

    async def _talk(self) -> None:
        number = 0
        while not self._finishing:
            await asyncio.sleep(self._dice.uniform(0, REST_S))
            for _ in range(self._dice.randint(1, BURST) if self._up else 0):
                identity = f"slix.{number}"
                number += 1
                message = self.xmpp.make_message(self._to, identity, mtype="chat")
                message["id"] = identity
                self._pending[identity] = message
                self.tally.sent.append(identity)
                message.send()

    def finish(self) -> None:
        """Send nothing new."""
        self._finishing = True

    def ask(self) -> None:
        """Ask for an acknowledgement: slixmpp asks after every fifth stanza only."""
        if self._up:
            self.call(self.xmpp["xep_0198"].request_ack)

    def close(self) -> None:
        """See Peer."""
        self._ending = True
        super().close()


class NodeTalker:
    """@xmpp/client in a process of its own, on the bad network's port."""

    def __init__(self, jid: str, to: str, port: int, certificate: Path, folder: Path) -> None:
        self.tally = Tally()
        # Node looks for packages where the program is.
        (folder / "node_modules").symlink_to(installed(node_peer.FOLDER) / "node_modules")
        shutil.copy(PROGRAM, folder)
        self._process = subprocess.Popen(
            ["node", PROGRAM.name],
            cwd=folder,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(certificate)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        threading.Thread(target=self._read, name="node", daemon=True).start()
        local, _, domain = jid.partition("@")
        self._connect = {
            "service": f"xmpp://{LOOPBACK}:{port}", "domain": domain,
            "username": local, "password": PASSWORD, "to": to,
        }  # fmt: skip

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._take(json.loads(line))

    def _take(self, told: dict[str, Any]) -> None:
        tally, event = self.tally, told["event"]
        if event == "sent":
            tally.sent.append(told["id"])
        elif event == "acked":
            tally.acked.add(told["id"])
        elif event == "got":
            tally.got.append(told["id"])
        elif event == "again":
            tally.again.add(told["id"])
        elif event == "online":
            tally.counts["resumed" if told["resumed"] else "new"] += 1
        elif event == "refused":
            tally.errors.append(told["id"])
        else:
            # The library tells of each connection that it lost.
            tally.counts[f"{event}: {told.get('text')}"] += 1

    def _do(self, command: str, **arguments: str) -> None:
        assert self._process.stdin is not None
        print(json.dumps({"do": command, **arguments}), file=self._process.stdin, flush=True)

    def start(self) -> None:
        """Connect, and talk whenever there is a session."""
        self._do("connect", **self._connect)

    def finish(self) -> None:
        """Send nothing new."""
        self._do("finish")

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._do("stop")
            try:
                self._process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
