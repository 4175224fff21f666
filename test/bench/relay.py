"""What a message costs that goes to another server or to a component, beside one between users of one server.

    python -m palaver.test.bench --only s2s,component

Two servers of each kind are started, with certificates of an authority of the run's own, and a DNS zone
in this process. Clients, servers and components speak TLS with each other, but for Prosody's components, for
which it knows none. A figure is the server's CPU time for a message, the median of
the runs, which the kinds take in turn.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from palaver.test.bench.fresh import Fresh
from palaver.test.federation.authority import Authority
from palaver.test.federation.foreign import EJABBERD, PROSODY, Foreign, free_ports
from palaver.test.federation.zone import Zone

LOAD = Path(__file__).with_name("xmppload.py")
OURS = "palaver"
PEERS = {"prosody": PROSODY, "ejabberd": EJABBERD}
USERS = "40"
# Palaver is so much faster that it needs more messages to be measured as well.
COUNTS = {OURS: "40000"}
PEERS_COUNT = "10000"
RUNS = 3

LOCAL, SENDING, RECEIVING, COMPONENT = "local", "s2s, sending", "s2s, receiving", "component"
BAR_LOCAL, BAR_PEER = 1.3, 3.0

PALAVER = """
[[listen.s2s]]
interface = "{address}"
port = {s2s}
[[listen.component]]
interface = "{address}"
port = {component}
tls = "direct"
secret = "load-secret"
[tls]
certificate = "{pem}"
key = "{pem}"
[s2s]
dns_servers = ["{dns}"]
cacertfile = "{ca}"
"""


class Place(NamedTuple):
    """A server that runs; ``component`` is its port for the domain below its own."""

    domain: str
    address: str
    port: int
    component: int
    pid: int

    def arguments(self, prefix: str = "") -> list[str]:
        """Give what xmppload.py wants to know of it."""
        values = {"host": self.address, "port": self.port, "domain": self.domain, "pid": self.pid}
        return [text for name, value in values.items() for text in (f"--{prefix}{name}", str(value))]


class Bench:
    """Starts pairs of servers, and stops them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = Authority(folder / "ca")
        self._zone = Zone()
        self._dns = ""
        self._ours: list[Fresh] = []
        self._foreign: list[Foreign] = []

    async def start(self, kinds: Sequence[str]) -> dict[str, tuple[Place, Place]]:
        """Start two servers of each kind."""
        self._dns = self._zone.start()
        pairs = {}
        for number, kind in enumerate(kinds):
            one, two = [
                await self._serve(kind, f"{name}.{kind}.example", f"127.0.0.{10 + 2 * number + place}")
                for place, name in enumerate(("one", "two"))
            ]
            pairs[kind] = one, two
        return pairs

    async def _serve(self, kind: str, domain: str, address: str) -> Place:
        pem = self._authority.for_domain(domain)
        if kind == OURS:
            return self._palaver(domain, address, pem)
        folder = self._folder / domain
        foreign = Foreign(PEERS[kind], folder, domain, address, quiet=True)
        self._foreign.append(foreign)
        await foreign.start(pem, self._authority.path, self._dns, trusted=True)
        self._zone.serves(domain, address, foreign.s2s, named=False)
        return Place(domain, address, foreign.c2s, foreign.component, foreign.pid)

    def _palaver(self, domain: str, address: str, pem: str) -> Place:
        folder = self._folder / domain
        folder.mkdir()
        s2s, component = free_ports(address, 2)
        values = {"dns": self._dns, "ca": self._authority.path, "pem": pem}
        more = PALAVER.format(address=address, s2s=s2s, component=component, **values)
        server = Fresh(str(folder), more, domain, address)
        server.__enter__()
        self._ours.append(server)
        self._zone.serves(domain, address, s2s)
        return Place(domain, address, server.port, component, server.pid)

    async def stop(self) -> None:
        """Stop all."""
        for server in self._ours:
            server.__exit__()
        for foreign in self._foreign:
            await foreign.stop()
        await self._zone.stop()


async def load(scenario: str, kind: str, *arguments: str) -> dict[str, Any]:
    """Run a scenario of xmppload.py; gives its row. Raises RuntimeError when messages were lost."""
    command = [sys.executable, str(LOAD), scenario, "--tls", "--register", "--users", USERS, *arguments]
    command += ["--count", COUNTS.get(kind, PEERS_COUNT), "--settle", "0.3"]
    # This process answers the servers' questions meanwhile.
    ran = await deferToThread(subprocess.run, command, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"{kind}, {scenario}: {ran.stdout[-300:]} {ran.stderr[-500:]}")
    row: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return row


async def measure(kind: str, one: Place, two: Place) -> dict[str, float]:
    """Give the CPU microseconds of a message on each way, from one run."""
    here, there = one.arguments(), two.arguments("to-")
    local = await load("relay", kind, *here)
    relayed = await load("relay", kind, *here, *there)
    program = ["--component", f"relay.{one.domain}", "--component-port", str(one.component)]
    if kind != "prosody":
        program.append("--component-tls")
    component = await load("component", kind, *here, *program)
    return {
        LOCAL: local["cpu_us_per_unit"],
        SENDING: relayed["cpu_us_per_unit"],
        RECEIVING: relayed["to_cpu_us_per_unit"],
        COMPONENT: component["cpu_us_per_unit"],
    }


def show(figures: dict[str, dict[str, float]]) -> None:
    """Print a line for each way, with the two ratios that there are bars for."""
    print(f"{'message, us':18}" + "".join(f"{kind:>10}" for kind in figures)
          + f"{'better peer / palaver':>24}{'palaver / its local':>22}")  # fmt: skip
    ours = figures[OURS]
    for way, cost in ours.items():
        peers = [each[way] for kind, each in figures.items() if kind != OURS]
        better = f"{min(peers) / cost:.2f} (bar {BAR_PEER:.0f})" if peers else "-"
        beside = "-" if way == LOCAL else f"{cost / ours[LOCAL]:.2f} (bar {BAR_LOCAL})"
        print(f"{way:18}" + "".join(f"{each[way]:10.1f}" for each in figures.values())
              + f"{better:>24}{beside:>22}", flush=True)  # fmt: skip


async def run(options: argparse.Namespace) -> None:
    """Start, measure, print, stop."""
    kinds = [OURS, *(kind for kind in options.peers.split(",") if kind)]
    folder = Path(tempfile.mkdtemp(prefix="palaver-relay-"))
    folder.chmod(0o755)
    bench = Bench(folder)
    try:
        pairs = await bench.start(kinds)
        runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
        for _ in range(options.runs):
            for kind, places in pairs.items():
                runs[kind].append(await measure(kind, *places))
        show({
            kind: {way: statistics.median(row[way] for row in rows) for way in rows[0]}
            for kind, rows in runs.items()
        })  # fmt: skip
    finally:
        await bench.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--peers", default=",".join(PEERS))
    options = parser.parse_args()
    react(lambda reactor: Deferred.fromCoroutine(run(options)))


if __name__ == "__main__":
    main()
