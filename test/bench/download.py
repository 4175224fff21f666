"""Files through the web door: how fast they come, next to nginx, and what memory they take either way.

    python -m palaver.test.bench.download [--mib 200] [--runs 5]

One file is uploaded to a slot of mod_http_upload and read again by turns from there and from Debian's nginx,
whose package is unpacked into a folder when it is not installed. Exit status 1 when a byte is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from palaver.test.bench.fresh import Fresh, free_port
from palaver.test.bench.xmppload import Client, cpu_seconds, family

MIB = 1024 * 1024
CONFIG = """[[listen.http]]
interface = "127.0.0.1"
port = {port}
[modules.mod_http_upload]
max_file_size = {size}
quota = {size}
total_quota = {size}
"""
# As Debian's own, as far as it concerns a file.
NGINX = """
daemon off;
user root;
worker_processes 1;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 768; }}
http {{
  sendfile on;
  tcp_nopush on;
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/files;
  }}
}}
"""
NAME = "large.bin"
READ_BYTES = MIB
START_S = 10.0
LOOK_S = 0.02
TIMEOUT_S = 60.0


def nginx_program(folder: Path) -> str:
    """Give the path of nginx; it is fetched as a package of Debian's when it is not there."""
    found = shutil.which("nginx")
    if found is not None:
        return found
    subprocess.run(["apt-get", "download", "nginx"], cwd=folder, check=True, capture_output=True)
    (package,) = folder.glob("nginx_*.deb")
    subprocess.run(["dpkg", "-x", package.name, "unpacked"], cwd=folder, check=True)
    return str(folder / "unpacked/usr/sbin/nginx")


@contextmanager
def nginx(folder: Path) -> Iterator[tuple[int, int]]:
    """Serve the files of a folder; gives the port and the process."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port), "utf-8")
    with subprocess.Popen([nginx_program(folder), "-p", str(folder), "-c", str(config)]) as process:
        try:
            end = time.monotonic() + START_S
            while time.monotonic() < end:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(LOOK_S)
            yield port, process.pid
        finally:
            process.terminate()


class Memory:
    """Watches the resident set of a process, in MiB, from ``__enter__`` to ``__exit__``."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self.before = self.most = self._now()
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def grown(self) -> float:
        """How much more it was at most."""
        return self.most - self.before

    def _now(self) -> float:
        found = re.search(r"VmRSS:\s+(\d+)", self._status.read_text())
        return int(found[1]) / 1024 if found is not None else 0.0

    def _watch(self) -> None:
        while not self._done.wait(LOOK_S):
            self.most = max(self.most, self._now())


def slot(server: Fresh, size: int) -> tuple[str, str]:
    """Give the targets to put a file to and to get it from."""
    opts = argparse.Namespace(
        host="127.0.0.1", port=server.port, domain="localhost", password="load-secret", timeout=TIMEOUT_S,
        tls=False, sasl="scram",
    )  # fmt: skip
    Client(opts, "loader").register()
    client: Any = Client(opts, "loader").login()
    client.send(
        "<iq type='get' id='s' to='upload.localhost'><request xmlns='urn:xmpp:http:upload:0' "
        f"filename='{NAME}' size='{size}' content-type='application/octet-stream'/></iq>"
    )
    answer = client.until("</slot>").decode()
    put, get = (urlsplit(found.replace("&amp;", "&")) for found in re.findall(r"url=['\"]([^'\"]+)", answer))
    client.close()
    return f"{put.path}?{put.query}" if put.query else put.path, get.path


def upload(port: int, target: str, file: Path) -> float:
    """Send a file; gives the seconds. Raises `RuntimeError` when it is refused."""
    began = time.monotonic()
    size = file.stat().st_size
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as wire, file.open("rb") as data:
        wire.sendall(
            f"PUT {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        wire.sendfile(data)
        answer = wire.recv(READ_BYTES)
    if b" 201 " not in answer:
        raise RuntimeError(f"not taken: {answer!r}")
    return time.monotonic() - began


def get(port: int, target: str, digest: Any = None) -> tuple[int, float]:
    """Fetch a file; gives how many bytes it has, and the seconds."""
    began = time.monotonic()
    buffer = memoryview(bytearray(READ_BYTES))
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as wire:
        wire.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += wire.recv(4096)
        first = head.partition(b"\r\n\r\n")[2]
        came = len(first)
        if digest is not None:
            digest.update(first)
        while count := wire.recv_into(buffer):
            came += count
            if digest is not None:
                digest.update(buffer[:count])
    return came, time.monotonic() - began


def compare(places: dict[str, tuple[int, int, str]], size: int, runs: int) -> None:
    """Read the file by turns and print the rates; ``places``: port, process and target by name."""
    rates: dict[str, list[float]] = {name: [] for name in places}
    cpu: dict[str, list[float]] = {name: [] for name in places}
    for _ in range(runs):
        for name, (port, pid, target) in places.items():
            before = cpu_seconds(family(pid))
            came, seconds = get(port, target)
            if came != size:
                raise RuntimeError(f"{name}: {came} bytes of {size}")
            rates[name].append(size / MIB / seconds)
            cpu[name].append((cpu_seconds(family(pid)) - before) / size * MIB * 1e6)
    for name in places:
        rate, cost = statistics.median(rates[name]), statistics.median(cpu[name])
        print(f"download from {name}: {rate:.0f} MiB/s, {cost:.0f} us of CPU time a MiB", flush=True)
    palaver, other = (statistics.median(rates[name]) for name in places)
    print(f"ratio {palaver / other:.2f}", flush=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mib", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    size, port = options.mib * MIB, free_port()
    with tempfile.TemporaryDirectory(prefix="palaver-bench-") as name:
        folder = Path(name)
        (folder / "files").mkdir()
        file = folder / "files" / NAME
        file.write_bytes(os.urandom(MIB) * options.mib)
        with (
            Fresh(name, CONFIG.format(port=port, size=size)) as server,
            nginx(folder) as (nginx_port, nginx_pid),
        ):
            put, target = slot(server, size)
            # What is loaded for the first request is not the file's.
            get(port, target)
            with Memory(server.pid) as memory:
                seconds = upload(port, put, file)
            print(f"upload: {options.mib / seconds:.0f} MiB/s, memory +{memory.grown:.1f} MiB at most")
            digest = hashlib.sha256()
            with Memory(server.pid) as memory:
                get(port, target, digest)
            print(f"one download: memory +{memory.grown:.1f} MiB at most")
            places = {
                "palaver": (port, server.pid, target),
                "nginx": (nginx_port, nginx_pid, f"/{NAME}"),
            }
            compare(places, size, options.runs)
            with file.open("rb") as data:
                same = hashlib.file_digest(data, "sha256").digest() == digest.digest()
    if not same:
        print("the file is another one now")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
