"""XEP-0115: Entity Capabilities, and XEP-0390: Entity Capabilities 2.0, of the clients that are online."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any

from pydantic import Field
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from zope.interface import implementer

from palaver.capabilities import claims, information
from palaver.capabilities.claims import Claim
from palaver.capabilities.hashes import Hashes
from palaver.capabilities.information import NS_ECAPS2, NS_INFO
from palaver.errors import StanzaError
from palaver.events import CapabilitiesKnown, PresenceReceived, SessionUnbound
from palaver.interfaces import ICapabilities, ISession
from palaver.markup import element
from palaver.modules import Module, Settings, every, on, phase
from palaver.routing.host import Host
from palaver.routing.pipeline import FROM_CLIENT
from palaver.stanza import Stanza, make

SWEEP_S = 3600
# A client answers at once or not at all; until then the others with the same hash wait.
ANSWER_S = 20.0
# The largest real answers are below 10 KiB.
MAX_ANSWER_BYTES = 64 * 1024
# Contacts on other servers whose features are remembered; whoever was heard of last stays.
MAX_REMOTE = 10_000
# Who announces one hash after the other and does not answer is asked no more for a while.
MAX_QUESTIONS_EACH = 4


class CapsSettings(Settings):
    """Options of mod_caps."""

    cache_size: int = Field(
        1000, ge=1, le=100_000, description="How many hashes are remembered, in memory and in the storage."
    )
    cache_life_time: int = Field(
        86400, ge=60, description="After so many seconds a client with a hash is asked again."
    )


class Capabilities(Module):
    """Knows what clients can do, from the hash in their presence.

    One client is asked for each hash that is not known yet; what it answers is believed of others only
    when it proves the hash. An answer that does not counts for this one client.
    """

    Settings = CapsSettings
    features = (NS_ECAPS2,)

    settings: CapsSettings

    def start(self) -> None:
        """Begin with nobody known."""
        host, settings = self.host, self.settings
        self._hashes = Hashes(
            host.domain, host.storage, host.clock, settings.cache_size, settings.cache_life_time
        )
        self._clients = Clients(host, self.name, self._hashes)
        # Contacts elsewhere that something is known of, or will be.
        self._remote: OrderedDict[str, None] = OrderedDict()
        self.undo(host.provide(self._clients, ICapabilities))

    def stream_feature(self, stream: Any) -> bytes | None:
        """Give the hash of what the server can do to whoever has logged in (XEP-0390)."""
        return self.host.disco.ecaps2() if stream.authenticated_as is not None else None

    @every(SWEEP_S)
    def sweep(self) -> Deferred[None]:
        """Forget hashes that are too old or too many."""
        return Deferred.fromCoroutine(self._hashes.sweep())

    # -- whose presence comes -----------------------------------------------------------

    @phase(FROM_CLIENT, "notice", "presence")
    def sent(self, presence: Stanza, session: ISession) -> None:
        """Note what a client of this host claims in its broadcast presence."""
        if len(presence.children) and "to" not in presence.attrs and "type" not in presence.attrs:
            claim = claims.read(presence)
            if claim is not None:
                # Who hears that it is available asks what it can do; later changes they are told of.
                self._clients.claimed(session.jid.full, claim, session.presence is not None)

    @on(PresenceReceived)
    def received(self, event: PresenceReceived) -> None:
        """Note what a contact elsewhere claims; whoever may not see the account is not asked."""
        sender = event.presence.sender
        if sender is None or not sender.resource or sender.domain == self.host.domain:
            return
        full = sender.full
        if event.presence.type is not None:
            self._remote.pop(full, None)
            self._clients.forget(full)
            return
        user = self.host.users.get(event.to.local)
        claim = claims.read(event.presence)
        if claim is None or user is None or not user.roster.is_seen_by(sender.bare):
            return
        self._remote[full] = None
        self._remote.move_to_end(full)
        if len(self._remote) > MAX_REMOTE:
            self._clients.forget(self._remote.popitem(last=False)[0])
        self._clients.claimed(full, claim, True)

    @on(SessionUnbound)
    def gone(self, event: SessionUnbound) -> None:
        """Forget a session."""
        self._clients.forget(event.session.jid.full)


@implementer(ICapabilities)
class Clients:
    """Who is known to do what; full JIDs are text."""

    def __init__(self, host: Host, module: str, hashes: Hashes) -> None:
        """Begin with nobody; ``module`` is named when something fails."""
        self._host = host
        self._module = module
        self._hashes = hashes
        self._known: dict[str, frozenset[str]] = {}
        # What was not known when it was claimed.
        self._claims: dict[str, Claim] = {}
        # By claim that somebody is asked about: those who wait for it.
        self._waiting: dict[Claim, dict[str, None]] = {}
        # How many answers are awaited from somebody.
        self._questions: Counter[str] = Counter()

    def features(self, full: str) -> frozenset[str] | None:
        """See ICapabilities."""
        return self._known.get(full)

    def forget(self, full: str) -> None:
        """Forget somebody who is gone."""
        self._known.pop(full, None)
        if full in self._claims:
            self._leave(full)

    def claimed(self, full: str, claim: Claim, tell: bool) -> None:
        """Take what somebody claims; with ``tell`` a change that is known at once is an event."""
        features = self._hashes.get(claim)
        if features is not None:
            if full in self._claims:
                self._leave(full)
            self._know(full, features, tell)
        elif self._claims.get(full) != claim:
            self._leave(full)
            if self._questions[full] >= MAX_QUESTIONS_EACH:
                return
            self._claims[full] = claim
            self._inquire(full, claim)

    def _leave(self, full: str) -> None:
        """Forget what somebody claimed, and that it waits for the answer."""
        claim = self._claims.pop(full, None)
        if claim in self._waiting:
            self._waiting[claim].pop(full, None)

    def _know(self, full: str, features: frozenset[str], tell: bool = True) -> None:
        if self._known.get(full) == features:
            return
        self._known[full] = features
        if tell:
            self._host.events.fire(CapabilitiesKnown(self._host, full, features))

    # -- asking -------------------------------------------------------------------------------

    def _inquire(self, full: str, claim: Claim) -> None:
        if not claim.algorithm:
            self._host.guard(self._module, self._ask, full, claim)
        elif claim in self._waiting:
            self._waiting[claim][full] = None
        else:
            self._waiting[claim] = {full: None}
            self._host.guard(self._module, self._learn, claim)

    async def _learn(self, claim: Claim) -> None:
        """Find out what a hash stands for: from the storage, or from those who bear it, one after another."""
        waiting = self._waiting[claim]
        try:
            features = await self._hashes.recall(claim)
            while features is None and waiting:
                full = next(iter(waiting))
                del waiting[full]
                features = await self._ask(full, claim)
        finally:
            del self._waiting[claim]
        if features is None:
            return
        stored = self._hashes.keep(claim, features) if self._hashes.get(claim) is None else None
        for full in waiting:
            self._claims.pop(full, None)
            self._know(full, features)
        if stored is not None:
            await stored

    async def _ask(self, full: str, claim: Claim) -> frozenset[str] | None:
        """Ask somebody; gives the features only when they prove the hash."""
        request = make("iq", {"type": "get", "to": full}, element("query", NS_INFO, node=claim.node))
        self._questions[full] += 1
        try:
            answer = await self._host.request(request, ANSWER_S)
        except StanzaError:
            return None
        except (CancelledError, TimeoutError):
            # Its connection may have been broken: its next presence is worth another question.
            if self._claims.get(full) == claim:
                del self._claims[full]
            return None
        finally:
            self._questions[full] -= 1
            if not self._questions[full]:
                del self._questions[full]
        query: Any = answer.child(NS_INFO, "query") if len(answer.inner) <= MAX_ANSWER_BYTES else None
        if query is None:
            return None
        found = information.read(query)
        features = frozenset(found.features)
        if self._claims.get(full) == claim:
            self._know(full, features)
        if claim.algorithm and information.proves(found, claim.protocol, claim.algorithm, claim.value):
            return features
        return None
