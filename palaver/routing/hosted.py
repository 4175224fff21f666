"""Wokkel code on a domain of its own, in this process and with no socket between.

Any `wokkel.subprotocols.XMPPHandler` runs unchanged: a bot, a component, a PubSub
service. `wokkel.component.InternalComponent` does the hosting; it asks for a router
with ``addRoute`` and ``removeRoute``, which is `WokkelRouter` over ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.words.xish import domish
from zope.interface import implementer

import palaver.upstream  # noqa: F401
from palaver import jid
from palaver.interfaces import IService
from palaver.log import Log
from palaver.routing.router import Router
from palaver.stanza import Stanza, from_element
from palaver.tree import parse_element

from wokkel.component import InternalComponent  # isort: skip
from wokkel.subprotocols import XMPPHandler  # isort: skip

log = Log("hosted")


@implementer(IService)
class ElementService:
    """A domain whose stanzas are handed over as domish elements."""

    def __init__(self, domain: str, pipe: Any, router: Router) -> None:
        self.domain = domain
        self.name = domain
        self._pipe = pipe
        self._router = router
        pipe.addObserver("/*", self._sent)

    def deliver(self, stanza: Stanza, to: jid.JID) -> Deferred[Any] | None:
        """See IService."""
        # Handlers may change what they are given, so it is a tree of their own.
        self._pipe.send(parse_element(stanza.encode(declare=True)))
        return None

    def _sent(self, node: domish.Element) -> None:
        """Route what a handler sent; it speaks for its own domain only."""
        stanza = from_element(node)
        if "from" not in stanza.attrs:
            stanza = stanza.replace(from_=self.domain)
        try:
            sender, to = stanza.sender, stanza.to
        except jid.InvalidJID as error:
            log.warn("bad-address", service=self.domain, reason=str(error))
            return
        if sender is None or sender.domain != self.domain or to is None:
            log.warn(
                "not-routed", service=self.domain, sender=stanza.attrs.get("from"), to=stanza.attrs.get("to")
            )
            return
        self._router.route(stanza)


class WokkelRouter:
    """What `InternalComponent` needs of a router."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._remove: dict[str, Callable[[], object]] = {}

    def addRoute(self, destination: str, xs: Any) -> None:
        """Serve a domain from an XML stream like object."""
        self._remove[destination] = self._router.add(ElementService(destination, xs, self._router))

    def removeRoute(self, destination: str, xs: Any) -> None:
        """Serve it no longer."""
        self._remove.pop(destination)()


def component(router: Router, domain: str, handlers: Iterable[XMPPHandler]) -> InternalComponent:
    """Give the service that runs handlers on a domain; start it, or set its parent."""
    service = InternalComponent(WokkelRouter(router), domain)
    for handler in handlers:
        handler.setHandlerParent(service)
    return service
