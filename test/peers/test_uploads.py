"""slixmpp uploads (XEP-0363) to the disk and into a bucket, and through the crash of a server."""

from __future__ import annotations

import io
import os
import socket
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0363.http_upload import FileTooBig, HTTPError

from palaver.test.peers.case import PeerCase
from palaver.test.peers.server import LOOPBACK, ServerProcess
from palaver.test.web.moto import moto

PICTURE = os.urandom(300_000)
WAIT_S = 20
POLL_S = 0.02


class UploadCase(PeerCase):
    """A server with a port for HTTP, whose number stays."""

    def setUp(self) -> None:
        """Start it."""
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            self.http_port: int = probe.getsockname()[1]
        self.server = ServerProcess(
            {
                "listen": {"http": [{"interface": LOOPBACK, "port": self.http_port}]},
                "modules": {"mod_http_upload": {"max_file_size": 400_000, **self.options()}},
            }
        )
        self.server.start()
        self.addCleanup(self.server.stop)
        self.romeo = self.enter(self.slixmpp(self.account("romeo")))
        self.romeo.call(self.romeo.xmpp.register_plugin, "xep_0363")

    def options(self) -> dict[str, Any]:
        """Give more options of mod_http_upload."""
        return {"base_url": f"http://{LOOPBACK}:{self.http_port}", "quota": 700_000}

    def upload(self, body: bytes, name: str = "Mond ☾.png", **options: Any) -> str:
        """Give the address of a new file."""
        given: str = self.romeo.call(
            self.romeo.xmpp["xep_0363"].upload_file, name, input_file=io.BytesIO(body), **options
        )
        return given

    def fetch(self, url: str) -> tuple[int, bytes]:
        """Give status and body of what is at an address."""
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=WAIT_S)
        self.addCleanup(connection.close)
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        return answer.status, answer.read()


class Disk(UploadCase):
    """Files on the server."""

    def test_upload(self) -> None:
        """The service is found, a file goes there and comes back, for every purpose."""
        for purpose in (None, "message", "profile", "permanent"):
            body = os.urandom(50_000)
            self.assertEqual(self.fetch(self.upload(body, purpose=purpose)), (200, body))

    def test_refused(self) -> None:
        """The library sees the limit, and nothing goes to a slot that is used."""
        self.assertRaises(FileTooBig, self.upload, bytes(400_001))
        url = self.upload(PICTURE)
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=WAIT_S)
        self.addCleanup(connection.close)
        connection.request("PUT", parts.path, b"another")
        self.assertEqual(connection.getresponse().status, 403)
        self.assertEqual(self.fetch(url), (200, PICTURE))

    def test_crash(self) -> None:
        """Killed under an upload, the server removes what is half there; what was whole stays, and counts."""
        whole = self.upload(PICTURE)
        slot = self.romeo.call(self.romeo.xmpp["xep_0363"].request_slot, "upload.localhost", "half", 400_000)
        put = urlsplit(slot["http_upload_slot"]["put"]["url"])
        half = HTTPConnection(LOOPBACK, self.http_port, timeout=WAIT_S)
        self.addCleanup(half.close)
        half.putrequest("PUT", f"{put.path}?{put.query}")
        half.putheader("Content-Type", "application/octet-stream")
        half.putheader("Content-Length", "400000")
        half.endheaders(bytes(390_000))
        self.wait_for(lambda: len(self.on_disk()) == 2)
        self.server.kill()
        self.server.start()
        self.wait_for(lambda: len(self.on_disk()) == 1)
        self.assertEqual(self.fetch(whole), (200, PICTURE))
        self.assertEqual(self.fetch(put.geturl())[0], 404)
        self.romeo.expect_disconnected()
        self.romeo.connect()
        # The lost slot holds nothing, the whole file does.
        again = self.upload(bytes(400_000), name="again")
        self.assertEqual(self.fetch(again), (200, bytes(400_000)))
        self.assertRaises(IqError, self.upload, b"x", name="more")
        self.assertNotIn(urlsplit(whole).path.split("/")[2], self.server.log())
        self.assertNotIn(put.query, self.server.log())

    def on_disk(self) -> list[Path]:
        """Give the files below the folder of uploads."""
        return [path for path in (self.server.data_dir / "uploads").rglob("*") if path.is_file()]

    def wait_for(self, condition: Any) -> None:
        """Wait until something is true."""
        end = time.monotonic() + WAIT_S
        while not condition():
            self.assertLess(time.monotonic(), end, self.on_disk())
            time.sleep(POLL_S)


class Bucket(UploadCase):
    """Files in a bucket."""

    def options(self) -> dict[str, Any]:
        """See UploadCase."""
        self.bucket = moto()
        self.bucket.reset(public=True)
        keys = {"region": "us-east-1", "access_key_id": "AKIATEST", "secret_access_key": "sesame"}
        return {"backend": "s3", "s3": {"bucket_url": self.bucket.url, **keys}}

    def test_upload(self) -> None:
        """A file goes into the bucket and comes back; with the account it goes."""
        url = self.upload(PICTURE)
        self.assertTrue(url.startswith(self.bucket.url))
        self.assertEqual(self.fetch(url), (200, PICTURE))
        self.server.command("account", "delete", "romeo@localhost")
        end = time.monotonic() + WAIT_S
        while self.bucket.names():
            self.assertLess(time.monotonic(), end)
            time.sleep(POLL_S)
        self.assertNotIn("sesame", self.server.log())

    def test_away(self) -> None:
        """A bucket that does not answer is the client's error, and the server goes on."""
        self.bucket.ask("DELETE", "/files")
        self.assertRaises(HTTPError, self.upload, PICTURE)
        self.romeo.roster()
