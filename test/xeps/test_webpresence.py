"""Web presence, over real HTTP."""

from __future__ import annotations

import hashlib
import json
import tempfile
import zlib
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError
from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from palaver.commands import command as commands
from palaver.commands import typed
from palaver.commands.command import Call
from palaver.errors import StanzaError, StorageError
from palaver.jid import parse
from palaver.test.house import House, now
from palaver.test.web.bosh import Answer
from palaver.test.web.pages.case import PageCase
from palaver.test.wire import Wire, parsed
from palaver.web.interfaces import IWebPresence
from palaver.web.status.icons import draw, file_name
from palaver.web.status.shown import STATES, Shown
from palaver.xeps.adhoc import AdHocCommands
from palaver.xeps.webpresence import Showing, WebPresence, WebPresenceSettings

PNG = b"\x89PNG\r\n\x1a\n"
NS_COMMANDS = "http://jabber.org/protocol/commands"


class PresenceCase(PageCase):
    """A server with the module, and accounts that want to be seen."""

    modules: ClassVar[dict[str, Any]] = {"mod_webpresence": {"max_age": 0}}

    @property
    def module(self) -> Any:
        """The module on localhost."""
        return self.palaver.hosts["localhost"].query(IWebPresence)

    async def show(self, local: str, presence: bool = True, text: bool = False) -> None:
        """Say what everybody may see of an account."""
        await self.module.show(local, Shown(presence, text))

    async def online(self, jid: str, inner: str = "") -> Wire:
        """Give a session that has sent its presence."""
        wire = await self.log_in(jid)
        wire.send(f"<presence>{inner}</presence>")
        await wire.next()
        return wire

    async def get(self, name: str, format: str = "", **headers: str) -> Answer:
        """Load a page."""
        return await self.visitor().get(f"/status/{name}" + (f"/{format}" if format else ""), **headers)

    async def state(self, name: str) -> str:
        """Give the state of an address."""
        answer = await self.get(name, "text")
        self.assertEqual(answer.status, 200)
        return answer.text

    async def picture(self, path: str, **headers: str) -> tuple[str, bytes]:
        """Give head and bytes of an answer that is no text."""
        visitor = self.visitor()
        request = await visitor.ask("GET", path, b"", **headers)
        head, _, body = request.came.partition(b"\r\n\r\n")
        return head.decode(), body


class FormatTests(PresenceCase):
    """Each format that there is."""

    async def test_json(self) -> None:
        """JSON has the address, the state and the text, in this order."""
        await self.show("romeo", text=True)
        await self.online("romeo@localhost/orchard", "<show>away</show><status>by the wall</status>")
        answer = await self.get("romeo@localhost", "json")
        self.assertEqual(answer.text, '{"jid": "romeo@localhost", "show": "away", "status": "by the wall"}')
        self.assertIn("content-type: application/json", answer.head.lower())

    async def test_without_a_text(self) -> None:
        """A missing text is null in JSON and empty elsewhere."""
        await self.show("romeo", text=True)
        await self.online("romeo@localhost/orchard")
        found = json.loads((await self.get("romeo@localhost", "json")).text)
        self.assertEqual(found, {"jid": "romeo@localhost", "show": "online", "status": None})
        self.assertEqual((await self.get("romeo@localhost", "message")).text, "")
        root = parsed((await self.get("romeo@localhost", "xml")).text.partition("?>")[2])
        self.assertEqual(str(root.status), "")

    async def test_xml(self) -> None:
        """XML has the same, escaped."""
        await self.show("romeo", text=True)
        await self.online("romeo@localhost/orchard", "<status>&lt;b&gt; &amp; co</status>")
        answer = await self.get("romeo@localhost", "xml")
        self.assertTrue(answer.text.startswith('<?xml version="1.0" encoding="utf-8"?><result><jid>'))
        root = parsed(answer.text.partition("?>")[2])
        self.assertEqual(
            (str(root.jid), str(root.show), str(root.status)), ("romeo@localhost", "online", "<b> & co")
        )
        self.assertIn("content-type: application/xml; charset=utf-8", answer.head.lower())

    async def test_text_and_message(self) -> None:
        """The state and the status text come as plain text too."""
        await self.show("romeo", text=True)
        await self.online("romeo@localhost/orchard", "<show>dnd</show><status>È l'allodola</status>")
        for format, text in (("text", "dnd"), ("message", "È l'allodola")):
            answer = await self.get("romeo@localhost", format)
            self.assertEqual(answer.text, text)
            self.assertIn("content-type: text/plain; charset=utf-8", answer.head.lower())

    async def test_html(self) -> None:
        """The page has Prosody's names, runs nothing, and shows markup as text."""
        await self.show("romeo", text=True)
        await self.online("romeo@localhost/orchard", "<show>xa</show><status>&lt;script&gt;</status>")
        answer = await self.get("romeo@localhost", "html")
        prefix = hashlib.sha1(b"romeo@localhost").hexdigest()
        for said in (
            "<title>XMPP Status Page for romeo@localhost</title>",
            f'<div id="{prefix}_status" class="xmpp_status">',
            f'<img id="{prefix}_img" class="xmpp_status_image xmpp_status_xa" src="data:image/png;base64,',
            f'<span id="{prefix}_status_name" class="xmpp_status_name">\u00a0xa</span>',
            f'<span id="{prefix}_status_message" class="xmpp_status_message">\u00a0&lt;script&gt;</span>',
        ):
            self.assertIn(said, answer.text)
        self.assertIn("default-src 'none'", answer.head)

    async def test_picture(self) -> None:
        """Without a format, with an unknown one, and as image there is a picture of the state."""
        await self.show("romeo")
        await self.online("romeo@localhost/orchard", "<show>away</show>")
        for path in ("romeo@localhost", "romeo@localhost/image", "romeo@localhost/gif", "romeo@localhost/"):
            head, body = await self.picture(f"/status/{path}")
            self.assertIn("content-type: image/png", head.lower(), path)
            self.assertEqual(body, draw("away"), path)

    async def test_head(self) -> None:
        """HEAD gives the same headers and no body."""
        answer = await self.visitor().send("HEAD", "/status/romeo@localhost/text")
        self.assertEqual((answer.status, answer.text), (200, ""))
        self.assertIn("content-length: 7", answer.head.lower())

    async def test_methods(self) -> None:
        """Nothing is posted here."""
        self.assertEqual((await self.visitor().post("/status/romeo@localhost", {"a": "b"})).status, 405)


class StateTests(PresenceCase):
    """What counts as which state."""

    async def test_every_state(self) -> None:
        """Each state of RFC 6121 is shown, and one that a client made up is online."""
        await self.show("romeo")
        wire = await self.online("romeo@localhost/orchard")
        self.assertEqual(await self.state("romeo@localhost"), "online")
        for show, state in (
            ("chat", "chat"),
            ("away", "away"),
            ("xa", "xa"),
            ("dnd", "dnd"),
            ("sulking", "online"),
        ):
            wire.send(f"<presence><show>{show}</show></presence>")
            await wire.next()
            self.assertEqual(await self.state("romeo@localhost"), state)
        wire.send("<presence type='unavailable'/><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        await wire.next()
        self.assertEqual(await self.state("romeo@localhost"), "offline")

    async def test_priorities(self) -> None:
        """The session of the highest priority counts, and one with a negative priority does not."""
        await self.show("romeo")
        wire = await self.online("romeo@localhost/phone", "<priority>-1</priority>")
        self.assertEqual(await self.state("romeo@localhost"), "offline")
        await self.online("romeo@localhost/desk", "<show>dnd</show><priority>5</priority>")
        await self.online("romeo@localhost/tablet", "<show>chat</show><priority>1</priority>")
        self.assertEqual(await self.state("romeo@localhost"), "dnd")
        await wire.close()

    async def test_invisible(self) -> None:
        """A session that is invisible is not seen here either."""
        await self.show("romeo")
        wire = await self.log_in("romeo@localhost/orchard")
        wire.send("<iq type='set' id='i'><invisible xmlns='urn:xmpp:invisible:1'/></iq><presence/>")
        await wire.next()
        self.assertEqual(await self.state("romeo@localhost"), "offline")


class PrivacyTests(PresenceCase):
    """Who is not shown."""

    async def test_not_without_consent(self) -> None:
        """Who has not asked for it looks like who is not there, and like who does not exist."""
        await self.online("juliet@localhost/balcony", "<show>chat</show><status>here</status>")
        await self.show("nurse")
        for format in ("json", "xml", "html", "text", "message"):
            answers = {}
            for local in ("juliet", "nurse", "nobody"):
                answer = await self.get(f"{local}@localhost", format)
                named = hashlib.sha1(f"{local}@localhost".encode()).hexdigest()
                answers[local] = (answer.status, answer.text.replace(local, "X").replace(named, "X"))
            self.assertEqual(len(set(answers.values())), 1, format)
        pictures = {(await self.picture(f"/status/{local}@localhost"))[1] for local in ("juliet", "nobody")}
        self.assertEqual(pictures, {draw("offline")})

    async def test_same_work(self) -> None:
        """For a name that does not exist the same is read as for any other."""
        host = self.palaver.hosts["localhost"]
        asked: list[tuple[str, str]] = []
        documents = host.storage.documents
        get = documents.get

        def noted(host: str, owner: str, kind: str, key: str = "") -> Any:
            asked.append((owner, kind))
            return get(host, owner, kind, key)

        self.patch(documents, "get", noted)
        await self.online("juliet@localhost/balcony")
        asked.clear()
        for local in ("juliet", "nurse", "nobody"):
            await self.state(f"{local}@localhost")
        self.assertEqual(asked, [(local, "webpresence") for local in ("juliet", "nurse", "nobody")])

    async def test_text_needs_consent_of_its_own(self) -> None:
        """Who shows the presence alone does not show the text."""
        await self.show("romeo")
        await self.online("romeo@localhost/orchard", "<status>with my lady</status>")
        for format in ("json", "xml", "html", "message"):
            answer = await self.get("romeo@localhost", format)
            self.assertNotIn("with my lady", answer.text)
        self.assertEqual(await self.state("romeo@localhost"), "online")

    async def test_taken_back(self) -> None:
        """Who does not want it any more is offline at once, and nothing stays stored."""
        await self.show("romeo")
        await self.online("romeo@localhost/orchard")
        await self.show("romeo", presence=False, text=True)
        self.assertEqual(await self.state("romeo@localhost"), "offline")
        host = self.palaver.hosts["localhost"]
        self.assertEqual(await host.storage.documents.list("localhost", "romeo", ("webpresence",)), [])

    async def test_deleted(self) -> None:
        """An account that is made anew under an old name is not shown."""
        await self.show("romeo")
        await self.command("account delete", accountjids=["romeo@localhost"])
        await self.create_accounts(["romeo@localhost"])
        await self.online("romeo@localhost/orchard")
        self.assertEqual(await self.state("romeo@localhost"), "offline")


class AddressTests(PresenceCase):
    """What may stand in the path."""

    hosts: ClassVar[list[str]] = ["localhost", "verona.example"]

    async def test_name_alone(self) -> None:
        """A name alone is of the host that the browser asks; of a wrong host it is nobody."""
        await self.show("romeo")
        await self.online("romeo@localhost/orchard")
        self.assertEqual(await self.state("romeo"), "online")
        self.assertEqual(await self.state("Romeo%40LOCALHOST"), "online")
        for host in ("verona.example", "198.51.100.1", "<b>"):
            answer = await self.visitor().send("GET", "/status/romeo/text", host=host)
            self.assertEqual(answer.text, "offline", host)

    async def test_other_host(self) -> None:
        """An account of another host of this server is found by its whole address."""
        await self.create_accounts(["mercutio@verona.example"])
        await self.palaver.hosts["verona.example"].query(IWebPresence).show("mercutio", Shown(True))
        wire = await self.connect()
        await wire.log_in("mercutio@verona.example/street", "sesame")
        wire.send("<presence/>")
        await wire.next()
        self.assertEqual(await self.state("mercutio@verona.example"), "online")
        self.assertEqual(await self.state("mercutio"), "offline")

    async def test_wrong_addresses(self) -> None:
        """What is no address, foreign, or has markup or control characters in it, is offline everywhere."""
        for name in (
            "romeo@elsewhere.example",
            "%00",
            "%ff%fe",
            "a%20b@localhost",
            "@localhost",
            "x" * 4000,
            "%3Cscript%3E@localhost",
            "%01@localhost",
            "romeo@localhost%2Forchard",
        ):
            self.assertEqual(await self.state(name), "offline", name)
            json.loads((await self.get(name, "json")).text)
            parsed((await self.get(name, "xml")).text.partition("?>")[2])
            self.assertNotIn("<script", (await self.get(name, "html")).text)

    async def test_no_address(self) -> None:
        """Without an address, and deeper than a format, there is nothing."""
        for path in ("/status", "/status/", "/status//json", "/status/romeo@localhost/json/more"):
            self.assertEqual((await self.visitor().get(path)).status, 404, path)


class CacheTests(PresenceCase):
    """What browsers and proxies may keep."""

    modules: ClassVar[dict[str, Any]] = {
        "mod_webpresence": {"max_age": 30, "origins": ["https://blog.example"], "requests_per_minute": 8}
    }

    async def test_age(self) -> None:
        """Answers say how long they are good for, and are not interpreted as anything else."""
        head = (await self.get("romeo@localhost", "json")).head.lower()
        self.assertIn("cache-control: public, max-age=30", head)
        self.assertIn("x-content-type-options: nosniff", head)

    async def test_unchanged(self) -> None:
        """Who has the answer already gets none, until the state changes."""
        await self.show("romeo")
        head = (await self.get("romeo@localhost", "text")).head
        tag = next(line for line in head.split("\r\n") if line.lower().startswith("etag")).partition(": ")[2]
        again = await self.get("romeo@localhost", "text", If_None_Match=tag)
        self.assertEqual((again.status, again.text), (304, ""))
        await self.online("romeo@localhost/orchard")
        changed = await self.get("romeo@localhost", "text", If_None_Match=tag)
        self.assertEqual((changed.status, changed.text), (200, "online"))

    async def test_scripts(self) -> None:
        """Scripts of the sites that are named may read it, those of others may not."""
        for origin, allowed in (("https://blog.example", True), ("https://evil.example", False)):
            head = (await self.get("romeo@localhost", "json", Origin=origin)).head.lower()
            self.assertEqual(f"access-control-allow-origin: {origin}" in head, allowed)
            self.assertIn("vary: origin", head)
            self.assertIn("frame-ancestors https://blog.example", head)
            self.assertNotIn("x-frame-options", head)

    async def test_too_many(self) -> None:
        """Who asks too often is told to wait, whatever he asks for."""
        statuses = [(await self.get(f"user{number}@localhost", "text")).status for number in range(9)]
        self.assertEqual((statuses[:8], statuses[8]), ([200] * 8, 429))
        answer = await self.get("romeo@localhost", "json")
        self.assertEqual(answer.status, 429)
        self.assertIn("retry-after: 8", answer.head.lower())


class OpenTests(PresenceCase):
    """A server that lets every site read, and has icons of its own."""

    def setUp(self) -> Any:
        folder = Path(tempfile.mkdtemp(dir=".")).resolve()
        for state in STATES:
            (folder / file_name(state)).write_bytes(PNG + state.encode())
        type(self).modules = {
            "mod_webpresence": {"presence_icons": str(folder), "origins": ["*"], "path": "/there"}
        }
        return super().setUp()

    async def test_icons(self) -> None:
        """The icons come from the folder."""
        head, body = await self.picture("/there/romeo@localhost")
        self.assertEqual(body, PNG + b"offline")
        self.assertIn("access-control-allow-origin: *", head.lower())
        self.assertIn("frame-ancestors *", head.lower())


class ClosedTests(PresenceCase):
    """A server without options for other sites."""

    async def test_no_scripts(self) -> None:
        """Scripts and frames of no other site are let in."""
        head = (await self.get("romeo@localhost", "json", Origin="https://blog.example")).head.lower()
        self.assertNotIn("access-control", head)
        self.assertIn("frame-ancestors 'none'", head)
        self.assertIn("cache-control: no-cache", head)

    async def test_storage_fails(self) -> None:
        """When the storage fails, the answer says so, and the next client is served."""
        documents = self.palaver.hosts["localhost"].storage.documents
        with_fault = self.patch(documents, "get", lambda *_: fail(StorageError("gone")))
        answer = await self.get("romeo@localhost", "text")
        self.assertEqual(answer.status, 503)
        with_fault.restore()
        self.assertEqual(await self.state("romeo@localhost"), "offline")


class CommandTests(SynchronousTestCase):
    """Saying what everybody may see."""

    def setUp(self) -> None:
        """Make a host."""
        self.house = House(AdHocCommands, WebPresence)
        self.module: Any = self.house.host.query(IWebPresence)
        self.romeo = self.house.login("romeo", "orchard")

    def run_command(self, inner: str = "", **attrs: str) -> Any:
        """Give the answer to the command."""
        shown = "".join(f" {name}='{value}'" for name, value in attrs.items())
        return self.romeo.ask(
            f"<iq type='set' id='1' to='example.org'><command xmlns='{NS_COMMANDS}' "
            f"node='palaver#webpresence'{shown}>{inner}</command></iq>"
        ).command

    def fill_in(self, **values: str) -> Any:
        """Give the answer to the filled-in form."""
        session = self.run_command()["sessionid"]
        fields = "".join(
            f"<field var='{name}'><value>{value}</value></field>" for name, value in values.items()
        )
        return self.run_command(f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>", sessionid=session)

    def test_own(self) -> None:
        """A user switches both on, sees that in the form next time, and switches them off."""
        self.assertEqual(now(self.module.shown("romeo")), Shown(False, False))
        done = self.fill_in(presence="1", text="1")
        self.assertIn("/status/romeo@example.org", done.toXml())
        self.assertEqual(now(self.module.shown("romeo")), Shown(True, True))
        form = self.run_command().x
        found = {
            field["var"]: str(field.value)
            for field in form.elements()
            if field.name == "field" and field.value
        }
        self.assertEqual((found["presence"], found["text"]), ("true", "true"))
        self.fill_in(presence="0", text="0")
        self.assertEqual(now(self.module.shown("romeo")), Shown(False, False))

    def test_text_alone(self) -> None:
        """The text alone cannot be shown."""
        session = self.run_command()["sessionid"]
        answer = self.romeo.ask(
            f"<iq type='set' id='1' to='example.org'><command xmlns='{NS_COMMANDS}' sessionid='{session}' "
            "node='palaver#webpresence'><x xmlns='jabber:x:data' type='submit'>"
            "<field var='text'><value>1</value></field></x></command></iq>"
        )
        self.assertIn("not-acceptable", answer.toXml())

    def test_others(self) -> None:
        """Nobody says it for somebody else, but administrators do, and whoever owns the process."""
        self.house.host.accounts.names.add("juliet")
        command = commands.named(self.house.host, "webpresence")
        assert command is not None
        given = typed.check(Showing, {"presence": True, "accountjid": "juliet@example.org"})
        with self.assertRaises(StanzaError) as caught:
            now(command.run(Call(self.house.host, parse("romeo@example.org")), given))
        self.assertEqual(caught.exception.condition, "forbidden")
        now(command.run(Call(self.house.host, None), given))
        self.assertEqual(now(self.module.shown("juliet")), Shown(True))
        with self.assertRaises(StanzaError):
            now(command.run(Call(self.house.host, None), typed.check(Showing, {"presence": True})))
        with self.assertRaises(StanzaError) as caught:
            now(
                command.run(
                    Call(self.house.host, None), typed.check(Showing, {"accountjid": "nobody@example.org"})
                )
            )
        self.assertEqual(caught.exception.condition, "item-not-found")


class OptionTests(SynchronousTestCase):
    """Mistakes in the configuration, and the icons."""

    def test_wrong(self) -> None:
        """A folder without the icons, and origins that are none, stop the start."""
        for wrong in (
            {"presence_icons": "/nonexistent"},
            {"origins": ["blog.example"]},
            {"origins": ["https://blog.example/"]},
            {"origins": ["https://a; script-src *"]},
            {"max_age": -1},
            {"path": "status"},
        ):
            self.assertRaises(ValidationError, WebPresenceSettings.model_validate, wrong)

    def test_icons(self) -> None:
        """Each state has an icon that differs from the others and is a whole PNG."""
        found = {state: draw(state) for state in STATES}
        self.assertEqual(len(set(found.values())), len(STATES))
        for data in found.values():
            self.assertTrue(data.startswith(PNG))
            place, kinds = len(PNG), []
            while place < len(data):
                length = int.from_bytes(data[place : place + 4], "big")
                chunk = data[place + 4 : place + 8 + length]
                checksum = int.from_bytes(data[place + 8 + length : place + 12 + length], "big")
                self.assertEqual(zlib.crc32(chunk), checksum)
                kinds.append(chunk[:4])
                place += 12 + length
            self.assertEqual(kinds, [b"IHDR", b"IDAT", b"IEND"])
