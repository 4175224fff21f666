"""Palaver with Debian's Prosody, in each direction, by certificates and by dialback, and with ejabberd."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from palaver.test.federation.case import FederatedCase, run
from palaver.test.federation.foreign import EJABBERD, PROSODY, Foreign
from palaver.test.served import PASSWORD
from palaver.test.wire import Wire, connect

DOMAIN = "venice.example"


class ForeignCase(FederatedCase):
    """Romeo at Palaver's mantua.example, and Othello at the other server's venice.example."""

    timeout = 150
    kind: ClassVar[str]
    trusted: ClassVar[bool]

    async def both(self) -> tuple[Wire, Wire]:
        """Start both servers, and log in."""
        folder = Path(tempfile.mkdtemp(prefix="palaver-federation-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        self.foreign = Foreign(self.kind, folder / "server", DOMAIN, "127.0.0.9")
        file = self.authority.for_domain(DOMAIN)
        self.addCleanup(self.foreign.stop)
        await self.foreign.start(file, self.authority.path, self.dns, trusted=self.trusted)
        self.zone.serves(DOMAIN, self.foreign.address, self.foreign.s2s)
        options: dict[str, Any] = {} if self.trusted else {"use_starttls": "required"}
        certificate = "" if self.trusted else None
        self.palaver = await self.serve("mantua.example", certificate=certificate, **options)
        romeo = await self.log_in(self.palaver, "romeo@mantua.example/exile")
        return romeo, await self.othello()

    async def othello(self) -> Wire:
        """Make an account on the other server, and log in."""
        wire = await connect(self.foreign.c2s, self.foreign.address)
        self.addCleanup(self._drop, wire)
        await wire.features(DOMAIN)
        fields = f"<username>othello</username><password>{PASSWORD}</password>"
        wire.send(
            f"<iq type='set' id='r' to='{DOMAIN}'><query xmlns='jabber:iq:register'>{fields}</query></iq>"
        )
        answer = await wire.next()
        self.assertEqual(answer["type"], "result", answer.toXml())
        wire.drop()
        wire = await connect(self.foreign.c2s, self.foreign.address)
        self.addCleanup(self._drop, wire)
        await wire.log_in(f"othello@{DOMAIN}/home", PASSWORD)
        return wire

    async def seen(self, wire: Wire, kind: str | None, sender: str) -> None:
        """Wait for a presence; what else comes meanwhile is dropped."""
        while True:
            element = await wire.next()
            if (
                element.name == "presence"
                and element["from"] == sender
                and element.getAttribute("type") == kind
            ):
                return

    async def converse(self) -> None:
        """Say something each way, the one who speaks first having the stream made."""
        romeo, othello = await self.both()
        first, second = (romeo, othello) if self._testMethodName.endswith("ours") else (othello, romeo)
        await self.say(first, second, "there")
        await self.say(second, first, "back")
        for wire, other in ((romeo, othello), (othello, romeo)):
            wire.send("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>")
            wire.send(f"<iq type='get' id='settled' to='{other.jid.partition('@')[2].partition('/')[0]}'>"
                      "<ping xmlns='urn:xmpp:ping'/></iq>")  # fmt: skip
            while (await wire.next()).getAttribute("id") != "settled":
                pass
        first_bare, second_bare = first.jid.partition("/")[0], second.jid.partition("/")[0]
        first.send(f"<presence to='{second_bare}' type='subscribe'/>")
        await self.seen(second, "subscribe", first_bare)
        second.send(f"<presence to='{first_bare}' type='subscribed'/>")
        await self.seen(first, "subscribed", second_bare)
        await self.seen(first, None, second.jid)
        second.send("<presence type='unavailable'/>")
        await self.seen(first, "unavailable", second.jid)


class WithProsody(ForeignCase):
    """Prosody demands certificates."""

    kind = PROSODY
    trusted = True

    @run
    async def test_ours(self) -> None:
        """Palaver opens the stream."""
        await self.converse()

    @run
    async def test_theirs(self) -> None:
        """Prosody opens the stream."""
        await self.converse()


class WithProsodyByDialback(WithProsody):
    """Prosody believes by dialback."""

    trusted = False


class WithEjabberd(ForeignCase):
    """Ejabberd demands certificates; it asks the system for addresses, so that it does not find us."""

    kind = EJABBERD
    trusted = True

    @run
    async def test_ours(self) -> None:
        """A message of ours arrives."""
        romeo, othello = await self.both()
        await self.say(romeo, othello, "there")


for _case in (WithProsody, WithProsodyByDialback, WithEjabberd):
    if shutil.which(_case.kind) is None or os.geteuid() != 0:
        _case.skip = f"{_case.kind} is not installed, or this is not root"

del _case
