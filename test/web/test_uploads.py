"""Uploads (XEP-0363) over real sockets: slots by IQ, then PUT and GET."""

from __future__ import annotations

import errno
import os
import time
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from palaver.commands.command import Call, find
from palaver.errors import StanzaError
from palaver.routing.lifecycle import delete_account
from palaver.test.web.uploads import LOOKS, UploadCase
from palaver.times import stamp
from palaver.web.uploads import files
from palaver.web.uploads.asked import NS_PURPOSE, NS_UPLOAD, NS_UPLOAD_OLD
from palaver.web.uploads.command import SlotWanted


class SlotTests(UploadCase):
    """Slots over XMPP."""

    async def test_disco(self) -> None:
        """Clients find the service, what it takes and how much."""
        answer = await self.ask("<query xmlns='http://jabber.org/protocol/disco#info'/>")
        xml = answer.toXml()
        for part in (NS_UPLOAD, NS_UPLOAD_OLD, f"{NS_PURPOSE}#ephemeral", "<value>8000000</value>"):
            self.assertIn(part, xml)
        self.assertEqual(
            (answer.query.identity["category"], answer.query.identity["type"]), ("store", "file")
        )

    async def test_old(self) -> None:
        """Clients of version 0.3 ask with texts and get texts."""
        answer = await self.ask(
            f"<request xmlns='{NS_UPLOAD_OLD}'><filename>a b.txt</filename><size>3</size></request>"
        )
        put, get = (urlsplit(str(each)) for each in answer.slot.elements())
        self.assertEqual((await self.put(f"{put.path}?{put.query}", b"abc", "text/plain")).status, 201)
        self.assertEqual((await self.http("GET", get.path)).body, b"abc")

    async def test_refused(self) -> None:
        """What is no sound request is refused, with the right condition."""
        past = f"<ephemeral xmlns='{NS_PURPOSE}' expire-before='{stamp(time.time() - 10)}'/>"
        for attrs, inner, condition in (
            ("size='3'", "", "bad-request"),
            ("filename='a'", "", "bad-request"),
            ("filename='a' size='0'", "", "bad-request"),
            ("filename='a' size='-1'", "", "bad-request"),
            ("filename='a' size='NaN'", "", "bad-request"),
            ("filename='a' size='9999999999999999999999'", "", "bad-request"),
            ("filename='..' size='3'", "", "bad-request"),
            ("filename='a/' size='3'", "", "bad-request"),
            (f"filename='{'a' * 256}' size='3'", "", "bad-request"),
            ("filename='a' size='3' content-type='html'", "", "bad-request"),
            ("filename='a' size='3' content-type='a/b&#10;c: d'", "", "bad-request"),
            ("filename='a' size='3'", f"<loan xmlns='{NS_PURPOSE}'/>", "bad-request"),
            ("filename='a' size='3'", f"<ephemeral xmlns='{NS_PURPOSE}'/>", "bad-request"),
            ("filename='a' size='3'", past, "bad-request"),
            ("filename='a' size='8000001'", "", "not-acceptable"),
        ):
            answer = await self.ask(f"<request xmlns='{NS_UPLOAD}' {attrs}>{inner}</request>")
            self.assertEqual(answer["type"], "error", attrs)
            self.assertIn(f"<{condition} ", answer.error.toXml(), attrs)
        self.assertIn("<max-file-size>8000000</max-file-size>", answer.error.toXml())
        answer = await self.ask(f"<request xmlns='{NS_UPLOAD}' filename='a' size='3'/>", kind="set")
        self.assertIn("<not-allowed ", answer.error.toXml())

    async def test_quota(self) -> None:
        """What an account may store counts slots that are not used yet."""
        request = f"<request xmlns='{NS_UPLOAD}' filename='a' size='5000000'/>"
        self.assertEqual((await self.ask(request))["type"], "result")
        self.assertIn("<resource-constraint ", (await self.ask(request)).error.toXml())
        juliet = await self.log_in("juliet@localhost/balcony")
        self.assertEqual((await self.ask(request, juliet))["type"], "result")
        nurse = await self.log_in("nurse@localhost/house")
        self.assertIn("<resource-constraint ", (await self.ask(request, nurse)).error.toXml())

    async def test_in_use(self) -> None:
        """A host does not sleep while somebody may be sending a file."""
        self.assertFalse(self.module.in_use())
        put, _ = await self.slot(3)
        self.assertTrue(self.module.in_use())
        self.assertEqual((await self.put(put, b"abc")).status, 201)
        self.assertFalse(self.module.in_use())

    async def test_command(self) -> None:
        """Who administers gets a slot for an account, within its limits."""
        host = self.palaver.hosts["localhost"]
        command = find(host, "http-upload-slot")
        assert command is not None

        async def run(**given: Any) -> Any:
            values = {"accountjid": "romeo@localhost", "filename": "a b", "size": 3, **given}
            return await command.run(Call(host, None), SlotWanted(**values))

        done = await run(type="text/plain")
        put, get = done.said.removeprefix("PutURL: ").split("\nGetURL: ")
        self.assertEqual((done.result.put, done.result.get), (put, get))
        target = put.removeprefix(f"http://localhost:{self.http_port}")
        self.assertEqual((await self.put(target, b"abc", "text/plain")).status, 201)
        self.assertEqual((await self.http("GET", urlsplit(get).path)).body, b"abc")
        self.assertEqual((await self.module._uploads.used())["romeo"], 3)
        for given, condition in (
            ({"size": 8_000_001}, "not-acceptable"),
            ({"size": 0}, "bad-request"),
            ({"filename": ".."}, "bad-request"),
            ({"accountjid": "nobody@localhost"}, "item-not-found"),
        ):
            error = await self.assertFailure(Deferred.fromCoroutine(run(**given)), StanzaError)
            self.assertEqual(error.condition, condition)

    async def test_strangers(self) -> None:
        """People of another host get no slot."""
        await self.create_accounts(["tybalt@verona.example"])
        tybalt = await self.log_in("tybalt@verona.example/street")
        answer = await self.ask(f"<request xmlns='{NS_UPLOAD}' filename='a' size='3'/>", tybalt)
        self.assertIn("<forbidden ", answer.error.toXml())


class PutTests(UploadCase):
    """What is put where a slot says."""

    async def test_large(self) -> None:
        """A file comes back as it was; its slot is good for one time only."""
        body = os.urandom(5_000_000)
        put, get = await self.slot(len(body))
        self.assertEqual((await self.put(put, body)).status, 201)
        reply = await self.http("GET", get)
        self.assertEqual((reply.status, reply.body == body), (200, True))
        self.assertEqual((await self.put(put, body)).status, 403)

    async def test_forged(self) -> None:
        """Without the token of the slot nothing is taken, and nothing is left behind."""
        put, get = await self.slot(3)
        for target in (
            get,
            f"{get}?token=",
            f"{put}x",
            put.replace("moon.png", "sun.png"),
            put.replace("moon.png", "../moon.png"),
            f"/upload/{'0' * 64}/moon.png?{put.partition('?')[2]}",
            "/upload/?token=a",
        ):
            self.assertEqual((await self.put(target, b"abc")).status, 403, target)
        self.assertEqual(self.on_disk(), [])
        self.assertEqual((await self.put(put, b"abc")).status, 201)

    async def test_bound(self) -> None:
        """Another size or type than the slot's is refused, and the slot stays good."""
        put, _ = await self.slot(3)
        self.assertEqual((await self.put(put, b"abcd")).status, 413)
        self.assertEqual((await self.put(put, b"ab")).status, 400)
        self.assertEqual((await self.put(put, b"abc", "text/html")).status, 415)
        chunked = "Transfer-Encoding: chunked\r\nContent-Type: image/png\r\n"
        self.assertEqual((await self.http("PUT", put, b"5\r\nabcde\r\n0\r\n\r\n", chunked)).status, 413)
        await self.nothing_on_disk()
        self.assertEqual((await self.put(put, b"abc")).status, 201)

    async def test_half(self) -> None:
        """Bodies without a slot that do not end keep nobody out: the oldest ones go."""
        put, get = await self.slot(3)
        await self.http("GET", get)
        (site,) = self.palaver._door.sites
        site.channels.silent.most = 20
        for _ in range(60):
            wire = await self.http_wire()
            wire.transport.write(
                f"PUT {get} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc".encode()
            )
            await deferLater(_reactor, 0)
        self.assertLessEqual(len(site.channels), 21)
        self.assertEqual((await self.put(put, b"abc")).status, 201)

    async def test_late(self) -> None:
        """A slot has its time."""
        put, _ = await self.slot(3)
        with mock.patch.object(self.module._slots._clock, "seconds", lambda: time.time() + 61):
            slot = self.module._slots.find(put.split("/")[2], put.partition("token=")[2])
        self.assertIsNone(slot)

    async def test_aborted(self) -> None:
        """Of an upload that breaks off nothing is left, and it may be tried again."""
        put, _ = await self.slot(1_000_000)
        wire = await self.http_wire()
        wire.transport.write(
            f"PUT {put} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            "Content-Length: 1000000\r\n\r\n".encode()
            + bytes(600_000)
        )
        for _ in range(LOOKS):
            if self.on_disk():
                break
            await deferLater(_reactor, 0.01)
        self.assertEqual(len(self.on_disk()), 1)
        wire.transport.abortConnection()
        await self.nothing_on_disk()
        self.assertEqual((await self.put(put, bytes(1_000_000))).status, 201)

    async def test_full(self) -> None:
        """A full disk is said, and nothing is left behind."""
        put, get = await self.slot(600_000)

        def full(self: Any, *_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        for name in ("create", "move"):
            with mock.patch.object(files.Folder, name, full):
                self.assertEqual((await self.put(put, bytes(600_000))).status, 507)
            await self.nothing_on_disk()
            self.assertEqual((await self.http("GET", get)).status, 404)
        self.assertEqual((await self.put(put, bytes(600_000))).status, 201)


class GetTests(UploadCase):
    """What is given to whom."""

    async def test_ranges(self) -> None:
        """Parts, conditions, and the head alone."""
        get = await self.upload(b"0123456789")
        for header, status, body in (
            ("bytes=2-4", 206, b"234"),
            ("bytes=7-", 206, b"789"),
            ("bytes=-2", 206, b"89"),
            ("bytes=0-99", 206, b"0123456789"),
            ("bytes=10-", 416, None),
            ("bytes=-0", 416, None),
            ("bytes=4-2", 200, b"0123456789"),
            ("bytes=-", 200, b"0123456789"),
            ("bytes=0-1,3-4", 200, b"0123456789"),
            ("apples=1-2", 200, b"0123456789"),
        ):
            reply = await self.http("GET", get, head=f"Range: {header}\r\n")
            self.assertEqual(reply.status, status, header)
            if body is not None:
                self.assertEqual(reply.body, body, header)
        head = await self.http("HEAD", get)
        self.assertEqual((head.status, head.body, head.headers["content-length"]), (200, b"", "10"))
        again = await self.http("GET", get, head=f"If-None-Match: {head.headers['etag']}\r\n")
        self.assertEqual((again.status, again.body), (304, b""))
        other = await self.http("GET", get, head='Range: bytes=2-4\r\nIf-Range: "other"\r\n')
        self.assertEqual(other.status, 200)

    async def test_safe(self) -> None:
        """No browser runs what is in a file."""
        for type, shown in (
            ("image/png", True),
            ("video/mp4", True),
            ("image/svg+xml", False),
            ("text/html", False),
            ("application/javascript", False),
        ):
            reply = await self.http("GET", await self.upload(b"<script>", type=type, name='s;".x'[:2] + "x"))
            headers = reply.headers
            self.assertEqual(headers["content-type"], type if shown else "application/octet-stream")
            self.assertTrue(headers["content-disposition"].startswith("inline" if shown else "attachment"))
            self.assertIn("sandbox", headers["content-security-policy"])
            self.assertEqual(headers["x-content-type-options"], "nosniff")

    async def test_tricks(self) -> None:
        """No path leads to another file."""
        get = await self.upload(b"abc")
        _, _, id, name = get.split("/")
        for target in (
            f"/upload/{id}",
            f"/upload/{id}/other.png",
            f"/upload/{id}/{name}/",
            f"/upload/../upload/{id}/{name}/..%2f..",
            "/upload/..%2f..%2f..%2fetc/passwd",
            "/upload/%00/%ff",
            f"/upload/{id[:2]}/{id}",
        ):
            self.assertEqual((await self.http("GET", target)).status, 404, target)
        options = await self.http("OPTIONS", get)
        self.assertEqual((options.status, options.headers["access-control-allow-origin"]), (204, "*"))
        self.assertEqual((await self.http("POST", get, b"")).status, 405)


class GoneTests(UploadCase):
    """What is deleted when."""

    async def test_expired(self) -> None:
        """What is ephemeral is not given after its time, and is deleted soon."""
        soon = stamp(int(time.time()) + 3600)
        get = await self.upload(b"abc", more=f"<ephemeral xmlns='{NS_PURPOSE}' expire-before='{soon}'/>")
        kept = await self.upload(b"abc", more=f"<permanent xmlns='{NS_PURPOSE}'/>")
        later = time.time() + 3700
        with mock.patch("palaver.web.uploads.stored.time.time", lambda: later):
            self.assertEqual((await self.http("GET", get)).status, 404)
            await self.module.sweep()
            self.assertEqual((await self.http("GET", kept)).status, 200)
        self.assertEqual(len(self.on_disk()), 1)
        self.assertEqual((await self.module._uploads.used())["romeo"], 3)

    async def test_account(self) -> None:
        """With an account goes what it has uploaded."""
        get = await self.upload(b"abc")
        await delete_account(self.palaver.hosts["localhost"], "romeo")
        await self.nothing_on_disk()
        self.assertEqual((await self.http("GET", get)).status, 404)

    async def test_retracted(self) -> None:
        """With a message goes the file of its sender that it names; nobody deletes another one's."""
        get = await self.upload(b"abc")
        juliet = await self.log_in("juliet@localhost/balcony")
        for wire, to in ((juliet, "romeo"), (self.romeo, "juliet")):
            self.assertEqual((await self.http("GET", get)).status, 200)
            to = f"{to}@localhost"
            wire.send(
                f"<message to='{to}' id='m' type='chat'><body>http://localhost:{self.http_port}{get}</body></message>"
            )
            wire.send(
                f"<message to='{to}' id='r' type='chat'><retract xmlns='urn:xmpp:message-retract:1' id='m'/>"
                "</message><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"
            )
            while (await wire.next()).name != "iq":
                pass
        self.assertEqual((await self.http("GET", get)).status, 404)
        await self.nothing_on_disk()
