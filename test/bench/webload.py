"""Load a server through its web door; the figures are those of xmppload.py, over other transports.

    python -m palaver.test.bench.webload --port 5222 --http-port 5280 --pid PID --register websocket

Scenarios
    websocket  chat of xmppload.py, each message in a frame of its own
    bosh       the same; a client sends what it has to say in one request, and keeps one with the server
    polls      N sessions that wait for an answer: resident memory for each

Accounts are made over TCP. Exit status 0 when every stanza arrived, otherwise 1.
"""

from __future__ import annotations

import argparse
import json
import selectors
import sys
import time
from collections.abc import Callable
from typing import Any

from palaver.test.bench.webclients import READ_BYTES, BoshClient, SocketClient, Wire, frame
from palaver.test.bench.xmppload import BODY, Meter, Pump, family, quiet, rss_bytes, users

Row = dict[str, Any]

LOOK_S = 0.2


class Pairs:
    """Who writes to whom, how much each has still to say, and what has arrived."""

    def __init__(self, clients: list[Any], count: int) -> None:
        half = len(clients) // 2
        one, other = clients[:half], clients[half:]
        self.peer = dict(zip(one + other, other + one, strict=True))
        self._left = dict.fromkeys(clients, count // len(clients))
        self.total = sum(self._left.values())
        self.got = 0

    def stanza(self, client: Any) -> bytes:
        """Give what somebody writes, again and again."""
        return (
            f"<message xmlns='jabber:client' type='chat' to='{self.peer[client].jid}' id='m-0001'>"
            f"<body>{BODY}</body><active xmlns='http://jabber.org/protocol/chatstates'/>"
            "<request xmlns='urn:xmpp:receipts'/></message>"
        ).encode()

    def take(self, client: Any, count: int) -> int:
        """Give how many of so many messages a client has left to say."""
        count = min(count, self._left[client])
        self._left[client] -= count
        return count

    @property
    def is_done(self) -> bool:
        """True when all have arrived."""
        return self.got >= self.total


def scenario_websocket(opts: Any, web: Any) -> Row:
    """Chat over WebSocket."""
    names = users(opts, opts.users * 2)
    clients = [SocketClient(web, name, number).login() for number, name in enumerate(names)]
    quiet(clients, opts)
    pairs = Pairs(clients, opts.count)
    frames = {client: frame(pairs.stanza(client)) for client in clients}
    pump = Pump(clients)

    def feed(client: Any, count: int) -> None:
        count = pairs.take(client, count)
        if count:
            pump.write(client, frames[client] * count)

    def arrived(client: Any, count: int, text: bytes) -> None:
        pairs.got += count
        feed(pairs.peer[client], count)

    meter = Meter(opts)
    with meter:
        for client in clients:
            feed(client, opts.window)
        pump.run(b"</message>", arrived, lambda: pairs.is_done, time.monotonic() + opts.deadline)
    return _report(meter, "websocket", pairs)


def scenario_bosh(opts: Any, web: Any) -> Row:
    """Chat over BOSH."""
    names = users(opts, opts.users * 2)
    clients = [_logged_in(web, name, number, 2) for number, name in enumerate(names)]
    time.sleep(opts.settle)
    pump = Requests(clients)
    pairs = Pairs(clients, opts.count)
    stanzas = {client: pairs.stanza(client) for client in clients}

    def feed(client: Any, count: int) -> None:
        count = pairs.take(client, count)
        if count:
            pump.say(client, stanzas[client] * count)

    def arrived(client: Any, body: bytes) -> None:
        count = body.count(b"</message>")
        pairs.got += count
        feed(pairs.peer[client], count)

    meter = Meter(opts)
    with meter:
        for client in clients:
            feed(client, opts.window)
        pump.run(arrived, lambda: pairs.is_done, time.monotonic() + opts.deadline)
    return _report(meter, "bosh", pairs) | {"requests": pump.requests}


def scenario_polls(opts: Any, web: Any) -> Row:
    """Sessions with a request that the server holds, over one connection each."""
    pids = family(opts.pid)
    names = users(opts, opts.users)
    _logged_in(web, names[0], 0, 1).sock.close()
    time.sleep(opts.settle)
    before = rss_bytes(pids)
    meter = Meter(opts)
    with meter:
        clients = [_logged_in(web, name, number, 1) for number, name in enumerate(names)]
        pump = Requests(clients)
        # What was answered with a roster push or another's presence is asked again.
        pump.run(lambda client, body: None, lambda: False, time.monotonic() + opts.settle)
    grown = rss_bytes(family(opts.pid)) - before
    held = sum(len(client.asked) for client in clients)
    row: Row = meter.report("polls", held, "poll", len(clients))
    return row | {"kib_per_poll": round(grown / 1024 / len(clients), 1)}


def _logged_in(web: Any, name: str, number: int, wires: int) -> BoshClient:
    client = BoshClient(web, name, number, wires)
    client.login()
    client.hold()
    return client


def _report(meter: Any, name: str, pairs: Pairs) -> Row:
    row: Row = meter.report(name, pairs.got, "message", pairs.total)
    return row


class Requests:
    """Moves requests and answers for many BOSH clients."""

    def __init__(self, clients: list[Any]) -> None:
        self.requests = 0
        self._selector = selectors.EpollSelector()
        self._unsaid: dict[Any, bytes] = dict.fromkeys(clients, b"")
        for client in clients:
            for wire in client.wires:
                wire.sock.setblocking(False)
                self._selector.register(wire.sock, selectors.EVENT_READ, wire)

    def say(self, client: Any, inner: bytes) -> None:
        """Have a client send elements, as soon as it has a connection for them."""
        self._unsaid[client] += inner
        self._ask(client)

    def run(self, arrived: Callable[[Any, bytes], None], done: Callable[[], bool], deadline: float) -> None:
        """Give each answer to ``arrived``, until all is done or the time is over."""
        while not done() and time.monotonic() < deadline:
            for key, _ in self._selector.select(LOOK_S):
                self._read(key.data, arrived)

    def _read(self, wire: Wire, arrived: Callable[[Any, bytes], None]) -> None:
        client = wire.client
        data = wire.sock.recv(READ_BYTES)
        if not data:
            raise ConnectionError(f"closed: {client.user}")
        for body in wire.answers(data):
            client.asked.remove(wire)
            client.free.append(wire)
            arrived(client, body)
        self._ask(client)

    def _ask(self, client: Any) -> None:
        """Send what there is to say; with nothing to say, see to it that the server has a request."""
        inner = self._unsaid[client]
        if client.free and (inner or not client.asked):
            self._unsaid[client] = b""
            wire = client.free.popleft()
            client.asked.append(wire)
            wire.sock.sendall(client.request(inner))
            self.requests += 1


SCENARIOS = {"websocket": scenario_websocket, "bosh": scenario_bosh, "polls": scenario_polls}


def main() -> int:
    """Run one scenario and print its row as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5222)
    parser.add_argument("--http-port", type=int, default=5280)
    parser.add_argument("--domain", default="localhost")
    parser.add_argument("--pid", type=int, help="server process whose CPU time and memory are counted")
    parser.add_argument("--users", type=int, default=20, help="pairs that chat, or sessions that wait")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--window", type=int, default=10, help="messages in flight for each sender")
    parser.add_argument("--prefix", default="load")
    parser.add_argument("--password", default="load-secret")
    parser.add_argument("--register", action="store_true")
    parser.add_argument("--sasl", choices=("scram", "plain"), default="scram")
    parser.add_argument("--timeout", type=float, default=20)
    parser.add_argument("--deadline", type=float, default=120)
    parser.add_argument("--settle", type=float, default=1.0)
    opts = parser.parse_args()
    web = argparse.Namespace(**{**vars(opts), "port": opts.http_port})
    row = SCENARIOS[opts.scenario](opts, web)
    print(json.dumps(row))
    return 0 if row["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
