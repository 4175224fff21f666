"""XEP-0079."""

from __future__ import annotations

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.errors import StanzaError, StorageError
from palaver.routing.pipeline import UNDELIVERED
from palaver.routing.roster import Roster
from palaver.test.house import Client, House
from palaver.test.streams.talker import Talker
from palaver.xeps.amp import NO_ID, NS_AMP, NS_ERRORS, AdvancedMessageProcessing
from palaver.xeps.disco import ServiceDiscovery
from palaver.xeps.offline import Offline

BARE, FULL = "juliet@example.org", "juliet@example.org/balcony"


def rule(action: str, condition: str, value: str) -> str:
    """Give a rule."""
    return f"<rule action='{action}' condition='{condition}' value='{value}'/>"


class AmpCase(SynchronousTestCase):
    """Romeo sends messages with rules to Juliet, whose presence he may see."""

    def build(self, online: bool = True, keeps: bool = True) -> None:
        """Log Romeo in, and Juliet when she is to be there; with or without an offline store."""
        self.patch(Roster, "is_seen_by", lambda roster, bare: bare == "romeo@example.org")
        self.house = House(AdvancedMessageProcessing, *((Offline,) if keeps else ()))
        self.romeo = self.house.login("romeo", "orchard", "<presence/>")
        self.juliet = self.house.login("juliet", "balcony", "<presence/>") if online else None
        self.romeo.take()
        if self.juliet is not None:
            self.juliet.take()

    def send(self, *rules: str, to: str = FULL, more: str = "", client: Client | None = None) -> None:
        """Send a message with rules."""
        amp = f"<amp xmlns='{NS_AMP}'>{''.join(rules)}</amp>"
        (client or self.romeo).send(f"<message to='{to}' id='m'{more}><body>hi</body>{amp}</message>")

    def answers(self) -> list[str]:
        """Give what Romeo got: "notify VALUE", or the error's conditions and the values of its rules."""
        return [_summary(node) for node in self.romeo.take()]

    def arrived(self) -> bool:
        """Tell whether Juliet gets, or has got, the message."""
        client = self.juliet or self.house.login("juliet", "balcony", "<presence/>")
        return any(node.name == "message" for node in client.take())


def _summary(node: domish.Element) -> str:
    if node.getAttribute("type") != "error":
        return f"{node.amp['status']} {' '.join(one['value'] for one in node.amp.elements())}"
    conditions = [f"{one.name}" for one in node.error.elements()]
    values = [one["value"] for one in node.error.elements() for one in one.elements()]
    return " ".join([*conditions, *values])


class DeliverTests(AmpCase):
    """Rules about whether a message is delivered."""

    def test_table(self) -> None:
        """For each situation and rule: what Romeo hears, and whether Juliet gets the message."""
        error = "undefined-condition failed-rules"
        online, kept, nowhere = (True, True), (False, True), (False, False)
        rows: tuple[tuple[tuple[bool, bool], str, str, list[str], bool], ...] = (
            (online, "notify", "direct", ["notify direct"], True),
            (online, "error", "direct", [f"{error} direct"], False),
            (online, "drop", "direct", [], False),
            (online, "notify", "stored", [], True),
            (online, "error", "stored", [], True),
            (online, "notify", "none", [], True),
            (online, "notify", "forward", [], True),
            (kept, "notify", "stored", ["notify stored"], True),
            (kept, "error", "stored", [f"{error} stored"], False),
            (kept, "drop", "stored", [], False),
            (kept, "notify", "direct", [], True),
            (kept, "drop", "direct", [], True),
            (kept, "notify", "gateway", [], True),
            (nowhere, "notify", "none", ["notify none", "service-unavailable"], False),
            (nowhere, "error", "none", [f"{error} none"], False),
            (nowhere, "drop", "none", [], False),
            (nowhere, "error", "stored", ["service-unavailable"], False),
        )
        for (there, keeps), action, value, heard, arrives in rows:
            self.build(there, keeps)
            self.send(rule(action, "deliver", value))
            self.assertEqual(
                (self.answers(), self.arrived()), (heard, arrives), (there, keeps, action, value)
            )

    def test_first(self) -> None:
        """The first rule that holds decides; the others say nothing."""
        self.build()
        self.send(rule("notify", "deliver", "direct"), rule("notify", "deliver", "direct"))
        self.assertEqual(self.answers(), ["notify direct"])
        self.send(rule("drop", "deliver", "stored"), rule("error", "deliver", "direct"))
        self.assertEqual(
            (self.answers(), self.arrived()), (["undefined-condition failed-rules direct"], True)
        )

    def test_store_fails(self) -> None:
        """A message that could not be stored is refused, and its sender told that nothing became of it."""
        self.build(online=False)
        self.patch(self.house.storage, "write", lambda batch: fail(StorageError("down")))
        self.send(rule("notify", "deliver", "stored"), rule("notify", "deliver", "none"))
        self.assertEqual(self.answers(), ["internal-server-error text", "notify none"])

    def test_headline(self) -> None:
        """A headline is never kept."""
        self.build(online=False)
        self.send(rule("error", "deliver", "none"), more=" type='headline'")
        self.assertEqual(self.answers(), ["undefined-condition failed-rules none"])

    def test_to_oneself(self) -> None:
        """Rules hold for one's own account too."""
        self.build()
        amp = f"<amp xmlns='{NS_AMP}'>{rule('drop', 'deliver', 'direct')}</amp>"
        self.romeo.send(f"<message id='m'><body>note</body>{amp}</message>")
        self.assertEqual(self.romeo.take(), [])


class ResourceTests(AmpCase):
    """Rules about which resource gets a message."""

    def test_table(self) -> None:
        """For each address and value: whether the rule holds."""
        elsewhere = f"{BARE}/elsewhere"
        rows = (
            (FULL, "exact", True), (FULL, "any", True), (FULL, "other", False),
            (elsewhere, "exact", False), (elsewhere, "any", True), (elsewhere, "other", True),
            (BARE, "exact", False), (BARE, "any", True), (BARE, "other", True),
        )  # fmt: skip
        self.build()
        for to, value, holds in rows:
            self.send(rule("notify", "match-resource", value), to=to)
            self.assertEqual(
                (self.answers(), self.arrived()), ([f"notify {value}"] * holds, True), (to, value)
            )
            self.send(rule("drop", "match-resource", value), to=to)
            self.assertEqual((self.answers(), self.arrived()), ([], not holds), (to, value))

    def test_offline(self) -> None:
        """Where nobody is, no resource matches."""
        self.build(online=False)
        self.send(rule("error", "match-resource", "any"))
        self.assertEqual((self.answers(), self.arrived()), ([], True))


class AnswerTests(AmpCase):
    """What the sender is sent."""

    def test_notify(self) -> None:
        """A notice comes from the server, with the message's id, addresses and rule, and nothing else."""
        self.build()
        self.send(rule("notify", "deliver", "direct"), rule("drop", "deliver", "none"))
        (notice,) = self.romeo.take()
        self.assertEqual(
            (notice["from"], notice["to"], notice["id"]), ("example.org", "romeo@example.org/orchard", "m")
        )
        self.assertEqual([child.name for child in notice.elements()], ["amp"])
        self.assertEqual((notice.amp["from"], notice.amp["to"]), ("romeo@example.org/orchard", FULL))
        (told,) = notice.amp.elements()
        self.assertEqual((told["action"], told["condition"], told["value"]), ("notify", "deliver", "direct"))

    def test_error(self) -> None:
        """A refusal names the rule that failed."""
        self.build()
        self.send(rule("error", "deliver", "direct"))
        (refusal,) = self.romeo.take()
        self.assertEqual((refusal["type"], refusal.amp["status"]), ("error", "error"))
        self.assertEqual((refusal.error["type"], refusal.error["code"]), ("modify", "500"))
        (failed,) = refusal.error.elements(NS_ERRORS, "failed-rules")
        self.assertEqual(failed.rule["value"], "direct")

    def test_no_id(self) -> None:
        """A message without an id is answered with one that says so."""
        self.build()
        amp = f"<amp xmlns='{NS_AMP}'>{rule('notify', 'deliver', 'direct')}</amp>"
        self.romeo.send(f"<message to='{FULL}'>{amp}</message>")
        (notice,) = self.romeo.take()
        self.assertEqual(notice["id"], NO_ID)


class WrongRuleTests(AmpCase):
    """What is refused; the message is not delivered then."""

    def test_table(self) -> None:
        """For each wrong rule: the error; the first kind of mistake decides."""
        good = rule("notify", "deliver", "direct")
        rows = (
            (rule("shout", "deliver", "direct"), "not-acceptable invalid-rules direct", "405"),
            (rule("notify", "deliver", "sometimes"), "not-acceptable invalid-rules sometimes", "405"),
            (rule("notify", "weather", "fine"), "not-acceptable invalid-rules fine", "405"),
            (rule("notify", "match-resource", "direct"), "not-acceptable invalid-rules direct", "405"),
            ("<rule value='direct'/>", "not-acceptable invalid-rules direct", "405"),
            (rule("alert", "deliver", "stored"), "bad-request unsupported-actions stored", "400"),
            (rule("drop", "expire-at", "2020"), "bad-request unsupported-conditions 2020", "400"),
            (
                rule("alert", "expire-at", "2020") + rule("drop", "deliver", "x"),
                "not-acceptable invalid-rules x",
                "405",
            ),
        )
        self.build()
        for wrong, wanted, code in rows:
            self.send(good, wrong)
            (refusal,) = self.romeo.take()
            self.assertEqual((_summary(refusal), refusal.error["code"]), (wanted, code), wrong)
            self.assertFalse(self.arrived())

    def test_stranger(self) -> None:
        """Whoever may not see the addressee's presence learns nothing of it from rules."""
        self.build()
        nurse = self.house.login("nurse")
        seen = []
        for to in (FULL, "mercutio@example.org", "nobody@example.org"):
            self.send(rule("notify", "deliver", "direct"), to=to, client=nurse)
            seen.append([_summary(node) for node in nurse.take()])
        self.assertEqual(seen, [["not-acceptable invalid-rules direct"]] * 3)
        self.assertFalse(self.arrived())

    def test_not_ours(self) -> None:
        """Messages without rules, with somebody's answer, errors, and those that go elsewhere just pass."""
        self.build()
        self.send()
        answer = f"<amp xmlns='{NS_AMP}' status='notify'>{rule('drop', 'deliver', 'direct')}</amp>"
        self.romeo.send(f"<message to='{FULL}'>{answer}</message>")
        self.send(rule("drop", "deliver", "direct"), more=" type='error'")
        assert self.juliet is not None
        self.assertEqual(len(self.juliet.take()), 3)
        self.send(rule("drop", "deliver", "none"), to="hall@elsewhere.example")
        self.send(rule("drop", "deliver", "none"), to="@example.org")
        self.assertEqual(
            [node.error.firstChildElement().name for node in self.romeo.take()],
            ["remote-server-not-found", "jid-malformed"],
        )


class RemainsTests(AmpCase):
    """Nothing stays behind of a message."""

    def rows(self) -> list[str]:
        """Give the directions in which the module looks at messages."""
        return [row[0] for row in self.house.host.pipeline.rows() if row[3] == "mod_amp"]

    def test_settled(self) -> None:
        """Once it is known what became of the message, what is sent to sessions passes the module no more."""
        self.build()
        self.send(rule("notify", "deliver", "direct"))
        self.assertEqual(self.rows(), ["from-client", "sent"])

    def test_stopped(self) -> None:
        """A message that is refused further on leaves nothing either, once its sender is gone."""
        self.build(online=False)

        def refuse(message, to):
            self.romeo.session.unbind()
            raise StanzaError("gone")

        self.house.host.pipeline.add(UNDELIVERED, "notify", ("message",), "mod_test", refuse)
        self.send(rule("notify", "deliver", "stored"))
        self.assertEqual(self.rows(), ["from-client", "sent"])

    def test_unloaded(self) -> None:
        """Without the module rules are not read."""
        self.build()
        self.house.modules["AdvancedMessageProcessing"].detach()
        self.send(rule("drop", "deliver", "direct"))
        self.assertTrue(self.arrived())


class SupportTests(SynchronousTestCase):
    """What is announced."""

    def test_disco(self) -> None:
        """The server has the feature, and a node that says what is supported of it."""
        romeo = House(ServiceDiscovery, AdvancedMessageProcessing).login("romeo")
        query = "<query xmlns='http://jabber.org/protocol/disco#info'{}/>"
        ask = f"<iq type='get' id='1' to='example.org'>{query}</iq>"
        for node, wanted in (
            ("", {NS_AMP}),
            (
                f" node='{NS_AMP}'",
                {
                    NS_AMP,
                    *(f"{NS_AMP}?action={name}" for name in ("drop", "error", "notify")),
                    *(f"{NS_AMP}?condition={name}" for name in ("deliver", "match-resource")),
                },
            ),
        ):
            answer = romeo.ask(ask.format(node)).query
            found = {child["var"] for child in answer.elements() if child.name == "feature"}
            self.assertEqual({var for var in found if var.startswith(NS_AMP)}, wanted)
            self.assertEqual(answer.getAttribute("node"), NS_AMP if node else None)

    def test_stream(self) -> None:
        """The stream feature is announced after the login."""
        feature = "<amp xmlns='http://jabber.org/feature/amp'/>"
        self.assertIn(feature, Talker(House(AdvancedMessageProcessing)).authenticate())
