"""XEP-0199 between servers."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from palaver.errors import StanzaError, StreamError
from palaver.interfaces import IFederation
from palaver.stanza import Stanza
from palaver.test.house import House
from palaver.xeps.s2s_keepalive import S2sKeepalive


class Stream:
    """A stream to another server; it notes what is sent."""

    def __init__(self, remote: str) -> None:
        self.remote = remote
        self.outbound = self
        self.sent: list[Stanza] = []
        self.is_open = True
        self.error: StreamError | None = None

    def send(self, stanza: Stanza) -> None:
        """Note a stanza."""
        self.sent.append(stanza)

    def end(self, error: StreamError) -> None:
        """Note the end."""
        self.is_open, self.error = False, error


@implementer(IFederation)
class Streams:
    """All streams of example.org."""

    domain = name = ""

    def __init__(self, *remotes: str) -> None:
        self.all = {remote: Stream(remote) for remote in remotes}

    def streams(self, domain: str) -> list[Any]:
        """See IFederation."""
        return [(remote, stream) for remote, stream in self.all.items() if stream.is_open]

    def deliver(self, stanza: Stanza, to: Any) -> None:
        """Fail: nothing is sent otherwise."""
        raise AssertionError(stanza)

    def is_ours(self, domain: str) -> None:
        """Fail: no domain comes to this server."""
        raise AssertionError(domain)


class KeepaliveTests(SynchronousTestCase):
    """A server that is pinged every ten seconds and has thirty to answer."""

    def serve(self, *remotes: str, **options: Any) -> Streams:
        """Make a host whose streams lead to these domains."""
        options = {"keepalive_interval": 10, "keepalive_timeout": 30, **options}
        self.house = House(S2sKeepalive, S2sKeepalive=options)
        streams = self.house.host.router.remote = Streams(*remotes)
        return streams

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        for _ in range(seconds):
            self.house.clock.advance(1)

    def answer(self, ping: Stanza, error: bool = False) -> None:
        """Answer a ping, as the other server."""
        answer = ping.error(StanzaError("service-unavailable")) if error else ping.result()
        self.house.host.router.route(answer)

    def test_pings(self) -> None:
        """Every stream is pinged in the host's name, again after each answer."""
        stream = self.serve("a.example", "b.example").all["a.example"]
        for number in (1, 2, 3):
            self.wait(10)
            self.assertEqual(len(stream.sent), number)
            self.answer(stream.sent[-1])
        ping = stream.sent[0]
        self.assertEqual((ping.attrs["from"], ping.attrs["to"]), ("example.org", "a.example"))
        self.assertEqual((ping.type, ping.payload), ("get", ("urn:xmpp:ping", "ping")))

    def test_error_counts(self) -> None:
        """A server that knows no pings lives all the same."""
        stream = self.serve("a.example").all["a.example"]
        self.wait(10)
        self.answer(stream.sent[0], error=True)
        self.wait(29)
        self.assertEqual(len(stream.sent), 2)
        self.assertTrue(stream.is_open)

    def test_no_answer(self) -> None:
        """A stream whose other end does not answer ends; it is not pinged twice meanwhile."""
        stream = self.serve("a.example").all["a.example"]
        self.wait(39)
        self.assertTrue(stream.is_open)
        self.wait(2)
        self.assertEqual(len(stream.sent), 1)
        assert stream.error is not None
        self.assertEqual(stream.error.condition, "connection-timeout")

    def test_only_some(self) -> None:
        """Only those that the administrator names are pinged."""
        streams = self.serve("a.example", "b.example", keepalive_servers=["b.example"])
        self.wait(10)
        self.assertEqual([len(stream.sent) for stream in streams.all.values()], [0, 1])

    def test_without_federation(self) -> None:
        """A server that speaks to no others has nobody to ping."""
        self.house = House(S2sKeepalive, S2sKeepalive={"keepalive_interval": 10})
        self.wait(30)
        self.assertEqual(self.flushLoggedErrors(), [])
