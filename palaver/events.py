"""What happens to accounts and sessions, told to whoever listens.

Modules listen with ``@on(SessionBound)``. All are told at once; what a listener gives
an awaitable for is done before whoever fired the event goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from palaver.archive.preferences import Preferences
    from palaver.interfaces import ISession
    from palaver.jid import JID
    from palaver.routing.host import Host
    from palaver.routing.roster import RosterItem
    from palaver.stanza import Stanza
    from palaver.storage import Document


class SessionBound(NamedTuple):
    """A resource was bound; its presence is not known yet.

    ``documents`` is what the login read (see `Host.login_kinds`), None when nobody read it.
    """

    session: ISession
    documents: Sequence[Document] | None = None


class SessionUnbound(NamedTuple):
    """A session has ended; its unavailable presence has been broadcast."""

    session: ISession


class Hibernated(NamedTuple):
    """A session's connection is gone, and the session waits for its client to resume it (XEP-0198).

    What is held back for it elsewhere is sent now: it is kept with the rest.
    """

    session: ISession


class KeptForClient(NamedTuple):
    """A session that waits for its client has got a stanza more; ``data`` are the bytes that are kept."""

    session: ISession
    data: bytes


class Resumed(NamedTuple):
    """A session goes on over another connection; what was kept for it is on its way."""

    session: ISession


class ClientInactive(NamedTuple):
    """A client has said that nobody looks at it (XEP-0352)."""

    session: ISession


class ClientActive(NamedTuple):
    """A client that was inactive is not any more, or whose connection is lost."""

    session: ISession


class BecameAvailable(NamedTuple):
    """A session has sent its first available presence, or raised its priority to 0 or above."""

    session: ISession
    initial: bool


class BecameUnavailable(NamedTuple):
    """A session that was available is not any more; ``presence`` is what was broadcast."""

    session: ISession
    presence: Stanza


class MessageKept(NamedTuple):
    """A message that no session took is stored until somebody comes; ``to`` is whom it was for."""

    message: Stanza
    to: JID


class MarkerWithheld(NamedTuple):
    """A chat marker is kept but goes to nobody; ``owner`` is the account that sent it, ``to`` the peer."""

    message: Stanza
    owner: JID
    to: JID


class MessageRetracted(NamedTuple):
    """An archived message was taken back; ``author`` is who wrote it (bare), ``payload`` what it was."""

    author: str
    payload: bytes


class AccountCreated(NamedTuple):
    """An account was made; ``address`` is the IP address of who asked, if known."""

    jid: JID
    address: str | None


class AccountDeleted(NamedTuple):
    """An account is gone, and what was stored for it."""

    jid: JID


class AccountDeleting(NamedTuple):
    """An account is about to be deleted; its stores are still there."""

    jid: JID


class PasswordChanged(NamedTuple):
    """An account has a new password; other sessions than ``by`` are ended."""

    jid: JID
    by: ISession | None


class SubscriptionChanged(NamedTuple):
    """A roster item's subscription state changed."""

    local: str
    contact: str
    subscription: str


class RosterItemShown(NamedTuple):
    """A roster item is as clients are shown it now; ``item`` is a RosterItem, not listed when it is gone.

    Nobody waits for what a listener gives: the roster is still held.
    """

    local: str
    item: RosterItem


class ItemPublished(NamedTuple):
    """An account has published an item (XEP-0163), which is stored.

    ``owner`` is the localpart, ``payload`` the serialised element, b"" for none. ``publisher`` is the full
    JID of the client; None when a module did it. ``is_open`` says that everybody may see the node.
    """

    host: Host
    owner: str
    node: str
    item_id: str
    payload: bytes
    publisher: str | None = None
    is_open: bool = False


class ItemRetracted(NamedTuple):
    """An item of an account is gone; ``item_id`` is None when all of the node are, or the node itself."""

    host: Host
    owner: str
    node: str
    item_id: str | None


class VCardChanged(NamedTuple):
    """A client has stored its account's vCard (XEP-0054); ``card`` is the serialised element."""

    host: Host
    owner: str
    card: bytes


class ArchivePreferencesSet(NamedTuple):
    """A client has set what its account wants archived (XEP-0441); ``before`` is what it was."""

    local: str
    before: Preferences
    after: Preferences


class PresenceReceived(NamedTuple):
    """Available or unavailable presence for an account, ``to``, was routed here; it may not be for a contact.

    What sessions of this host broadcast to each other comes another way and is not told.
    """

    host: Host
    presence: Stanza
    to: JID


class CapabilitiesKnown(NamedTuple):
    """What a client can do has become known or has changed (XEP-0115, 0390); ``full_jid`` is text.

    What is known of a client of this host before it becomes available is not told: whoever hears
    `BecameAvailable` asks ICapabilities.
    """

    host: Host
    full_jid: str
    features: frozenset[str]


Listener = Callable[[Any], Awaitable[object] | None]


class Events:
    """The listeners of one host, in the order in which modules were attached."""

    def __init__(self, guard: Callable[[str, Callable[..., Any], Any], Any]) -> None:
        self._guard = guard
        self._listeners: dict[type, list[tuple[str, Listener]]] = {}

    def add(self, event: type, module: str, listener: Listener) -> Callable[[], None]:
        """Add a listener; gives the function that takes it back."""
        entry = (module, listener)
        self._listeners.setdefault(event, []).append(entry)
        return lambda: self._listeners[event].remove(entry)

    def fire(self, event: object) -> Deferred[None] | None:
        """Tell everybody; gives a Deferred only when somebody waits.

        A failing listener is logged, not raised.
        """
        listeners = self._listeners.get(type(event))
        if not listeners:
            return None
        waiting = [
            answer
            for module, listener in tuple(listeners)
            if (answer := self._guard(module, listener, event)) is not None
        ]
        return Deferred.fromCoroutine(_all(waiting)) if waiting else None


async def _all(waiting: list[Awaitable[object]]) -> None:
    for answer in waiting:
        await answer
