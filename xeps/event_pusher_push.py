"""XEP-0357: Push Notifications."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from pydantic import Field
from twisted.words.xish import domish

from palaver import jid
from palaver.errors import StanzaError, StorageError
from palaver.events import AccountDeleted, PasswordChanged
from palaver.interfaces import IEventPusher, IPushPlugin, ISession, IUnreadCounts
from palaver.jid import JID, InvalidJID
from palaver.log import Log
from palaver.mistakes import ConfigError
from palaver.modules import HOST, SELF, Module, Settings, iq, on
from palaver.push import registrations
from palaver.push.elements import NS_PUSH, read_node, read_options, read_service
from palaver.push.events import MessageMissed, MessagesWaiting, MessageUnseen
from palaver.push.notified import Notified
from palaver.push.plugins import PLUGINS, Content
from palaver.push.publisher import Limits, Publisher
from palaver.push.registrations import Registration, Registrations
from palaver.stanza import Stanza, forwarded
from palaver.waiting import settled

if TYPE_CHECKING:
    from palaver.routing.sessions import Session

log = Log("push")

NS_CARBONS = "urn:xmpp:carbons:2"
# Of the messages that wait for one client at once, the newest are looked at; more say nothing more.
MAX_LOOKED_AT = 100


class PushSettings(Settings):
    """Options of mod_event_pusher_push."""

    plugin_module: str = Field(
        "mod_event_pusher_push_plugin_enhanced",
        description="Who says which messages devices are notified of: mod_event_pusher_push_plugin_defaults "
        "(those that are stored while nobody is online), mod_event_pusher_push_plugin_enhanced (a device "
        "whose session waits to be resumed at once too), or the name under which an application has "
        "registered an IPushPlugin.",
    )
    virtual_pubsub_hosts: tuple[str, ...] = Field(
        (),
        description="Domains of push services that are none: notifications for them go straight to "
        "the IPushService, such as mod_push_service_mongoosepush. @HOST@ stands for the host's.",
    )
    push_notification_with_body: bool = Field(False, description="Tell push services what messages say.")
    push_notification_with_sender: bool = Field(
        False, description="Tell push services who messages are from."
    )
    push_notification_important_body: str = Field(
        "New Message!", description="What is told in the place of what a message says; may be empty."
    )
    push_when_inactive: bool = Field(
        False,
        description="Notify devices that are connected too, when their clients have said that nobody "
        "looks at them (XEP-0352).",
    )
    push_max_errors: int = Field(
        16, ge=1, description="After so many errors in a row a registration is deleted; see the module."
    )
    push_max_devices: int = Field(
        5, ge=1, le=100, description="Registrations of one account; one more, and the oldest is deleted."
    )
    max_outstanding: int = Field(
        1000, ge=1, le=100_000, description="Notifications under way at a time; a quarter for one service."
    )
    answer_timeout: float = Field(60, gt=0, le=3600, description="Seconds that a push service has to answer.")


class Push(Module):
    """Notifies push services of messages, so that they wake the devices of accounts that are away.

    A client enables a node of a push service; it holds until it is disabled, until the account's password
    changes, or until the service refuses: at once when it says that there is nothing to be done about it (an
    error of the type cancel), after some others in a row (see the options). An answer to wait, no answer,
    and a server that is not there for a while count for nothing or little.

    No message waits for a notification. The usual notification tells neither what a message says nor who
    wrote it. While mod_inbox is on, its count is how many messages of the conversation are unread.
    """

    Settings = PushSettings
    features = (NS_PUSH,)
    account_features = (NS_PUSH,)
    requires = (IEventPusher,)
    iq_policy = "one_queue"

    settings: PushSettings

    def start(self) -> None:
        """Begin to be told of events. Raises ConfigError for a plugin or a domain that there is not."""
        settings, host = self.settings, self.host
        self._plugin = self._find_plugin()
        try:
            virtual = frozenset(map(jid.prepare_domain, settings.virtual_pubsub_hosts))
        except InvalidJID as error:
            raise ConfigError(f"{self.name}: virtual_pubsub_hosts: {error}") from None
        self._registrations = Registrations(host.storage, host.domain, settings.push_max_devices)
        limits = Limits(settings.max_outstanding, settings.push_max_errors, settings.answer_timeout)
        self._publisher = Publisher(host, self.name, virtual, limits, self._refused)
        self._notified = Notified()
        self.events: set[type] = {MessageMissed}
        if self._plugin.waiting:
            self.events.add(MessagesWaiting)
        if settings.push_when_inactive:
            self.events.add(MessageUnseen)
        self.undo(host.query(IEventPusher).add(self))

    def _find_plugin(self) -> Any:
        settings = self.settings
        built_in = PLUGINS.get(settings.plugin_module)
        if built_in is not None:
            return built_in(
                Content(
                    settings.push_notification_with_sender,
                    settings.push_notification_with_body,
                    settings.push_notification_important_body,
                )
            )
        found = self.host.registry.queryUtility(IPushPlugin, settings.plugin_module)
        if found is None:
            allowed = ", ".join(PLUGINS)
            raise ConfigError(f"{self.name}: there is no {settings.plugin_module!r}; allowed: {allowed}")
        return found

    # -- enable and disable ------------------------------------------------------------------

    @iq("set", NS_PUSH, "enable", to=(SELF, HOST))
    async def enable(self, request: Stanza) -> None:
        """Have notifications published to a node (section 5)."""
        session, node = self._session(request), _payload(request, "enable")
        service, name = read_service(node), read_node(node)
        if name is None:
            raise StanzaError("bad-request", "This needs the node of a push service")
        if service == session.jid:
            raise StanzaError("bad-request", "A client is no push service of its own")
        local = session.user.local
        made = registrations.new(service.full, name, read_options(node), session.jid.resource)
        for gone in await self._registrations.add(local, made):
            self._forget(local, gone)
        self._publisher.forget(local, made.key)
        session.remember(self.name)[made.key] = True
        log.info("push-enabled", user=local, host=self.host.domain, service=service)

    @iq("set", NS_PUSH, "disable", to=(SELF, HOST))
    async def disable(self, request: Stanza) -> None:
        """End the notifications to a node, or to all of a service (section 6)."""
        session, node = self._session(request), _payload(request, "disable")
        service, name = read_service(node), read_node(node)
        local = session.user.local
        held = [one for one in await self._registrations.of(local) if one.service == service.full]
        await self._end(local, [one for one in held if name is None or one.node == name])

    @iq("get", NS_PUSH, "enable", to=(SELF, HOST))
    @iq("get", NS_PUSH, "disable", to=(SELF, HOST))
    def refuse(self, request: Stanza) -> None:
        """There is nothing to read."""
        raise StanzaError("not-allowed", "Notifications are enabled and disabled by a set")

    def _session(self, request: Stanza) -> Session:
        """Give the session that asks; nobody but an account's own clients may."""
        session = cast("Session | None", request.origin)
        if session is None or session.host is not self.host:
            raise StanzaError("forbidden", "Notifications are for the accounts of this server")
        return session

    @on(PasswordChanged)
    async def password_changed(self, event: PasswordChanged) -> None:
        """Leave only the devices of the client that has changed it: the others may be a thief's."""
        local, by = event.jid.local, event.by
        held = await self._registrations.of(local)
        own = self._of_session(by, held) if by is not None else []
        await self._end(local, [one for one in held if one not in own])

    @on(AccountDeleted)
    def deleted(self, event: AccountDeleted) -> None:
        """Send nothing more for an account; its registrations went with its stores."""
        self._publisher.forget(event.jid.local)

    async def _refused(self, local: str, held: Registration) -> bool:
        """Delete what its service refuses, unless it was made anew meanwhile. Raises StorageError."""
        if not await self._registrations.is_current(local, held):
            return False
        await self._end(local, [held])
        return True

    async def _end(self, local: str, gone: list[Registration]) -> None:
        """Delete registrations, and send them nothing more."""
        await self._registrations.remove(local, gone)
        for one in gone:
            self._forget(local, one)

    def _forget(self, local: str, gone: Registration) -> None:
        self._publisher.forget(local, gone.key)
        user = self.host.users.get(local)
        for session in user.sessions.values() if user is not None else ():
            if session.state is not None:
                session.state.get(self.name, {}).pop(gone.key, None)

    def _of_session(self, session: ISession, held: list[Registration]) -> list[Registration]:
        """Give what a session has enabled; or what its resource has, where it has relied on that."""
        enabled = session.state.get(self.name) if session.state is not None else None
        if enabled:
            return [one for one in held if one.key in enabled]
        return [one for one in held if one.resource == session.jid.resource]

    # -- what devices are notified of --------------------------------------------------------

    async def push(self, event: MessageMissed | MessagesWaiting | MessageUnseen) -> None:
        """See IEventBackend."""
        if isinstance(event, MessageMissed):
            held = await self._registrations.of(event.to.local)
            await self._notify(held, [event.message], event.to)
            return
        session = event.session
        held = self._of_session(session, await self._registrations.of(session.user.local))
        if not held:
            return
        if isinstance(event, MessageUnseen):
            await self._notify(held, [event.message], session.jid)
        elif session.managed.stream is None:
            # Otherwise the client has come back meanwhile, and has got them all.
            await self._notify(held, list(islice(event.newest_first(), MAX_LOOKED_AT)), session.jid)

    async def _notify(self, held: list[Registration], newest_first: list[Stanza], to: JID) -> None:
        """Notify each registration once: of the newest message that it is notified of, and how many are."""
        if not held:
            return
        chosen: dict[str, tuple[Registration, Stanza, Counter[str]]] = {}
        for stanza in newest_first:
            message = _unwrapped(stanza, to)
            if message is None:
                continue
            for one in self._plugin.should_publish(message, to, held):
                if self._notified.note(message, to, one.key):
                    _, _, counts = chosen.setdefault(one.key, (one, message, Counter()))
                    counts[message.sender.bare if message.sender is not None else ""] += 1
        for one, message, counts in chosen.values():
            summary = await settled(self._plugin.prepare(message, to))
            unread = None
            if summary.get("message-count") == "1":
                unread = await self._unread(to.local, counts)
                number = sum((unread or counts).values())
                summary = {**summary, "message-count": str(number)}
            self._publisher.put(to.local, one, summary, unread)

    async def _unread(self, local: str, counts: Counter[str]) -> dict[str, int] | None:
        """Give how much is unread in conversations that have new messages; None when nobody knows.

        What nobody counts, such as the offer of a call, is one message all the same.
        """
        inbox = self.host.query(IUnreadCounts)
        if inbox is None:
            return None
        try:
            return {peer: max(count, await inbox.unread(local, peer)) for peer, count in counts.items()}
        except StorageError as error:
            log.warn("push-unread-unknown", user=local, host=self.host.domain, reason=str(error))
            return None


def _unwrapped(message: Stanza, to: JID) -> Stanza | None:
    """Give a message, or what a copy is of (XEP-0280); None for a copy of what the account has sent."""
    if message.attrs.get("from") != to.bare:
        # Only the account itself makes copies for its clients.
        return message
    return None if message.has(NS_CARBONS, "sent") else forwarded(message, NS_CARBONS, "received") or message


def _payload(request: Stanza, name: str) -> domish.Element:
    node = request.child(NS_PUSH, name)
    assert node is not None
    return node
