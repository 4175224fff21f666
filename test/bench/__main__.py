"""``make bench``: start a fresh Palaver on loopback and compare it with Prosody and ejabberd.

What follows ``python -m palaver.test.bench`` goes to compare.py, which explains itself
with ``--help``; ``--only chat,ping`` is the common one, and ``--archive`` has every message archived.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from palaver.test.bench.fresh import Fresh, free_port

# A thousand occupants take minutes to enter with some peers; ask for muc-1000 by --only.
SCENARIOS = "login,chat,chat-w1,ping,presence,pep,component,muc-50,muc-200,idle"
ARCHIVE = "[modules.mod_mam]\n"
# The peers have rooms of this size too.
ROOMS = "[modules.mod_muc]\nmax_users = 20000\n[modules.mod_muc.default_room]\nmax_users = 20000\n"
COMPONENTS = '[[listen.component]]\nport = {port}\nsecret = "load-secret"\n'


def main() -> int:
    """Run the comparison; gives its exit status."""
    here = Path(__file__).parent
    arguments = sys.argv[1:]
    archive = "--archive" in arguments
    if "--only" not in arguments and not archive:
        arguments += ["--only", SCENARIOS]
    component_port = free_port()
    more = COMPONENTS.format(port=component_port) + ROOMS + (ARCHIVE if archive else "")
    with tempfile.TemporaryDirectory(prefix="palaver-bench-") as folder, Fresh(folder, more) as server:
        place = ["--port", str(server.port), "--pid", str(server.pid)]
        place += ["--component-port", str(component_port)]
        return subprocess.run([sys.executable, str(here / "compare.py"), *place, *arguments]).returncode


if __name__ == "__main__":
    sys.exit(main())
