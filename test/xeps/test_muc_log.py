"""Pages of what is said in rooms."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from palaver.roomlogs import files
from palaver.roomlogs.files import Layout, Piece, Writer, folder_name, write
from palaver.roomlogs.lines import Line, as_html
from palaver.test.house import now
from palaver.test.rooms.cases import ROOM, RoomCase, form, refusal
from palaver.xeps.muc_log import RoomLogs


class LogCase(RoomCase):
    """A room that is logged, at a time that stands still."""

    logs: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Turn the logs on."""
        super().setUp()
        self.folder = Path(self.mktemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.at = datetime(2026, 11, 21, 9, 5, 7, 1200, UTC)
        self.patch(RoomLogs, "in_thread", staticmethod(maybeDeferred))
        self.patch(RoomLogs, "now", lambda module: self.at)
        options = {"outdir": str(self.folder), "access_log": "all", **self.logs}
        self.log = self.house.add(RoomLogs, **options)

    def page(self, name: str) -> str:
        """Write what there is; give a file's text."""
        self.house.clock.advance(1)
        return (self.folder / name).read_text()


class HtmlTests(LogCase):
    """HTML, as it is when nothing is said."""

    PAGE = f"{ROOM}/2026/11/21.html"

    def test_page(self) -> None:
        """A page tells of the room, and what happens in it, with links to lines and to other days."""
        self.make(roomname="Fair Verona", enablelogging="1")
        self.enter(self.juliet, "Juliet")
        self.say(self.juliet, "see https://example.org/a?b=1&amp;c=2.")
        self.say(self.romeo, "/me sighs")
        self.set_subject(self.romeo, "Balconies")
        self.juliet.send(f"<presence to='{ROOM}/Julia'/>")
        self.role("Julia", "none")
        page = self.page(self.PAGE)
        for part in (
            "<title>Fair Verona - 2026-11-21</title>",
            f"xmpp:{ROOM}?join",
            'href="../../2026/11/20.html"',
            'href="../../2026/11/22.html"',
            "GMT+00:00",
            'id="09:05:07.001200"',
            "Juliet joins the room",
            '<a href="https://example.org/a?b=1&amp;c=2" rel="nofollow noopener">',
            '<span class="mne">Romeo sighs</span>',
            '<span class="msc">Romeo has set the subject to: Balconies</span>',
            "Juliet is now known as Julia",
            '<span class="mk">Julia has been kicked</span>',
        ):
            self.assertIn(part, page)
        self.assertEqual(page.count("<!DOCTYPE"), 1)

    def test_escaped(self) -> None:
        """Nobody writes markup into a page: not by text, nick, subject, title or reason."""
        bad = "&lt;script&gt;x&quot;&apos;"
        self.make(enablelogging="1", roomname="<script>x\"'")
        self.enter(self.nurse, bad)
        self.say(self.nurse, bad)
        self.say(self.nurse, "https://x/&quot;onclick=alert(1)")
        self.set_subject(self.romeo, bad)
        page = self.page(self.PAGE)
        self.assertNotIn("<script", page)
        self.assertNotIn('"onclick', page)

    def test_off(self) -> None:
        """A room that is not logged has no page, and one that is switched off writes no more."""
        self.make((self.juliet, "Juliet"))
        self.say(self.juliet, "secret")
        self.house.clock.advance(1)
        self.assertFalse(self.folder.exists())
        self.configure(enablelogging="1")
        self.say(self.juliet, "public")
        self.configure(enablelogging="0")
        self.say(self.juliet, "secret")
        page = self.page(self.PAGE)
        self.assertIn("public", page)
        self.assertNotIn("secret", page)

    def test_next_day(self) -> None:
        """At midnight another page begins, and the old one is closed."""
        self.make((self.juliet, "Juliet"), enablelogging="1")
        self.say(self.juliet, "late")
        self.page(self.PAGE)
        self.at = datetime(2026, 11, 22, 0, 0, 1, 0, UTC)
        self.say(self.juliet, "early")
        self.assertIn("early", self.page(f"{ROOM}/2026/11/22.html"))
        page = self.page(self.PAGE)
        self.assertTrue(page.endswith("</html>\n"))
        self.assertNotIn("early", page)

    def test_password(self) -> None:
        """A page never tells a password or a real JID."""
        self.make(enablelogging="1", passwordprotectedroom="1", roomsecret="rosebud")
        page = self.page(self.PAGE)
        self.assertNotIn("rosebud", page)
        self.assertNotIn("romeo@example.org", page)

    def test_stop(self) -> None:
        """What was said last is written when the module stops."""
        self.make((self.juliet, "Juliet"), enablelogging="1")
        self.say(self.juliet, "last")
        now(self.log.detach())
        self.assertIn("last", (self.folder / self.PAGE).read_text())


class PlainTests(LogCase):
    """Text in one folder by the room's name."""

    logs: ClassVar[dict[str, Any]] = {"file_format": "plaintext", "dirtype": "plain", "dirname": "room_name"}

    def test_page(self) -> None:
        """Lines as people read them."""
        self.make((self.juliet, "Juliet"), enablelogging="1")
        self.say(self.juliet, "a &lt;b&gt;")
        self.leave(self.juliet, "Juliet")
        page = self.page("verona/2026-11-21.txt")
        self.assertIn("[09:05:07] <Juliet> a <b>\n[09:05:07] Juliet leaves the room\n", page)

    def test_made_up(self) -> None:
        """What is said in several lines is not read as lines of others."""
        self.make((self.juliet, "Juliet"), enablelogging="1")
        self.say(self.juliet, "O\n[09:05:08] &lt;Romeo&gt; I hate thee&#x2028;[09:05:09] &lt;Romeo&gt; Go")
        lines = self.page("verona/2026-11-21.txt").split("\n")
        self.assertEqual([line for line in lines if "Romeo>" in line and not line.startswith(" ")], [])


class JsonTests(LogCase):
    """JSON lines."""

    logs: ClassVar[dict[str, Any]] = {"file_format": "json", "dirtype": "plain"}

    def test_page(self) -> None:
        """Each line is an object of its own, whatever was said."""
        self.make((self.juliet, "Juliet"), enablelogging="1")
        self.say(self.juliet, "two\nlines")
        lines = self.page(f"{ROOM}/2026-11-21.json").splitlines()
        last = json.loads(lines[-1])
        self.assertEqual((last["kind"], last["nick"], last["text"]), ("message", "Juliet", "two\nlines"))
        self.assertEqual(last["at"], "2026-11-21T09:05:07.001200+00:00")


class AccessTests(LogCase):
    """Who may switch it: as MongooseIM has it when nothing is said."""

    logs: ClassVar[dict[str, Any]] = {"access_log": "muc_admin"}

    def test_owner(self) -> None:
        """An owner who is no administrator of the server may not; all else he may."""
        self.make()
        refused = self.owner(self.romeo, "set", form({"enablelogging": "1", "roomname": "x"}))
        self.assertEqual(refusal(refused), ("cancel", "not-allowed"))
        self.assertEqual((self.room.config["enablelogging"], self.room.config["roomname"]), (False, ""))
        self.configure(roomname="y", enablelogging="0")


class FileTests(SynchronousTestCase):
    """Names and writing."""

    def test_names(self) -> None:
        """No name leads out of the folder, and two names are never one."""
        names = ["..", ".", ".hidden", "a/b", "a\\b", "\u00fc" * 80, "\u00fc" * 81, "a%2Fb", "%x0", "x" * 190]
        quoted = [folder_name(name) for name in names]
        self.assertEqual(len(set(quoted)), len(names))
        for one in quoted:
            self.assertFalse(one.startswith(".") or "/" in one or "\\" in one or len(one) > 200, one)
        root = Path("/logs")
        for name in names:
            path = Layout(root, False, "txt").path(name, date(2026, 1, 2))
            self.assertEqual(path.parent.parent, root)

    def test_fails(self) -> None:
        """A disk that refuses is told of; later lines are written."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "file").write_text("")
        writer = Writer(maybeDeferred)
        writer.add(Piece(folder / "file" / "x.txt", b"", b"a"))
        writer.flush()
        writer.add(Piece(folder / "y.txt", b"begin ", b"b"))
        writer.flush()
        self.assertEqual((folder / "y.txt").read_bytes(), b"begin b")

    def test_bounded(self) -> None:
        """A disk that does not answer does not fill the memory; order stays."""
        folder = Path(self.mktemp())
        jobs: list[tuple[Deferred[None], list[Piece]]] = []

        def slow(work: object, pieces: list[Piece]) -> Deferred[None]:
            jobs.append((Deferred(), pieces))
            return jobs[-1][0]

        self.patch(files, "MAX_WAITING_BYTES", 3 * (files.PIECE_BYTES + 1))
        writer = Writer(slow)
        for number in range(6):
            writer.add(Piece(folder / "x", b"", b"%d" % number))
            writer.flush()
        closing = Deferred.fromCoroutine(writer.close())
        self.assertNoResult(closing)
        jobs[0][0].callback(None)
        jobs[1][0].callback(None)
        self.successResultOf(closing)
        self.assertEqual([piece.data for piece in jobs[0][1] + jobs[1][1]], [b"0", b"1", b"2", b"3"])

    def test_closed_once(self) -> None:
        """A page gets one end, however often the next day's is begun."""
        folder = Path(self.mktemp())
        write([Piece(folder / "1", b"<", b"a")])
        for name in ("2", "3"):
            write([Piece(folder / name, b"<", b"b", folder / "1", b">")])
        self.assertEqual((folder / "1").read_bytes(), b"<a>")

    def test_links(self) -> None:
        """Only addresses of the web and of chats become links."""
        text = as_html(
            Line(datetime(2026, 1, 1, tzinfo=UTC), "message", "x", "javascript:alert(1) HTTP://a/b!"), True
        )
        self.assertEqual(text.count(b"<a href"), 1)
        self.assertIn(b'<a href="HTTP://a/b"', text)
