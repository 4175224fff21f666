"""Uploads when the storage or the disk fails: the right status, nothing lost or left, and right sums."""

from __future__ import annotations

import errno
import io
import time
from pathlib import Path
from threading import Event
from typing import Any
from unittest import mock

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

from palaver import log
from palaver.routing.lifecycle import delete_account
from palaver.test.storage.faulty import FaultyStorage
from palaver.test.web.uploads import LOOKS, Reply, UploadCase
from palaver.web.uploads import files
from palaver.web.uploads.asked import NS_UPLOAD
from palaver.web.uploads.page import SETTLE_S

BODY = bytes(600_000)
WAIT_S = 10


class FaultCase(UploadCase):
    """Uploads on a storage that fails when it is told to."""

    async def _set_up(self) -> None:
        await super()._set_up()
        self.storage = FaultyStorage(self.module.host.storage)
        self.module._uploads._storage = self.storage

    async def status(self, put: str, body: bytes = BODY) -> int:
        """Give the status of an upload."""
        return (await self.put(put, body)).status

    async def sweep(self, later_s: float = SETTLE_S + 1) -> None:
        """Sweep, after a while."""
        then = time.time() + later_s
        with mock.patch("palaver.web.uploads.stored.time.time", lambda: then):
            await self.module.sweep()

    async def assert_works(self, before: int = 0) -> str:
        """See that the next upload goes well, and that what counts is exact."""
        get = await self.upload(BODY)
        self.assertEqual((await self.http("GET", get)).body, BODY)
        self.assertEqual((await self.module._uploads.used())["romeo"], before + len(BODY))
        self.assertEqual(self.module._slots.all_reserved, 0)
        return get


class StorageTests(FaultCase):
    """A database that fails."""

    async def test_fails(self) -> None:
        """When the document cannot be stored the client is told to come again, and no file is left."""
        put, get = await self.slot(len(BODY))
        self.storage.writes.fail()
        self.assertEqual(await self.status(put), 503)
        self.storage.writes.go_on()
        await self.nothing_on_disk()
        self.assertEqual((await self.http("GET", get)).status, 404)
        self.assertEqual(await self.status(put), 403)
        await self.assert_works()

    async def test_answer_lost(self) -> None:
        """A document that was stored and reported as failed vanishes by itself, and counts until then."""
        put, get = await self.slot(len(BODY))
        self.storage.writes.lose_answer()
        self.assertEqual(await self.status(put), 503)
        self.storage.writes.go_on()
        await self.nothing_on_disk()
        self.assertEqual((await self.http("GET", get)).status, 404)
        await self.assert_works(before=len(BODY))
        await self.sweep()
        self.assertEqual((await self.module._uploads.used())["romeo"], len(BODY))

    async def test_not_noted(self) -> None:
        """A file that is there and stored is kept, though nobody could note that it has come."""
        put, get = await self.slot(len(BODY))
        self.storage.writes.fail(after=1)
        self.assertEqual(await self.status(put), 201)
        self.storage.writes.go_on()
        await self.sweep()
        self.assertEqual((await self.http("GET", get)).body, BODY)
        self.assertEqual([each async for each in self.module._uploads.unseen("")], [])
        await self.assert_works(before=len(BODY))

    async def test_stalls(self) -> None:
        """While a database keeps one upload waiting, others download; it is done in the end."""
        kept = await self.upload(BODY)
        put, get = await self.slot(len(BODY))
        self.storage.writes.stall()
        asked = self.storage.writes.asked
        waiting: Deferred[Reply] = Deferred.fromCoroutine(self.put(put, BODY))
        for _ in range(LOOKS):
            if self.storage.writes.asked > asked:
                break
            await deferLater(_reactor, 0.01)
        self.assertFalse(waiting.called)
        self.assertEqual((await self.http("GET", kept)).body, BODY)
        self.storage.writes.go_on()
        self.assertEqual((await waiting).status, 201)
        self.assertEqual((await self.http("GET", get)).body, BODY)

    async def test_reads(self) -> None:
        """Nobody gets a file, or a slot, whose rights cannot be looked up; later everybody does."""
        get = await self.upload(BODY)
        self.storage.reads.fail()
        self.module._uploads._used = None
        self.assertEqual((await self.http("GET", get)).status, 503)
        answer = await self.ask(f"<request xmlns='{NS_UPLOAD}' filename='a' size='3'/>")
        self.assertEqual(answer["type"], "error")
        self.storage.reads.go_on()
        self.assertEqual((await self.http("GET", get)).body, BODY)
        await self.assert_works(before=len(BODY))

    async def test_sweep(self) -> None:
        """What cannot be forgotten is deleted all the same, and forgotten later."""
        await self.upload(BODY)
        self.storage.writes.fail()
        await self.sweep(40 * 86400)
        self.storage.writes.go_on()
        await self.sweep(40 * 86400)
        await self.nothing_on_disk()
        await self.assert_works()


class DiskTests(FaultCase):
    """A disk that fails."""

    async def test_full(self) -> None:
        """A disk that fills up under a body is said (507), and the same slot may be used later."""
        put, _ = await self.slot(len(BODY))

        def full(folder: Any) -> Any:
            _, path = create(folder)
            return open("/dev/full", "wb"), path

        create = files.Folder.create
        with mock.patch.object(files.Folder, "create", full):
            self.assertEqual(await self.status(put), 507)
        await self.nothing_on_disk()
        self.assertEqual(await self.status(put), 201)
        await self.assert_works(before=len(BODY))

    async def test_not_moved(self) -> None:
        """What cannot be put into its place is forgotten, with its document."""
        for number in (errno.ENOSPC, errno.EIO):
            put, get = await self.slot(len(BODY))
            error = OSError(number, "broken", f"/secret/{get}")
            with mock.patch.object(files.Folder, "move", side_effect=error):
                self.assertEqual(await self.status(put), 507 if number == errno.ENOSPC else 500)
            await self.nothing_on_disk()
            self.assertEqual((await self.http("GET", get)).status, 404)
            self.assertEqual((await self.module._uploads.used())["romeo"], 0)

    async def test_not_deleted(self) -> None:
        """What cannot be deleted is given to nobody, is said without its name, and is deleted later."""
        get = await self.upload(BODY)
        out = io.StringIO()
        observer = log.LineObserver(out)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        error = OSError(errno.EROFS, "Read-only file system", f"/secret/{get}")
        with mock.patch.object(files.Folder, "delete", side_effect=error):
            await delete_account(self.palaver.hosts["localhost"], "romeo")
            await self.sweep(0)
            self.assertEqual((await self.http("GET", get)).status, 404)
        lines = [line for line in out.getvalue().splitlines() if "upload-not-deleted" in line]
        self.assertTrue(lines)
        for line in lines:
            self.assertIn('reason="Read-only file system"', line)
        self.assertNotIn(get.split("/")[2], out.getvalue())
        self.assertEqual(len(self.on_disk()), 1)
        await self.sweep(1)
        self.assertEqual(self.on_disk(), [])

    async def test_crash(self) -> None:
        """A crash between document and file leaves nothing that counts, once it is looked at."""
        _, get = await self.slot(len(BODY))
        (slot,) = self.module._slots._pending.values()
        self.module._slots.take(slot)
        self.module._slots.close(slot)
        await self.module._uploads.add(slot, int(time.time()) + SETTLE_S)
        self.assertEqual((await self.http("GET", get)).status, 404)
        await self.sweep()
        await self.assert_works()

    async def test_account(self) -> None:
        """What an account still sends while it is removed is not kept."""
        put, get = await self.slot(len(BODY))
        move = files.Folder.move
        removed = Event()

        def slow(folder: Any, path: str, id: str) -> None:
            # In a thread: the account goes meanwhile.
            _reactor.callFromThread(remove)  # type: ignore[attr-defined]
            removed.wait(WAIT_S)
            move(folder, path, id)

        def remove() -> None:
            waiting = Deferred.fromCoroutine(delete_account(self.palaver.hosts["localhost"], "romeo"))
            waiting.addCallback(lambda _: removed.set())

        with mock.patch.object(files.Folder, "move", slow):
            self.assertEqual(await self.status(put), 503)
        await self.nothing_on_disk()
        self.assertEqual((await self.http("GET", get)).status, 404)

    async def test_no_folder(self) -> None:
        """A folder that is gone is said, and found again once it is there."""
        put, _ = await self.slot(len(BODY))
        away = Path(f"{self.disk}-away")
        self.disk.rename(away)
        self.assertEqual(await self.status(put), 500)
        away.rename(self.disk)
        self.assertEqual(await self.status(put), 201)
