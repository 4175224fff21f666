"""``make bench``: start a fresh Palaver on loopback and compare it with Prosody and ejabberd.

What follows ``python -m palaver.test.bench`` goes to compare.py, which explains itself
with ``--help``; ``--only chat,ping`` is the common one, and ``--archive`` has every message archived.
``--only s2s,component`` goes to relay.py, which starts two servers of each kind, and ``--only download``
to download.py. Of the others websocket, bosh and polls come through the web door; name chat beside them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from palaver.test.bench.fresh import Fresh, free_port

# A thousand occupants take minutes to enter with some peers; ask for muc-1000 by --only.
SCENARIOS = "login,chat,chat-w1,ping,presence,pep,muc-50,muc-200,idle,s2s"
ARCHIVE = "[modules.mod_mam]\n"
# The peers have rooms of this size too.
ROOMS = "[modules.mod_muc]\nmax_users = 20000\n[modules.mod_muc.default_room]\nmax_users = 20000\n"
# What comes through the web door, and what that is in the configuration.
WEB = {"websocket", "websocket-w1", "bosh", "bosh-w1", "polls"}
HTTP = '[[listen.http]]\ninterface = "127.0.0.1"\nport = {port}\n'
# What is measured by other programs, each all of its own in one run.
RELAYED = {"s2s", "component"}
DOWNLOADED = {"download"}


def main() -> int:
    """Run the comparisons; gives the exit status."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--only")
    options, others = parser.parse_known_args()
    if options.only is None and "--archive" in others:
        return compare([], others)
    names = (options.only or SCENARIOS).split(",")
    here = [name for name in names if name not in RELAYED | DOWNLOADED]
    status = compare(here, others) if here else 0
    for program, theirs in (("relay", RELAYED), ("download", DOWNLOADED)):
        if theirs.intersection(names):
            command = [sys.executable, "-m", f"palaver.test.bench.{program}"]
            status = subprocess.run([*command, *(others if theirs is RELAYED else [])]).returncode or status
    return status


def compare(names: list[str], others: list[str]) -> int:
    """Have a server compared with one of each other kind; ``names``: which scenarios (none: all)."""
    compare_py = Path(__file__).with_name("compare.py")
    more = ROOMS + (ARCHIVE if "--archive" in others else "")
    only = ["--only", ",".join(names)] if names else []
    if WEB.intersection(names):
        port = free_port()
        more += HTTP.format(port=port)
        only += ["--http-port", str(port)]
    with tempfile.TemporaryDirectory(prefix="palaver-bench-") as folder, Fresh(folder, more) as server:
        place = ["--port", str(server.port), "--pid", str(server.pid)]
        return subprocess.run([sys.executable, str(compare_py), *place, *only, *others]).returncode


if __name__ == "__main__":
    sys.exit(main())
