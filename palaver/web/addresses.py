"""Where the server is reached, from the texts in which its listeners tell of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

HTTP_PORT = re.compile(r"http (\S+):(\d+) \((.*)\)")
CLIENT_PORT = re.compile(r"c2s .*:(\d+) \((.*)\)")
LOOPBACK = ("127.0.0.1", "[::1]")

# The one host whose address is known without being configured: that of `make run`.
LOCAL = "localhost"
# Until the ports are open.
LOCAL_URL = "http://localhost:5280"
USUAL_PORT = "5222"


def pages(addresses: Iterable[str], host: str) -> list[str]:
    """Give what to open in a browser; ``host`` is the name of a port that other machines reach too."""
    found = []
    for match in filter(None, map(HTTP_PORT.fullmatch, addresses)):
        interface, port, note = match.groups()
        scheme = "https" if note == "TLS" else "http"
        found.append(f"{scheme}://{'localhost' if interface in LOOPBACK else host}:{port}/")
    return found


def local_url(web: Any) -> str:
    """Give where browsers of this machine find an IWeb, without a slash at the end."""
    return next(iter(pages(web.addresses(), LOCAL)), LOCAL_URL).rstrip("/")


def client_port(addresses: Iterable[str]) -> str:
    """Give the port for clients; that for STARTTLS, which every program tries first, if there is one."""
    found = list(filter(None, map(CLIENT_PORT.fullmatch, addresses)))
    chosen = next((match for match in found if match[2] != "TLS"), found[0] if found else None)
    return chosen[1] if chosen is not None else USUAL_PORT
