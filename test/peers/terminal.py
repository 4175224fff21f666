"""A program that wants a terminal, in tmux: keys go in, the screen comes out."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from palaver.test.peers.peer import wait_for

# Wide, so that the program breaks no line that a test looks for.
COLUMNS = 250
LINES = 60
TMUX_S = 30


class Terminal:
    """A program in a terminal of its own, with a home folder of its own."""

    def __init__(self, *command: str, environment: Mapping[str, str]) -> None:
        """Start it; ``environment`` is added to a bare one whose HOME is ``home``."""
        self.home = Path(tempfile.mkdtemp(prefix="palaver-terminal-"))
        settings = {"HOME": str(self.home), "LANG": "C.UTF-8", **environment}
        assignments = [f"{name}={value}" for name, value in settings.items()]
        self._tmux(
            "-u", "-f", "/dev/null", "new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES),
            "env", *assignments, *command,
        )  # fmt: skip

    def _tmux(self, *arguments: str) -> str:
        """Give a command to the tmux server of this terminal; gives what it printed."""
        socket = str(self.home / "tmux")
        done = subprocess.run(
            ["tmux", "-S", socket, *arguments], capture_output=True, text=True, timeout=TMUX_S
        )
        if done.returncode:
            raise AssertionError(f"tmux {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def type(self, line: str) -> None:
        """Type a line, and Enter."""
        self._tmux("send-keys", "-l", "--", line)
        self._tmux("send-keys", "Enter")

    def screen(self) -> str:
        """Give what is on the screen."""
        return self._tmux("capture-pane", "-p")

    def expect(self, *texts: str) -> str:
        """Wait until one line of the screen has all of these texts; gives it."""

        def found() -> list[str]:
            return [line for line in self.screen().splitlines() if all(text in line for text in texts)]

        line: str = wait_for(found, lambda: f"no {texts} on the screen:\n{self.screen()}")[0]
        return line

    def leave(self, line: str) -> None:
        """Type a line that ends the program, and wait for that; harmless when it has ended."""
        socket = self.home / "tmux"
        if not socket.exists():
            return

        def gone() -> bool:
            command = ["tmux", "-S", str(socket), "has-session"]
            return subprocess.run(command, capture_output=True, timeout=TMUX_S).returncode != 0

        if not gone():
            self.type(line)
            wait_for(gone, lambda: f"{line} ends nothing")

    def close(self) -> None:
        """End the program and take its home away; harmless when it was done."""
        if self.home.exists():
            subprocess.run(
                ["tmux", "-S", str(self.home / "tmux"), "kill-server"], capture_output=True, timeout=TMUX_S
            )
            shutil.rmtree(self.home, ignore_errors=True)
