"""A bucket of Amazon S3 for tests: moto's server, in a process of its own on a free port."""

from __future__ import annotations

import atexit
import json
import socket
import subprocess
import sys
import time
from functools import cache
from http.client import HTTPConnection

LOOPBACK = "127.0.0.1"
# Its imports take some seconds; the machine may be busy.
START_S = 60
POLL_S = 0.1
BUCKET = "files"
PUBLIC = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": f"arn:aws:s3:::{BUCKET}/*",
}


class Moto:
    """The process. It is asked with calls that block, for what prepares a test or looks at its end."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            self.port: int = probe.getsockname()[1]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        atexit.register(self.stop)
        self._wait()

    @property
    def url(self) -> str:
        """Where the bucket is."""
        return f"http://{LOOPBACK}:{self.port}/{BUCKET}"

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                assert self._process.stderr is not None
                raise AssertionError(f"moto's server does not start: {self._process.stderr.read()[-1000:]}")
            try:
                self.ask("GET", "/moto-api/")
            except OSError:
                time.sleep(POLL_S)
            else:
                return
        raise AssertionError("moto's server does not answer")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()

    def reset(self, public: bool) -> None:
        """Begin anew, with an empty bucket; in a public one everybody may read what is there."""
        self.ask("POST", "/moto-api/reset")
        assert self.ask("PUT", f"/{BUCKET}")[0] == 200
        if public:
            policy = {"Version": "2012-10-17", "Statement": [PUBLIC]}
            assert self.ask("PUT", f"/{BUCKET}?policy", json.dumps(policy).encode())[0] in (200, 204)

    def names(self) -> list[str]:
        """Give the names of what is in the bucket."""
        listed = self.ask("GET", f"/{BUCKET}?list-type=2")[1].decode()
        return [part.partition("</Key>")[0] for part in listed.split("<Key>")[1:]]

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Give status and body of an answer. Raises OSError."""
        connection = HTTPConnection(LOOPBACK, self.port, timeout=START_S)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@cache
def moto() -> Moto:
    """Give the one of this process."""
    return Moto()
