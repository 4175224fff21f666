"""Notifications (XEP-0060 section 12.1): written once, addressed to everybody who gets them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater

from palaver.markup import attribute, element, escape
from palaver.pubsub import access, graph
from palaver.pubsub.bodies import body_of
from palaver.pubsub.conditions import NS_EVENT
from palaver.pubsub.node import Node, Subscription, depth
from palaver.pubsub.store import Item
from palaver.stanza import NS_CLIENT, Child, Stanza, start_attributes
from palaver.times import stamp
from palaver.waiting import settled

if TYPE_CHECKING:
    from palaver.pubsub.space import Space
    from palaver.routing.sessions import Session

NS_SHIM = "http://jabber.org/protocol/shim"
# Which headers there are in notifications (XEP-0131).
HEADERS = ("Collection", "SubID")
NS_DELAY = "urn:xmpp:delay"

# More notifications than this fill a turn of the reactor.
MAX_PER_TURN = 200
_ALL_SHOWS = 5

Headers = tuple[tuple[str, str], ...]
"""Names and values of SHIM headers (XEP-0131)."""


class Manner(NamedTuple):
    """How somebody is told: with headers, and with a body beside the payload.

    ``digest_ms`` is how long items wait for others, so that all come in one message; 0 for not at all.
    """

    headers: Headers = ()
    body: bool = False
    digest_ms: int = 0


PLAIN = Manner()

Recipients = dict[str, Manner]
"""By full or bare JID, which is prepared."""


class Audience(NamedTuple):
    """Who is told: addresses, and sessions of this host that are not among them."""

    addresses: Recipients
    sessions: Sequence[Session] = ()


# -- what is said -----------------------------------------------------------------------


def encode_item(item: Item, node: Node, *, payload: bool = True) -> bytes:
    """Give the ``<item/>`` as it is in notifications and in answers."""
    publisher = None
    if item.publisher and node.config["itemreply"] == "publisher":
        publisher = item.publisher
    return element("item", None, item.payload if payload else b"", id=item.id, publisher=publisher)


def items(name: str, inner: bytes) -> bytes:
    """Give an event about items of a node; ``inner`` are ``<item/>`` or ``<retract/>``."""
    return element("items", None, inner, node=name)


class Notice:
    """One notification for any number of recipients: what they all get is in memory once."""

    def __init__(
        self, space: Space, node: Node, event: bytes, delayed: float | None = None, payload: bytes = b""
    ) -> None:
        """``event`` is what is inside of ``<event/>``; ``delayed`` the Unix time when it was news.

        ``payload`` is what a body is made of for those who want one.
        """
        self._attrs = {"from": space.address.full, "type": str(node.config["notification_type"])}
        if self._attrs["type"] == "normal":
            del self._attrs["type"]
        self._space = space
        self._inner = element("event", NS_EVENT, event)
        self._children: tuple[Child, ...] = ((NS_EVENT, "event"),)
        if delayed is not None:
            self._inner += element("delay", NS_DELAY, from_=space.address.full, stamp=stamp(delayed))
            self._children += ((NS_DELAY, "delay"),)
        self._payload = payload
        # Most recipients are told in one manner.
        self._made: dict[Manner, tuple[tuple[Child, ...], bytes]] = {PLAIN: (self._children, self._inner)}
        # Unique with the address that it goes to (section 12.3).
        self._attrs["id"] = secrets.token_urlsafe(9)
        # The bytes before and behind the recipient's address.
        self._head = f"<message{start_attributes(self._attrs)} to='".encode()
        self._tail = b"'>%b</message>" % self._inner

    def to(self, recipient: str, manner: Manner = PLAIN) -> Stanza:
        """Give the message for one recipient."""
        made = self._made.get(manner)
        if made is None:
            made = self._made[manner] = self._make(manner)
        return Stanza("message", {**self._attrs, "to": recipient}, *made, NS_CLIENT)

    def _make(self, manner: Manner) -> tuple[tuple[Child, ...], bytes]:
        children, inner = self._children, self._inner
        text = body_of(self._payload) if manner.body else ""
        if text:
            children, inner = ((NS_CLIENT, "body"), *children), element("body", None, escape(text)) + inner
        if manner.headers:
            lines = [element("header", None, escape(value), name_=name) for name, value in manner.headers]
            shim = element("headers", NS_SHIM, b"".join(lines))
            children, inner = (*children, (NS_SHIM, "headers")), inner + shim
        return children, inner

    def _send_here(self, full: str) -> bool:
        """Send it to a session of this host whose messages no module looks at; tells whether one took it."""
        local, _, rest = full.partition("@")
        domain, _, resource = rest.partition("/")
        host = self._space.host
        if domain != host.domain or not resource:
            return False
        user = host.users.get(local)
        if user is None or "message" in user.pipeline.to_user:
            return False
        session = user.sessions.get(resource)
        if session is None:
            return False
        return session.send(self.to(full), b"%b%b%b" % (self._head, attribute(full).encode(), self._tail))

    def _send_to_sessions(self, sessions: Sequence[Session]) -> list[str]:
        """Send it to sessions of this host; gives the addresses of those whose messages a module looks at."""
        pipeline, head, tail = self._space.host.pipeline, self._head, self._tail
        if "message" in pipeline.to_user or "message" in pipeline.to_session:
            return [session.jid.full for session in sessions]
        others = []
        for session in sessions:
            stream = session.stream
            if stream is None or session.user.pipeline is not pipeline:
                others.append(session.jid.full)
            else:
                stream.write(b"%b%b%b" % (head, attribute(session.jid.full).encode(), tail))
        return others

    async def send(self, audience: Audience) -> list[Deferred[Any]]:
        """Send it to everybody; gives what is still being stored.

        Lets others have a turn when there are many.
        """
        waiting: list[Deferred[Any]] = []
        clock: Any = self._space.host.clock
        recipients, sessions = audience.addresses, audience.sessions
        for first in range(0, len(sessions), MAX_PER_TURN):
            if first:
                await deferLater(clock, 0)
            others = self._send_to_sessions(sessions[first : first + MAX_PER_TURN])
            if others:
                recipients = {**recipients, **dict.fromkeys(others, PLAIN)}
        for number, (recipient, manner) in enumerate(recipients.items(), 1):
            if manner is not PLAIN or not self._send_here(recipient):
                answer = self._space.send(self.to(recipient, manner))
                if answer is not None:
                    waiting.append(answer)
            if number % MAX_PER_TURN == 0:
                await deferLater(clock, 0)
        return waiting


async def done(waiting: list[Deferred[Any]]) -> None:
    """Wait until what was sent is stored where that is needed."""
    if waiting:
        await DeferredList(waiting, consumeErrors=True)


# -- who is told ------------------------------------------------------------------------


NOBODY = Audience({})


async def about_items(space: Space, node: Node) -> Audience:
    """Give who is told of what happens to a node's items. Raises StorageError."""
    if not node.config["deliver_notifications"]:
        return NOBODY
    found = await _subscribed(space, node, node, 0, "items")
    if space.has_collections and node.parents:
        await _add_above(space, node, "items", found)
    return await _with_implicit(space, node, found)


async def about_node(space: Space, node: Node, *, with_pending: bool = False) -> Audience:
    """Give who is told of what happens to a node itself. Raises StorageError."""
    found = await _subscribed(space, node, node, 0, "items")
    if with_pending:
        for held in node.subscriptions.values():
            found.setdefault(held.jid, PLAIN)
    if space.has_collections and node.parents:
        await _add_above(space, node, "nodes", found)
    return await _with_implicit(space, node, found)


async def _with_implicit(space: Space, node: Node, found: Recipients) -> Audience:
    """Add those who have not subscribed and are told all the same; leave out those who are shut out."""
    sessions, elsewhere = await space.implicit(node)
    if found:
        # One notification for each resource, however many reasons there are.
        sessions = [
            session for session in sessions if session.jid.full not in found and session.jid.bare not in found
        ]
        elsewhere = [full for full in elsewhere if full.partition("/")[0] not in found]
    for full in elsewhere:
        found.setdefault(full, PLAIN)
    # Known at once for nearly every account; asking for each recipient would cost more than sending.
    if space.hides_nobody():
        return Audience(found, sessions)
    return Audience(
        {to: headers for to, headers in found.items() if not await _is_hidden(space, to.partition("/")[0])},
        [session for session in sessions if not await _is_hidden(space, session.jid.bare)],
    )


async def _is_hidden(space: Space, bare: str) -> bool:
    return bool(await settled(space.hides_from(bare)))


async def above(space: Space, node: Node) -> Audience:
    """Give who is told of a new node in a collection. Raises StorageError."""
    found: Recipients = {}
    await _add_above(space, node, "nodes", found)
    return Audience(found)


async def _add_above(space: Space, node: Node, about: str, found: Recipients) -> None:
    """Add those who are subscribed to a collection that holds the node (XEP-0248 section 6.1)."""
    level, seen, names = 1, {node.name}, node.parents
    while names and level <= graph.MAX_LEVELS:
        next_names: list[str] = []
        for name in names:
            collection = await space.find(name) if name not in seen else None
            seen.add(name)
            if collection is None or not collection.is_collection:
                continue
            told = await _subscribed(space, collection, node, level, about)
            for recipient in told:
                if recipient not in found:
                    manner = told[recipient]
                    found[recipient] = manner._replace(headers=(("Collection", name), *manner.headers))
            next_names += collection.parents
        names, level = next_names, level + 1


async def _subscribed(space: Space, held_by: Node, node: Node, level: int, about: str) -> Recipients:
    """Give the subscribers of ``held_by`` who may hear of ``node``, which is ``level`` levels below it."""
    if not held_by.subscriptions:
        return {}
    now = time.time()
    wanted = [
        held
        for held in held_by.subscriptions.values()
        if held.state == "subscribed"
        and held.option("deliver")
        and (held.ends() or now + 1) > now
        and (not level or _reaches(held, level, about))
        and _present(space, node, held)
    ]
    told: Recipients = {}
    allowed = set(await _allowed(space, node, [held.jid for held in wanted], level))
    for held in wanted:
        if held.jid in allowed:
            known = held_by.subscriptions_of(held.bare)
            several = len(known) > 1 and sum(one.jid == held.jid for one in known) > 1
            told[held.jid] = manner_of(held, told.get(held.jid, PLAIN), several)
    return told


def manner_of(held: Subscription, before: Manner = PLAIN, several: bool = False) -> Manner:
    """Give how a subscriber is told; ``before`` is what other subscriptions of the address want.

    Which ones they are is said when the address has ``several`` (XEP-0060 section 7.1.2).
    """
    body = before.body or bool(held.option("include_body"))
    digest_ms = held.digest_ms()
    if before is not PLAIN:
        # Whoever wants one of them at once gets all of them at once.
        digest_ms = min(digest_ms, before.digest_ms)
    if not several and not body and not digest_ms:
        return PLAIN
    return Manner((*before.headers, ("SubID", held.subid)) if several else (), body, digest_ms)


def _reaches(held: Subscription, level: int, about: str) -> bool:
    """Tell whether a subscription to a collection is for what is that deep below it."""
    levels = depth(held)
    return held.option("subscription_type") in (about, "all") and (levels is None or level <= levels)


async def _allowed(space: Space, node: Node, jids: Iterable[str], level: int) -> list[str]:
    """Leave out who may not see the node any more (access is checked again at each delivery)."""
    model = node.config["access_model"]
    if level and model in ("whitelist", "authorize"):
        # They have subscribed to a collection that it is in, where nobody has let them in here.
        return [jid for jid in jids if _is_let_in(space, node, jid.partition("/")[0])]
    if model not in ("presence", "roster"):
        return [jid for jid in jids if node.affiliation(jid.partition("/")[0]) != "outcast"]
    held = await access.owners_rosters(space, node)
    found = []
    for jid in jids:
        bare = jid.partition("/")[0]
        known = node.affiliation(bare)
        trusted = known in access.WHITELISTED or space.is_owner(node, bare)
        if trusted or (known != "outcast" and access.relation_refused(node, bare, held) is None):
            found.append(jid)
    return found


def _is_let_in(space: Space, node: Node, bare: str) -> bool:
    if space.is_owner(node, bare) or node.affiliation(bare) in access.WHITELISTED:
        return True
    approved = node.config["access_model"] == "authorize" and node.is_subscribed(bare)
    return approved and node.affiliation(bare) not in ("outcast", "publish-only")


def _present(space: Space, node: Node, held: Subscription) -> bool:
    """Tell whether a subscriber is in a state to be notified; somebody elsewhere counts as present."""
    shows = held.option("show-values")
    wanted = set(shows) if isinstance(shows, list) else set()
    everything = len(wanted) == _ALL_SHOWS
    if everything and not node.config["presence_based_delivery"]:
        return True
    present = space.sessions(held.jid)
    return present is None or any(everything or _show(session.presence) in wanted for session in present)


def _show(presence: Stanza | None) -> str:
    show = presence.child(NS_CLIENT, "show") if presence is not None else None
    return str(show).strip() if show is not None else "online"
