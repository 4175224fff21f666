"""Programs of the npm registry for tests, installed once below the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from palaver.test.peers.peer import absent

INSTALL_S = 180


@cache
def installed(source: Path) -> Path:
    """Give a folder with the files of another one, and in it what their package-lock.json names."""
    files = sorted(path for path in source.iterdir() if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "palaver-tests" / digest[:16]
    if cached.is_dir():
        return cached
    cached.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=cached.parent))
    for path in files:
        shutil.copy(path, folder)
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(npm, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S)
    except FileNotFoundError:
        shutil.rmtree(folder)
        absent("npm is not installed")
    if done.returncode:
        shutil.rmtree(folder)
        absent(f"{source.name} cannot be installed: {done.stderr.strip()}")
    try:
        folder.rename(cached)
    except OSError:
        # Another process was faster and has made the same.
        shutil.rmtree(folder)
    return cached
