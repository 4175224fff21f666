"""Where to: the one table from domains to services."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from palaver import jid
from palaver.errors import StanzaError
from palaver.interfaces import IService
from palaver.jid import JID, InvalidJID
from palaver.stanza import Stanza


@implementer(IService)
class NoRemote:
    """Stands for every domain that is not here while the server speaks to no other server."""

    domain = ""
    name = ""

    def __init__(self, router: Router) -> None:
        self._router = router

    def deliver(self, stanza: Stanza, to: JID) -> Deferred[Any] | None:
        """Refuse: there is no way there."""
        return self._router.bounce(
            stanza, StanzaError("remote-server-not-found", "This server speaks to no other servers")
        )


class Router:
    """Finds the service of a domain and hands the stanza over."""

    def __init__(self) -> None:
        self.services: dict[str, Any] = {}
        self.remote: Any = NoRemote(self)

    def add(self, service: IService) -> Any:
        """Add a service for its domain; gives the function that takes it back.

        Raises `ValueError` for a second one.
        """
        domain = service.domain
        if domain in self.services:
            raise ValueError(f"{domain} is served already")
        self.services[domain] = service
        return lambda: self.services.pop(domain, None)

    def route(self, stanza: Stanza) -> Deferred[Any] | None:
        """Take a stanza with ``to`` and ``from`` where it goes.

        Gives None when all is done, or a Deferred that fires when everything that had to be
        stored is committed.
        """
        try:
            to = jid.parse(stanza.attrs["to"])
        except InvalidJID as error:
            return self.bounce(stanza.replace(to=None), StanzaError("jid-malformed", str(error)))
        service = self.services.get(to.domain, self.remote)
        waiting: Deferred[Any] | None = service.deliver(stanza, to)
        return waiting

    def bounce(self, stanza: Stanza, error: StanzaError) -> Deferred[Any] | None:
        """Answer a stanza with an error: never an error or a result, and never presence without need."""
        if stanza.type in ("error", "result"):
            return None
        return self.reply(stanza, stanza.error(error))

    def reply(self, stanza: Stanza, answer: Stanza) -> Deferred[Any] | None:
        """Send an answer back to where a stanza came from; straight to its session when that is here."""
        if stanza.origin is not None:
            stanza.origin.send(answer)
            return None
        return self.route(answer) if "to" in answer.attrs else None
