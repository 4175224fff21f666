"""XEP-0398: avatars of XEP-0084 and XEP-0153 follow each other; XEP-0292: vCard4 follows the vCard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.words.xish import domish

from palaver.auth.accounts import NotSupported
from palaver.errors import StanzaError
from palaver.events import (
    AccountDeleted,
    ItemPublished,
    ItemRetracted,
    SessionBound,
    SessionUnbound,
    VCardChanged,
)
from palaver.interfaces import IPersonalEventing, ISession
from palaver.log import Log
from palaver.markup import element, escape
from palaver.modules import Module, Settings, on, phase
from palaver.pubsub.turns import Turns
from palaver.routing.pipeline import FROM_CLIENT
from palaver.stanza import Stanza, text_element
from palaver.storage import Batch
from palaver.tree import parse_element, serialize
from palaver.vcards import avatars
from palaver.vcards.avatars import NS_DATA, NS_METADATA
from palaver.vcards.photo import NS_VCARD, Photo, read_photo, replace_photo
from palaver.vcards.stored import vcards
from palaver.vcards.vcard4 import NS_VCARD4, follow_vcard4, to_vcard4

log = Log("mod_pep_vcard_avatar")

NS_CONVERSION = "urn:xmpp:pep-vcard-conversion:0"
NS_UPDATE = "vcard-temp:x:update"
NS_NICK = "http://jabber.org/protocol/nick"
NS_DELAY = "urn:xmpp:delay"
# XEP-0292 section 3.1.
VCARD4_NODE = "urn:xmpp:vcard4"
CURRENT = "current"
# The hash, apart from the vCard: it is read with every login.
KIND = "avatar"
OPEN = {"access_model": ["open"]}


class AvatarSettings(Settings):
    """Options of mod_pep_vcard_avatar."""

    only_open: bool = Field(
        True,
        description="Put into the vCard, which everybody may read, only what is published for everybody "
        "(access model open).",
    )


class PepVCardAvatar(Module):
    """Clients with the old kind of avatars and clients with the new kind see the same, in presence too.

    What a client stores in the vCard is published as avatar, nickname and vCard4; what it publishes there is
    stored in the vCard. Accounts that never had an avatar have their presence left as it is.
    """

    Settings = AvatarSettings
    account_features = (NS_CONVERSION,)

    settings: AvatarSettings

    def start(self) -> None:
        """Have the hashes read with the accounts."""
        # By localpart of whoever is online: the hash; "" for those who have taken their avatar away.
        self._hashes: dict[str, str] = {}
        self._turns = Turns()
        self.undo(self.host.add_login_kind(KIND))

    # -- presence (XEP-0398 section 4) ------------------------------------------------------

    @on(SessionBound)
    def bound(self, event: SessionBound) -> Deferred[None] | None:
        """Note the hash of whoever logs in."""
        local = event.session.user.local
        if event.documents is None:
            return Deferred.fromCoroutine(self._read(local))
        for document in event.documents:
            # They come in the order of their kinds, and a roster may be long.
            if document.kind >= KIND:
                if document.kind == KIND:
                    self._hashes.setdefault(local, document.value["hash"])
                break
        return None

    async def _read(self, local: str) -> None:
        document = await self.host.storage.documents.get(self.host.domain, local, KIND)
        if document is not None:
            self._hashes.setdefault(local, document.value["hash"])

    @on(SessionUnbound)
    def unbound(self, event: SessionUnbound) -> None:
        """Forget whoever is not online any more."""
        user = event.session.user
        if not user.sessions:
            self._hashes.pop(user.local, None)

    @on(AccountDeleted)
    def deleted(self, event: AccountDeleted) -> None:
        """Forget an account."""
        self._hashes.pop(event.jid.local, None)

    @phase(FROM_CLIENT, "change", "presence")
    def sign(self, presence: Stanza, session: ISession) -> Stanza | None:
        """Put the hash into available presence, directed too, unless the client says that it is not ready."""
        current = self._hashes.get(session.user.local)
        has_update = (NS_UPDATE, "x") in presence.children
        if (current is None and not has_update) or "type" in presence.attrs:
            return None
        if has_update:
            told = _told(presence)
            if told is not None and (current is None or told in ("", current)):
                return None
            presence = presence.without_child(NS_UPDATE, "x")
        photo = element("photo", None, escape(current or ""))
        return presence.with_child(element("x", NS_UPDATE, photo), NS_UPDATE, "x")

    async def _changed(self, local: str, photo: Photo | None) -> None:
        """Store a new hash, and have it seen in the presence of every session."""
        hash = photo.hash if photo is not None else ""
        before = await self._hash(local)
        if hash == before:
            return
        await self.host.storage.write(Batch().put(self.host.domain, local, KIND, "", {"hash": hash}))
        user = self.host.users.get(local)
        if user is None:
            return
        self._hashes[local] = hash
        for session in user.visible():
            shown = session.presence
            # What a client that is not ready says is not said for it.
            if shown is None or (before and _told(shown) == ""):
                continue
            again = shown.without_child(NS_DELAY, "delay").without_child(NS_UPDATE, "x")
            waiting = session.receive(again)
            if waiting is not None:
                await waiting

    async def _hash(self, local: str) -> str:
        if local not in self._hashes:
            document = await self.host.storage.documents.get(self.host.domain, local, KIND)
            return document.value["hash"] if document is not None else ""
        return self._hashes[local]

    # -- from the vCard (XEP-0398 section 3.2) -------------------------------------------------

    @on(VCardChanged)
    def stored(self, event: VCardChanged) -> Deferred[None]:
        """Publish what a client has stored in the vCard."""
        work = partial(self._publish_all, event.owner, parse_element(event.card))
        return Deferred.fromCoroutine(self._turns.take(event.owner, work))

    async def _publish_all(self, local: str, card: domish.Element) -> None:
        photo = read_photo(card)
        if self.host.query(IPersonalEventing) is not None:
            await self._publish(local, VCARD4_NODE, CURRENT, to_vcard4(card))
            nick = next(card.elements(NS_VCARD, "NICKNAME"), None)
            if nick is not None and str(nick):
                await self._publish(local, NS_NICK, CURRENT, text_element("nick", NS_NICK, str(nick)))
            before = await self._hash(local)
            if photo is not None and photo.hash != before:
                # Whoever hears of the metadata asks for the data at once.
                if await self._publish(local, NS_DATA, photo.hash, avatars.data(photo)):
                    await self._publish(local, NS_METADATA, photo.hash, avatars.metadata(photo))
            elif photo is None and before:
                await self._publish(local, NS_METADATA, CURRENT, avatars.metadata(None))
        await self._changed(local, photo)

    async def _publish(self, local: str, node: str, item: str, payload: bytes) -> bool:
        """Publish for an account; a new node is open, as the vCard is. Gives False when refused."""
        eventing = self.host.query(IPersonalEventing)
        try:
            there = await eventing.configuration(local, node) is not None
            await eventing.publish(local, node, item, payload, None if there else OPEN)
        except StanzaError as error:
            log.warn("not-published", account=local, node=node, reason=error.condition)
            return False
        return True

    # -- to the vCard (XEP-0398 section 3.1) -----------------------------------------------------

    @on(ItemPublished)
    def published(self, event: ItemPublished) -> Deferred[None] | None:
        """Store in the vCard what a client has published; what a module does comes from the vCard."""
        follow = _FOLLOWED.get(event.node)
        if follow is None or event.publisher is None or not event.payload:
            return None
        # The metadata follow the node with the data.
        if self.settings.only_open and not event.is_open and event.node != NS_METADATA:
            return None
        work = partial(follow, self, event.owner, parse_element(event.payload))
        return Deferred.fromCoroutine(self._turns.take(event.owner, work))

    @on(ItemRetracted)
    def retracted(self, event: ItemRetracted) -> Deferred[None] | None:
        """Take the photo away when nothing is left of the avatar."""
        if event.node != NS_METADATA:
            return None
        return Deferred.fromCoroutine(self._turns.take(event.owner, partial(self._look_again, event.owner)))

    async def _look_again(self, local: str) -> None:
        if await self._hash(local) and not await self.host.query(IPersonalEventing).items(local, NS_METADATA):
            await self._set_photo(local, None)

    async def _follow_metadata(self, local: str, metadata: domish.Element) -> None:
        if avatars.is_disabled(metadata):
            if await self._hash(local):
                await self._set_photo(local, None)
            return
        found = avatars.published_here(metadata)
        if found is None or not await self._shows_data(local):
            return
        items = await self.host.query(IPersonalEventing).items(local, NS_DATA, [found[0]])
        photo = avatars.read(parse_element(items[0].payload), *found) if items else None
        if photo is not None:
            await self._set_photo(local, photo)

    async def _set_photo(self, local: str, photo: Photo | None) -> None:
        await self._change_card(local, partial(replace_photo, photo=photo))
        await self._changed(local, photo)

    async def _follow_nick(self, local: str, nick: domish.Element) -> None:
        await self._change_card(local, partial(_replace_nick, nick=str(nick)))

    async def _follow_vcard4(self, local: str, newer: domish.Element) -> None:
        if (newer.uri, newer.name) == (NS_VCARD4, "vcard"):
            await self._change_card(local, partial(follow_vcard4, newer=newer))

    async def _shows_data(self, local: str) -> bool:
        if not self.settings.only_open:
            return True
        found = await self.host.query(IPersonalEventing).configuration(local, NS_DATA)
        return found is not None and found["access_model"] == "open"

    async def _change_card(self, local: str, change: Callable[[domish.Element], None]) -> None:
        kept = vcards(self.host)
        if kept is None:
            return
        stored = await kept.get(local)
        card = parse_element(stored if stored is not None else element("vCard", NS_VCARD))
        change(card)
        try:
            await kept.put(local, serialize([card], ""))
        except NotSupported:
            log.info("not-stored", account=local, reason="vCards are not changed here")


_FOLLOWED = {
    NS_METADATA: PepVCardAvatar._follow_metadata,
    NS_NICK: PepVCardAvatar._follow_nick,
    VCARD4_NODE: PepVCardAvatar._follow_vcard4,
}


def _told(presence: Stanza) -> str | None:
    """Give the hash that a presence bears: "" for an empty photo, None without any."""
    update = presence.child(NS_UPDATE, "x")
    photo = next(update.elements(NS_UPDATE, "photo"), None) if update is not None else None
    return str(photo).strip() if photo is not None else None


def _replace_nick(card: domish.Element, nick: str) -> None:
    card.children = [
        node
        for node in card.children
        if isinstance(node, str) or (node.uri, node.name) != (NS_VCARD, "NICKNAME")
    ]
    if nick:
        card.addElement((NS_VCARD, "NICKNAME"), content=nick)
