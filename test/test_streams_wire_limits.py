"""Too much of something, over real sockets: connections, bytes, sessions, or a client that does not read."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from palaver.test.served import ServedCase
from palaver.test.wire import Wire

reactor: Any = _reactor

KIB = 1024
MIB = KIB * KIB
UNLIMITED_RATE = {"c2s_rate_bytes_per_s": 1000 * MIB, "c2s_burst_bytes": 1000 * MIB}
MESSAGE_BYTES = 100 * KIB
# More than the socket buffers of both ends hold, and less than the default of max_unsent_bytes.
FLOOD_BYTES = 16 * MIB
# Connections that are opened at once; the test's own files count too.
BATCH = 100


async def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait until a condition holds. Raises AssertionError."""
    deadline = reactor.seconds() + seconds
    while not condition():
        if reactor.seconds() > deadline:
            raise AssertionError(f"not within {seconds} s")
        await deferLater(reactor, 0.02)


class Strangers(ServedCase):
    """Connections that do not log in use up a bounded room."""

    limits: ClassVar[dict[str, Any]] = {"max_unauthenticated": 50, "max_unauthenticated_per_address": 40}

    async def test_thousand(self) -> None:
        """Of a thousand connections that never log in few stay open, and sessions notice nothing."""
        romeo = await self.log_in("romeo@localhost/orchard")
        crowd: list[Wire] = []
        for _ in range(1000 // BATCH):
            crowd += await gatherResults([self.open_connection() for _ in range(BATCH)])
            self.assertEqual((await romeo.ask())["type"], "result")
        await until(lambda: sum(not wire.lost for wire in crowd) <= 40)
        stayed = [wire for wire in crowd if not wire.lost]
        self.assertEqual(len(stayed), 40)
        # Somebody else has to wait until one of them goes.
        stayed.pop().drop()
        await until(lambda: sum(not wire.lost for wire in crowd) == 39)
        juliet = await self.log_in("juliet@localhost/balcony")
        juliet.send(f"<message to='{romeo.jid}'/>")
        self.assertEqual((await romeo.next())["from"], juliet.jid)
        for wire in stayed:
            wire.drop()
        await until(lambda: all(wire.lost for wire in crowd))
        await self.assert_serves()

    def open_connection(self) -> Any:
        """Give a Deferred of a connection that is dropped after the test."""
        return Deferred.fromCoroutine(self.connect())


class Slow(ServedCase):
    """Who takes too long is cut off."""

    limits: ClassVar[dict[str, Any]] = {"auth_timeout_s": 1, "tls_timeout_s": 1}

    async def test_login(self) -> None:
        """Who has not logged in after a time loses the connection; who has, keeps it."""
        session = await self.log_in("romeo@localhost/orchard")
        silent = await self.connect()
        opened = await self.connect()
        await opened.features()
        busy = await self.connect()
        await busy.features()
        await busy.authenticate("romeo", "wrong")
        self.assertEqual(await silent.stream_error(5), "connection-timeout")
        self.assertEqual(await opened.stream_error(5), "connection-timeout")
        self.assertEqual(await busy.stream_error(5), "connection-timeout")
        self.assertEqual((await session.ask())["type"], "result")
        await self.assert_serves()

    async def test_handshake(self) -> None:
        """A TLS handshake that stops half-way is cut off."""
        direct = await self.connect("direct", encrypt=False)
        begun = await self.connect("required")
        await begun.features()
        begun.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await begun.next()
        await direct.closed(5)
        await begun.closed(5)
        await self.assert_serves()


class Deaf(ServedCase):
    """A client that never reads is cut off when too much waits for it; nobody else notices."""

    limits: ClassVar[dict[str, Any]] = {"max_unsent_bytes": 64 * KIB, **UNLIMITED_RATE}

    async def assert_cut_off(self, tls: str, sendings: int) -> None:
        """Send a client who does not read so many messages, and see it go."""
        deaf = await self.log_in("romeo@localhost/orchard", tls)
        juliet = await self.log_in("juliet@localhost/balcony")
        nurse = await self.log_in("nurse@localhost/kitchen")
        deaf.send(f"<presence to='{juliet.jid}'/>")
        await juliet.next()
        deaf.stop_reading()
        message = f"<message to='{deaf.jid}' type='headline'><body>{'x' * MESSAGE_BYTES}</body></message>"
        for _ in range(sendings):
            juliet.send(message)
            await juliet.ask()
            self.assertEqual((await nurse.ask())["type"], "result")
            if juliet.elements:
                break
        gone = await juliet.next(10)
        self.assertEqual((gone.name, gone["from"], gone["type"]), ("presence", deaf.jid, "unavailable"))
        self.assertFalse(nurse.elements)
        await self.assert_serves()

    async def test_plain(self) -> None:
        """It is so without TLS."""
        await self.assert_cut_off("off", FLOOD_BYTES // MESSAGE_BYTES)

    async def test_tls(self) -> None:
        """It is so with TLS."""
        await self.assert_cut_off("required", FLOOD_BYTES // MESSAGE_BYTES)


class DeafForLong(Deaf):
    """A client that never reads is cut off after a time when as much as its socket takes was sent."""

    limits: ClassVar[dict[str, Any]] = {"write_timeout_s": 1, **UNLIMITED_RATE}


class Rate(ServedCase):
    """Who sends more than the rate allows is read more slowly; nothing is lost."""

    limits: ClassVar[dict[str, Any]] = {"c2s_rate_bytes_per_s": 20 * KIB, "c2s_burst_bytes": 10 * KIB}

    async def test_pause(self) -> None:
        """What is beyond the rate waits, arrives in order, and holds up nobody else."""
        fast = await self.log_in("romeo@localhost/orchard")
        juliet = await self.log_in("juliet@localhost/balcony")
        message = f"<message to='{juliet.jid}'><body>{'x' * KIB}</body></message>"
        began = reactor.seconds()
        # It takes two seconds until the bytes of the first forty are made good.
        fast.send(message * 40)
        for _ in range(40):
            await juliet.next()
        fast.send(f"<message to='{juliet.jid}' id='late'/>")
        await self.assert_serves()
        self.assertFalse(juliet.elements)
        self.assertEqual((await juliet.next())["id"], "late")
        self.assertGreater(reactor.seconds() - began, 1.0)
        self.assertEqual((await fast.ask())["type"], "result")


class Sessions(ServedCase):
    """One account has a bounded number of sessions."""

    limits: ClassVar[dict[str, Any]] = {"max_user_sessions": 3}

    async def test_oldest_goes(self) -> None:
        """One session too many ends the oldest one."""
        sessions = [await self.log_in(f"romeo@localhost/{number}") for number in range(4)]
        self.assertEqual(await sessions[0].stream_error(), "policy-violation")
        for session in sessions[1:]:
            self.assertEqual((await session.ask())["type"], "result")
        await self.assert_serves()

    async def test_same_resource(self) -> None:
        """The same resource ends the session that has it, and no other one."""
        sessions = [await self.log_in(f"romeo@localhost/{number}") for number in range(3)]
        again = await self.log_in("romeo@localhost/1")
        self.assertEqual(await sessions[1].stream_error(), "conflict")
        for session in (sessions[0], sessions[2], again):
            self.assertEqual((await session.ask())["type"], "result")
        await self.assert_serves()

    async def test_bound_while_the_older_one_floods(self) -> None:
        """A session is replaced in the middle of what it sends; the rest of that is nobody's."""
        old = await self.log_in("romeo@localhost/orchard")
        juliet = await self.log_in("juliet@localhost/balcony")
        message = f"<message to='{juliet.jid}'><body>{'x' * 1000}</body></message>"
        old.send(message * 500)
        new = await self.log_in("romeo@localhost/orchard")
        self.assertEqual(await old.stream_error(), "conflict")
        new.send(f"<message to='{juliet.jid}' id='last'/>")
        while (await juliet.next()).getAttribute("id") != "last":
            pass
        await self.assert_serves()
