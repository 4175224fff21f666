"""Wokkel handlers inside the server: what reaches them, what they may send, and what they cannot break."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.protocols.jabber.jid import JID as WordsJID
from twisted.words.protocols.jabber.xmlstream import TimeoutError as IqTimeout
from twisted.words.protocols.jabber.xmlstream import toResponse
from twisted.words.xish import domish
from zope.interface import implementer
from zope.interface.verify import verifyObject

import palaver.upstream  # noqa: F401
from palaver import jid, metrics
from palaver.interfaces import IService
from palaver.routing import hosted
from palaver.routing.hosted import HandlerService
from palaver.routing.router import Router
from palaver.stanza import Stanza
from palaver.test.house import stanza

from wokkel.generic import FallbackHandler, Request  # isort: skip
from wokkel.subprotocols import XMPPHandler  # isort: skip

BOT = "bot.example.org"
ROMEO = "romeo@example.org/orchard"


class Keeper(XMPPHandler):
    """Keeps what it is given, and what it is told of its stream."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[domish.Element] = []
        self.told: list[str] = []

    def connectionMade(self) -> None:
        self.told.append("made")

    def connectionInitialized(self) -> None:
        self.told.append("initialized")
        for name in ("message", "presence", "iq"):
            self.xmlstream.addObserver(f"/{name}", self.seen.append)

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)
        self.told.append("lost")


class Failing(XMPPHandler):
    """Breaks at whatever comes."""

    def connectionInitialized(self) -> None:
        self.xmlstream.addObserver("/*", self.fail)

    def fail(self, node: domish.Element) -> None:
        raise RuntimeError("a defect")


@implementer(IService)
class World:
    """A service for the rest of the world, which keeps what it gets."""

    domain = name = "example.org"

    def __init__(self) -> None:
        self.got: list[Stanza] = []

    def deliver(self, stanza: Stanza, to: jid.JID) -> None:
        self.got.append(stanza)


class HostedCase(SynchronousTestCase):
    """A handler on bot.example.org, and a world that listens on example.org."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.router = Router()
        self.world = World()
        self.router.add(self.world)
        self.keeper = Keeper()

    def serve(self, *handlers: Any) -> HandlerService:
        """Give the running service of handlers."""
        service = HandlerService(self.router, BOT, handlers, self.clock)
        service.start()
        return service

    def route(self, xml: str) -> None:
        """Send XML to the handlers, as from a client, and let them work."""
        self.router.route(stanza(xml))
        self.clock.advance(0)

    def sent(self) -> list[str]:
        """Give what the world has got, as XML, and forget it."""
        got, self.world.got = self.world.got, []
        return [found.encode().decode() for found in got]


class InboundTests(HostedCase):
    """What reaches a handler."""

    def test_interface(self) -> None:
        """It is a service like any other, named after its domain."""
        service = self.serve(self.keeper)
        verifyObject(IService, service)
        self.assertEqual((service.domain, service.name), (BOT, BOT))

    def test_element(self) -> None:
        """A stanza comes as an element of jabber:client with all it has: addresses, id, language, content."""
        self.serve(self.keeper)
        self.route(
            f"<message from='{ROMEO}' to='a@{BOT}' id='1' type='chat' xml:lang='it'>"
            "<body>Ciao &amp; \u2665</body><x xmlns='urn:x'><y/></x></message>"
        )
        (node,) = self.keeper.seen
        self.assertEqual((node.uri, node.name), ("jabber:client", "message"))
        self.assertEqual(
            (node["from"], node["to"], node["id"], node["type"]), (ROMEO, f"a@{BOT}", "1", "chat")
        )
        self.assertEqual(node[("http://www.w3.org/XML/1998/namespace", "lang")], "it")
        self.assertEqual((node.body.uri, str(node.body)), ("jabber:client", "Ciao & \u2665"))
        self.assertEqual((node.x.uri, node.x.y.uri), ("urn:x", "urn:x"))

    def test_order(self) -> None:
        """What comes in one turn is handed over in the next, in order."""
        self.serve(self.keeper)
        for number in range(5):
            self.router.route(stanza(f"<message from='{ROMEO}' to='{BOT}' id='{number}'/>"))
        self.assertEqual(self.keeper.seen, [])
        self.clock.advance(0)
        self.assertEqual([node["id"] for node in self.keeper.seen], ["0", "1", "2", "3", "4"])

    def test_changed_element(self) -> None:
        """A handler that changes what it is given changes nothing for the sender."""
        self.serve(self.keeper)
        message = stanza(f"<message from='{ROMEO}' to='{BOT}'><body>hi</body></message>")
        self.router.route(message)
        self.clock.advance(0)
        self.keeper.seen[0].body.children.clear()
        self.assertEqual(str(message.element.body), "hi")

    def test_unhandled_iq(self) -> None:
        """A request that no handler takes is refused with service-unavailable; an answer is not."""
        self.serve(self.keeper)
        for kind in ("get", "set"):
            self.route(f"<iq from='{ROMEO}' to='{BOT}' type='{kind}' id='7'><handled xmlns='urn:x'/></iq>")
            (answer,) = self.sent()
            self.assertIn(f"to='{ROMEO}'", answer)
            self.assertIn("id='7'", answer)
            self.assertIn("type='error'", answer)
            self.assertIn("<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", answer)
        for kind in ("result", "error"):
            self.route(f"<iq from='{ROMEO}' to='{BOT}' type='{kind}' id='7'/>")
        self.assertEqual(self.sent(), [])

    def test_own_fallback(self) -> None:
        """Handlers that have a fallback of their own answer once."""
        self.serve(FallbackHandler())
        self.route(f"<iq from='{ROMEO}' to='{BOT}' type='get' id='7'><x xmlns='urn:x'/></iq>")
        self.assertEqual(len(self.sent()), 1)

    def test_handler_that_fails(self) -> None:
        """A handler that raises is logged; the others get the stanza, and a request is answered."""
        self.serve(Failing(), self.keeper)
        self.route(f"<message from='{ROMEO}' to='{BOT}'/>")
        self.route(f"<iq from='{ROMEO}' to='{BOT}' type='get' id='7'><x xmlns='urn:x'/></iq>")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        self.assertEqual(len(self.keeper.seen), 2)
        self.assertEqual(len(self.sent()), 1)

    def test_two_bots(self) -> None:
        """Two bots that answer each other take a turn for each answer, so that others work in between."""
        said: list[str] = []
        sizes: list[int] = []

        class Parrot(XMPPHandler):
            def connectionInitialized(self) -> None:
                self.xmlstream.addObserver("/message", self.answer)

            def answer(self, node: domish.Element) -> None:
                said.append(node["to"])
                before = len(said)
                if len(said) < 5:
                    self.send(toResponse(node))
                sizes.append(len(said) - before)

        self.serve(Parrot())
        HandlerService(self.router, "other.example.org", Parrot(), self.clock).start()
        self.route(f"<message from='other.example.org' to='{BOT}'/>")
        self.assertEqual(said, [BOT, "other.example.org"] * 2 + [BOT])
        self.assertEqual(sizes, [0] * 5)


class OutboundTests(HostedCase):
    """What a handler sends."""

    def setUp(self) -> None:
        super().setUp()
        self.service = self.serve(self.keeper)

    def message(self, **attributes: str) -> domish.Element:
        """Give a message to romeo."""
        node = domish.Element((None, "message"))
        node["to"] = ROMEO
        node.attributes.update({name.rstrip("_"): value for name, value in attributes.items()})
        return node

    def test_from(self) -> None:
        """Without ``from`` it is from the domain; addresses at the domain are its own to use."""
        self.keeper.send(self.message())
        self.keeper.send(self.message(from_=f"echo@{BOT}/x"))
        self.assertEqual(
            self.sent(),
            [f"<message to='{ROMEO}' from='{BOT}'/>", f"<message to='{ROMEO}' from='echo@{BOT}/x'/>"],
        )

    def test_namespaces(self) -> None:
        """Children keep their namespaces; those of a component's namespace travel as a client's."""
        node = domish.Element(("jabber:component:accept", "message"))
        node["to"] = ROMEO
        node[("http://www.w3.org/XML/1998/namespace", "lang")] = "it"
        node.addElement("body", content="a & b")
        node.addElement(("urn:x", "x")).addElement("y")
        self.keeper.send(node)
        (found,) = self.world.got
        self.assertEqual(found.children, (("jabber:client", "body"), ("urn:x", "x")))
        self.assertEqual(found.attrs["xml:lang"], "it")
        self.assertEqual(found.inner, b"<body>a &amp; b</body><x xmlns='urn:x'><y/></x>")

    def test_text(self) -> None:
        """XML as text is sent as well."""
        self.keeper.send(f"<message to='{ROMEO}'><body>hi</body></message>")
        self.assertEqual(self.sent(), [f"<message to='{ROMEO}' from='{BOT}'><body>hi</body></message>"])

    def test_not_routed(self) -> None:
        """Nothing leaves in another's name, without an addressee, or that is no stanza or no XML."""
        unbalanced = self.message()
        unbalanced.addRawXml("</message><message>")
        nowhere = domish.Element((None, "message"))
        bad: list[Any] = [
            self.message(from_="juliet@example.org"),
            self.message(from_="example.org"),
            self.message(from_=f"{BOT}.evil.example"),
            self.message(from_="@@"),
            self.message(to="@@"),
            nowhere,
            domish.Element((None, "handshake")),
            domish.Element(("urn:x", "message")),
            unbalanced,
            "</stream:stream>",
            "<message",
        ]
        for node in bad:
            if isinstance(node, domish.Element) and node is not nowhere and not node.hasAttribute("to"):
                node["to"] = ROMEO
            self.keeper.send(node)
        self.assertEqual(self.sent(), [])

    def test_request(self) -> None:
        """A handler's request is answered to it by id; an error answer fails it."""
        outcomes: list[Any] = []
        refused = "<error type='wait'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        for kind, inner in (("result", ""), ("error", refused)):
            request = Request(recipient=WordsJID(ROMEO), stanzaType="get")
            waiting = self.keeper.request(request)
            (asked,) = self.world.got
            self.world.got = []
            waiting.addBoth(outcomes.append)
            self.route(f"<iq from='{ROMEO}' to='{BOT}' type='{kind}' id='{asked.id}'>{inner}</iq>")
        self.assertEqual(outcomes[0]["type"], "result")
        self.assertEqual(outcomes[1].value.condition, "gone")

    def test_forged_answer(self) -> None:
        """Only whom a request went to can answer it, and only once, though others guess its id."""
        waiting = self.keeper.request(Request(recipient=WordsJID(ROMEO), stanzaType="get"))
        (asked,) = self.world.got
        for sender in ("eve@example.org/orchard", "romeo@example.org", "example.org"):
            self.route(f"<iq from='{sender}' to='{BOT}' type='result' id='{asked.id}'/>")
            self.assertNoResult(waiting)
        for _ in range(2):
            self.route(f"<iq from='{ROMEO}' to='{BOT}' type='result' id='{asked.id}'/>")
        self.assertEqual(self.successResultOf(waiting)["from"], ROMEO)
        self.assertEqual(len(self.keeper.seen), 1)

    def test_requests_are_bounded(self) -> None:
        """A handler that asks without end is remembered for its newest questions only."""
        self.patch(hosted, "MAX_REQUESTS", 2)
        waiting = [
            self.keeper.request(Request(recipient=WordsJID(ROMEO), stanzaType="get")) for _ in range(3)
        ]
        for asked in self.world.got:
            self.route(f"<iq from='{ROMEO}' to='{BOT}' type='result' id='{asked.id}'/>")
        self.assertNoResult(waiting[0])
        for answered in waiting[1:]:
            self.successResultOf(answered)

    def test_request_without_answer(self) -> None:
        """A request that nobody answers fails when the handler's time for it is over."""
        request = Request(recipient=WordsJID(ROMEO), stanzaType="get")
        request.timeout = 5
        waiting = self.keeper.request(request)
        self.clock.advance(5)
        self.failureResultOf(waiting, IqTimeout)


class LifeTests(HostedCase):
    """Start and end."""

    def test_start_and_stop(self) -> None:
        """Handlers hear of both; afterwards the domain is nobody's."""
        service = self.serve(self.keeper)
        self.assertEqual(self.keeper.told, ["made", "initialized"])
        self.assertIn(BOT, self.router.services)
        service.stop()
        service.stop()
        self.assertEqual(self.keeper.told, ["made", "initialized", "lost"])
        self.assertNotIn(BOT, self.router.services)

    def test_again(self) -> None:
        """The same handlers may be started again."""
        service = self.serve(self.keeper)
        service.stop()
        service.start()
        self.route(f"<message from='{ROMEO}' to='{BOT}'/>")
        self.assertEqual(len(self.keeper.seen), 1)

    def test_stop_with_a_request_under_way(self) -> None:
        """A request that waits for its answer fails when the service stops."""
        service = self.serve(self.keeper)
        request = Request(recipient=WordsJID(ROMEO), stanzaType="get")
        request.timeout = 5
        waiting = self.keeper.request(request)
        service.stop()
        self.failureResultOf(waiting, ConnectionDone)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_taken_domain(self) -> None:
        """A domain that is served already is refused, and stays with whom it was."""
        self.serve(self.keeper)
        self.assertRaises(ValueError, self.serve, Keeper())
        self.route(f"<message from='{ROMEO}' to='{BOT}'/>")
        self.assertEqual(len(self.keeper.seen), 1)

    def test_handler_that_cannot_start(self) -> None:
        """A handler that fails at its start takes the domain back."""

        class Broken(XMPPHandler):
            def connectionMade(self) -> None:
                raise RuntimeError("a defect")

        self.assertRaises(RuntimeError, self.serve, Broken())
        self.assertNotIn(BOT, self.router.services)

    def test_handler_that_cannot_stop(self) -> None:
        """A handler that fails at its end is logged and counted."""

        class Broken(XMPPHandler):
            def connectionLost(self, reason: Any) -> None:
                raise RuntimeError("a defect")

        before = metrics.module_failures[BOT]
        self.serve(Broken()).stop()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(metrics.module_failures[BOT], before + 1)
