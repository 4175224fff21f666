"""Python in a process of its own, for tests of what a process does as a whole."""

from __future__ import annotations

import os
import subprocess
import sys

# Far beyond what any of these commands needs on a busy machine.
TIMEOUT_S = 60


def run_python(*arguments: str, stdin: str = "", cwd: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python with arguments, with the same import path as here; gives what it printed."""
    return subprocess.run(
        [sys.executable, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=cwd,
        env=environment(),
    )


def environment() -> dict[str, str]:
    """Give the environment for a Python that is to find the same packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
