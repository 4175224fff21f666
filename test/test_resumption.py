"""Stream management over real sockets that break: nothing is lost, nothing comes twice (XEP-0198)."""

from __future__ import annotations

import random
import socket
import struct
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.words.xish import domish

from palaver.server import DOWN
from palaver.test.served import PASSWORD, ServedCase
from palaver.test.wire import Wire

SM = "urn:xmpp:sm:3"
MESSAGES = 150
# One message in so many is followed by the end of the connection.
CUT_EVERY = 8

reactor: Any = _reactor


class Phone:
    """A client with stream management, which goes on over another connection when one breaks."""

    def __init__(self, case: ServedCase, jid: str) -> None:
        self._case = case
        self._local = jid.partition("@")[0]
        self.jid = jid
        self.wire: Wire
        self.got: list[str] = []
        """The ids of the messages that came."""
        self.errors: list[str] = []
        self._handled = 0
        self._token = ""
        self._unacked: list[str] = []
        self._acked = 0

    async def log_in(self) -> Phone:
        """Bind a session and switch stream management on."""
        self.wire = await self._case.log_in(self.jid)
        self.wire.send(f"<enable xmlns='{SM}' resume='true'/>")
        self._token = (await self.wire.next())["id"]
        self.send("<presence/>")
        return self

    def send(self, stanza: str) -> None:
        """Send a stanza, and keep it until it is acknowledged."""
        self._unacked.append(stanza)
        self.wire.send(stanza)

    def read(self) -> None:
        """Take what has come."""
        while self.wire.elements:
            self._take(self.wire.elements.popleft())

    def _take(self, came: domish.Element) -> None:
        if came.uri == "jabber:client":
            self._handled += 1
            if came.name == "message":
                self.got.append(came["id"])
        elif came.name == "r":
            self.wire.send(f"<a xmlns='{SM}' h='{self._handled}'/>")
        elif came.name == "a":
            self._acknowledged(int(came["h"]))
        else:
            self.errors.append(came.toXml())

    def _acknowledged(self, h: int) -> None:
        del self._unacked[: h - self._acked]
        self._acked = h

    async def come_back(self, cut: str) -> None:
        """Lose the connection in one of three ways, and resume over another one."""
        old = self.wire
        if cut == "reset":
            # The kernel throws away what is on its way and sends RST.
            old.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            old.drop()
        elif cut == "close":
            old.transport.loseConnection()
        else:
            old.transport.pauseProducing()
        self.read()
        await self.resume()

    async def resume(self) -> None:
        """Log in on a new connection, resume, and send again what was not handled."""
        self.wire = await self._case.connect()
        await self.wire.features()
        await self.wire.authenticate(self._local, PASSWORD)
        await self.wire.features()
        self.wire.send(f"<resume xmlns='{SM}' previd='{self._token}' h='{self._handled}'/>")
        resumed = await self.wire.next()
        if resumed.name != "resumed":
            raise AssertionError(resumed.toXml())
        self._acknowledged(int(resumed["h"]))
        self.wire.send("".join(self._unacked))

    async def settle(self, count: int) -> None:
        """Wait until a number of messages has come and all that was sent is acknowledged."""

        def done() -> bool:
            self.read()
            return len(self.got) >= count and not self._unacked

        self.wire.send(f"<r xmlns='{SM}'/>")
        await self.wire.until(done, f"{count} messages and all acknowledgements")


class Broken(ServedCase):
    """Connections break while messages are under way."""

    async def talk(self, phone: Phone, to: str, cuts: tuple[str, ...], dice: random.Random) -> None:
        """Send numbered messages, and lose the connection every now and then."""
        for number in range(MESSAGES):
            phone.send(f"<message type='chat' to='{to}' id='{number}'><body>{number}</body></message>")
            if dice.randrange(CUT_EVERY) == 0:
                for _ in range(dice.randrange(4)):
                    await deferLater(reactor, 0)
                await phone.come_back(dice.choice(cuts))
            phone.read()

    async def assert_nothing_lost(self, *cuts: str) -> None:
        """Two talk to each other, and each gets all of the other's messages once, in order."""
        dice = random.Random(198)
        romeo = await Phone(self, "romeo@localhost/orchard").log_in()
        juliet = await Phone(self, "juliet@localhost/balcony").log_in()
        both = ((romeo, juliet.jid), (juliet, romeo.jid))
        await gatherResults(
            [Deferred.fromCoroutine(self.talk(phone, to, cuts, dice)) for phone, to in both],
            consumeErrors=True,
        )
        ids = [str(number) for number in range(MESSAGES)]
        for phone in (romeo, juliet):
            await phone.settle(MESSAGES)
            self.assertEqual((phone.got, phone.errors), (ids, []))
        nurse = await self.log_in("nurse@localhost/next")
        nurse.send(f"<message to='{romeo.jid}' id='last'/>")
        await romeo.settle(MESSAGES + 1)
        self.assertEqual(self.palaver.server.sessions(), 3)

    async def test_reset(self) -> None:
        """Connections are reset, and what was on its way with them."""
        await self.assert_nothing_lost("reset")

    async def test_closed(self) -> None:
        """Connections close without the end of the stream."""
        await self.assert_nothing_lost("close")

    async def test_half_open(self) -> None:
        """The client is somewhere else before the server has noticed."""
        await self.assert_nothing_lost("half-open")

    async def test_every_way(self) -> None:
        """Now this, now that."""
        await self.assert_nothing_lost("reset", "close", "half-open")

    async def test_away_for_long(self) -> None:
        """Messages for somebody whose connection is gone wait; contacts see no difference."""
        romeo = await Phone(self, "romeo@localhost/orchard").log_in()
        nurse = await self.log_in("nurse@localhost/next")
        await romeo.settle(0)
        romeo.wire.drop()
        await romeo.wire.closed()
        count = 1000
        messages = [f"<message to='{romeo.jid}' id='{number}'/>" for number in range(count)]
        nurse.send("".join(messages))
        await nurse.ask()
        self.assertEqual(len(nurse.elements), 0)
        await romeo.resume()
        await romeo.settle(count)
        self.assertEqual(romeo.got, [str(number) for number in range(count)])

    async def test_stopped(self) -> None:
        """A server that goes down leaves nothing unstored of what clients had not acknowledged."""
        romeo = await Phone(self, "romeo@localhost/orchard").log_in()
        await romeo.settle(0)
        nurse = await self.log_in("nurse@localhost/next")
        romeo.wire.drop()
        await romeo.wire.closed()
        nurse.send(
            "".join([f"<message to='{romeo.jid}' id='{number}'><body/></message>" for number in range(20)])
        )
        await nurse.ask()
        server = self.palaver.server
        await gatherResults(server.end_sessions(DOWN), consumeErrors=True)
        self.assertEqual(await server.storage.logs.count("localhost", "romeo", "offline"), 20)
