"""XEP-0352: Client State Indication."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from twisted.internet.defer import Deferred, DeferredList

from palaver.events import ClientActive, ClientInactive, Hibernated, Resumed, SessionUnbound
from palaver.interfaces import IClientState, ISession
from palaver.markup import element
from palaver.modules import BIND, Module, Settings, inline, nonza, on
from palaver.routing import delivery
from palaver.routing.pipeline import HANDLED, TO_SESSION, Handled
from palaver.stanza import NS_CLIENT, Child, Stanza, forwarded
from palaver.times import stamp
from palaver.waiting import settled

if TYPE_CHECKING:
    from twisted.words.xish.domish import Element

NS_CSI = "urn:xmpp:csi:0"
NS_CARBONS = "urn:xmpp:carbons:2"
NS_DELAY = "urn:xmpp:delay"
NS_MUC_USER = "http://jabber.org/protocol/muc#user"
FEATURE = element("csi", NS_CSI)

# What the owner of a phone wants it to ring for.
IMPORTANT: frozenset[Child] = frozenset(
    (
        (NS_CLIENT, "body"),
        (NS_CLIENT, "subject"),
        ("urn:xmpp:eme:0", "encryption"),
        ("jabber:x:conference", "x"),
    )
)
# Calls (XEP-0353): every step of one.
IMPORTANT_NAMESPACES = frozenset(("urn:xmpp:jingle-message:0", "urn:xmpp:jingle-message:1"))


class CsiSettings(Settings):
    """Options of mod_csi."""

    buffer_max: Annotated[int, Field(ge=0, le=10000)] | Literal["infinity"] = Field(
        20, description="How many stanzas are held back for one session; one more, and all are sent."
    )


class _Held:
    """What is held back for one session, and whether it is on its way just now."""

    __slots__ = ("flushing", "stanzas")

    def __init__(self) -> None:
        self.stanzas: list[Stanza] = []
        self.flushing = False


class ClientState(Module):
    """Holds back what a client that nobody looks at need not have at once, so that a phone may sleep.

    The order never changes: what is important follows all that was held back before it. A session that ends
    leaves the messages that it never got to the account's others, or to whoever keeps them.
    """

    Settings = CsiSettings
    provides = (IClientState,)

    settings: CsiSettings

    def start(self) -> None:
        """Begin with every client active."""
        self._held: dict[ISession, _Held] = {}
        self._let_go: Callable[[], None] | None = None

    def stop(self) -> Deferred[Any] | None:
        """Send what is held back."""
        waiting = [told for session in list(self._held) if (told := self._activate(session)) is not None]
        return DeferredList(waiting) if waiting else None

    def stream_feature(self, stream: Any) -> bytes | None:
        """Announce the states to whoever has logged in (section 4.1)."""
        return FEATURE if stream.authenticated_as is not None else None

    # -- states ------------------------------------------------------------------------------

    @nonza(NS_CSI, "inactive")
    def went(self, request: Stanza, stream: Any) -> Deferred[None] | None:
        """Begin to hold back; without a session there is nothing to."""
        return self._deactivate(stream.session)

    @inline(BIND, NS_CSI, "inactive")
    async def went_with_login(self, request: Element, session: ISession) -> None:
        """Begin with a client that nobody looks at (XEP-0386 section 3.2)."""
        await settled(self._deactivate(session))

    @inline(BIND, NS_CSI, "active")
    def came_with_login(self, request: Element, session: ISession) -> None:
        """Begin with an active client, as every session does."""

    def _deactivate(self, session: ISession | None) -> Deferred[None] | None:
        # A client's last words are still heard when its session has ended.
        if session is None or session.stream is None or session in self._held:
            return None
        if self._let_go is None:
            names = ("message", "presence", "iq")
            self._let_go = self.host.pipeline.add(TO_SESSION, "hold", names, self.name, self.hold)
        self._held[session] = _Held()
        return self.host.events.fire(ClientInactive(session))

    @nonza(NS_CSI, "active")
    def came(self, request: Stanza, stream: Any) -> Deferred[None] | None:
        """Send what was held back, before anything that the client asks next (section 5.1)."""
        return self._activate(stream.session)

    @on(Hibernated)
    @on(Resumed)
    def hibernated(self, event: Hibernated | Resumed) -> Deferred[None] | None:
        """Leave what was held back to whoever keeps it for the resumption, after which a client is active."""
        return self._activate(event.session)

    @on(SessionUnbound)
    def unbound(self, event: SessionUnbound) -> Deferred[Any] | None:
        """See that the messages that the session never got are not lost."""
        held = self._forget(event.session)
        given = (
            [self._give_back(stanza, event.session) for stanza in held.stanzas] if held is not None else []
        )
        waiting = [stored for stored in given if stored is not None]
        return DeferredList(waiting) if waiting else None

    def _give_back(self, stanza: Stanza, session: ISession) -> Deferred[Any] | None:
        """Give a message that a session never got to the others, or have it kept."""
        if not _is_kept(stanza):
            return None
        user = session.user
        to = stanza.to or user.jid
        others = delivery.recipients(user, stanza, to)
        if not others:
            return delivery.undelivered(self.host, stanza, to)
        # What was for all of them the others have.
        if to.full == session.jid.full:
            for other in others:
                other.send(stanza)
        return None

    def _activate(self, session: ISession | None) -> Deferred[None] | None:
        held = self._held.get(session) if session is not None else None
        if session is None or held is None:
            return None
        self._flush(session, held)
        self._forget(session)
        return self.host.events.fire(ClientActive(session))

    def _forget(self, session: ISession) -> _Held | None:
        held = self._held.pop(session, None)
        if not self._held and self._let_go is not None:
            self._let_go()
            self._let_go = None
        return held

    # -- holding back --------------------------------------------------------------------------

    def hold(self, stanza: Stanza, session: ISession) -> Handled | None:
        """Hold a stanza back, or let it pass behind what was held back before."""
        held = self._held.get(session)
        if held is None or held.flushing:
            return None
        if self.is_important(stanza):
            self._flush(session, held)
            return None
        held.stanzas.append(self._stamped(stanza, session))
        if self.settings.buffer_max != "infinity" and len(held.stanzas) > self.settings.buffer_max:
            self._flush(session, held)
        return HANDLED

    def _flush(self, session: ISession, held: _Held) -> None:
        stanzas, held.stanzas = held.stanzas, []
        held.flushing = True
        try:
            for stanza in stanzas:
                session.send(stanza)
        finally:
            held.flushing = False

    def _stamped(self, stanza: Stanza, session: ISession) -> Stanza:
        """Say since when a stanza waits (XEP-0203), unless it says so already."""
        if stanza.has(NS_DELAY, "delay"):
            return stanza
        delay = element("delay", NS_DELAY, from_=session.user.bare, stamp=stamp(self.host.clock.seconds()))
        return stanza.with_child(delay, NS_DELAY, "delay")

    # -- IClientState --------------------------------------------------------------------------

    def is_important(self, stanza: Stanza) -> bool:
        """See IClientState."""
        if stanza.name == "iq":
            return True
        if stanza.name == "presence":
            return stanza.type not in (None, "unavailable") or _has_status(stanza)
        return self._is_important_message(stanza)

    def is_flushing(self, session: ISession) -> bool:
        """See IClientState."""
        held = self._held.get(session)
        return held is not None and held.flushing

    def _is_important_message(self, message: Stanza) -> bool:
        if message.type in ("error", "headline"):
            return message.type == "error"
        if message.has(NS_CARBONS, "sent"):
            # Somebody is at work with another client, and this one learns of it.
            return True
        copied = forwarded(message, NS_CARBONS, "received")
        if copied is not None:
            return self._is_important_message(copied)
        if any(child in IMPORTANT or child[0] in IMPORTANT_NAMESPACES for child in message.children):
            return True
        x = message.child(NS_MUC_USER, "x")
        return x is not None and x.invite is not None


def _has_status(presence: Stanza) -> bool:
    """Tell whether a room says something about the occupant itself (XEP-0045): a client waits for it."""
    x = presence.child(NS_MUC_USER, "x")
    return x is not None and x.status is not None


def _is_kept(stanza: Stanza) -> bool:
    """Tell whether a stanza that was held back matters to the account's other sessions and later ones."""
    kind = stanza.attrs.get("type", "normal")
    return stanza.name == "message" and kind in ("chat", "normal") and not stanza.has(NS_CARBONS)
