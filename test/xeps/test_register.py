"""XEP-0077."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.auth.accounts import NotSupported
from palaver.auth.keys import InvalidPassword
from palaver.errors import StorageError
from palaver.events import AccountDeleted
from palaver.interfaces import IRegistration
from palaver.jid import JID
from palaver.stanza import Stanza
from palaver.test.house import Client, House, now, stanza
from palaver.tree import parse_element
from palaver.xeps.last import LastActivity
from palaver.xeps.offline import Offline
from palaver.xeps.register import Register

NS = "jabber:iq:register"
BILL = "<username>bill</username><password>Calliope</password>"
ELSEWHERE = "198.51.100.7"


def query(inner: str, kind: str = "set") -> str:
    """Give a registration request."""
    return f"<iq type='{kind}' id='1' to='example.org'><query xmlns='{NS}'>{inner}</query></iq>"


def form(**fields: str) -> str:
    """Give a submitted form."""
    inside = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    return f"<x xmlns='jabber:x:data' type='submit'>{inside}</x>"


def condition(answer: domish.Element) -> str:
    """Give an error's condition."""
    name: str = answer.error.firstChildElement().name
    return name


class Remote:
    """Stands for every other server, and keeps what is sent there."""

    def __init__(self, sent: list[Any]) -> None:
        self._sent = sent

    def deliver(self, given: Stanza, to: JID) -> None:
        """See IService."""
        self._sent.append(given)


class StrangerTests(SynchronousTestCase):
    """Somebody without an account makes one, before any login."""

    def house(self, **options: Any) -> House:
        """Give a house that takes registrations."""
        return House(Register, Register=options)

    def stranger(self, house: House, address: str = ELSEWHERE, secure: bool = True) -> Client:
        """Give a stream on which nobody has logged in."""
        stream = Client(house, address)
        stream.secure = secure
        return stream

    def ask(self, house: House, xml: str, stream: Client | None = None) -> domish.Element:
        """Give the answer that the stream gets."""
        stream = stream or self.stranger(house)
        answer = now(house.host.query(IRegistration).handle(stream, stanza(xml)))
        return parse_element(answer.encode(declare=True))

    def test_fields(self) -> None:
        """The server says what it wants to know, in plain fields and as a form."""
        answer = self.ask(self.house(additional_registration_fields=["email+", "nick"]), query("", "get"))
        names = [node.name for node in answer.query.elements()]
        self.assertEqual(names, ["instructions", "username", "password", "email", "nick", "x"])
        fields = {
            node["var"]: node.required is not None
            for node in answer.query.x.elements()
            if node.name == "field"
        }
        self.assertEqual(
            fields, {"FORM_TYPE": False, "username": True, "password": True, "email": True, "nick": False}
        )

    def test_register(self) -> None:
        """With a name and a password an account is made."""
        house = self.house()
        answer = self.ask(house, query(BILL))
        self.assertEqual((answer["type"], answer["id"], answer.children), ("result", "1", []))
        self.assertEqual(house.accounts.passwords, {"bill": "Calliope"})

    def test_form(self) -> None:
        """A form does the same; plain fields beside it do not count."""
        house = self.house()
        given = form(FORM_TYPE=NS, username="Bard", password="Globe")
        self.assertEqual(self.ask(house, query(BILL + given))["type"], "result")
        self.assertEqual(house.accounts.passwords, {"bard": "Globe"})

    def test_taken(self) -> None:
        """A name can be taken once."""
        self.assertEqual(condition(self.ask(self.house(), query(BILL.replace("bill", "romeo")))), "conflict")

    def test_administrators(self) -> None:
        """Nobody becomes an administrator by taking a name that the configuration has among them."""
        house = self.house()
        house.host.admins = frozenset(("bill@example.org", "bard@elsewhere.example"))
        self.assertEqual(condition(self.ask(house, query(BILL))), "conflict")
        self.assertNotIn("bill", house.accounts.names)
        self.assertEqual(self.ask(house, query(BILL.replace("bill", "bard")))["type"], "result")

    def test_bad_name(self) -> None:
        """A name that no address can have is refused."""
        for name in ("a b", "a@b", "a/b", "\u2665"):
            self.assertEqual(
                condition(self.ask(self.house(), query(BILL.replace("bill", name)))), "not-acceptable"
            )

    def test_missing(self) -> None:
        """What is required must be there, and not empty."""
        house = self.house(additional_registration_fields=["email+"])
        for inner in (BILL, "", "<username/><password/>", form(username="bill")):
            self.assertEqual(condition(self.ask(house, query(inner))), "not-acceptable")
        self.assertNotIn("bill", house.accounts.names)

    def test_details(self) -> None:
        """What else was asked for is stored."""
        house = self.house(additional_registration_fields=["email", "nick"])
        self.ask(house, query(BILL + "<email>bard@globe.lit</email><phone>1</phone>"))
        stored = now(house.storage.documents.get("example.org", "bill", "registration"))
        self.assertEqual(stored.value, {"email": "bard@globe.lit"})

    def test_details_fail(self) -> None:
        """When the details cannot be stored there is no account either."""
        house = self.house(additional_registration_fields=["email"])
        write = house.storage.write
        outcomes = [fail(StorageError("down"))]
        self.patch(house.storage, "write", lambda batch: outcomes.pop() if outcomes else write(batch))
        answer = self.ask(house, query(BILL + "<email>bard@globe.lit</email>"))
        self.assertEqual((condition(answer), answer.error["type"]), ("internal-server-error", "wait"))
        self.assertNotIn("bill", house.accounts.names)

    def test_long(self) -> None:
        """A field that is too long is refused."""
        answer = self.ask(self.house(), query(BILL.replace("Calliope", "x" * 1025)))
        self.assertEqual(condition(answer), "not-acceptable")

    def test_weak(self) -> None:
        """A password that is too easy to guess is refused."""
        house = self.house(password_strength=50)
        answer = self.ask(house, query(BILL))
        self.assertEqual(
            (condition(answer), str(answer.error.text)), ("not-acceptable", "The password is too weak")
        )
        self.assertEqual(
            self.ask(house, query(BILL.replace("Calliope", "Calliope&amp;Clio9")))["type"], "result"
        )

    def test_refused_password(self) -> None:
        """A password that cannot be prepared is refused."""
        house = self.house()
        self.patch(house.accounts, "create", lambda *_: fail(InvalidPassword("no")))
        self.assertEqual(condition(self.ask(house, query(BILL))), "not-acceptable")

    def test_accounts_elsewhere(self) -> None:
        """Where accounts belong to somebody else, none is made."""
        house = self.house()
        self.patch(house.accounts, "create", lambda *_: fail(NotSupported()))
        self.assertEqual(condition(self.ask(house, query(BILL))), "not-allowed")

    def test_remove(self) -> None:
        """A stranger has nothing to remove."""
        self.assertEqual(condition(self.ask(self.house(), query("<remove/>"))), "registration-required")

    def test_malformed(self) -> None:
        """A request without an id, or with another payload, is refused."""
        no_id = query(BILL).replace(" id='1'", "")
        other = f"<iq type='get' id='1'><other xmlns='{NS}'/></iq>"
        for xml in (no_id, other):
            self.assertEqual(condition(self.ask(self.house(), xml)), "bad-request")

    def test_closed(self) -> None:
        """With registration closed nothing is announced, and nobody gets in."""
        house = self.house(allow_registration=False)
        self.assertIsNone(house.modules["Register"].stream_feature(self.stranger(house)))
        for kind in ("get", "set"):
            self.assertEqual(condition(self.ask(house, query(BILL, kind))), "not-allowed")

    def test_feature(self) -> None:
        """Registration is announced to strangers, and not to those who have logged in."""
        house = self.house()
        feature = house.modules["Register"].stream_feature
        stream = self.stranger(house)
        self.assertEqual(feature(stream), b"<register xmlns='http://jabber.org/features/iq-register'/>")
        stream.authenticated_as = "romeo"
        self.assertIsNone(feature(stream))

    def test_encryption(self) -> None:
        """Without TLS nobody registers, except from this machine, or where the administrator allows it."""
        house = self.house()
        plain = self.stranger(house, secure=False)
        self.assertIsNone(house.modules["Register"].stream_feature(plain))
        answer = self.ask(house, query(BILL), plain)
        self.assertEqual(
            (condition(answer), str(answer.error.text)), ("policy-violation", "Encryption is required")
        )
        here = self.stranger(house, "127.0.0.1", secure=False)
        self.assertEqual(self.ask(house, query(BILL), here)["type"], "result")
        lax = self.house(allow_unencrypted=True)
        self.assertEqual(self.ask(lax, query(BILL), self.stranger(lax, secure=False))["type"], "result")

    def test_access(self) -> None:
        """Networks are allowed and denied, the first rule that fits deciding; IPv4 inside of IPv6 is IPv4."""
        rules = [
            {"address": "198.51.100.7", "policy": "allow"},
            {"address": "198.51.100.0/24", "policy": "deny"},
        ]
        house = self.house(ip_access=rules)
        for address, allowed in ((ELSEWHERE, True), ("198.51.100.8", False), ("::ffff:198.51.100.8", False)):
            stream = self.stranger(house, address)
            self.assertEqual(house.modules["Register"].stream_feature(stream) is not None, allowed, address)
            self.assertEqual(self.ask(house, query("", "get"), stream)["type"] == "result", allowed, address)
        self.assertEqual(condition(self.ask(house, query(BILL), stream)), "forbidden")

    def test_lists(self) -> None:
        """Networks on the block list, or not on the allow list when only it counts, are refused."""
        blocked = self.house(registration_blocklist=["198.51.100.0/24"])
        listed = self.house(allowlist_registration_only=True, registration_allowlist=["203.0.113.0/24"])
        for house in (blocked, listed):
            self.assertEqual(condition(self.ask(house, query(BILL))), "forbidden")
        self.assertEqual(
            self.ask(listed, query(BILL), self.stranger(listed, "203.0.113.9"))["type"], "result"
        )

    def register_many(self, house: House, address: str, count: int) -> list[str]:
        """Register accounts one after the other; gives the types of the answers."""
        stream = self.stranger(house, address)
        base = len(house.accounts.names)
        return [
            self.ask(house, query(BILL.replace("bill", f"u{base + n}")), stream)["type"] for n in range(count)
        ]

    def test_throttle(self) -> None:
        """One address may try so often, then has to wait; others are not affected."""
        house = self.house(registration_throttle_max=2, registration_timeout=100)
        self.assertEqual(self.register_many(house, ELSEWHERE, 3), ["result", "result", "error"])
        self.assertEqual(condition(self.ask(house, query(BILL))), "resource-constraint")
        self.assertEqual(self.register_many(house, "203.0.113.9", 1), ["result"])
        house.clock.advance(51)
        self.assertEqual(self.register_many(house, ELSEWHERE, 2), ["result", "error"])

    def test_throttle_network(self) -> None:
        """Addresses of one IPv6 network share their tries."""
        house = self.house(registration_throttle_max=1)
        self.assertEqual(self.register_many(house, "2001:db8::1", 1), ["result"])
        self.assertEqual(self.register_many(house, "2001:db8::2", 1), ["error"])
        self.assertEqual(self.register_many(house, "2001:db8:0:1::2", 1), ["result"])

    def test_no_throttle(self) -> None:
        """This machine is not slowed down, nor is anybody when the administrator says so."""
        house = self.house(registration_throttle_max=1)
        self.assertNotIn("error", self.register_many(house, "127.0.0.1", 20))
        self.assertNotIn("error", self.register_many(self.house(registration_throttle_max=0), ELSEWHERE, 20))

    def test_told(self) -> None:
        """The new account finds a welcome, and watchers hear of it."""
        house = House(Offline)
        house.add(
            Register,
            welcome_message={"subject": "Welcome", "body": "Hello $username of $host!"},
            registration_watchers=["romeo@example.org"],
        )
        romeo = house.login("romeo", presence="<presence/>")
        romeo.take()
        self.ask(house, query(BILL))
        (note,) = romeo.take()
        self.assertEqual((note["from"], note["type"]), ("example.org", "chat"))
        self.assertEqual(str(note.body), f"User bill just registered on example.org from {ELSEWHERE}")
        bill = house.login("bill", presence="<presence/>")
        (welcome,) = [got for got in bill.take() if got.name == "message"]
        self.assertEqual((str(welcome.subject), str(welcome.body)), ("Welcome", "Hello bill of example.org!"))

    def test_options(self) -> None:
        """Networks, fields and watchers that are none are refused."""
        for options in (
            {"ip_access": [{"address": "10.0.0.0/99", "policy": "deny"}]},
            {"ip_access": [{"address": "10.0.0.0/8", "policy": "maybe"}]},
            {"additional_registration_fields": ["shoe_size"]},
            {"registration_watchers": ["a@b@c"]},
            {"registration_throttle_max": -1},
        ):
            with self.assertRaises(ValidationError):
                Register.Settings(**options)

    def test_unloaded(self) -> None:
        """Without the module nobody is found who could register a stranger."""
        house = self.house()
        house.modules["Register"].detach()
        self.assertIsNone(house.host.query(IRegistration))
        self.assertEqual(house.host.stream_features, [])


class ClientTests(SynchronousTestCase):
    """Somebody who has logged in changes the password, or removes the account."""

    def setUp(self) -> None:
        """Log in twice; registration for strangers is closed."""
        self.house = House(Register, Register={"allow_registration": False, "password_strength": 20})
        self.romeo = self.house.login("romeo")
        self.other = self.house.login("romeo", "chamber")

    def test_registered(self) -> None:
        """The server says that there is an account, and its name."""
        told = self.romeo.ask(query("", "get")).query
        self.assertIsNotNone(told.registered)
        self.assertEqual(str(told.username), "romeo")

    def test_password(self) -> None:
        """A new password counts; the other sessions end, this one stays."""
        for to in (" to='example.org'", ""):
            xml = query("<username>Romeo</username><password>Balcony7</password>").replace(
                " to='example.org'", to
            )
            self.assertEqual(self.romeo.ask(xml)["type"], "result")
        self.assertEqual(self.house.accounts.passwords, {"romeo": "Balcony7"})
        self.assertEqual((self.romeo.closed, self.other.error.condition), (False, "reset"))  # type: ignore[union-attr]

    def test_password_by_form(self) -> None:
        """A form does the same."""
        self.romeo.ask(query(form(username="romeo", password="Balcony7")))
        self.assertEqual(self.house.accounts.passwords, {"romeo": "Balcony7"})

    def test_somebody_else(self) -> None:
        """Nobody changes another account's password."""
        answer = self.romeo.ask(query("<username>juliet</username><password>Balcony7</password>"))
        self.assertEqual(condition(answer), "bad-request")
        self.assertEqual(self.house.accounts.passwords, {})

    def test_bad_password(self) -> None:
        """An empty or missing password changes nothing, nor does one that is too weak."""
        for inner, expected in (
            ("<username>romeo</username>", "bad-request"),
            ("<username>romeo</username><password/>", "bad-request"),
            ("<username>a b</username><password>Balcony7</password>", "bad-request"),
            ("<username>romeo</username><password>abc</password>", "not-acceptable"),
        ):
            self.assertEqual(condition(self.romeo.ask(query(inner))), expected)
        self.assertEqual((self.house.accounts.passwords, self.other.closed), ({}, False))

    def test_accounts_elsewhere(self) -> None:
        """Where accounts belong to somebody else, nothing is changed."""
        self.patch(self.house.accounts, "set_password", lambda *_: fail(NotSupported()))
        answer = self.romeo.ask(query("<username>romeo</username><password>Balcony7</password>"))
        self.assertEqual(condition(answer), "not-allowed")

    def test_remove(self) -> None:
        """The account goes; the answer comes first, then every session ends."""
        self.assertEqual(self.romeo.ask(query("<remove/>"))["type"], "result")
        self.assertNotIn("romeo", self.house.accounts.names)
        self.assertEqual((self.romeo.closed, self.other.closed), (False, True))
        self.house.clock.advance(0)
        for client in (self.romeo, self.other):
            self.assertEqual(client.error.condition, "not-authorized")  # type: ignore[union-attr]

    def test_remove_slowly(self) -> None:
        """The answer comes before the end also when somebody has to store that the account is gone."""
        stored: Deferred[None] = Deferred()
        self.house.host.events.add(AccountDeleted, "test", lambda event: stored)
        self.romeo.take()
        self.romeo.send(query("<remove/>"))
        self.house.clock.advance(1)
        self.assertEqual((self.romeo.take(), self.romeo.closed), ([], False))
        stored.callback(None)
        self.assertEqual([answer["type"] for answer in self.romeo.take()], ["result"])
        self.house.clock.advance(0)
        self.assertTrue(self.romeo.closed)

    def test_remove_leaves_nothing(self) -> None:
        """What sessions store when they end goes with the account."""
        self.house.add(LastActivity)
        self.romeo.send("<presence/>")
        self.other.send("<presence/>")
        self.romeo.ask(query("<remove/>"))
        self.house.clock.advance(0)
        self.assertIsNone(now(self.house.storage.documents.get("example.org", "romeo", "last")))

    def test_remove_with_more(self) -> None:
        """Nothing stands beside the wish to be removed."""
        self.assertEqual(
            condition(self.romeo.ask(query("<remove/><username>romeo</username>"))), "bad-request"
        )
        self.assertIn("romeo", self.house.accounts.names)

    def test_remove_fails(self) -> None:
        """When the account cannot be removed now, the client hears it and may try again."""
        self.patch(self.house.accounts, "delete", lambda local: fail(StorageError("down")))
        answer = self.romeo.ask(query("<remove/>"))
        self.assertEqual((condition(answer), answer.error["type"]), ("internal-server-error", "wait"))
        self.assertFalse(self.romeo.closed)

    def test_remote(self) -> None:
        """Who comes from another server has no account here to change."""
        answers: list[Any] = []
        self.house.router.remote = Remote(answers)
        for xml in (query("", "get"), query("<remove/>")):
            self.house.router.route(stanza(xml.replace("<iq ", "<iq from='romeo@example.com/x' ")))
        self.assertEqual(
            [condition(parse_element(a.encode(declare=True))) for a in answers], ["not-allowed"] * 2
        )

    def test_other_account(self) -> None:
        """Another account's address answers nothing."""
        xml = query("<remove/>").replace("to='example.org'", "to='juliet@example.org'")
        self.assertEqual(condition(self.romeo.ask(xml)), "service-unavailable")
        self.assertEqual(now(succeed(sorted(self.house.accounts.names)))[0], "juliet")
