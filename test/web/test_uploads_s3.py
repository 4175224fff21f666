"""Uploads into a bucket, on moto's server: slots by IQ, then PUT and GET there; and what is deleted when."""

from __future__ import annotations

import time
from typing import Any, ClassVar
from unittest import mock
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import ValidationError
from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from palaver.routing.lifecycle import delete_account
from palaver.test.web.moto import LOOPBACK, Moto, moto
from palaver.test.web.uploads import LOOKS, Reply, UploadCase, exchange
from palaver.times import stamp
from palaver.web.uploads.asked import NS_PURPOSE, NS_UPLOAD
from palaver.xeps.http_upload import MAX_FAILURES, HttpUploadSettings

# When nothing can come any more that a slot of now is for.
TOO_LATE_S = 60 + 900 + 1


def bucket(url: str, **more: Any) -> dict[str, Any]:
    """Give options for a bucket."""
    keys = {"region": "eu-west-1", "access_key_id": "AKIATEST", "secret_access_key": "not known to anybody"}
    return {"backend": "s3", "s3": {"bucket_url": url, **keys, **more}}


class S3Case(UploadCase):
    """A server whose files are in a bucket, and the bucket."""

    more: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> Any:
        """Have an empty bucket."""
        self.moto: Moto = moto()
        self.moto.reset(public="add_acl" not in self.more)
        self.modules = {  # type: ignore[misc]
            "mod_mam": {},
            "mod_http_upload": {"quota": 10_000, **bucket(f"{self.moto.url}/a%20b/", **self.more)},
        }
        return super().setUp()

    async def _set_up(self) -> None:
        await super(UploadCase, self)._set_up()
        self.romeo = await self.log_in("romeo@localhost/orchard")
        self.module = self.palaver.hosts["localhost"].modules["mod_http_upload"]

    async def slot(
        self, size: int, name: str = "moon.png", type: str = "image/png", more: str = ""
    ) -> tuple[str, str]:
        """Give the addresses of a new slot."""
        attrs = f"filename='{name}' size='{size}'" + (f" content-type='{type}'" if type else "")
        answer = await self.ask(f"<request xmlns='{NS_UPLOAD}' {attrs}>{more}</request>")
        self.assertEqual(answer["type"], "result", answer.toXml())
        put, get = (str(each["url"]) for each in answer.slot.elements())
        return put, get

    async def at_bucket(self, method: str, url: str, body: bytes = b"", more: str = "") -> Reply:
        """Give the bucket's answer."""
        target = url.removeprefix(f"http://{LOOPBACK}:{self.moto.port}")
        head = "Content-Type: image/png\r\n" if body else ""
        return await exchange(self.moto.port, method, target, body, head + more)

    async def upload(self, body: bytes, **options: Any) -> str:
        """Give the address of a new file."""
        put, get = await self.slot(len(body), **options)
        self.assertEqual((await self.at_bucket("PUT", put, body)).status, 200)
        return get

    async def used(self) -> int:
        """Give how many bytes count as romeo's."""
        used: int = (await self.module._uploads.used())["romeo"]
        return used

    async def sweep(self, later_s: float = 0) -> None:
        """Have everything deleted that is due after a while."""
        then = time.time() + later_s
        with mock.patch("palaver.web.uploads.stored.time.time", lambda: then):
            await self.module.sweep()

    async def nothing_there(self) -> None:
        """Wait until the bucket is empty."""
        for _ in range(LOOKS):
            if not self.moto.names():
                return
            await deferLater(_reactor, 0.01)
        self.fail(f"left behind: {self.moto.names()}")


class SlotTests(S3Case):
    """Addresses."""

    async def test_addresses(self) -> None:
        """A slot is what MongooseIM's documentation says; what is put there comes back."""
        put, get = await self.slot(3, name="a b&amp;c+d.png")
        found = urlsplit(put)
        self.assertEqual(f"{found.scheme}://{found.netloc}{found.path}", get)
        self.assertTrue(get.startswith(f"{self.moto.url}/a%20b/"))
        token, name = get.removeprefix(f"{self.moto.url}/a%20b/").split("/")
        self.assertEqual((len(token), name), (64, quote("a b&c+d.png")))
        query = {name: values[0] for name, values in parse_qs(found.query).items()}
        when = query["X-Amz-Date"]
        self.assertEqual(query["X-Amz-Algorithm"], "AWS4-HMAC-SHA256")
        self.assertEqual(query["X-Amz-Credential"], f"AKIATEST/{when[:8]}/eu-west-1/s3/aws4_request")
        self.assertEqual(query["X-Amz-Expires"], "60")
        self.assertEqual(query["X-Amz-SignedHeaders"], "content-length;content-type;host")
        self.assertEqual((await self.at_bucket("PUT", put, b"abc")).status, 200)
        reply = await self.at_bucket("GET", get)
        self.assertEqual((reply.body, reply.headers["content-type"]), (b"abc", "image/png"))

    async def test_without_type(self) -> None:
        """Who names no type may send any."""
        put, _ = await self.slot(3, type="")
        self.assertIn("X-Amz-SignedHeaders=content-length%3Bhost&", put)

    async def test_nothing_here(self) -> None:
        """This server takes and gives no files then."""
        _, get = await self.slot(3)
        path = urlsplit(get).path.removeprefix("/files/a%20b")
        self.assertEqual((await self.http("GET", f"/upload{path}")).status, 404)

    async def test_quota(self) -> None:
        """Slots count from the beginning, files until they are deleted; what never came counts no more."""
        await self.upload(bytes(6000))
        request = f"<request xmlns='{NS_UPLOAD}' filename='a' size='3000'/>"
        self.assertEqual((await self.ask(request))["type"], "result")
        self.assertIn("<resource-constraint ", (await self.ask(request)).error.toXml())
        await self.sweep(TOO_LATE_S - 10)
        self.assertEqual(await self.used(), 9000)
        await self.sweep(TOO_LATE_S)
        self.assertEqual(await self.used(), 6000)
        self.assertEqual(len(self.moto.names()), 1)
        await self.sweep(TOO_LATE_S)
        self.assertEqual((await self.ask(request))["type"], "result")


class AclTests(S3Case):
    """Buckets whose files nobody may read but for an ACL."""

    more: ClassVar[dict[str, Any]] = {"add_acl": True}

    async def test_acl(self) -> None:
        """The header for it is signed too."""
        put, get = await self.slot(3)
        self.assertIn("X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bx-amz-acl&", put)
        self.assertEqual(
            (await self.at_bucket("PUT", put, b"abc", more="x-amz-acl: public-read\r\n")).status, 200
        )
        self.assertEqual((await self.at_bucket("GET", get)).body, b"abc")


class GoneTests(S3Case):
    """What is deleted when."""

    async def test_expired(self) -> None:
        """What is ephemeral is deleted after its time."""
        soon = stamp(int(time.time()) + 3600)
        await self.upload(b"abc", more=f"<ephemeral xmlns='{NS_PURPOSE}' expire-before='{soon}'/>")
        kept = await self.upload(b"abcd", more=f"<permanent xmlns='{NS_PURPOSE}'/>")
        await self.sweep(3700)
        self.assertEqual(
            [name.rpartition("/")[0] for name in self.moto.names()], [f"a b/{kept.split('/')[-2]}"]
        )
        self.assertEqual(await self.used(), 4)

    async def test_retracted(self) -> None:
        """A retracted message takes the file along, and again what is put there with the same slot."""
        put, get = await self.slot(3)
        self.assertEqual((await self.at_bucket("PUT", put, b"abc")).status, 200)
        await self.retract(get)
        await self.nothing_there()
        self.assertEqual((await self.at_bucket("PUT", put, b"abc")).status, 200)
        await self.sweep(TOO_LATE_S)
        self.assertEqual((self.moto.names(), await self.used()), ([], 0))

    async def retract(self, get: str) -> None:
        """Send a message with an address, and take it back."""
        self.romeo.send(
            f"<message to='juliet@localhost' id='m' type='chat'><body>{get}</body></message>"
            "<message to='juliet@localhost' id='r' type='chat'>"
            "<retract xmlns='urn:xmpp:message-retract:1' id='m'/></message>"
            "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"
        )
        while (await self.romeo.next()).name != "iq":
            pass

    async def test_account(self) -> None:
        """With an account goes what it has uploaded, and what it puts there with slots that it still has."""
        await self.upload(b"abc")
        put, _ = await self.slot(3)
        await delete_account(self.palaver.hosts["localhost"], "romeo")
        await self.nothing_there()
        self.assertEqual((await self.at_bucket("PUT", put, b"abc")).status, 200)
        await self.sweep(TOO_LATE_S)
        self.assertEqual((self.moto.names(), await self.used()), ([], 0))

    async def test_later(self) -> None:
        """While the bucket is broken nothing is forgotten and little is asked; later all is deleted."""
        for _ in range(MAX_FAILURES + 2):
            await self.upload(b"abc")
        asked = []

        async def broken(method: bytes, url: str, headers: Any) -> int:
            asked.append(url)
            return 503

        with mock.patch.object(self.module._place._http, "request", broken):
            await self.sweep(40 * 86400)
            self.assertEqual(len(asked), MAX_FAILURES)
            self.assertEqual(await self.used(), 3 * (MAX_FAILURES + 2))
            await self.sweep(40 * 86400 + 60)
        # Those that have failed come last.
        self.assertEqual(len(set(asked)), MAX_FAILURES + 2)
        await self.sweep(40 * 86400 + 120)
        self.assertEqual((self.moto.names(), await self.used()), ([], 0))

    async def test_unreachable(self) -> None:
        """A bucket that is not there at all holds up nobody, and the server stops in time."""
        await self.upload(b"abc")
        with mock.patch.object(self.module._place, "url", "http://127.0.0.1:1/files"):
            await self.sweep(40 * 86400)
        self.assertEqual(await self.used(), 3)
        self.assertEqual(len(self.moto.names()), 1)

    async def test_hidden(self) -> None:
        """Where the keys may not look, a file counts as being there."""
        await self.slot(3)

        async def forbidden(method: bytes, url: str, headers: Any) -> int:
            return 403

        with mock.patch.object(self.module._place._http, "request", forbidden):
            await self.sweep(TOO_LATE_S)
        await self.sweep(TOO_LATE_S)
        self.assertEqual(await self.used(), 3)

    async def test_other_place(self) -> None:
        """What was uploaded to another bucket before is forgotten in time, and not looked for in this one."""
        await self.upload(b"abc")
        with mock.patch.object(self.module._place, "place", "https://other.example/bucket"):
            await self.sweep(40 * 86400)
        self.assertEqual((len(self.moto.names()), await self.used()), (1, 0))


class SettingsTests(SynchronousTestCase):
    """Options of the bucket."""

    def test_wrong(self) -> None:
        """Half a configuration is refused, and its secret is not repeated."""
        for options in (
            {"backend": "s3"},
            {"s3": bucket("https://s3.example.org/b")["s3"]},
            bucket("ftp://s3.example.org/b"),
            bucket("https://user:password@s3.example.org/b"),
            bucket("https://s3.example.org/b?x=y"),
            bucket("https://s3.example.org/b", region=""),
            bucket("https://s3.example.org/b", colour="red"),
        ):
            error = self.assertRaises(ValidationError, HttpUploadSettings.model_validate, options)
            self.assertNotIn("known to anybody", str(error))

    def test_hidden(self) -> None:
        """The key that signs is not shown."""
        settings = HttpUploadSettings.model_validate(bucket("https://s3.example.org/b"))
        self.assertNotIn("known to anybody", repr(settings))
