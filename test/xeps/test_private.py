"""XEP-0049."""

from __future__ import annotations

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.errors import StorageError
from palaver.test.house import House
from palaver.xeps.private import Private

PREFS = "<exodus xmlns='exodus:prefs'><defaultnick>Hamlet &amp; Co</defaultnick></exodus>"
MARKS = "<storage xmlns='storage:bookmarks'><conference jid='hall@muc.example.org' autojoin='1'/></storage>"


class PrivateTests(SynchronousTestCase):
    """A client keeps XML on the server."""

    def setUp(self) -> None:
        """Log in."""
        self.house = House(Private, Private={"max_items": 3, "max_item_bytes": 1024})
        self.romeo = self.house.login("romeo")

    def iq(self, kind: str, inner: str, to: str = "") -> domish.Element:
        """Ask with a query."""
        return self.romeo.ask(
            f"<iq type='{kind}' id='1'{to}><query xmlns='jabber:iq:private'>{inner}</query></iq>"
        )

    def get(self, inner: str) -> list[str]:
        """Give the elements of the answer."""
        return [node.toXml() for node in self.iq("get", inner).query.elements()]

    def condition(self, answer: domish.Element) -> str:
        """Give an error's condition."""
        self.assertEqual(answer["type"], "error")
        name: str = answer.error.firstChildElement().name
        return name

    def test_keep(self) -> None:
        """What is stored is given back as it was."""
        self.assertEqual(self.iq("set", PREFS)["type"], "result")
        (node,) = self.iq("get", "<exodus xmlns='exodus:prefs'/>").query.elements()
        self.assertEqual((node.uri, str(node.defaultnick)), ("exodus:prefs", "Hamlet & Co"))

    def test_unknown(self) -> None:
        """What is not stored comes back empty."""
        (node,) = self.iq("get", "<exodus xmlns='exodus:prefs'/>").query.elements()
        self.assertEqual((node.uri, node.name, node.children), ("exodus:prefs", "exodus", []))

    def test_several(self) -> None:
        """Several elements may be stored and asked for at once, and come in the order of the question."""
        self.iq("set", PREFS + MARKS)
        asked = "<storage xmlns='storage:bookmarks'/><none xmlns='x'/><exodus xmlns='exodus:prefs'/>"
        names = [node.name for node in self.iq("get", asked).query.elements()]
        self.assertEqual(names, ["storage", "none", "exodus"])
        self.assertIn("hall@muc.example.org", self.get(asked)[0])

    def test_replace(self) -> None:
        """A new element takes the place of the old one."""
        self.iq("set", PREFS)
        self.iq("set", "<exodus xmlns='exodus:prefs'>new</exodus>")
        self.assertIn(">new<", self.get("<exodus xmlns='exodus:prefs'/>")[0])

    def test_clear(self) -> None:
        """An empty element takes away what was stored."""
        self.iq("set", PREFS + MARKS)
        self.iq("set", "<exodus xmlns='exodus:prefs'/>")
        (node,) = self.iq("get", "<exodus xmlns='exodus:prefs'/>").query.elements()
        self.assertEqual(node.children, [])

    def test_other_account(self) -> None:
        """Somebody else's data can be neither read nor written."""
        self.iq("set", PREFS)
        juliet = self.house.login("juliet")
        for kind in ("get", "set"):
            inner = f"<query xmlns='jabber:iq:private'>{PREFS}</query>"
            xml = f"<iq type='{kind}' id='1' to='romeo@example.org'>{inner}</iq>"
            self.assertEqual(self.condition(juliet.ask(xml)), "forbidden")
        self.assertIn("Hamlet", self.get("<exodus xmlns='exodus:prefs'/>")[0])

    def test_bad(self) -> None:
        """A query needs elements with namespaces of their own."""
        for kind in ("get", "set"):
            for inner in ("", "text", "<exodus/>", "<exodus xmlns='jabber:client'>x</exodus>"):
                self.assertEqual(self.condition(self.iq(kind, inner)), "not-acceptable", inner)

    def test_many_at_once(self) -> None:
        """One request holds no more elements than an account may store."""
        inner = "".join(f"<a xmlns='n{number}'>x</a>" for number in range(4))
        self.assertEqual(self.condition(self.iq("set", inner)), "not-acceptable")

    def test_full(self) -> None:
        """An account stores so many elements and no more; those that are there can be replaced."""
        for number in range(3):
            self.assertEqual(self.iq("set", f"<a xmlns='n{number}'>x</a>")["type"], "result")
        self.assertEqual(self.condition(self.iq("set", PREFS)), "resource-constraint")
        self.assertEqual(self.iq("set", "<a xmlns='n1'>y</a>")["type"], "result")

    def test_large(self) -> None:
        """An element that is too large is refused, and nothing of its request is stored."""
        answer = self.iq("set", f"{PREFS}<a xmlns='n'>{'x' * 1100}</a>")
        self.assertEqual(self.condition(answer), "policy-violation")
        self.assertNotIn("Hamlet", self.get("<exodus xmlns='exodus:prefs'/>")[0])

    def test_storage_fails(self) -> None:
        """When nothing can be stored, the client may try again."""
        self.patch(self.house.storage, "write", lambda batch: fail(StorageError("down")))
        answer = self.iq("set", PREFS)
        self.assertEqual((self.condition(answer), answer.error["type"]), ("internal-server-error", "wait"))

    def test_unloaded(self) -> None:
        """Without the module nobody answers."""
        self.house.modules["Private"].detach()
        self.assertEqual(self.condition(self.iq("get", PREFS)), "service-unavailable")
