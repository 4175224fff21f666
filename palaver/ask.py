"""The other end of `palaver.control`: how a command asks a running server. Imports nothing of the server."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from palaver.mistakes import ConfigError

SOCKET = "control.sock"
# Linux: sizeof(sun_path) less the closing zero.
MAX_SOCKET_PATH_BYTES = 107
# A command may wait for a database; longer than this and something is wrong.
ANSWER_S = 60.0


class NotRunning(Exception):
    """No server has this data folder open."""


def socket_path(folder: Path) -> Path:
    """Give the control socket of a data folder; raises `ConfigError` when its path is too long."""
    path = folder.absolute() / SOCKET
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise ConfigError(
            f"general.data_dir: {path} is too long for a socket; at most {MAX_SOCKET_PATH_BYTES} bytes"
        )
    return path


def ask(folder: Path, request: Mapping[str, Any], timeout: float = ANSWER_S) -> dict[str, Any]:
    """Send a request to the server that has a data folder open, and wait for the answer.

    Raises `NotRunning`.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(socket_path(folder)))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
        except (FileNotFoundError, ConnectionError) as error:
            raise NotRunning(str(folder)) from error
    if not line:
        raise NotRunning(str(folder))
    answer: dict[str, Any] = json.loads(line)
    return answer
