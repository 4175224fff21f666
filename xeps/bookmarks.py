"""XEP-0402: PEP Native Bookmarks, with 0411 and the older forms of 0048 in private XML and in one item."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Iterable
from functools import partial
from typing import Any

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.words.xish import domish
from zope.interface import implementer

from palaver import jid
from palaver.errors import StanzaError
from palaver.events import AccountDeleted, CapabilitiesKnown, ItemPublished, ItemRetracted
from palaver.interfaces import IPersonalEventing, IPrivateElement
from palaver.jid import InvalidJID
from palaver.markup import element, escape
from palaver.modules import Module, Settings, on
from palaver.pubsub.turns import Turns
from palaver.storage import Batch
from palaver.tree import parse_element, serialize

NS_BOOKMARKS = "urn:xmpp:bookmarks:1"
NS_STORAGE = "storage:bookmarks"
NS_CONVERSION = "urn:xmpp:bookmarks-conversion:0"
# How mod_private names what it keeps.
PRIVATE_KIND = "private"
PRIVATE_KEY = f"{{{NS_STORAGE}}}storage"
# What is no room, such as addresses of web pages, stays with the account as it came.
REST_KIND = "bookmarks-rest"
# XEP-0048 section 3: one item holds all bookmarks.
LEGACY_ITEM = "current"

# XEP-0402 section 3.2: bookmarks are nobody else's business.
OPTIONS = {
    "access_model": "whitelist",
    "persist_items": "true",
    "max_items": "max",
    "send_last_published_item": "never",
}
LEGACY_OPTIONS = {"access_model": OPTIONS["access_model"], "persist_items": "true"}
# Accounts that have been looked at for bookmarks of the oldest kind.
MAX_LOOKED_AT = 10_000

Rooms = dict[str, bytes]
"""The native form of each bookmark, by the room's address."""


class BookmarksSettings(Settings):
    """Options of mod_bookmarks."""

    max_bookmarks: int = Field(
        200, ge=1, le=10_000, description="Bookmarks that a client may store at once in the older forms."
    )


@implementer(IPrivateElement)
class Bookmarks(Module):
    """Gives every client the same bookmarks: in items of their own, in one item, and in private XML.

    The items of their own are what counts. Nodes that others may see are left alone.
    """

    Settings = BookmarksSettings
    account_features = (f"{NS_BOOKMARKS}#compat", f"{NS_BOOKMARKS}#compat-pep", NS_CONVERSION)

    settings: BookmarksSettings

    def start(self) -> None:
        """Take the place of what private XML keeps."""
        self._turns = Turns()
        self._under_way: set[str] = set()
        self._looked_at: OrderedDict[str, None] = OrderedDict()
        registry = self.host.registry
        registry.registerUtility(self, IPrivateElement, PRIVATE_KEY)
        self.undo(lambda: registry.unregisterUtility(self, IPrivateElement, PRIVATE_KEY))

    @property
    def _eventing(self) -> Any:
        return self.host.query(IPersonalEventing)

    # -- IPrivateElement ------------------------------------------------------------------

    def get(self, local: str) -> Awaitable[bytes | None]:
        """See IPrivateElement."""
        return self._get(local)

    async def _get(self, local: str) -> bytes | None:
        if not await self._is_ours(local, there=True):
            return None
        rest = await self.host.storage.documents.get(self.host.domain, local, REST_KIND)
        return _storage(await self._rooms(local), rest.value["xml"].encode() if rest is not None else b"")

    def put(self, local: str, node: domish.Element) -> Awaitable[bool]:
        """See IPrivateElement."""
        return self._put(local, node)

    async def _put(self, local: str, node: domish.Element) -> bool:
        if not await self._is_ours(local, there=False):
            return False
        await self._turns.take(local, partial(self._take_over, local, node, private=True))
        return True

    async def _is_ours(self, local: str, there: bool) -> bool:
        """Tell whether the node for bookmarks can be used; ``there``: and is there at all.

        It is the account's alone, and has room for all of them.
        """
        if self._eventing is None:
            return False
        found = await self._eventing.configuration(local, NS_BOOKMARKS)
        if found is None:
            return not there
        room = found["max_items"]
        has_room = found["persist_items"] and (room == "max" or room >= self.settings.max_bookmarks)
        return bool(has_room and found["access_model"] == OPTIONS["access_model"])

    # -- what clients publish -----------------------------------------------------------------

    @on(ItemPublished)
    def published(self, event: ItemPublished) -> Deferred[None] | None:
        """Follow what a client has published in one form in the other."""
        if event.publisher is None or event.node not in (NS_BOOKMARKS, NS_STORAGE) or not event.payload:
            return None
        if event.node == NS_BOOKMARKS:
            return self._collate(event.owner)
        node = parse_element(event.payload)
        if (node.uri, node.name) != (NS_STORAGE, "storage"):
            return None
        return Deferred.fromCoroutine(self._follow(event.owner, node))

    @on(ItemRetracted)
    def retracted(self, event: ItemRetracted) -> Deferred[None] | None:
        """Take a bookmark out of the older form too."""
        if event.node != NS_BOOKMARKS or event.owner in self._under_way:
            return None
        return self._collate(event.owner)

    async def _follow(self, local: str, node: domish.Element) -> None:
        """Take over what a client has published as one item."""
        if await self._is_ours(local, there=False):
            await self._turns.take(local, partial(self._take_over, local, node, private=False))

    def _collate(self, local: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._turns.take(local, partial(self._publish_legacy, local)))

    async def _publish_legacy(self, local: str) -> None:
        """Publish all bookmarks as one item; not where others would see it."""
        rest = await self.host.storage.documents.get(self.host.domain, local, REST_KIND)
        kept = rest.value["xml"].encode() if rest is not None else b""
        payload = _storage(await self._rooms(local), kept)
        try:
            await self._eventing.publish(local, NS_STORAGE, LEGACY_ITEM, payload, LEGACY_OPTIONS)
        except StanzaError:
            return

    # -- what comes in an older form ---------------------------------------------------------------

    async def _take_over(self, local: str, node: domish.Element, private: bool) -> None:
        """Make the items what one element says; ``private`` says that it came as private XML.

        Raises StanzaError ``policy-violation`` for too many, StorageError.
        """
        held = await self._rooms(local)
        wanted, rest = _sort(node, held)
        if len(wanted) > self.settings.max_bookmarks:
            raise StanzaError("policy-violation", f"At most {self.settings.max_bookmarks} bookmarks")
        # A node that is there may differ in what does not matter.
        there = await self._eventing.configuration(local, NS_BOOKMARKS) is not None
        options = {"access_model": OPTIONS["access_model"]} if there else OPTIONS
        self._under_way.add(local)
        try:
            batch = Batch().delete(self.host.domain, local, PRIVATE_KIND, PRIVATE_KEY)
            if rest:
                batch.put(self.host.domain, local, REST_KIND, "", {"xml": rest.decode()})
            else:
                batch.delete(self.host.domain, local, REST_KIND, "")
            for room, payload in wanted.items():
                if held.get(room) != payload:
                    await self._eventing.publish(local, NS_BOOKMARKS, room, payload, options)
            for room in held:
                if room not in wanted:
                    await self._eventing.retract(local, NS_BOOKMARKS, room)
            # Only when all of it is there, so that nothing is lost in between.
            await self.host.storage.write(batch)
        finally:
            self._under_way.discard(local)
        if private:
            await self._publish_legacy(local)

    async def _rooms(self, local: str) -> Rooms:
        found = await self._eventing.items(local, NS_BOOKMARKS)
        return {item.id: _tidy(item.payload) for item in found if item.payload}

    # -- from before --------------------------------------------------------------------------------

    @on(CapabilitiesKnown)
    def came(self, event: CapabilitiesKnown) -> None:
        """Look for bookmarks that were stored before this module was there, for a client that wants them."""
        local, _, rest = event.full_jid.partition("@")
        if rest.partition("/")[0] != self.host.domain or local in self._looked_at:
            return
        if f"{NS_BOOKMARKS}+notify" in event.features or f"{NS_STORAGE}+notify" in event.features:
            self._looked_at[local] = None
            if len(self._looked_at) > MAX_LOOKED_AT:
                self._looked_at.popitem(last=False)
            self.host.guard(self.name, partial(self._migrate, local))

    async def _migrate(self, local: str) -> None:
        """Publish what private XML holds, where there is no node yet."""
        if self._eventing is None or await self._eventing.configuration(local, NS_BOOKMARKS) is not None:
            return
        found = await self.host.storage.documents.get(self.host.domain, local, PRIVATE_KIND, PRIVATE_KEY)
        if found is not None:
            await self._put(local, parse_element(found.value["xml"].encode()))

    @on(AccountDeleted)
    def deleted(self, event: AccountDeleted) -> None:
        """Look again when somebody has the name again."""
        self._looked_at.pop(event.jid.local, None)


# -- forms --------------------------------------------------------------------------------------


def _sort(node: domish.Element, held: Rooms) -> tuple[Rooms, bytes]:
    """Give the rooms in a ``<storage/>`` in the native form, and what is no room, serialised."""
    wanted: Rooms = {}
    rest = []
    for child in node.elements():
        room = _room(child) if (child.uri, child.name) == (NS_STORAGE, "conference") else None
        if room is None:
            rest.append(child)
        else:
            wanted[room] = _native(child, NS_STORAGE, _extensions(held.get(room)))
    return wanted, serialize(rest, NS_STORAGE)


def _room(conference: domish.Element) -> str | None:
    try:
        return jid.parse(conference.getAttribute("jid", "")).bare
    except InvalidJID:
        return None


def _extensions(payload: bytes | None) -> bytes:
    """Give what clients have added to a bookmark (XEP-0402 section 3.3), which older ones do not know."""
    if payload is None:
        return b""
    found = parse_element(payload).elements(NS_BOOKMARKS, "extensions")
    return b"".join(serialize([child], NS_BOOKMARKS) for child in found)


def _native(conference: domish.Element, ns: str, extensions: bytes) -> bytes:
    """Give a bookmark as the payload of an item of its own."""
    return element("conference", NS_BOOKMARKS, _parts(conference, ns) + extensions, **_attributes(conference))


def _tidy(payload: bytes) -> bytes:
    """Give a payload as `_native` writes it, so that equal ones are equal."""
    return _native(parse_element(payload), NS_BOOKMARKS, _extensions(payload))


def _attributes(conference: domish.Element) -> dict[str, str | None]:
    joins = conference.getAttribute("autojoin") in ("1", "true")
    return {"name_": conference.getAttribute("name"), "autojoin": "true" if joins else None}


def _parts(conference: domish.Element, ns: str) -> bytes:
    found: Iterable[domish.Element] = (
        child for name in ("nick", "password") for child in conference.elements(ns, name)
    )
    return b"".join([element(child.name, None, escape(str(child))) for child in found])


def _storage(rooms: Rooms, rest: bytes) -> bytes:
    """Give all bookmarks as one ``<storage/>``."""
    parts = []
    for room, payload in rooms.items():
        node = parse_element(payload)
        parts.append(element("conference", None, _parts(node, NS_BOOKMARKS), jid=room, **_attributes(node)))
    return element("storage", NS_STORAGE, b"".join(parts) + rest)
