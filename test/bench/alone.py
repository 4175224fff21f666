"""What needs no peer: how fast Palaver starts, how much memory it takes, what many sessions cost.

    python -m palaver.test.bench.alone [--sessions 5000]

Prints a line for each figure. Memory is the proportional set size, from /proc.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from palaver.test.bench.fresh import Fresh

LOAD = Path(__file__).with_name("xmppload.py")
RUNS = 3


def memory_mib(pid: int) -> float:
    """Give the proportional set size of a process."""
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def load(server: Fresh, *arguments: str) -> dict[str, Any]:
    """Run one scenario of xmppload.py; gives its row."""
    command = [sys.executable, str(LOAD), *arguments, "--register"]
    command += ["--port", str(server.port), "--pid", str(server.pid)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    row: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return row


def chat_cost(server: Fresh) -> float:
    """Give the CPU microseconds of a chat message between 40 sessions, the median of some runs."""
    rows = [load(server, "chat", "--users", "20", "--count", "60000") for _ in range(RUNS)]
    return statistics.median(row["cpu_us_per_unit"] for row in rows)


def start_seconds(folder: str) -> float:
    """Give the seconds from the start of the process to its ready line, on a database that is there."""
    began = time.monotonic()
    with Fresh(folder):
        return time.monotonic() - began


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=5000)
    options = parser.parse_args()
    # Each session is a socket here and one in the server, which inherits the limit.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * options.sessions)), hard))
    with tempfile.TemporaryDirectory(prefix="palaver-bench-") as folder:
        # The first start after an installation writes byte code and the database.
        start_seconds(folder)
        with Fresh(folder) as server:
            time.sleep(0.5)
            print(f"memory before the first login: {memory_mib(server.pid):.1f} MiB", flush=True)
            few = chat_cost(server)
            print(f"chat message among 40 sessions: {few:.1f} us", flush=True)
            many = with_idle(server, options.sessions)
            print(
                f"chat message with {options.sessions} more: {many:.1f} us, ratio {many / few:.2f}",
                flush=True,
            )
        print(f"start to ready line: {statistics.median(start_seconds(folder) for _ in range(RUNS)):.2f} s")
    return 0


def with_idle(server: Fresh, sessions: int) -> float:
    """Give the cost of a chat message while so many other sessions are online."""
    command = [sys.executable, str(LOAD), "idle", "--users", str(sessions), "--register", "--prefix", "idle"]
    command += ["--port", str(server.port), "--pid", str(server.pid), "--hold", "3600"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as idle:
        try:
            server.wait_for_sessions(sessions)
            return chat_cost(server)
        finally:
            idle.kill()


if __name__ == "__main__":
    sys.exit(main())
