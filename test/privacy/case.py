"""A host where accounts block others, and what tests of that ask for."""

from __future__ import annotations

from typing import Any

from palaver.test.house import Client
from palaver.test.routing.test_presence import JULIET, REMOTE, ROMEO, PresenceCase, presences
from palaver.xeps.blocking import Blocking
from palaver.xeps.privacy import Privacy

__all__ = ("JULIET", "REMOTE", "ROMEO", "PrivacyCase", "presences")

DENY_ROMEO = f"<item type='jid' value='{ROMEO}' action='deny' order='1'/>"


class PrivacyCase(PresenceCase):
    """Juliet and Romeo see each other's presence; she has lists."""

    def setUp(self) -> None:
        """Log both in."""
        super().setUp()
        self.house.add(Blocking, **self.blocking_options())
        self.house.add(Privacy, **self.privacy_options())
        self.befriend()
        self.juliet = self.house.login("juliet", "balcony", "<presence/>")
        self.romeo = self.house.login("romeo", "orchard", "<presence/>")
        self.clear()

    def blocking_options(self) -> dict[str, Any]:
        """Give the options of mod_blocking."""
        return {}

    def privacy_options(self) -> dict[str, Any]:
        """Give the options of mod_privacy."""
        return {}

    def clear(self) -> None:
        """Forget what came."""
        self.juliet.take()
        self.romeo.take()
        self.elsewhere.take()

    def block(self, *jids: str, client: Client | None = None, name: str = "block") -> Any:
        """Block JIDs, or unblock them; gives the answer."""
        items = "".join([f"<item jid='{jid}'/>" for jid in jids])
        return (client or self.juliet).ask(
            f"<iq type='set' id='b'><{name} xmlns='urn:xmpp:blocking'>{items}</{name}></iq>"
        )

    def blocked(self, client: Client | None = None) -> list[str]:
        """Ask for the block list."""
        answer = (client or self.juliet).ask(
            "<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>"
        )
        return [item["jid"] for item in answer.blocklist.elements()]

    def privacy(self, kind: str, inner: str = "", client: Client | None = None) -> Any:
        """Ask with a privacy query; gives the answer."""
        return (client or self.juliet).ask(
            f"<iq type='{kind}' id='p'><query xmlns='jabber:iq:privacy'>{inner}</query></iq>"
        )

    def make_list(self, items: str, name: str = "work", use: str = "default") -> None:
        """Store a list and make it the active or default one."""
        self.assertEqual(self.privacy("set", f"<list name='{name}'>{items}</list>")["type"], "result")
        self.assertEqual(self.privacy("set", f"<{use} name='{name}'/>")["type"], "result")
        self.clear()

    @staticmethod
    def condition(answer: Any) -> tuple[str, str]:
        """Give an error's type and condition."""
        error = answer.error
        return error["type"], error.firstChildElement().name

    def errors(self, client: Client) -> list[tuple[str, str, str]]:
        """Give (name, type, condition) of the errors that came; fails when anything else came."""
        found = client.take()
        self.assertEqual([node["type"] for node in found], ["error"] * len(found))
        return [(node.name, *self.condition(node)) for node in found]
