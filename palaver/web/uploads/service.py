"""The service that gives slots (XEP-0363), on a domain of its own."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver import forms
from palaver.errors import StanzaError
from palaver.interfaces import IService
from palaver.jid import JID
from palaver.markup import element
from palaver.routing.disco import NS_INFO, NS_ITEMS, info
from palaver.routing.failures import failed
from palaver.routing.iqs import check_request
from palaver.stanza import Stanza
from palaver.web.uploads import asked
from palaver.web.uploads.slots import Wanted

if TYPE_CHECKING:
    from palaver.routing.host import Host

NAMESPACES = (asked.NS_UPLOAD, asked.NS_UPLOAD_OLD)


class Rules(NamedTuple):
    """What may be uploaded.

    ``kept_s`` says for how long files of a purpose are kept, None for ever. ``types`` are patterns of media
    types; without any, all are allowed.
    """

    max_bytes: int
    types: tuple[str, ...]
    kept_s: dict[str, float | None]


SlotMaker = Callable[[Wanted], Awaitable[tuple[str, str]]]
"""Gives the addresses for PUT and GET; fails with StanzaError and StorageError."""


@implementer(IService)
class UploadService:
    """Answers requests for slots by the accounts of a host."""

    def __init__(self, host: Host, domain: str, name: str, rules: Rules, make: SlotMaker) -> None:
        """``name`` is that of the module, for failures."""
        self.domain = domain
        self.name = "HTTP File Upload"
        self._host = host
        self._module = name
        self._rules = rules
        self._make = make

    def deliver(self, stanza: Stanza, to: JID) -> Deferred[Any] | None:
        """See IService; only IQs mean something here."""
        if stanza.name == "message":
            return self._host.router.bounce(stanza, StanzaError("service-unavailable"))
        if stanza.name != "iq" or stanza.type in ("result", "error"):
            return None
        wrong = check_request(stanza)
        if wrong is None and (to.local or to.resource):
            wrong = StanzaError("service-unavailable")
        if wrong is not None:
            return self._host.router.bounce(stanza, wrong)
        return Deferred.fromCoroutine(self._deliver(stanza))

    async def _deliver(self, iq: Stanza) -> None:
        try:
            answer = iq.result(await self._answer(iq))
        except Exception:
            self._host.router.bounce(iq, failed(self._module, Failure()))
            return
        waiting = self._host.router.reply(iq, answer)
        if waiting is not None:
            await waiting

    async def _answer(self, iq: Stanza) -> bytes:
        ns, name = iq.children[0]
        if name == "request" and ns in NAMESPACES:
            if iq.type == "set":
                raise StanzaError("not-allowed", "A slot is asked for with a get")
            return await self._slot(iq, ns)
        if iq.type != "get" or name != "query" or ns not in (NS_INFO, NS_ITEMS):
            raise StanzaError("service-unavailable")
        query = iq.child(ns, name)
        if query is not None and query.getAttribute("node"):
            raise StanzaError("item-not-found", "Node does not exist")
        return self._info() if ns == NS_INFO else element("query", NS_ITEMS)

    def _info(self) -> bytes:
        """Say what this is, and how large files may be (section 4)."""
        features = [NS_INFO, NS_ITEMS, *NAMESPACES]
        features += [f"{asked.NS_PURPOSE}#{purpose}" for purpose in asked.PURPOSES]
        about = [
            forms.encode(
                forms.Form(
                    "result",
                    formNamespace=ns,
                    fields=[forms.Field("text-single", "max-file-size", str(self._rules.max_bytes))],
                )
            )
            for ns in NAMESPACES
        ]
        return info([("store", "file", self.name)], sorted(features), about)

    async def _slot(self, iq: Stanza, ns: str) -> bytes:
        sender = iq.sender
        if sender is None or sender.domain != self._host.domain or not sender.local:
            raise StanzaError("forbidden", "Only accounts of this server may upload")
        return asked.slot(ns, *await self.open(sender.local, asked.read(iq), ns))

    async def open(self, owner: str, request: asked.Asked, ns: str = asked.NS_UPLOAD) -> tuple[str, str]:
        """Give the addresses of a slot, for PUT and for GET. Raises StanzaError, StorageError."""
        return await self._make(self._wanted(owner, request, ns))

    def _wanted(self, owner: str, request: asked.Asked, ns: str) -> Wanted:
        """Hold a request against the rules; raises StanzaError."""
        rules = self._rules
        if request.size > rules.max_bytes:
            raise asked.too_large(ns, rules.max_bytes)
        kind = (request.type or asked.UNKNOWN_TYPE).partition(";")[0].strip()
        if rules.types and not any(fnmatchcase(kind, pattern) for pattern in rules.types):
            raise StanzaError("not-acceptable", "Files of this type are not taken")
        now, kept_s = time.time(), rules.kept_s[request.purpose]
        expires = None if kept_s is None else now + kept_s
        if request.expire_before_s is not None:
            if request.expire_before_s <= now:
                raise StanzaError("bad-request", "The file would be gone already")
            expires = request.expire_before_s if expires is None else min(expires, request.expire_before_s)
        return Wanted(
            owner, request.filename, request.size, request.type, None if expires is None else int(expires)
        )
