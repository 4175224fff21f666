"""XEP-0386: Bind 2."""

from __future__ import annotations

import base64
import hmac
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic import Field

from palaver.archive import pages
from palaver.archive.messages import NS_STANZA_ID
from palaver.errors import StorageError, StreamError
from palaver.interfaces import IMessageArchives, IOfflineStore
from palaver.jid import JID, InvalidJID
from palaver.log import Log
from palaver.markup import element
from palaver.modules import BIND, LOGIN, Module, Settings, inline
from palaver.stanza import Stanza
from palaver.streams.binding import open_session
from palaver.streams.sasl2 import NS_BIND2, guarded, text_of

if TYPE_CHECKING:
    from twisted.words.xish.domish import Element

    from palaver.routing.sessions import Session
    from palaver.streams.c2s import ClientStream
    from palaver.streams.sasl2 import ExtensibleLogin

log = Log("c2s")

# 72 bits: no two clients of an account meet by chance.
IDENTIFIER_BYTES = 9


class Bind2Settings(Settings):
    """Options of mod_bind2."""

    archive_metadata: bool = Field(
        True, description="Tell clients where their archive begins and ends when they bind."
    )
    clear_offline: bool = Field(
        False,
        description="When a client binds this way, take the waiting messages that are in its account's"
        " archive out of the offline store, as XEP-0386 wants: the client has to read its archive. Off: they"
        " are handed over all the same, with their ids in the archive, so that a client that reads none"
        " misses nothing.",
    )


class Bind2(Module):
    """Binds a resource within the login, and switches on what the client wants for its session.

    A resource is the client's tag and an identifier that is the same each time for the same installation of a
    client, if it says which it is; a new login of an installation ends its earlier sessions.
    """

    Settings = Bind2Settings

    settings: Bind2Settings

    def inline_feature(self, stream: ClientStream) -> bytes:
        """Announce it, and what may be switched on with it (section 3.1)."""
        return _encode(tuple(ns for when, ns, _ in self.host.inline if when == BIND))

    @inline(LOGIN, NS_BIND2, "bind")
    async def bind(self, request: Element, login: ExtensibleLogin) -> bytes | None:
        """Bind a resource unless a session was resumed (section 3.2)."""
        if login.stream.session is not None:
            return None
        local, client = login.stream.authenticated_as, login.request.client
        assert local is not None
        identifier = self._identifier(local, client)
        session = await open_session(login.stream, self._resource(request, identifier))
        if session is None:
            return None
        if client is not None:
            self._replace_others(session, identifier)
        answers = []
        for child in request.elements():
            handler = self.host.inline.get((BIND, child.uri, child.name))
            if handler is not None:
                answers.append(await guarded(handler, child, session))
        answers.append(await self._archive(local))
        return element("bound", NS_BIND2, b"".join(answer for answer in answers if answer is not None))

    # -- the resource --------------------------------------------------------------------

    def _identifier(self, local: str, client: str | None) -> str:
        """Name an installation of a client, without giving its id away; at random when that is not known."""
        if client is None:
            return secrets.token_urlsafe(IDENTIFIER_BYTES)
        secret = self.host.authenticator.derive("resource")
        digest = hmac.digest(secret, f"{self.host.domain}\0{local}\0{client}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest[:IDENTIFIER_BYTES]).decode()

    def _resource(self, request: Element, identifier: str) -> str:
        """Give the resource (section 3.2.1); a tag that no resource may hold is left out."""
        tag = next(request.elements(NS_BIND2, "tag"), None)
        named = f"{text_of(tag)}/{identifier}" if tag is not None and text_of(tag) else identifier
        try:
            return JID("", self.host.domain, "").with_resource(named).resource
        except InvalidJID:
            return identifier

    def _replace_others(self, session: Session, identifier: str) -> None:
        """End the earlier sessions of the same installation, whatever their tag."""
        session.remember(self.name)["client"] = identifier
        for other in list(session.user.sessions.values()):
            same = other.state is not None and other.remember(self.name).get("client") == identifier
            if same and other is not session:
                other.end(StreamError("conflict", "Replaced by new connection"))

    # -- what waits for the client -------------------------------------------------------------

    async def _archive(self, local: str) -> bytes | None:
        """Say where the archive begins and ends; what is there need not wait elsewhere."""
        archives = self.host.query(IMessageArchives)
        if archives is None:
            return None
        try:
            if self.settings.clear_offline:
                await self._clear(local)
            if self.settings.archive_metadata:
                return await pages.metadata(archives.archive(local))
        except StorageError as error:
            log.warn("archive-not-read", user=local, host=self.host.domain, reason=error)
        return None

    async def _clear(self, local: str) -> None:
        """Take what the archive has out of the offline store. Raises StorageError."""
        store = self.host.query(IOfflineStore)
        page = await store.page(local) if store is not None else []
        while page:
            bare = f"{local}@{self.host.domain}"
            found = [identity for identity, message in page if message and _is_archived(message, bare)]
            if found:
                await store.remove(local, found)
            page = await store.page(local, page[-1][0])


def _is_archived(message: Stanza, bare: str) -> bool:
    """Tell whether a message bears an id of its account's archive (XEP-0359)."""
    if not message.has(NS_STANZA_ID, "stanza-id"):
        return False
    return any(
        node.getAttribute("by") == bare for node in message.element.elements(NS_STANZA_ID, "stanza-id")
    )


@lru_cache(16)
def _encode(namespaces: tuple[str, ...]) -> bytes:
    features = b"".join(element("feature", None, var=ns) for ns in sorted(set(namespaces)))
    return element("bind", NS_BIND2, element("inline", None, features) if features else b"")
