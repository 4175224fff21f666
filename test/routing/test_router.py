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


class SpoofTests(SynchronousTestCase):
    """What a client says about itself."""

    def test_malformed_from_client(self) -> None:
        """A client that writes to no JID is told so, and its session goes on."""
        romeo = House().login("romeo")
        for name in ("message", "presence", "iq"):
            romeo.send(f"<{name} id='1' to='a@b@c' type='{'get' if name == 'iq' else 'chat'}'/>")
        names = [node.error.firstChildElement().name for node in romeo.take()]
        self.assertEqual(names, ["jid-malformed", "bad-request", "jid-malformed"])
