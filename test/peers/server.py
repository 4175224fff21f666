"""A Palaver in a process of its own, for clients and servers that nobody here wrote.

    server = ServerProcess({"modules": {"mod_register": {}}})
    server.start()
    self.addCleanup(server.stop)
    server.command("account", "create", "alice@localhost", "--password", "secret")
    connect("127.0.0.1", server.port)

Everything blocks, and every wait has an end.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from palaver.test.commands import environment, run_python

HOST = "localhost"
LOOPBACK = "127.0.0.1"

# Far beyond the second that a start takes; the machine may be busy.
START_S = 60
# Closing every stream and committing everything takes well under a second.
STOP_S = 30
POLL_S = 0.02

READY = re.compile(r"^palaver ready: (.*)$", re.MULTILINE)
LISTENER = re.compile(r"c2s 127\.0\.0\.1:(\d+) \((.*?)\)")


class ServerProcess:
    """The ``palaver`` command with a configuration, a folder and ports of its own.

    ``config`` holds what a config file holds. What it leaves out is filled in: the host
    localhost, a folder that vanishes at `stop` (or ``data_dir``, which stays), and two
    ports on loopback, one with STARTTLS and one with direct TLS. A port 0 is any free
    one; a restart takes the same again.
    """

    def __init__(self, config: Mapping[str, Any], data_dir: str | Path | None = None) -> None:
        self._own = Path(tempfile.mkdtemp(prefix="palaver-test-")) if data_dir is None else None
        self._folder = self._own or Path(str(data_dir))
        self._folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = self._folder / "data" if data_dir is None else self._folder
        self._config = {
            **config,
            "general": {"hosts": [HOST], **config.get("general", {}), "data_dir": str(self.data_dir)},
            "listen": {"c2s": _listeners(), **copy.deepcopy(config.get("listen", {}))},
        }
        self.config_file = self._folder / "test.toml"
        self._log_file = self._folder / "test.log"
        self._log = ""
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        """The port that speaks XMPP from the first byte on, with STARTTLS unless configured otherwise."""
        self.direct_port = 0
        """The port that speaks TLS from the first byte on."""

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process; raises `RuntimeError` when it does not run."""
        if self._process is None:
            raise RuntimeError("the server has not been started")
        return self._process.pid

    def start(self) -> None:
        """Run it and wait until every port accepts; raises `RuntimeError` with the log when it does not."""
        self.config_file.write_text(
            "".join(f"{key} = {_toml(value)}\n" for key, value in self._config.items())
        )
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "palaver.cli", "start", "--config", str(self.config_file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                cwd=self._folder,
            )
            before = log.tell()
        try:
            self._take_ports(self._ready(self._process, before))
        except RuntimeError:
            self.kill()
            raise

    def _ready(self, process: subprocess.Popen[bytes], before: int) -> str:
        """Give what the ready line says, once it is in the log after so many bytes."""
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            ended = process.poll()
            written = self._log_file.read_bytes()[before:].decode("utf-8", "replace")
            line = READY.search(written)
            if line is not None:
                return line[1]
            if ended is not None:
                raise RuntimeError(f"palaver ended with {ended}:\n{written}")
            time.sleep(POLL_S)
        raise RuntimeError(f"palaver was not ready after {START_S} s:\n{self.log()}")

    def _take_ports(self, ready: str) -> None:
        """Note the ports of the ready line, also for the next start."""
        found = [(int(port), note == "TLS") for port, note in LISTENER.findall(ready)]
        self.port = next((port for port, direct in found if not direct), 0)
        self.direct_port = next((port for port, direct in found if direct), 0)
        for listener, (port, _) in zip(self._config["listen"]["c2s"], found, strict=True):
            listener["port"] = port

    def command(self, *arguments: str, stdin: str = "") -> str:
        """Give another ``palaver`` command with the same configuration; gives what it printed.

        Raises `RuntimeError` with its complaint when it fails.
        """
        done = run_python(
            "-m",
            "palaver.cli",
            *arguments,
            "--config",
            str(self.config_file),
            stdin=stdin,
            cwd=str(self._folder),
        )
        if done.returncode:
            raise RuntimeError(f"palaver {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def log(self) -> str:
        """Give what it has written since its first start; also after the end."""
        if self._log_file.exists():
            self._log = self._log_file.read_text("utf-8", "replace")
        return self._log

    def restart(self) -> None:
        """End it as `stop` does and start it again on the same data and ports."""
        self._terminate()
        self.start()

    def kill(self) -> None:
        """End it at once, as a crash does; the data stay for another `start`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it by SIGTERM and take its folder away; harmless when it does not run.

        Raises `RuntimeError` when it does not end by itself or ends with an error.
        """
        try:
            self._terminate()
        finally:
            self.log()
            if self._own is not None:
                shutil.rmtree(self._own, ignore_errors=True)

    def _terminate(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"palaver did not end within {STOP_S} s:\n{self.log()}") from None
        self._process = None
        if status:
            raise RuntimeError(f"palaver ended with {status}:\n{self.log()}")


def _listeners() -> list[dict[str, Any]]:
    return [{"interface": LOOPBACK, "port": 0, "tls": tls} for tls in ("required", "direct")]


def _toml(value: Any) -> str:
    """Write a value as TOML, tables inline."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # Texts, numbers and truth values look the same in both, but for surrogate pairs, which TOML has not.
    return json.dumps(value, ensure_ascii=False)
