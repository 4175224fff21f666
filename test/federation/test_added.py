"""Other servers and a domain that was added to a running one: its certificate, and what wakes it."""

from __future__ import annotations

import shutil

from palaver import admin
from palaver.service import Palaver
from palaver.test.federation.case import FederatedCase, run
from palaver.test.served import PASSWORD

SCHOOL = "school.example"


class AddedTests(FederatedCase):
    """verona.example, to whose server school.example was added, and mantua.example."""

    async def both(self) -> tuple[Palaver, Palaver]:
        """Start both servers; the domain sleeps."""
        certificates = self.folder / "certificates"
        certificates.mkdir(parents=True)
        for domain in ("verona.example", SCHOOL):
            shutil.copy(self.authority.for_domain(domain), certificates / f"{domain}.pem")
        verona = await self.serve(
            "verona.example", certificate=None, more={"tls": {"directory": str(certificates)}}
        )
        mantua = await self.serve("mantua.example")
        await admin.run(verona.server, {"command": "domain add", "domain": SCHOOL})
        host, port = self.place(verona, "s2s")
        self.zone.serves(SCHOOL, host, port)
        return verona, mantua

    @run
    async def test_both_ways(self) -> None:
        """A message from elsewhere wakes the host; those of its accounts go out under its own certificate."""
        verona, mantua = await self.both()
        romeo = await self.log_in(mantua, "romeo@mantua.example/exile")
        romeo.send(f"<message to='nobody@{SCHOOL}' id='m'><body>Anybody?</body></message>")
        self.assertEqual((await romeo.next())["from"], f"nobody@{SCHOOL}")
        self.assertIn(SCHOOL, verona.hosts)
        request = {"command": "account create", "jid": f"nurse@{SCHOOL}", "password": PASSWORD}
        await admin.run(verona.server, request)
        nurse = await self.log_in(verona, f"nurse@{SCHOOL}/r")
        await self.say(nurse, romeo, "Anon")
        await self.say(romeo, nurse, "Farewell")

    @run
    async def test_nothing_below(self) -> None:
        """What is for a domain below it that nothing serves comes back, and goes nowhere else."""
        verona, mantua = await self.both()
        host, port = self.place(verona, "s2s")
        self.zone.serves(f"nothing.{SCHOOL}", host, port)
        romeo = await self.log_in(mantua, "romeo@mantua.example/exile")
        romeo.send(f"<message to='nothing.{SCHOOL}' id='m'><body>Anybody?</body></message>")
        answer = await romeo.next()
        self.assertEqual((answer["type"], answer["from"]), ("error", f"nothing.{SCHOOL}"))
        found = verona._federation.status()
        self.assertEqual((found["waiting_domains"], found["let_alone"]), (0, 0))

    @run
    async def test_domain_of_another(self) -> None:
        """Once a domain is added here, the server that had it before speaks for nobody here."""
        verona, mantua = await self.both()
        romeo = await self.log_in(mantua, "romeo@mantua.example/exile")
        romeo.send("<message to='nobody@verona.example' id='m'><body>Anybody?</body></message>")
        await romeo.next()
        self.assertEqual(verona._federation.status()["incoming"], 1)
        await admin.run(verona.server, {"command": "domain add", "domain": "mantua.example"})
        self.assertEqual(verona._federation.status()["incoming"], 0)
        # It is told why, and believed no more.
        await self.until(lambda: mantua._federation.status()["outgoing"] == 0, "their stream is gone")
        romeo.send("<message to='nobody@verona.example' id='n'><body>Anybody?</body></message>")
        self.assertEqual((await romeo.next())["type"], "error")
        self.assertEqual(verona._federation.status()["incoming"], 0)
