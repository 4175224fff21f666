"""The site itself: who may keep silent for how long, what is written of requests, bodies without an end."""

from __future__ import annotations

import io
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import Clock, deferLater
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from palaver import log, metrics
from palaver.test.web.bosh import NS_BODY, Bosh
from palaver.test.web.case import WebCase
from palaver.web.channels import Channels


class Channel:
    """What `Channels` needs of a connection."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self.lost = False
        channels.opened(self)  # type: ignore[arg-type]

    def forceAbortClient(self) -> None:
        """Be cut off."""
        self.lost = True
        self._channels.closed(self)  # type: ignore[arg-type]


class SilenceTests(SynchronousTestCase):
    """Connections that ask for nothing."""

    def setUp(self) -> None:
        """Have room for three of them."""
        self.clock = Clock()
        self.channels = Channels(self.clock, 3)
        self.addCleanup(metrics.reset)

    def open(self) -> Channel:
        """Give a new connection, a second after the last one."""
        self.clock.advance(1)
        return Channel(self.channels)

    def test_most(self) -> None:
        """One too many ends the longest silence."""
        opened = [self.open() for _ in range(5)]
        self.assertEqual([one.lost for one in opened], [True, True, False, False, False])
        self.assertEqual(metrics.connections_refused["http"], 2)

    def test_burst(self) -> None:
        """Many that come in one turn of the reactor end as many, though these are gone a turn later only."""
        opened = [self.open() for _ in range(3)]
        late: list[Channel] = []
        self.patch(Channel, "forceAbortClient", lambda channel: late.append(channel))
        for _ in range(3):
            self.open()
        self.assertEqual((late, len(self.channels)), (opened, 3))

    def test_heard(self) -> None:
        """Who waits for an answer is not silent, and is again behind it."""
        first = self.open()
        self.channels.asked(first)  # type: ignore[arg-type]
        others = [self.open() for _ in range(3)]
        self.assertFalse(first.lost)
        self.channels.answered(first)  # type: ignore[arg-type]
        self.assertEqual([one.lost for one in (first, *others)], [False, True, False, False])

    def test_longest(self) -> None:
        """A silence has its time, however many bytes trickle in."""
        first, second = self.open(), self.open()
        self.clock.advance(59)
        self.assertEqual([first.lost, second.lost], [True, False])
        self.clock.advance(1)
        self.assertTrue(second.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class StallTests(SynchronousTestCase):
    """Connections whose clients do not read what they have asked for."""

    def setUp(self) -> None:
        """Have room for three of them."""
        self.clock = Clock()
        self.channels: Any = Channels(self.clock)
        self.channels.stalled.most = 3
        self.addCleanup(metrics.reset)

    def asked(self) -> Channel:
        """Give a connection with a request, a second after the last one."""
        self.clock.advance(1)
        found = Channel(self.channels)
        self.channels.asked(found)
        return found

    def test_most(self) -> None:
        """One too many ends the one that has not read for longest; who reads goes behind the others."""
        first, second, *others = (self.asked() for _ in range(4))
        for one in (first, second, *others[:1]):
            self.channels.stalled.add(one)
        self.channels.read(first, True)
        self.channels.stalled.add(first)
        self.channels.stalled.add(others[1])
        self.assertEqual([one.lost for one in (first, second, *others)], [False, True, False, False])

    def test_longest(self) -> None:
        """Whoever reads nothing for minutes is cut off."""
        first = self.asked()
        self.channels.stalled.add(first)
        self.clock.advance(299)
        self.assertFalse(first.lost)
        self.clock.advance(1)
        self.assertTrue(first.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_end_of_an_answer(self) -> None:
        """Who reads the end of an answer slowly is not silent; the next request is waited for then."""
        first = self.asked()
        self.channels.stalled.add(first)
        self.channels.answered(first)
        self.clock.advance(100)
        self.assertFalse(first.lost)
        self.channels.read(first, False)
        self.clock.advance(59)
        self.assertFalse(first.lost)
        self.clock.advance(1)
        self.assertTrue(first.lost)


class HalfOpenTests(WebCase):
    """Requests that are begun and not ended, on real sockets."""

    async def test_next(self) -> None:
        """With far more of them than there is room for, the next client is served."""
        (site,) = self.palaver._door.sites or await self.first_site()
        site.channels.silent.most = 20
        strangers = Bosh(self.http_port)
        self.addCleanup(self._drop_requests, strangers)
        for _ in range(60):
            await self.begin(strangers)
        self.assertLessEqual(len(site.channels), 21)
        await self.log_in_by_bosh("romeo")
        await self.log_in_by_socket("juliet")

    async def first_site(self) -> list[Any]:
        """Have the port's site made."""
        await self.bosh().open()
        return list(self.palaver._door.sites)

    async def begin(self, strangers: Bosh) -> None:
        """Send half a request."""
        request = await strangers.post("")
        request.transport.write(b"POST /http-bind HTTP/1.1\r\nHost: local")
        await deferLater(_reactor, 0)


class RequestTests(WebCase):
    """What is written and counted."""

    def setUp(self) -> Any:
        """Have log lines kept."""
        self.out = io.StringIO()
        observer = log.LineObserver(self.out)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        metrics.reset()
        self.addCleanup(metrics.reset)
        return super().setUp()

    async def get(self, path: str, head: str = "") -> int:
        """Give the status of a page."""
        client = self.bosh()
        client.path = path
        return (await (await client.post("", head, "GET")).answer()).status

    def lines(self) -> list[str]:
        """Give the lines about requests, without their times."""
        lines = [line.partition(" ")[2] for line in self.out.getvalue().splitlines()]
        return [line.partition(" ms=")[0] for line in lines if " web request" in line]

    async def test_line(self) -> None:
        """A line says who asked for what, and what the answer was; a secret in an address is not in it."""
        self.assertEqual(
            await self.get("/http-bind/secret?token=secret", "X-Forwarded-For: 192.0.2.7\r\n"), 200
        )
        self.assertEqual(await self.get("/nothing"), 404)
        self.assertEqual(
            [line.partition(" bytes=")[0] for line in self.lines()],
            [
                "info web request address=192.0.2.7 host=localhost method=GET path=/http-bind status=200",
                "info web request address=127.0.0.1 host=localhost method=GET path=/nothing status=404",
            ],
        )
        self.assertEqual((metrics.http_requests["2xx"], metrics.http_requests["4xx"]), (1, 1))

    async def test_secrets(self) -> None:
        """Neither the address of a file nor of an invitation is written, though there be nothing at it."""
        secret = "Q2hhcmxvdHRlIDIwMjY"
        paths = (
            f"/upload/{'0f' * 32}/moon.png?token={secret}",
            f"/invite/{secret}",
            f"/invite/{secret}/register",
            f"/files/{secret}/{secret}.png",
            f"/{secret}",
            f"//{secret}?{secret}",
        )
        for path in paths:
            self.assertEqual(await self.get(path), 404)
        self.assertEqual(
            [line.partition("path=")[2].partition(" ")[0] for line in self.lines()],
            ["/upload", "/invite", "/invite", "/files/(hidden)/(hidden)", "/(hidden)", "//(hidden)"],
        )
        self.assertNotIn(secret, self.out.getvalue())

    async def test_polls(self) -> None:
        """Long polls are counted, and are too many for a line each."""
        await self.log_in_by_bosh("romeo")
        self.assertEqual(self.lines(), [])
        self.assertGreaterEqual(metrics.http_requests["2xx"], 3)


class RepeatedHeadTests(WebCase):
    """Requests over one connection, whose heads are mostly the same."""

    HEAD = "POST /http-bind HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nAccept: */*\r\n{}\r\n"

    async def over(self, text: str, more: str = "", pieces: int = 1) -> str:
        """Send a request over the one connection, cut into pieces; give the answer."""
        data = (self.HEAD.format(len(text), more) + text).encode()
        size = -(-len(data) // pieces)
        came = len(self.connection.came)
        for start in range(0, len(data), size):
            self.connection.transport.write(data[start : start + size])
            await deferLater(_reactor, 0.01)
        for _ in range(1000):
            answer = self.connection.came[came:]
            if answer.endswith((b"/>", b"</body>", b"}")):
                return answer.decode()
            await deferLater(_reactor, 0.005)
        raise AssertionError("no answer")

    async def test_over_one(self) -> None:
        """Each request is taken for what it is, with the same head, with another one, whole and in pieces."""
        client = self.bosh()
        await client.open()
        self.connection = client.requests[0]
        (site,) = self.palaver._door.sites
        for number, (more, pieces) in enumerate((("", 1), ("", 1), ("", 3), ("X-A: 1\r\n", 1), ("", 1)), 1):
            answer = await self.over(f"<body xmlns='{NS_BODY}' sid='x' rid='{number}'/>", more, pieces)
            self.assertEqual(answer.count("HTTP/1.1 200 OK"), 1)
            self.assertIn("condition='item-not-found'", answer)
            self.assertEqual(len(site.channels), 1)

    async def test_taken_back(self) -> None:
        """What is no longer mounted is not found by a head of before either."""
        client = self.bosh()
        await client.open()
        self.connection = client.requests[0]
        text = f"<body xmlns='{NS_BODY}' sid='x' rid='1'/>"
        await self.over(text)
        self.palaver.hosts["localhost"].modules["mod_bosh"].detach()
        self.assertIn("HTTP/1.1 40", await self.over(text))
