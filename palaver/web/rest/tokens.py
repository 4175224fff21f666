"""Tokens for programs that use REST: stored as hashes, each with what it may do."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Literal, NamedTuple

from palaver.interfaces import IStorage
from palaver.storage import Batch, Document

KIND = "rest-token"
# Tokens are the host's, whoever made them.
OWNER = ""
# 192 bits: found by their hash, nobody learns from an answer's time how close a guess was.
TOKEN_BYTES = 24

Scope = Literal["read", "write"]


class Token(NamedTuple):
    """One token: its name among the host's, what it may do, and when it was made in seconds since 1970."""

    name: str
    scope: Scope
    made: int


class TokenStore:
    """The tokens of one host. Every method may raise StorageError."""

    def __init__(self, domain: str, storage: IStorage) -> None:
        self._domain = domain
        self._storage = storage

    async def add(self, name: str, scope: Scope, made: int) -> str:
        """Store a new token and give it; only its hash is kept."""
        secret = secrets.token_urlsafe(TOKEN_BYTES)
        value: dict[str, Any] = {"name": name, "scope": scope, "made": made}
        await self._storage.write(Batch().put(self._domain, OWNER, KIND, _key(secret), value, rank=made))
        return secret

    async def get(self, secret: str) -> Token | None:
        """Give what a token is; None when there is none."""
        document = await self._storage.documents.get(self._domain, OWNER, KIND, _key(secret))
        return Token(**document.value) if document is not None else None

    async def all(self) -> list[Token]:
        """Give all tokens, the oldest first."""
        return [Token(**document.value) for document in await self._documents()]

    async def remove(self, name: str) -> bool:
        """Delete the tokens with a name; tells whether there was one."""
        keys = [document.key for document in await self._documents() if document.value["name"] == name]
        batch = Batch()
        for key in keys:
            batch.delete(self._domain, OWNER, KIND, key)
        if keys:
            await self._storage.write(batch)
        return bool(keys)

    async def _documents(self) -> list[Document]:
        found: list[Document] = await self._storage.documents.list(self._domain, OWNER, (KIND,))
        return found


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
