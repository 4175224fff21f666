"""Invitations as they are stored: by the hash of the token; and who came by whom."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, NamedTuple

from palaver.interfaces import IStorage
from palaver.storage import Batch, Document, Json

KIND = "invite"
KIND_INVITED = "invited"
# Invitations are the host's, whatever becomes of who made them.
OWNER = ""
# 144 bits: found by their hash, nobody learns from an answer's time how close a guess was.
TOKEN_BYTES = 18
# Enough of the hash to name an invitation that one wants to delete.
ID_CHARS = 12


class Invite(NamedTuple):
    """One invitation.

    ``id``        names it; of no use to who wants to come in
    ``inviter``   bare JID, or ""
    ``username``  the localpart that it is for, or "" for any
    ``uses``      how often it may still be used
    ``expires``   seconds since 1970
    ``register``  an account may be made with it
    ``subscribe`` inviter and invitee become contacts
    """

    id: str
    inviter: str
    username: str
    uses: int
    expires: float
    register: bool
    subscribe: bool

    def uri(self, domain: str, token: str) -> str:
        """Give the link of a token on a host (XEP-0379 section 3.2, XEP-0445 section 2)."""
        if self.subscribe and not self.username:
            return f"xmpp:{self.inviter}?roster;preauth={token}{';ibr=y' if self.register else ''}"
        address = f"{self.username}@{domain}" if self.username else domain
        return f"xmpp:{address}?register;preauth={token}"


def new_token() -> str:
    """Give a token for a link; only its hash is ever stored."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def key_of(token: str) -> str:
    """Give the key under which a token's invitation is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


class InviteStore:
    """The invitations of one host. Every method may raise StorageError."""

    def __init__(self, domain: str, storage: IStorage) -> None:
        self._domain = domain
        self._storage = storage

    async def put(self, key: str, invite: Invite) -> None:
        """Store an invitation."""
        await self._storage.write(self._put(Batch(), key, invite))

    async def get(self, key: str) -> Invite | None:
        """Give an invitation, expired or not; None when there is none."""
        document = await self._storage.documents.get(self._domain, OWNER, KIND, key)
        return _invite(document) if document is not None else None

    async def all(self) -> dict[str, Invite]:
        """Give all invitations by key, the first to expire first."""
        found = await self._storage.documents.list(self._domain, OWNER, (KIND,))
        return {document.key: _invite(document) for document in found}

    async def found(self, tag: str) -> dict[str, Invite]:
        """Give the invitations by key that bear a tag, see `by` and `reserving`."""
        found = await self._storage.documents.find(self._domain, KIND, tag)
        return {document.key: _invite(document) for document in found}

    async def use(self, key: str, invite: Invite, invitee: str, now: float) -> None:
        """Count one use, and note for good who came by whom."""
        batch = Batch()
        if invite.uses > 1:
            self._put(batch, key, invite._replace(uses=invite.uses - 1))
        else:
            batch.delete(self._domain, OWNER, KIND, key)
        value = {"inviter": invite.inviter, "time": int(now), "invite": invite.id}
        batch.put(self._domain, OWNER, KIND_INVITED, invitee, value, rank=int(now))
        await self._storage.write(batch)

    async def delete(self, *keys: str) -> None:
        """Delete invitations."""
        batch = Batch()
        for key in keys:
            batch.delete(self._domain, OWNER, KIND, key)
        await self._storage.write(batch)

    async def inviters(self) -> dict[str, Json]:
        """Give who came by whom: inviter, time and invitation by the invitee's bare JID, in order of time."""
        found = await self._storage.documents.list(self._domain, OWNER, (KIND_INVITED,))
        return {document.key: document.value for document in found}

    def _put(self, batch: Batch, key: str, invite: Invite) -> Batch:
        value: dict[str, Any] = invite._asdict()
        made = (by(invite.inviter),) if invite.inviter else ()
        kept = (reserving(invite.username),) if invite.username else ()
        return batch.put(self._domain, OWNER, KIND, key, value, rank=int(invite.expires), tags=made + kept)


def by(inviter: str) -> str:
    """Give the tag of what somebody has made."""
    return f"by:{inviter}"


def reserving(username: str) -> str:
    """Give the tag of what keeps a name for somebody."""
    return f"for:{username}"


def _invite(document: Document) -> Invite:
    return Invite(**document.value)
