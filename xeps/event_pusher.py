"""Tells other modules what happens to accounts and their messages, so that they push it somewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from palaver import jid
from palaver.archive.messages import NS_STANZA_ID
from palaver.events import (
    BecameAvailable,
    BecameUnavailable,
    ClientActive,
    ClientInactive,
    Hibernated,
    KeptForClient,
    MessageKept,
    SessionUnbound,
)
from palaver.interfaces import IClientState, IEventBackend, IEventPusher, IOfflineStore, ISession
from palaver.jid import JID, InvalidJID
from palaver.modules import Module
from palaver.push.events import (
    Event,
    MessageMissed,
    MessageReceived,
    MessageSent,
    MessagesWaiting,
    MessageUnseen,
    UserOffline,
    UserOnline,
)
from palaver.routing.pipeline import FROM_CLIENT, TO_SESSION, TO_USER, UNDELIVERED, Direction, PhaseHandler
from palaver.stanza import Stanza

Undo = list[Callable[[], object]]


class EventPusher(Module):
    """Tells backends, such as mod_event_pusher_push, of the events that they want.

    What no backend wants is not looked at: without backends this costs nothing.
    """

    provides = (IEventPusher,)

    def start(self) -> None:
        """Begin without backends."""
        self._backends: dict[type, list[IEventBackend]] = {}
        # By class of events: how to look no longer.
        self._looking: dict[type, Undo] = {}
        # Sessions whose clients are inactive; only while somebody wants to know.
        self._inactive: set[ISession] = set()
        self._let_go: Undo = []
        self.undo(self._look_away)

    def _look_away(self) -> None:
        for kind in list(self._looking):
            self._stop_looking(kind)

    # -- IEventPusher -----------------------------------------------------------------------

    def add(self, backend: IEventBackend) -> Callable[[], None]:
        """See IEventPusher."""
        for kind in backend.events:
            self._backends.setdefault(kind, []).append(backend)
            if kind not in self._looking:
                self._looking[kind] = self._look(kind)
        return partial(self._remove, backend)

    def _remove(self, backend: IEventBackend) -> None:
        for kind in backend.events:
            self._backends[kind].remove(backend)
            if not self._backends[kind]:
                self._stop_looking(kind)

    def _stop_looking(self, kind: type) -> None:
        for take_back in self._looking.pop(kind, ()):
            take_back()

    def _tell(self, event: Event) -> None:
        for backend in tuple(self._backends.get(type(event), ())):
            # Nobody waits for what this gives; a failure is logged under the backend's name.
            self.host.guard(backend.name, backend.push, event)

    # -- where events come from -------------------------------------------------------------

    def _look(self, kind: type) -> Undo:
        """Begin to look for events of a class; gives what ends that."""
        looks: dict[type, Callable[[], Undo]] = {
            UserOnline: lambda: [self._hear(BecameAvailable, self._came)],
            UserOffline: lambda: [self._hear(BecameUnavailable, self._went)],
            MessageSent: lambda: [self._watch(FROM_CLIENT, "notice", self._sent)],
            MessageReceived: lambda: [self._watch(TO_USER, "notice", self._received)],
            MessageMissed: lambda: [
                self._hear(MessageKept, self._kept),
                self._watch(UNDELIVERED, "notify", self._undelivered),
            ],
            MessagesWaiting: lambda: [
                self._hear(Hibernated, self._hibernated),
                self._hear(KeptForClient, self._kept_for_client),
            ],
            MessageUnseen: lambda: [
                self._hear(ClientInactive, self._client_inactive),
                self._hear(ClientActive, self._client_active),
                self._hear(SessionUnbound, self._client_active),
                self._nobody_inactive,
            ],
        }
        return looks[kind]()

    def _hear(self, event: type, listener: Callable[[Any], None]) -> Callable[[], object]:
        return self.host.events.add(event, self.name, listener)

    def _watch(self, direction: Direction, phase: str, handler: PhaseHandler) -> Callable[[], object]:
        return self.host.pipeline.add(direction, phase, ("message",), self.name, handler)

    def _came(self, event: BecameAvailable) -> None:
        if event.initial:
            self._tell(UserOnline(event.session.jid))

    def _went(self, event: BecameUnavailable) -> None:
        self._tell(UserOffline(event.session.jid))

    def _sent(self, message: Stanza, session: ISession) -> None:
        if message.type == "error":
            return
        try:
            to = jid.parse(message.attrs.get("to", session.user.bare))
        except InvalidJID:
            # It goes nowhere.
            return
        self._tell(MessageSent(message, session.jid, to))

    def _received(self, message: Stanza, to: JID) -> None:
        if message.type != "error":
            self._tell(MessageReceived(message, to))

    def _kept(self, event: MessageKept) -> None:
        self._tell(MessageMissed(event.message, event.to))

    def _undelivered(self, message: Stanza, to: JID) -> None:
        """Where nobody keeps messages for later, the archive has what is archived."""
        if self.host.query(IOfflineStore) is None and _is_archived(message, to):
            self._tell(MessageMissed(message, to))

    # -- sessions that wait to be resumed -----------------------------------------------------

    def _hibernated(self, event: Hibernated) -> None:
        managed = event.session.managed
        messages = tuple(data for data in managed.unacknowledged if _is_message(data))
        if messages:
            self._tell(MessagesWaiting(event.session, messages))

    def _kept_for_client(self, event: KeptForClient) -> None:
        if _is_message(event.data):
            self._tell(MessagesWaiting(event.session, (event.data,)))

    # -- clients that nobody looks at ---------------------------------------------------------

    def _client_inactive(self, event: ClientInactive) -> None:
        if not self._inactive:
            # Behind the phase that holds back what is of no importance.
            self._let_go.append(self._watch(TO_SESSION, "notice", self._passing))
        self._inactive.add(event.session)

    def _client_active(self, event: ClientActive | SessionUnbound) -> None:
        self._inactive.discard(event.session)
        if not self._inactive:
            self._nobody_inactive()

    def _nobody_inactive(self) -> None:
        self._inactive.clear()
        while self._let_go:
            self._let_go.pop()()

    def _passing(self, message: Stanza, session: ISession) -> None:
        if session not in self._inactive or message.type == "error":
            return
        states = self.host.query(IClientState)
        # What was held back before is of no importance.
        if states is None or not states.is_flushing(session):
            self._tell(MessageUnseen(session, message))


def _is_message(data: bytes) -> bool:
    return data.startswith(b"<message")


def _is_archived(message: Stanza, to: JID) -> bool:
    """Tell whether the account's own archive has given a message an id (XEP-0359)."""
    if not message.has(NS_STANZA_ID, "stanza-id"):
        return False
    return any(node.getAttribute("by") == to.bare for node in message.element.elements(NS_STANZA_ID))
