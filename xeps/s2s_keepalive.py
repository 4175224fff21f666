"""XEP-0199: Pings to other servers, so that streams stay in use, and a dead one is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field
from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.python.failure import Failure

from palaver import metrics
from palaver.errors import StanzaError, StreamError
from palaver.interfaces import IFederation
from palaver.log import Log
from palaver.markup import element
from palaver.modules import Module, Settings
from palaver.settings import Domain
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.streams.s2s.stream import ServerStream

log = Log("s2s")

NS_PING = "urn:xmpp:ping"
PING = element("ping", NS_PING)

unanswered = metrics.count(
    "s2s_keepalive_timeout", "Streams to other servers that ended for want of an answer."
)


class KeepaliveSettings(Settings):
    """Options of mod_s2s_keepalive."""

    keepalive_servers: list[Domain] = Field(
        default=[], description="Only the streams with these domains are kept alive; without any, all are."
    )
    keepalive_interval: float = Field(60, ge=1, le=86400, description="Seconds between two pings.")
    keepalive_timeout: float = Field(
        593, ge=1, le=86400, description="Seconds for an answer, be it an error; then the stream ends."
    )


class S2sKeepalive(Module):
    """Pings over the streams that are there; none is opened for a ping."""

    Settings = KeepaliveSettings

    settings: KeepaliveSettings

    def start(self) -> None:
        """Begin the rounds."""
        # The streams whose answer is still to come.
        self._asked: set[ServerStream] = set()
        self.repeat(self.settings.keepalive_interval, self._look_round)

    def _look_round(self) -> None:
        federation = self.host.router.remote
        if not IFederation.providedBy(federation):
            return
        only = self.settings.keepalive_servers
        for remote, stream in federation.streams(self.host.domain):
            if stream not in self._asked and (not only or remote in only):
                self._ask(remote, stream)

    def _ask(self, remote: str, stream: ServerStream) -> None:
        self._asked.add(stream)
        attrs = {"type": "get", "from": self.host.domain, "to": remote}
        ping = Stanza("iq", attrs, ((NS_PING, "ping"),), PING)
        answer = self.host.requests.send(ping, stream.outbound.send, self.settings.keepalive_timeout)
        answer.addBoth(self._answered, stream)

    def _answered(self, outcome: Stanza | Failure, stream: ServerStream) -> None:
        """Take any answer for a sign of life, and end the stream when there is none."""
        self._asked.discard(stream)
        if isinstance(outcome, Failure) and outcome.check(StanzaError) is None:
            outcome.trap(CancelledError, DeferredTimeout)
            if stream.is_open:
                unanswered.value += 1
                log.info("no-answer", remote=stream.remote, local=self.host.domain)
                stream.end(StreamError("connection-timeout", "A ping was not answered"))
