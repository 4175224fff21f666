"""Domains that are added while the server runs: known by name, and made hosts when they are first used.

Every name is in memory, so that a domain that nobody has added costs a look into a dictionary. A host with
its modules is there for those alone that somebody has used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver import jid
from palaver.errors import StanzaError
from palaver.interfaces import IHost, IService
from palaver.jid import JID, InvalidJID
from palaver.log import Log
from palaver.routing.router import LOCAL, Router
from palaver.stanza import Stanza
from palaver.storage import Batch

log = Log("domains")

# Documents of the server itself, which belong to no host.
HOST, OWNER, KIND = "", "", "domain"
PAGE = 1000
# Stanzas that may wait for one host in the making; their senders wait too, so it is never near that.
MAX_WAITING = 1000

State = Literal["enabled", "disabled", "removed"]
"""removed: what is stored for it is being deleted."""

NOT_MADE = StanzaError("internal-server-error", "This host cannot be brought up now", type="wait")
TOO_MANY = StanzaError("resource-constraint", "Too much waits for this host", type="wait")
NOBODY = StanzaError("remote-server-not-found", "Nothing here has this domain")


class Added(NamedTuple):
    """A domain that was added; ``host_type`` is empty for one with the settings of any host."""

    host_type: str
    state: State


class Domains:
    """The added domains of a server, and the route ``local`` to those that sleep."""

    def __init__(self, router: Router, make: Callable[[str], Awaitable[None]]) -> None:
        """``make`` makes the host of a domain and adds it to the router."""
        self.known: dict[str, Added] = {}
        self._router = router
        self._make = make
        self._storage: Any = None
        # Hosts in the making, with those who wait; they get whether it was made.
        self._making: dict[str, list[Deferred[bool]]] = {}
        # Hosts that are hidden for a moment before they are taken down: their services by domain.
        self._hidden: dict[str, dict[str, IService]] = {}
        self._sleeping = _Sleeping(self, router)
        router.add_route(LOCAL, self.find)
        router.is_reserved = self.known.__contains__

    async def load(self, storage: Any) -> None:
        """Read the names. Raises StorageError."""
        self._storage = storage
        self.known.clear()
        after = None
        while True:
            page = await storage.documents.list(HOST, OWNER, [KIND], limit=PAGE, after=after)
            for document in page:
                self.known[document.key] = Added(document.value["host_type"], document.value["state"])
            if len(page) < PAGE:
                return
            after = (page[-1].rank, page[-1].key)

    def forget(self) -> None:
        """Know no domain any more, since the server stops."""
        self.known.clear()

    # -- looking up ---------------------------------------------------------------------------

    def serves(self, domain: str) -> bool:
        """Tell whether a prepared domain was added and is enabled."""
        added = self.known.get(domain)
        return added is not None and added.state == "enabled"

    def named(self, name: str) -> str | None:
        """Give the domain that somebody names in DNS form, when it was added and is enabled."""
        if not self.known:
            return None
        try:
            domain = jid.prepare_domain(name)
        except InvalidJID:
            return None
        return domain if self.serves(domain) else None

    def find(self, domain: str) -> IService | None:
        """Give what wakes the host of a domain, or the one above it whose services are not there yet."""
        return self._sleeping if self.known and self.sleeper(domain) is not None else None

    def sleeper(self, domain: str) -> str | None:
        """Give the domain of the nearest host that sleeps: this one, or one above it."""
        if not self.known:
            return None
        while domain:
            if self._sleeps(domain):
                return domain
            domain = domain.partition(".")[2]
        return None

    def _sleeps(self, domain: str) -> bool:
        return self.serves(domain) and domain not in self._router.services

    # -- waking ----------------------------------------------------------------------------------

    def wake(self, domain: str) -> Deferred[bool] | None:
        """Have the host of a domain made; gives whether that succeeded, None when it does not sleep."""
        self.show(domain)
        if not self._sleeps(domain):
            return None
        waiting: Deferred[bool] = Deferred()
        others = self._making.get(domain)
        if others is not None:
            others.append(waiting)
            return waiting
        self._making[domain] = [waiting]
        making = Deferred.fromCoroutine(self._made(domain))
        making.addErrback(partial(self._failed, domain))
        making.addCallback(partial(self._done, domain))
        return waiting

    async def _made(self, domain: str) -> bool:
        await self._make(domain)
        return domain in self._router.services

    def _failed(self, domain: str, failure: Failure) -> bool:
        log.failure("host-not-made", failure, host=domain)
        return False

    def _done(self, domain: str, made: bool) -> None:
        for waiting in self._making.pop(domain):
            waiting.callback(made)

    def is_full(self, domain: str) -> bool:
        """Tell whether too much waits for a host in the making."""
        return len(self._making.get(domain, ())) >= MAX_WAITING

    # -- going to sleep ----------------------------------------------------------------------------

    def hide(self, host: IHost) -> None:
        """Have the router find a host and its services no more, until somebody asks for one of them."""
        services = self._router.services
        found = {domain: service for domain, service in self._router.below(host.domain) if domain in services}
        own = {domain for domain in found if self._above(domain) == host.domain}
        hidden = {domain: services.pop(domain) for domain in (host.domain, *own) if domain in services}
        self._hidden[host.domain] = hidden

    def _above(self, domain: str) -> str:
        """Give the nearest added domain or host above a domain."""
        above = domain.partition(".")[2]
        while above and above not in self.known and not IHost.providedBy(self._router.services.get(above)):
            above = above.partition(".")[2]
        return above

    def is_hidden(self, domain: str) -> bool:
        """Tell whether a host is hidden."""
        return domain in self._hidden

    def show(self, domain: str) -> None:
        """Have a hidden host found again; nothing else."""
        self._router.services.update(self._hidden.pop(domain, {}))

    def show_all(self) -> None:
        """Have all hidden hosts found again."""
        for domain in list(self._hidden):
            self.show(domain)

    def forget_hidden(self, domain: str) -> None:
        """Have a hidden host made anew by whoever asks for it: it is being taken down."""
        del self._hidden[domain]

    # -- changes -----------------------------------------------------------------------------------

    async def put(self, domain: str, host_type: str, state: State) -> None:
        """Store a domain; it counts from then on. Raises StorageError."""
        value = {"host_type": host_type, "state": state}
        await self._storage.write(Batch().put(HOST, OWNER, KIND, domain, value))
        self.known[domain] = Added(host_type, state)
        if state == "enabled":
            self._router.claim(domain)

    async def drop(self, domain: str) -> None:
        """Take a domain out. Raises StorageError."""
        await self._storage.write(Batch().delete(HOST, OWNER, KIND, domain))
        self.known.pop(domain, None)

    def removed(self) -> Iterator[str]:
        """Give the domains whose data is to be deleted."""
        yield from [domain for domain, added in self.known.items() if added.state == "removed"]


@implementer(IService)
class _Sleeping:
    """Stands for all hosts that sleep, and for what may be below them."""

    domain = ""
    name = ""

    def __init__(self, domains: Domains, router: Router) -> None:
        self._domains = domains
        self._router = router

    def deliver(self, stanza: Stanza, to: JID) -> Deferred[Any] | None:
        """Wake the host, then have the stanza delivered."""
        domain = self._domains.sleeper(to.domain)
        if domain is None:
            return self._router.route(stanza)
        if stanza.name == "presence" and _means_nothing(stanza, to.domain == domain):
            return None
        if self._domains.is_full(domain):
            return self._router.bounce(stanza, TOO_MANY)
        waking = self._domains.wake(domain)
        if waking is None:
            return self._router.route(stanza)
        return waking.addCallback(partial(self._go_on, stanza, to))

    def _go_on(self, stanza: Stanza, to: JID, made: bool) -> Deferred[Any] | None:
        if not made:
            return self._router.bounce(stanza, NOT_MADE)
        sender = stanza.sender
        # What came from another server was let in for a domain that might have been here.
        if not self._router.serves(to.domain) and not (sender and self._router.serves(sender.domain)):
            return self._router.bounce(stanza, NOBODY)
        return self._router.route(stanza)


def _means_nothing(presence: Stanza, to_host: bool) -> bool:
    """Tell whether presence is about sessions, of which a host that sleeps has none.

    What is for a service below it may be somebody who enters a room.
    """
    return presence.type == "unavailable" or (to_host and presence.type is None)
