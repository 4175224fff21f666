"""XEP-0401, 0379 and 0445."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.auth.keys import InvalidPassword
from palaver.commands import command as commands
from palaver.commands import typed
from palaver.commands.command import Call
from palaver.errors import StanzaError
from palaver.interfaces import IRegistration
from palaver.test.house import Client, House, now, stanza
from palaver.test.served import PASSWORD, ServedCase
from palaver.tree import parse_element
from palaver.xeps.adhoc import AdHocCommands
from palaver.xeps.invites import Invites, NewInvite
from palaver.xeps.register import Register, RegisterSettings
from palaver.xeps.roster import Roster

NS = "http://jabber.org/protocol/commands"
INVITE = f"<iq type='set' id='1' to='example.org'><command xmlns='{NS}' node='urn:xmpp:invite#invite'/></iq>"
DAY_S = 86400
ELSEWHERE = "198.51.100.7"


def condition(answer: domish.Element) -> str:
    """Give an error's condition."""
    name: str = answer.error.firstChildElement().name
    return name


class InviteCase(SynchronousTestCase):
    """A host that takes registrations by invitation only."""

    def setUp(self) -> None:
        """Make the host."""
        self.house = self.make()

    def make(self, **options: Any) -> House:
        """Give a host whose administrator is Juliet."""
        house = House(
            AdHocCommands,
            Roster,
            Register,
            Invites,
            Register={"allow_registration": False, "registration_throttle_max": 5},
            Invites=options,
        )
        house.host.admins = frozenset(["juliet@example.org"])
        return house

    def run_command(self, name: str, **values: Any) -> Any:
        """Run a command as the owner of the process does; gives its outcome."""
        command = commands.named(self.house.host, name)
        assert command is not None
        given = typed.check(command.arguments, values) if command.arguments is not None else None
        return now(command.run(Call(self.house.host, None), given))

    def token(self, **values: Any) -> str:
        """Give the token of a new link for an account."""
        return str(self.run_command("invite create", **values).result.uri.rpartition("=")[2])

    def stranger(self) -> Client:
        """Give a stream on which nobody has logged in."""
        return Client(self.house, ELSEWHERE)

    def ask(self, stream: Client, inner: str) -> domish.Element:
        """Give the answer that a stranger gets."""
        request = stanza(f"<iq type='set' id='1' to='example.org'>{inner}</iq>")
        registration: Any = self.house.host.query(IRegistration)
        return parse_element(now(registration.handle(stream, request)).encode(declare=True))

    def bring(self, stream: Client, token: str) -> domish.Element:
        """Bring a token."""
        return self.ask(stream, f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>")

    def register(self, stream: Client, name: str = "bill") -> domish.Element:
        """Make an account."""
        return self.ask(
            stream,
            "<query xmlns='jabber:iq:register'>"
            f"<username>{name}</username><password>Globe</password></query>",
        )

    def contacts(self, local: str) -> dict[str, str]:
        """Give the subscriptions of an account by contact."""
        answer = self.house.login(local, "look").ask(
            "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>"
        )
        return {item["jid"]: item["subscription"] for item in answer.query.elements()}


class AccountTests(InviteCase):
    """Accounts by token."""

    def test_closed(self) -> None:
        """Without a token there is no way in, and the feature says that there is one with it."""
        stream = self.stranger()
        self.assertEqual(condition(self.register(stream)), "not-allowed")
        features = b"".join(feature(stream) or b"" for feature in self.house.host.stream_features)
        self.assertIn(b"urn:xmpp:ibr-token:0", features)

    def test_register(self) -> None:
        """With a token one makes an account, once."""
        token = self.token()
        stream = self.stranger()
        self.assertEqual(self.bring(stream, token)["type"], "result")
        self.assertEqual(self.register(stream)["type"], "result")
        self.assertEqual(self.house.accounts.passwords, {"bill": "Globe"})
        self.assertEqual(condition(self.register(stream, "bull")), "not-allowed")
        self.assertEqual(condition(self.bring(self.stranger(), token)), "item-not-found")

    def test_token_is_not_stored(self) -> None:
        """What is stored lets nobody in."""
        token = self.token()
        (stored,) = now(self.house.storage.documents.list("example.org", "", ("invite",)))
        self.assertNotIn(token, repr(stored))
        self.assertEqual(condition(self.bring(self.stranger(), stored.key)), "item-not-found")

    def test_failed_attempt(self) -> None:
        """An attempt that fails does not use the token up."""
        token, stream = self.token(), self.stranger()
        self.bring(stream, token)
        self.assertEqual(condition(self.register(stream, "romeo")), "conflict")
        create = self.house.accounts.create
        self.patch(self.house.accounts, "create", lambda *_: fail(InvalidPassword("no")))
        self.assertEqual(condition(self.register(stream)), "not-acceptable")
        self.patch(self.house.accounts, "create", create)
        self.assertEqual(self.register(stream)["type"], "result")

    def test_two_at_once(self) -> None:
        """Of two who use one token at the same time, one gets in."""
        token = self.token()
        streams = [self.stranger(), self.stranger()]
        for stream in streams:
            self.bring(stream, token)
        create, waiting = self.house.accounts.create, Deferred[None]()
        self.patch(
            self.house.accounts, "create", lambda *given: waiting.addCallback(lambda _: create(*given))
        )
        registration: Any = self.house.host.query(IRegistration)
        first = registration.handle(
            streams[0],
            stanza(
                "<iq type='set' id='1'><query xmlns='jabber:iq:register'>"
                "<username>bill</username><password>x</password></query></iq>"
            ),
        )
        self.assertEqual(condition(self.register(streams[1], "bull")), "not-allowed")
        waiting.callback(None)
        self.assertEqual(now(first).type, "result")

    def test_reusable(self) -> None:
        """A token for two lets two in."""
        token = self.token(uses=2)
        for name, expected in (("bill", "result"), ("bull", "result"), ("bell", "error")):
            stream = self.stranger()
            self.bring(stream, token)
            self.assertEqual(self.register(stream, name)["type"], expected)

    def test_expired(self) -> None:
        """An old token does not count; who brought it in time may finish."""
        token, early = self.token(lifetime=DAY_S), self.stranger()
        self.bring(early, token)
        self.house.clock.advance(DAY_S + 1)
        self.assertEqual(condition(self.bring(self.stranger(), token)), "item-not-found")
        self.assertEqual(self.register(early)["type"], "result")

    def test_cleaned(self) -> None:
        """What has expired long ago is deleted."""
        self.token(lifetime=DAY_S)
        self.house.clock.pump([3600] * 50)
        self.assertEqual(now(self.house.storage.documents.list("example.org", "", ("invite",))), [])

    def test_name(self) -> None:
        """A name in the link is kept for its bearer, who may take no other."""
        uri = self.run_command("invite create", username="Bill").result.uri
        self.assertTrue(uri.startswith("xmpp:bill@example.org?register;preauth="))
        other = self.stranger()
        self.bring(other, self.token())
        self.assertEqual(condition(self.register(other, "bill")), "conflict")
        stream = self.stranger()
        self.bring(stream, uri.rpartition("=")[2])
        self.assertEqual(condition(self.register(stream, "bull")), "not-acceptable")
        self.assertEqual(self.register(stream, "bill")["type"], "result")

    def test_administrators(self) -> None:
        """An administrator's name is for whoever was invited under that, and for nobody else."""
        self.house.host.admins |= {"bill@example.org"}
        other, invited = self.stranger(), self.stranger()
        self.bring(other, self.token())
        self.assertEqual(condition(self.register(other, "bill")), "conflict")
        self.bring(invited, self.token(username="bill"))
        self.assertEqual(self.register(invited, "bill")["type"], "result")

    def test_refused_links(self) -> None:
        """Names that are taken, kept or none, and senseless wishes, are refused."""
        self.token(username="bill")
        for values, expected in (
            ({"username": "romeo"}, "conflict"),
            ({"username": "bill"}, "conflict"),
            ({"username": "a b"}, "not-acceptable"),
            ({"username": "bull", "uses": 2}, "not-acceptable"),
            ({"roster-subscription": True}, "not-acceptable"),
            ({"uses": 0}, "bad-request"),
            ({"lifetime": 1}, "bad-request"),
            ({"accountjid": "example.org"}, "bad-request"),
        ):
            error = self.assertRaises(StanzaError, self.run_command, "invite create", **values)
            self.assertEqual(error.condition, expected, values)

    def test_guesses(self) -> None:
        """Guessing tokens is slowed down like registering."""
        conditions = [condition(self.bring(self.stranger(), f"guess{n}")) for n in range(6)]
        self.assertEqual(conditions, ["item-not-found"] * 5 + ["resource-constraint"])

    def test_history(self) -> None:
        """Who came by whom stays known, when both are gone too."""
        token, stream = self.token(accountjid="romeo@example.org"), self.stranger()
        self.bring(stream, token)
        self.register(stream)
        (line,) = self.run_command("invite history").result.lines
        self.assertEqual(line, "bill@example.org by romeo@example.org at 1970-01-01T00:00:00Z")

    def test_list_and_delete(self) -> None:
        """Links are listed without their tokens, and can be deleted."""
        token = self.token(username="bill")
        (line,) = self.run_command("invite list").result.lines
        self.assertNotIn(token, line)
        self.run_command("invite delete", invite=line.split()[0])
        self.assertEqual(condition(self.bring(self.stranger(), token)), "item-not-found")
        error = self.assertRaises(StanzaError, self.run_command, "invite delete", invite="0" * 12)
        self.assertEqual(error.condition, "item-not-found")

    def test_without_registration(self) -> None:
        """Where accounts cannot be registered no link says so."""
        self.house.modules["Register"].detach()
        error = self.assertRaises(StanzaError, self.run_command, "invite create")
        self.assertEqual(error.condition, "not-allowed")

    def test_without_invites(self) -> None:
        """Without the module tokens mean nothing."""
        self.house.modules["Invites"].detach()
        self.assertEqual(condition(self.bring(self.stranger(), "x")), "service-unavailable")


class ContactTests(InviteCase):
    """Contacts by token."""

    def invite(self, client: Client) -> dict[str, str]:
        """Have a client make a link; gives the fields of the result."""
        answer = client.ask(INVITE)
        self.assertEqual(answer.command["status"], "completed")
        return {
            field["var"]: str(field.value) for field in answer.command.x.elements("jabber:x:data", "field")
        }

    def test_link(self) -> None:
        """A user's link says whose contact one becomes, and until when."""
        fields = self.invite(self.house.login("romeo"))
        self.assertEqual(fields["FORM_TYPE"], "urn:xmpp:invite#invitation")
        self.assertRegex(fields["uri"], r"^xmpp:romeo@example\.org\?roster;preauth=[\w-]{24}$")
        self.assertEqual(fields["expire"], "1970-01-08T00:00:00Z")
        self.assertNotIn("landing-url", fields)

    def test_admins_link(self) -> None:
        """An administrator's link makes an account as well; so does a user's where that is allowed."""
        self.assertIn(";ibr=y", self.invite(self.house.login("juliet"))["uri"])
        self.house = self.make(allow_user_invites=True, invites_page="https://$host/i?$token")
        fields = self.invite(self.house.login("romeo"))
        self.assertIn(";ibr=y", fields["uri"])
        self.assertRegex(fields["landing-url"], r"^https://example\.org/i\?[\w-]{24}$")

    def test_contact(self) -> None:
        """A request with the token makes both contacts, without a question; the token is used up."""
        romeo, nurse = self.house.login("romeo", presence="<presence/>"), self.house.login("nurse")
        token = self.invite(romeo)["uri"].rpartition("=")[2]
        preauth = f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>"
        nurse.send(f"<presence type='subscribe' to='romeo@example.org'>{preauth}</presence>")
        nurse.send("<presence type='subscribed' to='romeo@example.org'/>")
        self.assertEqual(self.contacts("romeo"), {"nurse@example.org": "both"})
        self.assertEqual(self.contacts("nurse"), {"romeo@example.org": "both"})
        self.house.login("mercutio").send(
            f"<presence type='subscribe' to='romeo@example.org'>{preauth}</presence>"
        )
        self.assertEqual(self.contacts("mercutio"), {"romeo@example.org": "none"})

    def test_others_token(self) -> None:
        """A token counts for the account that made it, and no other."""
        token = self.invite(self.house.login("romeo"))["uri"].rpartition("=")[2]
        self.house.login("nurse").send(
            "<presence type='subscribe' to='juliet@example.org'>"
            f"<preauth xmlns='urn:xmpp:pars:0' token='{token}'/></presence>"
        )
        self.assertEqual(self.contacts("nurse"), {"juliet@example.org": "none"})

    def test_account_and_contact(self) -> None:
        """Who makes an account by such a link becomes a contact at once."""
        token = self.invite(self.house.login("juliet", presence="<presence/>"))["uri"]
        stream = self.stranger()
        self.bring(stream, token.partition("preauth=")[2].partition(";")[0])
        self.assertEqual(self.register(stream)["type"], "result")
        self.assertEqual(self.contacts("juliet"), {"bill@example.org": "both"})
        self.assertEqual(self.contacts("bill"), {"juliet@example.org": "both"})

    def test_no_account(self) -> None:
        """A link that is only for contacts makes no account."""
        token = self.invite(self.house.login("romeo"))["uri"].rpartition("=")[2]
        self.assertEqual(condition(self.bring(self.stranger(), token)), "item-not-found")

    def test_bounded(self) -> None:
        """One user's links that wait are limited."""
        self.house = self.make(max_invites_per_user=2)
        romeo = self.house.login("romeo")
        self.invite(romeo)
        self.invite(romeo)
        answer = romeo.ask(INVITE)
        self.assertEqual(condition(answer), "resource-constraint")

    def test_for_admins(self) -> None:
        """Where users may not invite, only administrators do."""
        self.house = self.make(allow_contact_invites=False)
        answer = self.house.login("romeo").ask(INVITE)
        self.assertEqual(condition(answer), "forbidden")
        self.invite(self.house.login("juliet"))

    def test_guest(self) -> None:
        """A guest, who has no account here, invites nobody."""
        self.assertEqual(condition(self.house.login("guest").ask(INVITE)), "forbidden")

    def test_deleted_inviter(self) -> None:
        """The links of an account go with it."""
        self.invite(self.house.login("romeo"))
        answer = self.house.login("romeo", "b").ask(
            "<iq type='set' id='1' to='example.org'><query xmlns='jabber:iq:register'><remove/></query></iq>"
        )
        self.assertEqual(answer["type"], "result")
        self.assertEqual(now(self.house.storage.documents.list("example.org", "", ("invite",))), [])


class WireTests(ServedCase):
    """The same over a socket."""

    async def test_register(self) -> None:
        """A client brings its token before the login, makes an account, and logs in with it."""
        host = self.palaver.hosts["localhost"]
        rules = RegisterSettings.model_validate({"allow_registration": False})
        register = Register(host, "mod_register", rules)
        register.attach()
        self.addCleanup(register.detach)
        command = commands.named(host, "invite create")
        assert command is not None
        made: Any = await command.run(Call(host, None), typed.check(NewInvite, {}))
        wire = await self.connect()
        features = await wire.features()
        self.assertIn("urn:xmpp:ibr-token:0", [node.uri for node in features.elements()])
        token = made.result.uri.rpartition("=")[2]
        wire.send(f"<iq type='set' id='1'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></iq>")
        self.assertEqual((await wire.next())["type"], "result")
        wire.send(
            "<iq type='set' id='2'><query xmlns='jabber:iq:register'>"
            f"<username>bill</username><password>{PASSWORD}</password></query></iq>"
        )
        self.assertEqual((await wire.next())["type"], "result")
        bill = await self.log_in("bill@localhost/globe")
        self.assertEqual(bill.jid, "bill@localhost/globe")
