"""``make bench``: start a fresh Palaver on loopback and compare it with Prosody and ejabberd.

What follows ``python -m palaver.test.bench`` goes to compare.py, which explains itself
with ``--help``; ``--only chat,ping`` is the common one, and ``--archive`` has every message archived.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from palaver.test.bench.fresh import Fresh

# compare.py has scenarios for group chat as well, which needs a module that is not there.
SCENARIOS = "login,chat,chat-w1,ping,presence,pep,idle"
ARCHIVE = "[modules.mod_mam]\n"


def main() -> int:
    """Run the comparison; gives its exit status."""
    here = Path(__file__).parent
    arguments = sys.argv[1:]
    archive = "--archive" in arguments
    if "--only" not in arguments and not archive:
        arguments += ["--only", SCENARIOS]
    more = ARCHIVE if archive else ""
    with tempfile.TemporaryDirectory(prefix="palaver-bench-") as folder, Fresh(folder, more) as server:
        place = ["--port", str(server.port), "--pid", str(server.pid)]
        return subprocess.run([sys.executable, str(here / "compare.py"), *place, *arguments]).returncode


if __name__ == "__main__":
    sys.exit(main())
