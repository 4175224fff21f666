"""Who gets a message: RFC 6121 section 8.5 as a table, and what becomes of those that nobody gets."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from palaver import metrics
from palaver.errors import StanzaError, StorageError
from palaver.routing.pipeline import DROP, HANDLED, TO_USER, UNDELIVERED, Reply
from palaver.test.house import House, now

# Juliet's sessions by resource, with their priority; None: connected, and not available.
NOBODY: dict[str, int | None] = {}
BELOW = {"low": -1, "silent": None}
SEVERAL = {"top": 5, "same": 5, "less": 1, "low": -1, "silent": None}

KEPT, REFUSED, GONE = "kept for later", "refused", "gone"
TOP, NOT_BELOW = "same top", "less same top"

# For each addressee and who is there: what becomes of a message, by its type.
# A type that is not known counts as normal (section 5.2.2).
NORMAL, CHAT, UNKNOWN = None, "chat", "whisper"
TABLE = {
    ("bare", "nobody"): {"groupchat": REFUSED, "headline": GONE, "error": GONE, "others": KEPT},
    ("bare", "below"): {"groupchat": REFUSED, "headline": GONE, "error": GONE, "others": KEPT},
    ("bare", "several"): {"groupchat": REFUSED, "headline": NOT_BELOW, "error": GONE, "others": TOP},
    ("full", "nobody"): {"groupchat": REFUSED, "headline": GONE, "error": GONE, "others": KEPT},
    ("full", "below"): {"groupchat": REFUSED, "headline": GONE, "error": GONE, "others": KEPT},
    ("full", "several"): {"groupchat": REFUSED, "headline": GONE, "error": GONE, "others": TOP},
}
SESSIONS = {"nobody": NOBODY, "below": BELOW, "several": SEVERAL}
ADDRESSEES = {"bare": "juliet@example.org", "full": "juliet@example.org/elsewhere"}
TYPES = (NORMAL, CHAT, UNKNOWN, "groupchat", "headline", "error")


class DeliveryCase(SynchronousTestCase):
    """Romeo writes; Juliet has the sessions of a test."""

    def build(self, sessions: dict[str, int | None] = NOBODY) -> None:
        self.house: Any = House()
        self.host = self.house.host
        self.romeo = self.house.login("romeo")
        self.juliet = {name: self.house.login("juliet", name) for name in sessions}
        for name, priority in sessions.items():
            if priority is not None:
                self.juliet[name].send(f"<presence><priority>{priority}</priority></presence>")
        for client in self.juliet.values():
            client.take()

    def undelivered(self, answer: Any = None, phase: str = "store") -> list[Any]:
        """Have a module take what is undelivered; gives the list of what it got."""
        got: list[Any] = []

        def take(stanza, to):
            got.append((stanza.id, to.full))
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.host.pipeline.add(UNDELIVERED, phase, ("message",), f"mod_{phase}", take)
        return got

    def send(self, to: str | None, kind: str | None = None) -> Any:
        attrs = (f" to='{to}'" if to is not None else "") + (f" type='{kind}'" if kind else "")
        return self.romeo.send(f"<message id='m'{attrs}><body>But, soft!</body></message>")

    def got(self) -> str:
        """Give the resources of Juliet's that got something, as text."""
        return " ".join(sorted(name for name, client in self.juliet.items() if client.take()))

    def errors(self) -> list[tuple[str, str, str]]:
        """Give (from, type, condition) of the errors that came back."""
        found = []
        for node in self.romeo.take():
            error = next(node.elements("jabber:client", "error"))
            found.append((node["from"], error["type"], error.firstChildElement().name))
        return found

    def outcome(self, to: str, kind: str | None) -> str:
        """Send a message; tell what became of it."""
        kept = self.undelivered(HANDLED)
        self.send(to, kind)
        found = [self.got()] + [KEPT] * len(kept) + [REFUSED] * len(self.romeo.take())
        return "".join(found) or GONE


class TableTests(DeliveryCase):
    """Section 8.5.2 and 8.5.3, row by row."""

    def test_no_such_resource(self) -> None:
        """A message to the account, or to a resource that is not there, goes by type and priorities."""
        for (addressee, who), row in TABLE.items():
            for kind in TYPES:
                self.build(SESSIONS[who])
                wanted = row.get(kind or "", row["others"])
                found = self.outcome(ADDRESSEES[addressee], kind)
                self.assertEqual((addressee, who, kind, found), (addressee, who, kind, wanted))

    def test_resource(self) -> None:
        """A message of any type goes to the resource that it is for, whatever its priority."""
        for name in SEVERAL:
            for kind in TYPES:
                self.build(SEVERAL)
                self.assertEqual((kind, self.outcome(f"juliet@example.org/{name}", kind)), (kind, name))

    def test_as_it_came(self) -> None:
        """It arrives as it was sent, from the sender's full JID."""
        self.build(SEVERAL)
        self.send("juliet@example.org", "chat")
        (node,) = self.juliet["top"].take()
        wanted = {
            "id": "m", "to": "juliet@example.org", "from": "romeo@example.org/orchard", "type": "chat",
        }  # fmt: skip
        self.assertEqual((node.attributes, str(node.body)), (wanted, "But, soft!"))

    def test_own_account(self) -> None:
        """Without an addressee, or to one's own account, it comes to one's own resources."""
        for to in (None, "romeo@example.org", "ROMEO@example.org"):
            self.build()
            self.romeo.send("<presence/>")
            self.romeo.take()
            self.send(to)
            (node,) = self.romeo.take()
            self.assertEqual(node["to"].lower(), "romeo@example.org")

    def test_host(self) -> None:
        """The host itself reads no messages, nor does a resource of it; errors to it are dropped."""
        for to in ("example.org", "example.org/announce"):
            for kind in (NORMAL, CHAT, "groupchat", "headline"):
                self.build()
                self.send(to, kind)
                self.assertEqual(self.errors(), [(to, "cancel", "service-unavailable")])
            self.send(to, "error")
            self.assertEqual(self.errors(), [])


class UndeliveredTests(DeliveryCase):
    """What becomes of a message that no session took."""

    def test_nobody_keeps_it(self) -> None:
        """Where nothing keeps messages the sender is told."""
        self.build()
        self.send("juliet@example.org")
        self.assertEqual(self.errors(), [("juliet@example.org", "cancel", "service-unavailable")])

    def test_verdicts(self) -> None:
        """Who keeps it says so; another module may drop it, refuse it, or leave it to the next one."""
        refused = ("juliet@example.org", "wait", "resource-constraint")
        rows: Any = (
            (HANDLED, []), (DROP, []), (StanzaError("resource-constraint"), [refused]),
            (None, [("juliet@example.org", "cancel", "service-unavailable")]),
            (StorageError("gone"), [("juliet@example.org", "wait", "internal-server-error")]),
        )  # fmt: skip
        for answer, wanted in rows:
            self.build()
            told, kept = self.undelivered(None, "notify"), self.undelivered(answer)
            self.send("juliet@example.org")
            self.assertEqual(self.errors(), wanted)
            self.assertEqual((told, kept), ([("m", "juliet@example.org")],) * 2)

    def test_waits(self) -> None:
        """The sender's stanza is done when the message is stored, and not before."""
        self.build()
        gate: Deferred[Any] = Deferred()
        self.undelivered(gate)
        waiting = self.send("juliet@example.org")
        self.assertNoResult(waiting)
        gate.callback(HANDLED)
        now(waiting)
        self.assertEqual(self.errors(), [])

    def test_storage_failure(self) -> None:
        """A message that could not be stored comes back with the advice to wait, never silently."""
        self.build()
        gate: Deferred[Any] = Deferred()
        self.undelivered(gate)
        waiting = self.send("juliet@example.org")
        gate.errback(StorageError("disk full"))
        now(waiting)
        self.assertEqual(self.errors(), [("juliet@example.org", "wait", "internal-server-error")])

    def test_reply(self) -> None:
        """A module may answer in the account's name."""
        self.build()
        self.host.pipeline.add(
            UNDELIVERED, "store", ("message",), "mod_reply",
            lambda stanza, to: Reply(stanza.error(StanzaError("gone"))),
        )  # fmt: skip
        self.send("juliet@example.org")
        self.assertEqual(self.errors(), [("juliet@example.org", "cancel", "gone")])


class AccountTests(DeliveryCase):
    """Accounts that nobody is online with."""

    def test_absent_looks_like_none(self) -> None:
        """From the answers nobody learns whether there is an account."""
        self.build()
        for kind in TYPES:
            for resource in ("", "/balcony"):
                answers = []
                for local in ("mercutio", "nobody"):
                    self.send(f"{local}@example.org{resource}", kind)
                    answers.append([node.toXml().replace(local, "x") for node in self.romeo.take()])
                self.assertEqual(answers[0], answers[1], (kind, resource))

    def test_lookup_fails(self) -> None:
        """When accounts cannot be looked up the sender tries again; a defect is logged and told."""
        for reason, type in ((StorageError("gone"), "wait"), (ZeroDivisionError(), "cancel")):
            self.build()
            metrics.reset()
            self.house.accounts.exists = lambda local, reason=reason: fail(reason)
            now(self.send("mercutio@example.org"))
            self.assertEqual(self.errors(), [("mercutio@example.org", type, "internal-server-error")])
            self.assertEqual(metrics.module_failures["accounts"], 1)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_comes_online(self) -> None:
        """Who comes online while the account is looked up gets the message."""
        self.build()
        gate: Deferred[bool] = Deferred()
        self.house.accounts.exists = lambda local: gate
        self.send("juliet@example.org")
        juliet = self.house.login("juliet", "balcony", "<presence/>")
        juliet.take()
        gate.callback(True)
        self.assertEqual([node["id"] for node in juliet.take()], ["m"])


class GuardTests(DeliveryCase):
    """The TO_USER phases come before the sessions are chosen."""

    def guard(self, answer: Any) -> None:
        self.host.pipeline.add(TO_USER, "guard", ("message",), "mod_guard", lambda stanza, to: answer)

    def test_verdicts(self) -> None:
        """A guard may let pass, stop, or refuse, at once or later, for bare and full JIDs."""
        for to in ("juliet@example.org", "juliet@example.org/top"):
            for answer, wanted in ((None, True), (DROP, False), (HANDLED, False)):
                for late in (False, True):
                    self.build(SEVERAL)
                    gate: Deferred[Any] = Deferred()
                    self.guard(gate if late else answer)
                    self.send(to)
                    gate.callback(answer)
                    self.assertEqual((self.got() != "", self.errors()), (wanted, []))

    def test_refusal(self) -> None:
        """A guard's refusal comes back in the addressee's name, also from who is offline."""
        for sessions in (SEVERAL, NOBODY):
            self.build(sessions)
            refusal: Deferred[Any] = fail(StanzaError("not-acceptable"))
            self.guard(refusal)
            self.send("juliet@example.org")
            self.assertEqual(
                (self.got(), self.errors()), ("", [("juliet@example.org", "modify", "not-acceptable")])
            )
