"""The log of slow stanzas: what waits, what blocks, and what is said of them."""

from __future__ import annotations

import io
import threading
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from palaver import log, metrics
from palaver.modules import Module, iq
from palaver.routing import pipeline
from palaver.routing.pipeline import FROM_CLIENT, TO_USER, Pipeline
from palaver.routing.places import Place
from palaver.stanza import Stanza
from palaver.streams.blocking import Sampler
from palaver.streams.components.traffic import Inbound
from palaver.streams.settings import StreamSettings
from palaver.streams.slow import MAX_LINES, SlowLog, watch
from palaver.streams.turns import Turns
from palaver.test.house import House, stanza

MESSAGE = (
    "<message from='romeo@example.org/orchard' to='juliet@example.org' id='1'><body>secret</body></message>"
)


class Stream(Turns):
    """Has each stanza done by a function."""

    __slots__ = ("work",)

    def __init__(self, work: Any) -> None:
        super().__init__(mock.Mock(), StreamSettings())
        self.work = work

    def _take(self, stanza: Stanza) -> Any:
        return self.work(stanza)


class SlowCase(SynchronousTestCase):
    """Keeps what is logged."""

    def setUp(self) -> None:
        """Watch, with a threshold of a second."""
        self.out = io.StringIO()
        observer = log.LineObserver(self.out)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.addCleanup(metrics.reset)
        self.clock = Clock()
        self.slow = SlowLog(self.clock)
        self.slow.set(1.0)
        self.addCleanup(self.slow.set, 0.0)

    def lines(self) -> list[str]:
        """Give the lines since the last call, without their times."""
        found = [line.partition(" ")[2] for line in self.out.getvalue().splitlines()]
        self.out.truncate(0)
        self.out.seek(0)
        return found

    def pass_s(self, seconds: float) -> None:
        """Let time pass, in steps of a tenth of a second."""
        self.clock.pump([0.1] * round(seconds * 10))


class WaitingTests(SlowCase):
    """Stanzas that wait for something."""

    def setUp(self) -> None:
        """Have a pipeline whose handlers wait for us, as long as there is something to wait for."""
        super().setUp()
        self.pipeline = Pipeline()
        self.waiting: list[Deferred[None]] = []
        self.pipeline.add(FROM_CLIENT, "guard", ["message"], "mod_quick", lambda stanza, context: None)
        self.pipeline.add(FROM_CLIENT, "archive", ["message"], "mod_mam", self.wait)
        self.pipeline.add(TO_USER, "notice", ["message"], "mod_late", self.wait)
        self.stream = Stream(self.work)

    def wait(self, stanza: Stanza, context: object) -> Deferred[None]:
        """Be a handler."""
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def work(self, stanza: Stanza) -> Any:
        """Take a stanza through two directions, as a session does."""
        going: Any = pipeline.run(self.pipeline.from_client["message"], stanza, None)
        return going.addCallback(lambda stanza: pipeline.run(self.pipeline.to_user["message"], stanza, None))

    def test_quick(self) -> None:
        """Nothing is said of what is done in time, and nothing is kept of it."""
        for _ in range(20):
            self.stream.stanza_received(stanza(MESSAGE))
            self.pass_s(0.4)
            self.waiting[-1].callback(None)
            self.pass_s(0.4)
            self.waiting[-1].callback(None)
        self.assertEqual(self.lines(), [])
        self.assertTrue(all(entry is None for entry in watch.waits.values()))
        self.assertLessEqual(len(watch.waits), 6)

    def test_slow(self) -> None:
        """One that takes longer is named when it is done: kind, sender's account, module and phase."""
        self.stream.stanza_received(stanza(MESSAGE))
        self.pass_s(1.5)
        self.assertEqual(self.lines(), [])
        self.waiting[0].callback(None)
        self.waiting[1].callback(None)
        (line,) = self.lines()
        how, _, rest = line.partition(" ms=")
        self.assertEqual(how, "warning slow slow-stanza how=waited")
        lasted, _, rest = rest.partition(" ")
        self.assertTrue(1000 <= int(lasted) <= 1500, lasted)
        self.assertEqual(rest, "name=message sender=romeo@example.org module=mod_mam phase=archive")

    def test_second(self) -> None:
        """It is the handler that it waits for now, behind others that were quick."""
        self.stream.stanza_received(stanza(MESSAGE))
        self.waiting[0].callback(None)
        self.pass_s(1.5)
        self.waiting[1].callback(None)
        self.assertIn(" module=mod_late phase=notice", self.lines()[0])

    def test_never(self) -> None:
        """One that does not end is told of once, and not kept."""
        self.stream.stanza_received(stanza(MESSAGE))
        self.pass_s(9)
        self.assertEqual(self.lines(), [])
        self.pass_s(30)
        (line,) = self.lines()
        self.assertIn("how=still-waits", line)
        self.waiting[0].callback(None)
        self.waiting[1].callback(None)
        self.assertEqual(self.lines(), [])

    def test_many(self) -> None:
        """When everything is slow there are some lines and a number."""
        for _ in range(50):
            Stream(self.work).stanza_received(stanza(MESSAGE))
        self.pass_s(2)
        for waiting in self.waiting:
            waiting.callback(None)
        lines = self.lines()
        self.assertEqual(len(lines), MAX_LINES)
        self.pass_s(0.5)
        self.assertEqual(self.lines(), [f"warning slow more-slow-stanzas count={50 - MAX_LINES}"])
        self.assertIn(b'palaver_slow_stanzas_total{how="waited"} 50', metrics.render())

    def test_off(self) -> None:
        """Nothing is noted when it is off, and what was under way is forgotten."""
        self.stream.stanza_received(stanza(MESSAGE))
        self.slow.set(0)
        self.assertEqual((watch.is_on, watch.waits), (False, {}))
        Stream(self.work).stanza_received(stanza(MESSAGE))
        self.assertEqual(watch.waits, {})
        self.slow.set(1)
        self.waiting[0].callback(None)
        self.pass_s(5)
        self.waiting[2].callback(None)
        self.assertEqual(self.lines(), [])

    def test_other_server(self) -> None:
        """Another server of the same process goes on watching when the first one stops."""
        other = SlowLog(self.clock)
        other.set(2)
        self.addCleanup(other.set, 0)
        self.slow.set(0)
        self.stream.stanza_received(stanza(MESSAGE))
        self.pass_s(3)
        for _ in range(2):
            self.waiting[-1].callback(None)
        self.assertEqual(len(self.lines()), 1)


class Answering(Module):
    """Answers when a test says so."""

    @iq("get", "urn:test:slow", "query")
    def answer(self, iq: Stanza) -> Any:
        """Wait."""
        self.waiting: Deferred[None] = Deferred()
        return self.waiting


class IqTests(SlowCase):
    """IQs."""

    def test_module(self) -> None:
        """An IQ is named by its payload, and by the module that answers it."""
        house = House()
        module = house.add(Answering)
        romeo = house.login("romeo")
        stream = Stream(romeo.session.receive)
        asked = stanza(
            "<iq type='get' id='1' to='example.org'><query xmlns='urn:test:slow'>secret</query></iq>"
        )
        asked.attrs["from"] = romeo.session.jid.full
        asked.origin = romeo.session
        stream.stanza_received(asked)
        self.pass_s(1.5)
        module.waiting.callback(None)
        (line,) = self.lines()
        self.assertIn("name=iq sender=romeo@example.org type=get", line)
        self.assertIn(f' module={module.name} phase=iq payload="urn:test:slow query"', line)
        self.assertNotIn("secret", line)
        self.assertNotIn("orchard", line)


class OthersTests(SlowCase):
    """Stanzas of components; those of other servers go the same way."""

    def test_component(self) -> None:
        """One that waits is told of, and so is the next one in its turn."""
        waiting: list[Deferred[None]] = []

        def route(stanza: Stanza) -> Deferred[None]:
            waiting.append(Deferred())
            return waiting[-1]

        router = mock.Mock(route=route)
        traffic = Inbound(router, mock.Mock())
        for _ in range(2):
            traffic.take(stanza(MESSAGE))
        for _ in range(2):
            self.pass_s(1.5)
            waiting[-1].callback(None)
            self.assertEqual(len(self.lines()), 1)
        self.pass_s(1.5)
        self.assertEqual((self.lines(), len(waiting)), ([], 2))
        self.assertTrue(all(isinstance(key, float) for key in watch.waits))


class BlockingTests(SlowCase):
    """Stanzas that hold up everybody."""

    def setUp(self) -> None:
        """Have a thread that looks when we say so, and a pipeline with a handler that has it look."""
        super().setUp()
        self.calls: list[Any] = []
        self.told: list[Any] = []
        self.now = 0.0
        reactor = mock.Mock()
        reactor.callFromThread = lambda function, *arguments: self.calls.append((function, arguments))
        self.sampler = Sampler(reactor, 1.0, lambda *values: self.told.append(values))
        self.sampler.now = lambda: self.now
        self.pipeline = Pipeline()
        self.pipeline.add(FROM_CLIENT, "strip", ["message"], "mod_heavy", self.block)
        self.lasts = 0.0
        self.stream = Stream(lambda stanza: self.run_steps(stanza))

    def run_steps(self, stanza: Stanza) -> None:
        """Take a stanza through the pipeline."""
        pipeline.run(self.pipeline.from_client["message"], stanza, None)

    def block(self, stanza: Stanza, context: object) -> None:
        """Be a handler that takes its time."""
        for _ in range(round(self.lasts / 0.25)):
            looking = threading.Thread(target=self.sampler.look)
            looking.start()
            looking.join()
            self.now += 0.25

    def take(self, lasts: float) -> None:
        """Handle a stanza for so long, and then have the reactor run."""
        self.lasts = lasts
        self.stream.stanza_received(stanza(MESSAGE))
        calls, self.calls = self.calls, []
        for function, arguments in calls:
            function(*arguments)

    def test_blocked(self) -> None:
        """One that blocks is seen, with its module, its phase and the line of code; once."""
        self.take(3)
        ((seen, place, at, lasted),) = self.told
        self.assertEqual((seen.name, place, lasted), ("message", Place("mod_heavy", "strip"), 3.0))
        self.assertRegex(at, r"^test/streams/test_slow\.py:\d+$")

    def test_quick(self) -> None:
        """Many quick ones in a row are not one slow one."""
        for _ in range(10):
            self.take(0.75)
        self.assertEqual(self.told, [])

    def test_again(self) -> None:
        """The next slow one is another one."""
        self.take(1.5)
        self.take(0.5)
        self.take(2)
        self.assertEqual([lasted for *_, lasted in self.told], [1.5, 2.0])

    def test_idle(self) -> None:
        """Who has no stanza is not looked at further."""
        looking = threading.Thread(target=self.sampler.look)
        looking.start()
        looking.join()
        self.assertEqual((self.calls, self.sampler._stanza), ([], None))

    def test_line(self) -> None:
        """The line says how long, and where; nothing of the content."""
        self.slow._blocked(stanza(MESSAGE), Place("mod_heavy", "strip"), "xeps/heavy.py:7", 1.25)
        self.assertEqual(
            self.lines(),
            [
                "warning slow slow-stanza how=blocked ms=1250 name=message sender=romeo@example.org "
                "module=mod_heavy phase=strip at=xeps/heavy.py:7"
            ],
        )
