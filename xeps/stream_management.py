"""XEP-0198: Stream Management."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from twisted.internet.defer import Deferred

from palaver.errors import NS_STANZAS, StreamError
from palaver.markup import element
from palaver.modules import BIND, LOGIN, Module, Settings, every, inline, nonza
from palaver.stanza import Stanza
from palaver.streams.managed import COUNTER_MODULO, NS_SM, TICK_S, Managed

if TYPE_CHECKING:
    from twisted.words.xish.domish import Element

    from palaver.routing.sessions import Session
    from palaver.streams.c2s import ClientStream
    from palaver.streams.sasl2 import ExtensibleLogin

FEATURE = element("sm", NS_SM)
# 144 bits: nobody guesses what resumes somebody's session, not even who has logged in as them.
TOKEN_BYTES = 18
# Of one account, and of how many accounts: how much was handled of sessions that are over.
MAX_STALE_PER_USER = 10
MAX_STALE_USERS = 10000
TRUE = ("true", "1")

Infinite = Literal["infinity"]


class StaleH(Settings):
    """How much was handled of a session that can no longer be resumed."""

    enabled: bool = Field(True, description="Tell clients that come back too late how much was handled.")
    repeat_after: int = Field(1800, ge=1, description="Seconds between the searches for what is too old.")
    geriatric: int = Field(3600, ge=1, description="Seconds after which it is forgotten.")


class StreamManagementSettings(Settings):
    """Options of mod_stream_management."""

    buffer: bool = Field(
        True, description="Keep what a client has not acknowledged, so that it can resume its session."
    )
    buffer_max: Annotated[int, Field(ge=1)] | Infinite = Field(
        5000,
        description="How many stanzas are kept for one session. With more, a connected session goes on but"
        " cannot be resumed, and one that waits ends: its messages are stored.",
    )
    ack: bool = Field(True, description="Ask clients to acknowledge.")
    ack_freq: int = Field(
        # An answer costs as much as five messages; once a second in any case is often enough.
        100,
        ge=1,
        description="After how many stanzas an acknowledgement is asked for at once; after fewer of them"
        " within a second.",
    )
    resume_timeout: int = Field(
        600, ge=1, description="How many seconds a session waits for its client; clients may want less."
    )
    max_waiting: int = Field(
        10, ge=1, description="How many sessions of one account may wait at a time; the oldest ends."
    )
    stale_h: StaleH = Field(
        StaleH.model_validate({}), description="What is said to clients that come back too late."
    )


class StreamManagement(Module):
    """Acknowledges what is stored, and keeps sessions whose connections broke.

    A stanza is acknowledged once all that had to be stored for it is committed. A session whose connection
    breaks stays available, and what comes for it is kept until it is resumed. When nobody resumes it, its
    contacts hear that it is gone, and its messages go to the account's other sessions or are stored.
    """

    Settings = StreamManagementSettings

    settings: StreamManagementSettings

    def start(self) -> None:
        """Take over the sessions that a module before this one has left."""
        settings = self.settings
        self.max_unacked = 0 if not settings.buffer else float(settings.buffer_max)
        self.ack_freq = settings.ack_freq
        self.silent = not settings.ack
        self.now = self.host.clock.seconds()
        self.late: list[Managed] = []
        # By localpart and token: others' tokens are as unknown as those that never were.
        self._resumable: dict[tuple[str, str], Managed] = {}
        # By localpart: token to h and the time when the session ended, oldest first.
        self._stale: OrderedDict[str, OrderedDict[str, tuple[int, float]]] = OrderedDict()
        # By localpart: the sessions that wait, oldest first.
        self._waiting: dict[str, list[Managed]] = {}
        for user in self.host.users.values():
            for session in user.sessions.values():
                if session.managed is not None:
                    self._adopt(session.managed)
        self.repeat(settings.stale_h.repeat_after, self.forget_stale)

    def _adopt(self, managed: Managed) -> None:
        managed.keeper = self
        if managed.token is not None:
            self._resumable[managed.session.user.local, managed.token] = managed
        if managed.stream is None:
            self._waiting.setdefault(managed.session.user.local, []).append(managed)
        else:
            self.late.append(managed)

    def stream_feature(self, stream: ClientStream) -> bytes | None:
        """Announce it to those who have logged in, unless it is on already."""
        session = stream.session
        wanted = stream.authenticated_as is not None and (session is None or session.managed is None)
        return FEATURE if wanted else None

    def inline_feature(self, stream: ClientStream) -> bytes:
        """Announce that a login may resume a session (section 9.2)."""
        return FEATURE

    # -- on and off -----------------------------------------------------------------------

    @nonza(NS_SM, "enable")
    def enable(self, request: Stanza, stream: ClientStream) -> None:
        """Switch it on for a session (XEP-0198 section 3)."""
        session = stream.session
        if session is None:
            stream.write(failed("unexpected-request"))
            return
        if session.managed is not None:
            stream.end(StreamError("policy-violation", "Stream management is on already"))
            return
        stream.write(self._enable(session, request.attrs))

    @inline(BIND, NS_SM, "enable")
    def enable_with_login(self, request: Element, session: Session) -> bytes:
        """Switch it on for a session that is bound with its login (section 9.1)."""
        if session.managed is not None:
            return failed("unexpected-request")
        return self._enable(session, request.attributes)

    def _enable(self, session: Session, wanted: Mapping[str, str]) -> bytes:
        """Switch it on as the attributes of ``<enable/>`` say; gives ``<enabled/>``."""
        token, seconds = None, float(self.settings.resume_timeout)
        attrs: dict[str, str | None] = {}
        if self.settings.buffer and wanted.get("resume") in TRUE:
            token = secrets.token_urlsafe(TOKEN_BYTES)
            most = _number(wanted.get("max"))
            seconds = min(seconds, most) if most else seconds
            attrs = {"id": token, "resume": "true", "max": str(int(seconds))}
        managed = session.managed = Managed(session, session.stream, self, token, seconds)
        session.stream = managed
        if token is not None:
            self._resumable[session.user.local, token] = managed
        return element("enabled", NS_SM, b"", **attrs)

    @nonza(NS_SM, "resume")
    def resume(self, request: Stanza, stream: ClientStream) -> Deferred[None] | None:
        """Go on with a session on a new stream, which has logged in and bound nothing (section 5)."""
        if stream.authenticated_as is None or stream.session is not None:
            stream.write(failed("unexpected-request"))
            return None
        return Deferred.fromCoroutine(self._resume_now(request.attrs, stream))

    async def _resume_now(self, wanted: Mapping[str, str], stream: ClientStream) -> None:
        try:
            answer = await self._resume(wanted, stream)
        except StreamError as error:
            stream.end(error)
            return
        stream.write(answer)
        self._sent_on(stream)

    @inline(LOGIN, NS_SM, "resume")
    async def resume_with_login(self, request: Element, login: ExtensibleLogin) -> bytes:
        """Go on with a session on the stream of a login (section 9.2). Raises StreamError."""
        stream = login.stream
        if stream.session is not None:
            return failed("unexpected-request")
        answer = await self._resume(request.attributes, stream)
        login.resumed = self._sent_on(stream)
        return answer

    async def _resume(self, wanted: Mapping[str, str], stream: ClientStream) -> bytes:
        """Hand a session over as the attributes of ``<resume/>`` say; gives ``<resumed/>`` or ``<failed/>``.

        Raises StreamError.
        """
        local, token = stream.authenticated_as, wanted.get("previd", "")
        h = _number(wanted.get("h"))
        if local is None or h is None:
            return failed("bad-request")
        managed = self._resumable.get((local, token))
        if managed is None or not managed.resumable:
            return failed("item-not-found", self._handled(local, token))
        managed.claimed_by = stream
        # The old stream goes first, so that its end cannot end the session.
        managed.hang_up(StreamError("conflict", "Replaced by new connection"))
        idle = managed.received.idle()
        if idle is not None:
            await idle
        # Both may be gone by now, and somebody may have come later who wants it.
        if not stream.is_open or managed.claimed_by is not stream or not managed.resumable:
            return failed("item-not-found")
        answer = managed.resume(stream, h)
        self._waits_no_more(managed)
        return answer

    @staticmethod
    def _sent_on(stream: ClientStream) -> bool:
        """Send a client what it has not got, behind the answer; tells whether a session was resumed."""
        session = stream.session
        if session is None or session.managed is None:
            return False
        session.managed.send_again()
        return True

    # -- acknowledgements ------------------------------------------------------------------

    @nonza(NS_SM, "r")
    def answer(self, request: Stanza, stream: ClientStream) -> Deferred[None] | None:
        """Say how much is handled, once everything that came before is (section 4)."""
        managed = self._managed(stream)
        if managed is None:
            return None
        stream.write(managed.ack())
        idle = managed.received.idle()
        if idle is not None:
            # What need not be waited for is acknowledged when it is done, without being asked again.
            idle.addCallback(lambda _: stream.write(managed.ack()))
        return None

    @nonza(NS_SM, "a")
    def acknowledged(self, ack: Stanza, stream: ClientStream) -> None:
        """Let go of what the client has."""
        managed = self._managed(stream)
        if managed is None:
            return
        h = _number(ack.attrs.get("h"))
        if h is None:
            stream.end(StreamError("policy-violation", "An acknowledgement has a number h"))
            return
        try:
            managed.acknowledged(h)
        except StreamError as error:
            stream.end(error)

    @staticmethod
    def _managed(stream: ClientStream) -> Managed | None:
        session = stream.session
        if session is not None and session.managed is not None:
            managed: Managed = session.managed
            return managed
        stream.write(failed("unexpected-request"))
        return None

    @every(TICK_S)
    def ask_late(self) -> None:
        """Ask those who have got something since they were asked last."""
        self.now = self.host.clock.seconds()
        late, self.late = self.late, []
        for managed in late:
            managed.ask()

    # -- Keeper ------------------------------------------------------------------------------

    def hibernates(self, managed: Managed) -> None:
        """See Keeper."""
        waiting = self._waiting.setdefault(managed.session.user.local, [])
        waiting.append(managed)
        if len(waiting) > self.settings.max_waiting:
            waiting[0].session.unbind()

    def ended(self, managed: Managed) -> None:
        """See Keeper."""
        self._waits_no_more(managed)
        local, token = managed.session.user.local, managed.token
        if token is None or self._resumable.pop((local, token), None) is None:
            return
        if self.settings.stale_h.enabled:
            stale = self._stale.setdefault(local, OrderedDict())
            self._stale.move_to_end(local)
            stale[token] = (managed.received.count % COUNTER_MODULO, self.host.clock.seconds())
            if len(stale) > MAX_STALE_PER_USER:
                stale.popitem(last=False)
            if len(self._stale) > MAX_STALE_USERS:
                self._stale.popitem(last=False)

    def _waits_no_more(self, managed: Managed) -> None:
        local = managed.session.user.local
        waiting = self._waiting.get(local)
        if waiting is not None and managed in waiting:
            waiting.remove(managed)
            if not waiting:
                del self._waiting[local]

    def _handled(self, local: str, token: str) -> int | None:
        """Give how much was handled of a session that is over; None when that is not known."""
        stale = self._stale.get(local)
        found = stale.get(token) if stale is not None else None
        return found[0] if found is not None else None

    def forget_stale(self) -> None:
        """Forget what nobody will come back for any more."""
        oldest = self.host.clock.seconds() - self.settings.stale_h.geriatric
        for local, stale in list(self._stale.items()):
            for token in [token for token, (_, ended) in stale.items() if ended <= oldest]:
                del stale[token]
            if not stale:
                del self._stale[local]


def failed(condition: str, h: int | None = None) -> bytes:
    """Give ``<failed/>`` (XEP-0198 section 6)."""
    return element("failed", NS_SM, element(condition, NS_STANZAS), h=str(h) if h is not None else None)


def _number(text: Any) -> int | None:
    """Give a number from 0 to 2^32 - 1; None when the text is none."""
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 10:
        return None
    number = int(text)
    return number if number < COUNTER_MODULO else None
