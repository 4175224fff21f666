"""Where stanzas go, by domain, and how their errors come back."""

from __future__ import annotations

from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from palaver.errors import StanzaError
from palaver.jid import JID
from palaver.routing.router import Router
from palaver.stanza import Stanza
from palaver.test.house import House, stanza

ROMEO = "romeo@example.org/orchard"


class Service:
    """Keeps what it gets."""

    name = ""
    send: Any

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.got: list[tuple[Stanza, JID]] = []

    def deliver(self, stanza: Stanza, to: JID) -> str:
        self.got.append((stanza, to))
        return "waiting"


class RouterTests(SynchronousTestCase):
    """A router with one service."""

    def setUp(self) -> None:
        self.router = cast(Any, Router())
        self.service = Service("example.org")
        self.remove = self.router.add(self.service)
        self.romeo: Any = Service("romeo's session")
        self.romeo.send = lambda answer: self.romeo.got.append(answer)

    def route(self, xml: str) -> Any:
        return self.router.route(stanza(xml).with_origin(self.romeo))

    def answer(self) -> tuple[str | None, str]:
        """Give the type and the condition of the one answer that came back."""
        (answer,) = self.romeo.got
        self.romeo.got = []
        error = answer.element.error
        return error["type"], error.firstChildElement().name

    def test_domain(self) -> None:
        """The prepared domain decides; what the service waits for is given back."""
        for to in ("example.org", "Juliet@EXAMPLE.org", "juliet@example.org/balcony"):
            self.assertEqual(self.route(f"<message from='{ROMEO}' to='{to}'/>"), "waiting")
        found = [to.full for _, to in self.service.got]
        self.assertEqual(found, ["example.org", "juliet@example.org", "juliet@example.org/balcony"])

    def test_elsewhere(self) -> None:
        """Domains that are not here, be they near ones, are refused or go to whoever knows the way."""
        for to in ("example.com", "sub.example.org", "org", "juliet@example.com/x"):
            self.route(f"<message from='{ROMEO}' to='{to}'/>")
            self.assertEqual(self.answer(), ("cancel", "remote-server-not-found"))
        self.router.remote = Service("")
        self.route(f"<message from='{ROMEO}' to='juliet@example.com'/>")
        self.assertEqual(len(self.router.remote.got), 1)

    def test_malformed(self) -> None:
        """An addressee that is none comes back; errors and results do not."""
        for to in ("", "@example.org", "a@b@c", "example.org/", "x" * 1024 + "@example.org", "exa mple.org"):
            for name in ("message", "presence", "iq"):
                self.route(f"<{name} from='{ROMEO}' to='{to}'/>")
                self.assertEqual((to, self.answer()), (to, ("modify", "jid-malformed")))
                for type in ("error", "result"):
                    self.route(f"<{name} type='{type}' from='{ROMEO}' to='{to}'/>")
                    self.assertEqual(self.romeo.got, [])

    def test_one_owner(self) -> None:
        """A domain has one service, until it is taken back."""
        self.assertRaises(ValueError, self.router.add, Service("example.org"))
        self.remove()
        self.router.add(Service("example.org"))

    def test_bounce(self) -> None:
        """An error goes back where the stanza came from; with no way back it ends there."""
        refused = stanza(f"<message id='1' from='{ROMEO}' to='juliet@example.org'/>")
        self.router.bounce(refused, StanzaError("gone"))
        self.assertEqual([to.full for _, to in self.service.got], [ROMEO])
        self.router.bounce(stanza("<message id='1' to='juliet@example.org'/>"), StanzaError("gone"))
        self.assertEqual(len(self.service.got), 1)


class RouteTests(SynchronousTestCase):
    """Domains that no service was added for."""

    def setUp(self) -> None:
        self.router = cast(Any, Router())
        self.router.add(Service("example.org"))
        self.router.remote = Service("")
        self.asked: list[str] = []

    def found(self, domain: str) -> Any:
        """Give the domain of the service that a stanza for a domain goes to."""
        return self.router.find(domain).domain

    def route(self, name: str, *domains: str) -> Any:
        """Add a route that knows some domains."""

        def find(domain: str) -> Any:
            self.asked.append(name)
            return Service(f"{name} {domain}") if domain in domains else None

        return self.router.add_route(name, find)

    def test_order(self) -> None:
        """Routes are asked in their order until one knows the domain; other servers are the last."""
        self.route("cluster", "a.example", "b.example")
        self.route("own.module:route", "a.example")
        self.router.arrange(("local", "own.module:route", "cluster", "s2s"))
        self.assertEqual(self.found("a.example"), "own.module:route a.example")
        self.assertEqual(self.found("b.example"), "cluster b.example")
        self.assertEqual(self.found("c.example"), "")
        self.assertEqual(
            self.asked, ["own.module:route", "own.module:route", "cluster", "own.module:route", "cluster"]
        )

    def test_another_order(self) -> None:
        """The order is what the configuration says; a route that it leaves out is not asked."""
        self.route("cluster", "a.example")
        self.route("own.module:route", "a.example")
        self.router.arrange(("local", "cluster", "own.module:route"))
        self.assertEqual(self.found("a.example"), "cluster a.example")
        refused = Service("")
        self.router.reply = lambda stanza, answer: refused.got.append(answer)
        self.router.route(stanza(f"<message from='{ROMEO}' to='c.example'/>"))
        self.assertEqual([answer.type for answer in cast(Any, refused.got)], ["error"])

    def test_before_the_table(self) -> None:
        """A route of somebody's own in front of local takes even domains that are served here."""
        remove = self.route("package.module:factory", "example.org")
        self.router.arrange(("local", "package.module:factory", "s2s"))
        self.assertEqual(self.found("example.org"), "example.org")
        self.router.arrange(("package.module:factory", "local", "s2s"))
        self.assertEqual(self.found("example.org"), "package.module:factory example.org")
        remove()
        self.assertEqual(self.found("example.org"), "example.org")

    def test_one_of_a_name(self) -> None:
        """A second route of one name is refused."""
        self.route("cluster")
        self.assertRaises(ValueError, self.route, "cluster")
        self.assertRaises(ValueError, self.route, "s2s")

    def test_served(self) -> None:
        """What is asked of other servers is not served here."""
        self.route("own.module:route", "a.example")
        self.router.arrange(("local", "own.module:route", "s2s"))
        found = [self.router.serves(domain) for domain in ("example.org", "a.example", "c.example")]
        self.assertEqual(found, [True, True, False])


class SpoofTests(SynchronousTestCase):
    """What a client says about itself."""

    def test_malformed_from_client(self) -> None:
        """A client that writes to no JID is told so, and its session goes on."""
        romeo = House().login("romeo")
        for name in ("message", "presence", "iq"):
            romeo.send(f"<{name} id='1' to='a@b@c' type='{'get' if name == 'iq' else 'chat'}'/>")
        names = [node.error.firstChildElement().name for node in romeo.take()]
        self.assertEqual(names, ["jid-malformed", "bad-request", "jid-malformed"])
