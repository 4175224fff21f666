"""The reactor of ``palaver start`` serves like Twisted's own."""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

# Echoes over loopback; a connection whose protocol raises is closed, the others are served as before.
PROGRAM = """
import sys
from palaver import loop
loop.install()
from twisted.internet import protocol, reactor
from twisted.python import log

errors = []
log.addObserver(lambda event: errors.append(event) if event.get("isError") else None)

class Echo(protocol.Protocol):
    def dataReceived(self, data):
        if data == b"raise":
            raise ZeroDivisionError
        self.transport.write(data)

class Client(protocol.Protocol):
    def __init__(self, say, then):
        self.say, self.then = say, then
    def connectionMade(self):
        self.transport.write(self.say)
    def dataReceived(self, data):
        self.then(data)
        self.transport.loseConnection()
    def connectionLost(self, reason):
        if self.say == b"raise":
            self.then(b"lost")

def connect(say, then):
    creator = protocol.ClientCreator(reactor, Client, say, then)
    creator.connectTCP("127.0.0.1", port.getHost().port)

def second(data):
    print(data.decode(), len(errors))
    connect(b"hello", third)

def third(data):
    print(data.decode(), type(reactor).__module__)
    reactor.callFromThread(reactor.callLater, 0.01, reactor.stop)

factory = protocol.Factory.forProtocol(Echo)
port = reactor.listenTCP(0, factory, interface="127.0.0.1")
reactor.callWhenRunning(connect, b"raise", second)
reactor.callLater(10, reactor.stop)
reactor.run()
"""


class LoopTests(TestCase):
    """In a process of its own, as a reactor is chosen once."""

    async def run_program(self, program: str) -> str:
        out, errors, status = await getProcessOutputAndValue(
            sys.executable, ["-c", program], env={"PYTHONPATH": ":".join(sys.path)}, reactor=reactor
        )
        self.assertEqual(status, 0, errors.decode())
        text: str = out.decode()
        return text

    async def test_serves(self) -> None:
        """Reads, writes, timers and calls from threads work; what a protocol raises closes it alone."""
        self.assertEqual(await self.run_program(PROGRAM), "lost 1\nhello palaver.loop\n")
