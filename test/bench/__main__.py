"""``make bench``: start a fresh Palaver on loopback and compare it with Prosody and ejabberd.

What follows ``python -m palaver.test.bench`` goes to compare.py, which explains itself
with ``--help``; ``--only chat,ping`` is the common one.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

# compare.py has scenarios for group chat as well, which needs a module that is not there.
SCENARIOS = "login,chat,chat-w1,ping,presence,idle"

CONFIG = """
[general]
loglevel = "warning"
data_dir = "data"
[[listen.c2s]]
interface = "127.0.0.1"
port = {port}
tls = "optional"
[auth]
allow_unencrypted_plain_auth = true
[limits]
enabled = false
[modules.mod_register]
registration_throttle_max = 0
"""


def main() -> int:
    """Run the comparison; gives its exit status."""
    here = Path(__file__).parent
    arguments = sys.argv[1:]
    if "--only" not in arguments:
        arguments += ["--only", SCENARIOS]
    with tempfile.TemporaryDirectory(prefix="palaver-bench-") as folder:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = Path(folder, "palaver.toml")
        config.write_text(CONFIG.format(port=port), "utf-8")
        command = [sys.executable, "-m", "palaver.cli", "start", "--config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                if not server.stdout.readline().startswith("palaver ready"):
                    return 2
                place = ["--port", str(port), "--pid", str(server.pid)]
                return subprocess.run(
                    [sys.executable, str(here / "compare.py"), *place, *arguments]
                ).returncode
            finally:
                server.terminate()


if __name__ == "__main__":
    sys.exit(main())
