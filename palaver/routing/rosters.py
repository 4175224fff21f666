"""Rosters kept as documents (the default IRosters), and changed one after the other."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred, DeferredLock, succeed
from zope.interface import implementer

from palaver.errors import StanzaError
from palaver.events import RosterItemShown
from palaver.interfaces import IRosters, ISharedContacts
from palaver.routing.roster import Roster, RosterItem, query
from palaver.routing.sharing import NOTHING_SHARED, Sharing, own_item, share, shown
from palaver.stanza import make
from palaver.storage import Batch, Document, Json

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.routing.users import User

KIND_ITEM = "roster"
KIND_STATE = "roster-state"
ROSTER_KINDS = (KIND_ITEM, KIND_STATE)

# Far beyond what people have; each one costs a stanza at every login.
MAX_ITEMS = 5000
# Strangers may fill this, and no more: an account's own contacts always find room.
MAX_REQUESTS = 500
# Between a login's one query and its binding a roster may change; this many late changes are remembered.
MAX_REMEMBERED_VERSIONS = 4096
# Stands among the versions for an account that is gone: what was read of it before does not count.
FORGOTTEN = -1
# An account that is made again must not meet the versions that clients remember of the one before.
FIRST_VERSION_BITS = 32
# Addresses and groups that occur in many rosters are in memory once; this many of them.
MAX_SHARED_TEXTS = 16384

T = TypeVar("T")


@implementer(IRosters, ISharedContacts)
class StoredRosters:
    """The rosters of one host as documents: one a contact, and one with the version."""

    def __init__(self, domain: str, storage: Any, max_items: int = MAX_ITEMS) -> None:
        self.max_items = max_items
        self._domain = domain
        self._storage = storage
        # Whoever works with a roster works with the same one.
        self._rosters: WeakValueDictionary[str, Roster] = WeakValueDictionary()
        self._versions: dict[str, int] = {}
        self.sharing: Sharing = NOTHING_SHARED

    def load(self, local: str, documents: Sequence[Document] | None = None) -> Deferred[Roster]:
        """Give an account's roster; ``documents`` is what the login read, of `ROSTER_KINDS` at least.

        A roster that is in use already is given as it is. Fails with StorageError.
        """
        roster = self._rosters.get(local)
        if roster is not None:
            return succeed(roster)
        if documents is not None:
            roster = from_documents(documents)
            if roster.version >= self._versions.get(local, 0):
                self._rosters[local] = self._shared(local, roster)
                return succeed(roster)
        return Deferred.fromCoroutine(self._read(local))

    async def _read(self, local: str) -> Roster:
        while True:
            known = self._versions.get(local)
            roster = from_documents(await self._storage.documents.list(self._domain, local, ROSTER_KINDS))
            if self._versions.get(local) == known:
                # Somebody else may have read it at the same time, and changed it since.
                return self._rosters.setdefault(local, self._shared(local, roster))

    def _shared(self, local: str, roster: Roster) -> Roster:
        shares = self.sharing.of(local)
        if shares:
            share(roster, shares)
        return roster

    def in_use(self) -> list[str]:
        """See ISharedContacts."""
        return list(self._rosters)

    def save(
        self, local: str, roster: Roster, changed: Iterable[RosterItem], removed: Iterable[str] = ()
    ) -> Deferred[int]:
        """Commit changed items, removed contacts and the new version together; gives the version.

        The roster itself is left as it is. Fails with StorageError, and nothing is stored then.
        """
        version = (roster.version - roster.stamp or secrets.randbits(FIRST_VERSION_BITS)) + 1
        batch = Batch()
        for item in [own_item(roster, item) for item in changed]:
            if item.kept:
                batch.put(self._domain, local, KIND_ITEM, item.jid, _to_json(item))
            else:
                batch.delete(self._domain, local, KIND_ITEM, item.jid)
        for jid in removed:
            batch.delete(self._domain, local, KIND_ITEM, jid)
        batch.put(self._domain, local, KIND_STATE, "", {"version": version})
        waiting: Deferred[Any] = self._storage.write(batch)
        return waiting.addCallback(lambda _: self._saved(local, version) + roster.stamp)

    def forget(self, local: str) -> None:
        """See IRosters."""
        roster = self._rosters.pop(local, None)
        if roster is not None:
            roster.end()
        self._remember(local, FORGOTTEN)

    def _saved(self, local: str, version: int) -> int:
        self._remember(local, version)
        return version

    def _remember(self, local: str, version: int) -> None:
        self._versions.pop(local, None)
        self._versions[local] = version
        if len(self._versions) > MAX_REMEMBERED_VERSIONS:
            del self._versions[next(iter(self._versions))]


def from_documents(documents: Iterable[Document]) -> Roster:
    """Give the roster that documents hold; those of other kinds are passed over."""
    items = []
    version = 0
    for document in documents:
        if document.kind == KIND_ITEM:
            items.append(_from_json(document.key, document.value))
        elif document.kind == KIND_STATE:
            version = document.value["version"]
    return Roster(items, version)


@lru_cache(MAX_SHARED_TEXTS)
def _shared(text: str) -> str:
    """Give the one copy of a text; sys.intern would keep it for ever in some versions of Python."""
    return text


def _to_json(item: RosterItem) -> Json:
    """Give what differs from a plain listed contact."""
    value = {key: held for key, held in item._asdict().items() if held != RosterItem._field_defaults.get(key)}
    del value["jid"]
    if item.request is not None:
        value["request"] = item.request.decode()
    return value


def _from_json(jid: str, value: Json) -> RosterItem:
    held = value.get
    request = held("request")
    return RosterItem(
        _shared(jid),
        held("name", ""),
        tuple([_shared(group) for group in held("groups", ())]),
        _shared(held("subscription", "none")),
        held("ask", False),
        held("approved", False),
        held("listed", True),
        request.encode() if request is not None else None,
    )


# -- changes -----------------------------------------------------------------------------


async def changing(host: Host, local: str, work: Callable[[Roster], Awaitable[T]]) -> T:
    """Run ``work`` with an account's roster while nobody else changes it; gives what it gives.

    An account that nobody is online with has its roster read, and let go afterwards.
    ``work`` must not wait for anything that may need the same roster.
    Raises StorageError, and StanzaError when the account goes meanwhile.
    """
    roster = await roster_of(host, local)
    if roster.lock is None:
        roster.lock = DeferredLock()
    lock = roster.lock
    await lock.acquire()
    try:
        if roster.gone:
            raise StanzaError("service-unavailable", "The account is gone")
        return await work(roster)
    finally:
        lock.release()
        if not lock.locked and roster.lock is lock:
            roster.lock = None


async def store(host: Host, local: str, roster: Roster, item: RosterItem) -> None:
    """Commit one item, or that it is gone when nothing of it is kept; then the roster shows it.

    Raises StorageError, and StanzaError ``policy-violation`` when the roster is full.
    """
    here = rosters(host)
    if item.kept and (item.jid not in roster.items or roster.items[item.jid].listed != item.listed):
        _check_room(roster, item, here.max_items if item.listed else MAX_REQUESTS)
    changed, gone = ([item], []) if item.kept else ([], [item.jid])
    version = await here.save(local, roster, changed, gone)
    if item.jid in roster.shares:
        own = own_item(roster, item)
        roster.below = {**roster.below, item.jid: own}
        changed, gone = [shown(roster, own)], []
    roster.apply(changed, gone, version)


def _check_room(roster: Roster, item: RosterItem, limit: int) -> None:
    """Refuse one item too many: contacts and strangers' requests are counted apart, shared ones never."""
    shares = roster.shares
    if sum(o.listed == item.listed and o.jid not in shares for o in roster.items.values()) >= limit:
        what = "contacts" if item.listed else "requests"
        raise StanzaError("policy-violation", f"A roster has at most {limit} {what}")


def rosters(host: Host) -> Any:
    """Give the IRosters of a host."""
    return host.query(IRosters)


async def roster_of(host: Host, local: str) -> Roster:
    """Give an account's roster, read when nobody is online with it; an empty one when there is no account.

    Raises StorageError.
    """
    user = host.users.get(local)
    roster: Roster = user.roster if user is not None else await rosters(host).load(local)
    return roster


def push(host: Host, local: str, roster: Roster, item: RosterItem) -> None:
    """Send an item to every session that has asked for the roster (RFC 6121 section 2.1.6)."""
    push_all(host, local, roster, [item], roster.version)


def push_all(host: Host, local: str, roster: Roster, items: Sequence[RosterItem], before: int) -> None:
    """Send what one change has made of several items; ``before`` is the version that clients have.

    The new version comes with the last one: a client whose connection ends before asks for all of it.
    """
    user = host.users.get(local)
    for number, item in enumerate(items, 1):
        if user is not None:
            version = roster.version if number == len(items) else before
            push_payload(user, query(version, item.encode()), f"push-{roster.version}-{number}")
        host.events.fire(RosterItemShown(local, item))


def push_payload(user: User, payload: bytes, id: str) -> None:
    """Send a serialised ``<query/>`` to every session of an account's that has asked for the roster."""
    for session in list(user.sessions.values()):
        if session.roster_interested:
            session.send(make("iq", {"type": "set", "id": id, "to": session.jid.full}, payload))
