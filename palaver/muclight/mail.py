"""What a room says, to its members: content encoded once, to all sessions of each; others have their turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from palaver import jid
from palaver.events import MessageKept
from palaver.jid import JID
from palaver.markup import attribute
from palaver.rooms.broadcast import MAX_PER_TURN, Broadcast
from palaver.routing.pipeline import Drop, Handled, Reply, run
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.routing.users import User


class Mail:
    """Takes what rooms say to their members."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def send(self, broadcasts: Sequence[Broadcast], bares: Sequence[str]) -> Deferred[None] | None:
        """Send to all of them, in order; the Deferred, for many, never fails."""
        if len(bares) <= MAX_PER_TURN:
            self._send(broadcasts, bares)
            return None
        return Deferred.fromCoroutine(self._send_in_turns(broadcasts, bares))

    async def _send_in_turns(self, broadcasts: Sequence[Broadcast], bares: Sequence[str]) -> None:
        for start in range(0, len(bares), MAX_PER_TURN):
            self._send(broadcasts, bares[start : start + MAX_PER_TURN])
            await deferLater(self._host.clock, 0)

    def _send(self, broadcasts: Sequence[Broadcast], bares: Sequence[str]) -> None:
        for bare in bares:
            to = jid.parse(bare)
            for broadcast in broadcasts:
                self.send_to(broadcast, to)

    def send_to(self, broadcast: Broadcast, to: JID) -> None:
        """Send to one, a bare JID; presence goes to all sessions that are available."""
        service = self._host.router.services.get(to.domain)
        if service is None or not hasattr(service, "users"):
            self._host.router.route(broadcast.to(to.full))
            return
        host: Host = service
        user = host.users.get(to.local)
        track = host.pipeline.guarded if user is None else user.pipeline
        stanza = broadcast.stanza
        passes = track.groupchat or stanza.attrs.get("type") != "groupchat"
        steps = track.to_user.get(stanza.name) if passes else None
        if steps is None:
            self._hand_over(host, user, broadcast, None, to)
            return
        message = broadcast.to(to.full)
        outcome = run(steps, message, to)
        if isinstance(outcome, Deferred):
            outcome.addCallback(lambda late: self._settle(host, late, message, broadcast, to))
        else:
            self._settle(host, outcome, message, broadcast, to)

    def _settle(self, host: Host, outcome: Any, message: Stanza, broadcast: Broadcast, to: JID) -> None:
        """Go on after the phases; a room has no use for a refusal."""
        if isinstance(outcome, Drop | Handled | Reply):
            return
        changed = None if outcome is message else outcome
        self._hand_over(host, host.users.get(to.local), broadcast, changed, to)

    @staticmethod
    def _hand_over(
        host: Host, user: User | None, broadcast: Broadcast, changed: Stanza | None, to: JID
    ) -> None:
        """Give it to every session that takes messages; for somebody who is away it lies in the archive."""
        taken = is_presence = broadcast.stanza.name == "presence"
        if user is not None and user.sessions:
            message = changed or broadcast.to(to.full)
            data = message.encode() if changed else broadcast.encode(attribute(to.full).encode())
            for session in user.available():
                if (is_presence or session.priority >= 0) and session.send(message, data):
                    taken = True
        # Who is away and speaks all the same knows what he has said.
        if not taken and not broadcast.stanza.attrs["from"].endswith(f"/{to.full}"):
            host.events.fire(MessageKept(changed or broadcast.to(to.full), to))
