"""Hosts of added domains that nobody uses any more leave the memory, and come back."""

from __future__ import annotations

import gc
from typing import Any

from twisted.internet.task import deferLater

from palaver import idling
from palaver.config import Config
from palaver.routing.host import Host
from palaver.test.test_domains import SCHOOL, DomainsCase

MANY = 25
JOIN = "<presence to='lesson@muc.{}/Nurse'><x xmlns='http://jabber.org/protocol/muc'/></presence>"


class IdlingCase(DomainsCase):
    """A server whose hosts sleep as soon as somebody looks twice."""

    idle_s = 0.001

    def table(self) -> dict[str, Any]:
        table = super().table()
        table["general"]["domain_idle_s"] = self.idle_s
        return table

    async def _set_up(self) -> None:
        self.patch(idling, "HIDDEN_S", 0.05)
        await super()._set_up()

    def look(self) -> None:
        self.palaver.server.added._idling.look()

    async def look_twice(self) -> None:
        """Have it seen that nobody uses a host, and then that this has been so for long enough."""
        self.look()
        await deferLater(self.palaver.server.reactor, 0.01)
        self.look()

    async def is_asleep(self, domain: str = SCHOOL) -> None:
        await self.until(lambda: domain not in self.palaver.hosts)

    async def stays(self) -> None:
        """Nothing happens to the host."""
        host = self.palaver.hosts[SCHOOL]
        await self.look_twice()
        await deferLater(self.palaver.server.reactor, 0.1)
        self.assertIs(self.palaver.hosts[SCHOOL], host)
        self.assertIs(self.palaver.server.router.services[SCHOOL], host)

    async def was_used(self) -> None:
        """Have somebody be there, and leave."""
        await self.add()
        nurse = await self.pupil()
        await nurse.close()
        await self.until(lambda: not self.palaver.hosts[SCHOOL].users)


class IdlingTest(IdlingCase):
    """Who sleeps, and who does not."""

    async def test_sleeps_and_wakes(self) -> None:
        """A host that nobody uses leaves the memory; what is stored is there when it comes back."""
        await self.was_used()
        await self.look_twice()
        await self.is_asleep()
        gc.collect()
        there = {each.domain for each in gc.get_objects() if isinstance(each, Host)}
        self.assertNotIn(SCHOOL, there)
        romeo = await self.log_in("romeo@localhost/r")
        romeo.send(f"<message to='nurse@{SCHOOL}' type='chat'><body>Good morrow</body></message>")
        await self.until(lambda: SCHOOL in self.palaver.hosts)
        nurse = await self.log_in(f"nurse@{SCHOOL}/r")
        nurse.send("<presence/>")
        bodies = [str((await nurse.next()).body) for _ in range(2)]
        self.assertIn("Good morrow", bodies)

    async def test_session(self) -> None:
        """A host with a session stays."""
        await self.add()
        await self.pupil()
        await self.stays()

    async def test_stream(self) -> None:
        """A host to which somebody is about to log in stays."""
        await self.was_used()
        wire = await self.connect()
        await wire.features(SCHOOL)
        await self.stays()

    async def test_room(self) -> None:
        """A host stays while somebody from elsewhere is in a room of it."""
        await self.was_used()
        romeo = await self.log_in("romeo@localhost/r")
        romeo.send(JOIN.format(SCHOOL))
        while (await romeo.next()).getAttribute("from") != f"lesson@muc.{SCHOOL}/Nurse":
            pass
        await self.stays()
        await romeo.close()
        muc: Any = self.palaver.hosts[SCHOOL].modules["mod_muc"]
        await self.until(lambda: not muc.service.seats)
        muc.service.rooms.clear()
        await self.look_twice()
        await self.is_asleep()

    async def test_asked_for_while_hidden(self) -> None:
        """A host that is asked for before it is gone is found at once, and stays."""
        for asked in (SCHOOL, f"muc.{SCHOOL}"):
            self.patch(idling, "HIDDEN_S", 0.2)
            if SCHOOL not in self.palaver.server.added.domains.known:
                await self.was_used()
            host = self.palaver.hosts[SCHOOL]
            await self.look_twice()
            self.assertNotIn(SCHOOL, self.palaver.server.router.services)
            romeo = await self.log_in("romeo@localhost/r")
            ping = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
            romeo.send(f"<iq type='get' id='p' to='{asked}'>{ping}</iq>")
            self.assertEqual((await romeo.next())["type"], "result")
            await deferLater(self.palaver.server.reactor, 0.3)
            self.assertIs(self.palaver.hosts[SCHOOL], host)
            self.assertIn(f"muc.{SCHOOL}", self.palaver.server.router.services)
            await romeo.close()

    async def test_reload_while_hidden(self) -> None:
        """A reload finds every host, and what it replaces."""
        await self.was_used()
        self.patch(idling, "HIDDEN_S", 60.0)
        await self.look_twice()
        table = self.table()
        table["modules"]["mod_muc"]["name"] = "Classes"
        await self.palaver.reload(Config.from_dict(table))
        self.assertEqual(self.palaver.server.router.services[f"muc.{SCHOOL}"].name, "Classes")
        self.assertIs(self.palaver.server.router.services[SCHOOL], self.palaver.hosts[SCHOOL])

    async def test_disabled_while_hidden(self) -> None:
        """A host that is disabled before it is gone is gone for good, with its services."""
        await self.was_used()
        self.patch(idling, "HIDDEN_S", 0.2)
        await self.look_twice()
        await self.run_command("domain disable", domain=SCHOOL)
        await deferLater(self.palaver.server.reactor, 0.3)
        self.assertEqual([domain for domain in self.palaver.server.router.services if SCHOOL in domain], [])

    async def test_restart_while_hidden(self) -> None:
        """A server may stop meanwhile."""
        await self.was_used()
        self.patch(idling, "HIDDEN_S", 60.0)
        await self.look_twice()
        await self.restart()
        nurse = await self.log_in(f"nurse@{SCHOOL}/r")
        await nurse.close()

    async def test_named_by_the_config(self) -> None:
        """The hosts of the configuration stay."""
        await self.look_twice()
        await deferLater(self.palaver.server.reactor, 0.1)
        self.assertIn("localhost", self.palaver.hosts)

    async def test_many(self) -> None:
        """Many domains that were used and are idle leave nothing but their names."""
        server = self.palaver.server
        domains = [f"d{number}.example" for number in range(MANY)]
        for domain in domains:
            await self.add(domain)
            waking = server.added.domains.wake(domain)
            assert waking is not None
            self.assertTrue(await waking)
        await self.look_twice()
        await self.until(lambda: set(self.palaver.hosts) == {"localhost"})
        gc.collect()
        left = [each.domain for each in gc.get_objects() if isinstance(each, Host)]
        self.assertEqual([domain for domain in left if domain in domains], [])
        self.assertEqual([each for each in server.router.services if "example" in each], [])
        self.assertEqual(server.added._idling._timers, {})


class NeverTest(IdlingCase):
    """A server whose hosts never sleep."""

    idle_s = 0

    async def test_never(self) -> None:
        """With 0 nobody sleeps."""
        await self.was_used()
        await self.stays()
