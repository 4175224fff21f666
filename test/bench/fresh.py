"""A fresh Palaver on loopback for measuring: registration on, limits off, a quiet log as the peers have."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

CONFIG = """
[general]
hosts = ["{host}"]
loglevel = "warning"
data_dir = "data"
[[listen.c2s]]
interface = "{address}"
port = {port}
tls = "optional"
[auth]
allow_unencrypted_plain_auth = true
[limits]
enabled = false
[modules.mod_register]
registration_throttle_max = 0
"""
LOGIN_ALL_S = 300.0


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Fresh:
    """Runs from ``__enter__``, which waits for the ready line, to ``__exit__``; the folder stays."""

    def __init__(
        self, folder: str, more: str = "", host: str = "localhost", address: str = "127.0.0.1"
    ) -> None:
        """``more`` is added to the configuration; ``address`` is where clients connect."""
        self.port = free_port()
        self._config = Path(folder, "palaver.toml")
        values = {"host": host, "address": address, "port": self.port}
        self._config.write_text(CONFIG.format(**values) + more, "utf-8")

    def __enter__(self) -> Self:
        # As `make run` does it: no docstrings in memory, and byte code kept from one start to the next.
        command = [sys.executable, "-OO", "-m", "palaver.cli", "start", "--config", str(self._config)]
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("palaver ready"):
            self._process.kill()
            raise RuntimeError(f"the server did not start: {line}")
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def wait_for_sessions(self, count: int) -> None:
        """Wait until so many are bound; raises `TimeoutError`."""
        command = [sys.executable, "-m", "palaver.cli", "status", "--json", "--config", str(self._config)]
        end = time.monotonic() + LOGIN_ALL_S
        while time.monotonic() < end:
            ran = subprocess.run(command, capture_output=True, text=True)
            if f'"sessions": {count}' in ran.stdout:
                return
            time.sleep(1)
        raise TimeoutError(f"not {count} sessions after {LOGIN_ALL_S:.0f} s")
