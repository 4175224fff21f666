"""XEP-0421: an id for each occupant that stays the same whatever nick it has, and tells nobody who it is."""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from twisted.internet.defer import Deferred

from palaver.markup import element
from palaver.modules import Module
from palaver.rooms.hooks import Announced, Hooks, Said
from palaver.rooms.namespaces import NS_OCCUPANT_ID
from palaver.rooms.occupants import Occupant
from palaver.rooms.room import Room
from palaver.stanza import Stanza
from palaver.storage import Batch, Conflict

# The service's secret, one for a host; a room's address and an account make an id of it (section 4.1).
OWNER = "occupant-id"
KIND = "occupant-id-secret"
SECRET_BYTES = 32
# Ids of one room that are not made anew for every message; about 200 bytes each.
MAX_KNOWN = 20_000
NAME = "occupant-id"
ANNOUNCED = Announced((NS_OCCUPANT_ID,))


class OccupantIds(Module):
    """Puts an id with every message and presence of an occupant; those that clients send are taken off."""

    def start(self) -> Deferred[Any]:
        """Read the secret, or make it. Fails with StorageError."""
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        self._secret = await self._read() or await self._make()
        hooks = Hooks.of(self.host)
        self.undo(hooks.set_occupant_id(self._digest))
        self.undo(hooks.add_presence(NS_OCCUPANT_ID, NAME, self._id_of))
        self.undo(hooks.add_phase("change", self.name, self._mark))
        self.undo(hooks.add_room_info(lambda room: ANNOUNCED))
        # On for every room of the service (section 4).
        self.undo(hooks.add_service_features(NS_OCCUPANT_ID))

    async def _read(self) -> bytes | None:
        stored = await self.host.storage.documents.get(self.host.domain, OWNER, KIND)
        return bytes.fromhex(stored.value["secret"]) if stored is not None else None

    async def _make(self) -> bytes:
        secret = secrets.token_bytes(SECRET_BYTES)
        batch = Batch().put(self.host.domain, OWNER, KIND, "", {"secret": secret.hex()}, only="new")
        try:
            await self.host.storage.write(batch)
        except Conflict:
            # Another node of the cluster was first.
            return await self._read() or secret
        return secret

    def _id_of(self, room: Room, occupant: Occupant) -> bytes:
        """Give the element for an occupant, serialised."""
        known: dict[str, bytes] = room.state.setdefault(self.name, {})
        found = known.get(occupant.bare)
        if found is None:
            if len(known) >= MAX_KNOWN:
                known.clear()
            id = self._digest(room, occupant.bare)
            found = known[occupant.bare] = element(NAME, NS_OCCUPANT_ID, id=id)
        return found

    def _digest(self, room: Room, bare: str) -> str:
        """Give the id of an account in a room."""
        # A zero byte is in no JID: two pairs never make one text.
        return hmac.digest(self._secret, f"{room.jid.bare}\0{bare}".encode(), "sha256").hex()

    def _mark(self, said: Said) -> Stanza:
        return said.stanza.with_child(self._id_of(said.room, said.occupant), NS_OCCUPANT_ID, NAME)
