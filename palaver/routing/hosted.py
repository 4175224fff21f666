"""Wokkel code on a domain of its own, in this process and with no socket between.

Any `wokkel.subprotocols.XMPPHandler` runs unchanged: a bot, a component, a PubSub
service. `wokkel.subprotocols.StreamManager` holds the handlers and follows their requests
as it does over a connection; only the stream below it is not one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.words.protocols.jabber.ijabber import IXMPPHandler
from twisted.words.protocols.jabber.jid import JID as WordsJID
from twisted.words.protocols.jabber.xmlstream import STREAM_AUTHD_EVENT
from twisted.words.xish import domish
from twisted.words.xish.utility import EventDispatcher
from twisted.words.xish.xmlstream import STREAM_CONNECTED_EVENT, STREAM_END_EVENT, BootstrapMixin
from zope.interface import implementer

import palaver.upstream  # noqa: F401
from palaver import jid
from palaver.interfaces import IService
from palaver.log import Log
from palaver.routing.failures import failed
from palaver.routing.router import Router
from palaver.stanza import NS_CLIENT, Stanza, from_element
from palaver.tree import parse_element

from wokkel.generic import FallbackHandler  # isort: skip
from wokkel.subprotocols import StreamManager  # isort: skip

log = Log("hosted")

STANZAS = frozenset(("message", "presence", "iq"))
# What a handler sends as text leans on this, as it would on the stream header of a connection.
CONTEXT = f"<stream xmlns='{NS_CLIENT}'>".encode()
# Whoever asks more than this without an answer gets none for the oldest questions.
MAX_REQUESTS = 10_000


class _Pipe(EventDispatcher):
    """What handlers know as the XML stream: they observe what comes, and `send`."""

    def __init__(self, service: HandlerService) -> None:
        super().__init__()
        self.thisEntity = WordsJID(service.domain)
        self.otherEntity = None
        self._service = service

    def send(self, given: Any) -> None:
        """Route an element, or one in text, that a handler sends."""
        self._service.sent(given)


@implementer(IService)
class HandlerService(StreamManager):
    """A domain whose stanzas are handed to Wokkel handlers as domish elements."""

    def __init__(self, router: Router, domain: str, handlers: Any, reactor: Any) -> None:
        """``handlers``: an XMPPHandler, or several; an IQ that none of them handles is refused."""
        self._events = BootstrapMixin()
        super().__init__(self._events, reactor)
        self.domain = domain
        self.name = domain
        self._router = router
        self._arrived: list[Stanza] = []
        # What was asked, by id and address: handlers look at an answer's id only, which can be guessed.
        self._asked: OrderedDict[tuple[str | None, str], None] = OrderedDict()
        self._remove: Any = None
        found = [handlers] if IXMPPHandler.providedBy(handlers) else list(handlers)
        for handler in found:
            handler.setHandlerParent(self)
        if not any(isinstance(handler, FallbackHandler) for handler in found):
            FallbackHandler().setHandlerParent(self)

    # -- start and stop ---------------------------------------------------------------

    def start(self) -> None:
        """Serve the domain. Raises ValueError when it is served already, and what a handler raises."""
        self._remove = self._router.add(self)
        pipe = _Pipe(self)
        try:
            self._tell(STREAM_CONNECTED_EVENT, pipe)
            self._tell(STREAM_AUTHD_EVENT, pipe)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Serve it no longer; requests of handlers that wait for an answer fail with ConnectionDone."""
        if self._remove is None:
            return
        self._remove()
        self._remove = None
        self._arrived.clear()
        try:
            self._tell(STREAM_END_EVENT, Failure(ConnectionDone()))
        except Exception:
            failed(self.domain, Failure())

    def _tell(self, event: str, argument: object) -> None:
        for wanted, function in self._events.bootstraps:
            if wanted == event:
                function(argument)

    # -- to the handlers --------------------------------------------------------------

    def deliver(self, stanza: Stanza, to: jid.JID) -> Deferred[Any] | None:
        """See IService; an answer that nobody waits for ends here."""
        if stanza.name == "iq" and stanza.type in ("result", "error") and not self._is_expected(stanza):
            return None
        if not self._arrived:
            # Two bots that answer each other take turns with everybody else.
            self._reactor.callLater(0, self._dispatch)
        self._arrived.append(stanza)
        return None

    def _is_expected(self, answer: Stanza) -> bool:
        sender = answer.sender
        key = (answer.id, sender.full if sender is not None else "")
        if key not in self._asked:
            return False
        del self._asked[key]
        return True

    def _dispatch(self) -> None:
        arrived, self._arrived = self._arrived, []
        for stanza in arrived:
            # A handler may stop the service, or change what it is given: a tree of its own each time.
            if self.xmlstream is None:
                return
            try:
                node: Any = parse_element(stanza.encode(declare=True))
                node.handled = False
                self.xmlstream.dispatch(node)
            except Exception:
                failed(self.domain, Failure())

    # -- from the handlers --------------------------------------------------------------

    def sent(self, given: Any) -> None:
        """Route what a handler sent: well-formed, and in the name of its own domain only."""
        try:
            stanza = _read(given)
            sender, to = stanza.sender, stanza.to
        except (ValueError, jid.InvalidJID) as error:
            log.warn("not-routed", service=self.domain, reason=str(error))
            return
        if sender is None:
            stanza, sender = stanza.replace(from_=self.domain), jid.parse(self.domain)
        if stanza.name not in STANZAS or stanza.ns != NS_CLIENT or to is None or sender.domain != self.domain:
            attrs = stanza.attrs
            log.warn("not-routed", service=self.domain, name=stanza.name, sender=sender, to=attrs.get("to"))
            return
        if stanza.name == "iq" and stanza.type in ("get", "set"):
            self._asked[stanza.id, to.full] = None
            if len(self._asked) > MAX_REQUESTS:
                self._asked.popitem(last=False)
        waiting = self._router.route(stanza)
        if waiting is not None:
            waiting.addErrback(lambda failure: failed(self.domain, failure))


def _read(given: Any) -> Stanza:
    """Give the Stanza for an element or for text; raises ValueError when clients could not read it.

    An element may hold raw text that is no XML, so it is written and read again.
    """
    if isinstance(given, domish.Element):
        given = from_element(given).encode(declare=True)
    elif isinstance(given, str):
        given = given.encode()
    return from_element(parse_element(given, CONTEXT))
