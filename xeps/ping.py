"""XEP-0199: XMPP Ping, from clients and to clients that have been quiet."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from palaver import metrics
from palaver.errors import StreamError
from palaver.markup import element
from palaver.modules import HOST, SELF, Module, Settings, iq
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.routing.sessions import Session

NS_PING = "urn:xmpp:ping"
PING = element("ping", NS_PING)
# A quiet client is noticed late by at most this part of the shorter one of its two times.
LOOKS_PER_INTERVAL = 4

answered = metrics.count("ping_response", "Pings that clients answered.")
unanswered = metrics.count("ping_response_timeout", "Pings that clients did not answer in time.")


class PingSettings(Settings):
    """Options of mod_ping."""

    send_pings: bool = Field(False, description="Ping clients that have been quiet.")
    ping_interval: float = Field(
        60, ge=1, le=86400, description="Seconds without a sign of life before a client is pinged."
    )
    timeout_action: Literal["none", "kill"] = Field(
        "none", description="What becomes of a client that does not answer: kill closes its stream."
    )
    ping_req_timeout: float = Field(
        32, ge=1, le=3600, description="Seconds that a client has to answer a ping."
    )


class Ping(Module):
    """Answers pings of the server and of one's own account; one round looks after all quiet clients."""

    Settings = PingSettings
    features = (NS_PING,)
    account_features = (NS_PING,)

    settings: PingSettings

    def start(self) -> None:
        """Begin the rounds, when clients are to be pinged."""
        # When each client that has not answered yet was pinged.
        self._asked: dict[Session, float] = {}
        self._numbers = count(1)
        if self.settings.send_pings:
            shorter = min(self.settings.ping_interval, self.settings.ping_req_timeout)
            self.repeat(shorter / LOOKS_PER_INTERVAL, self._look_round)

    @iq("get", NS_PING, "ping", to=(HOST, SELF))
    def ping(self, request: Stanza) -> Stanza:
        """Say that we are here (section 4.2)."""
        return request.result()

    # -- to clients (section 4.1) -------------------------------------------------------

    def _look_round(self) -> None:
        """Settle the pings that are out, then ping who has been quiet for long."""
        now = self.host.clock.seconds()
        for session, when in tuple(self._asked.items()):
            self._settle(session, when, now)
        for user in tuple(self.host.users.values()):
            for session in tuple(user.sessions.values()):
                self._ask_if_quiet(session, now)

    def _settle(self, session: Session, when: float, now: float) -> None:
        """Whatever a client sent since counts as an answer: it is alive."""
        stream = session.stream
        if stream is None:
            del self._asked[session]
        elif stream.heard > when:
            del self._asked[session]
            answered.value += 1
        elif now - when >= self.settings.ping_req_timeout:
            del self._asked[session]
            unanswered.value += 1
            if self.settings.timeout_action == "kill":
                session.end(StreamError("connection-timeout", "A ping was not answered"))

    def _ask_if_quiet(self, session: Session, now: float) -> None:
        stream = session.stream
        if stream is None or session in self._asked or now - stream.heard < self.settings.ping_interval:
            return
        self._asked[session] = now
        attrs = {
            "type": "get",
            "id": f"ping-{next(self._numbers)}",
            "from": self.host.domain,
            "to": session.jid.full,
        }
        session.send(Stanza("iq", attrs, ((NS_PING, "ping"),), PING))
