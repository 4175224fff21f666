"""How a client's stream begins, is encrypted, gets a resource and ends (RFC 6120 sections 4, 5 and 7)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from palaver import metrics
from palaver.errors import StorageError, StreamError
from palaver.events import SessionBound, SessionUnbound
from palaver.interfaces import IRegistration
from palaver.streams.negotiation import State
from palaver.test.house import House
from palaver.test.streams.talker import (
    END,
    HEADER,
    PROCEED,
    SASL,
    SERVER_HEADER,
    STARTTLS,
    TLS,
    Talker,
    auth,
    bind,
    bound,
    condition,
    error,
    plain,
)  # fmt: skip
from palaver.tree import parse_element

STREAM = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'"

# Stream headers that are refused.
HEADERS = {
    "a server's": (f"{STREAM} xmlns='jabber:server' to='example.org' version='1.0'>", "invalid-namespace"),
    "no namespace": (f"{STREAM} to='example.org' version='1.0'>", "invalid-namespace"),
    "another namespace": (HEADER.replace("etherx", "ether"), "invalid-namespace"),
    "no to": (f"{STREAM} xmlns='jabber:client' version='1.0'>", "improper-addressing"),
    "no JID": (HEADER.replace("example.org'", "a@b@c'"), "improper-addressing"),
    "an empty to": (HEADER.replace("example.org'", "'"), "improper-addressing"),
    "an unknown host": (HEADER.replace("example.org'", "example.com'"), "host-unknown"),
    "no version": (HEADER.replace("' version='1.0'>", "'>"), "unsupported-version"),
    "version 0.9": (HEADER.replace("'1.0'>", "'0.9'>"), "unsupported-version"),
    "version 00.1": (HEADER.replace("'1.0'>", "'00.1'>"), "unsupported-version"),
    "no number": (HEADER.replace("'1.0'>", "'one'>"), "unsupported-version"),
    "broken XML": ("<stream:stream <", "not-well-formed"),
    "a comment": ("<!-- -->" + HEADER, "restricted-xml"),
    "too long": (
        HEADER.replace("<stream:stream", "<stream:stream a='" + "b" * 70000 + "'"),
        "policy-violation",
    ),
}


class OpeningTests(SynchronousTestCase):
    """Stream headers."""

    def test_refused(self) -> None:
        """A wrong header gets one of ours, so that the error can be read, then the error and the end."""
        for name, (header, wanted) in HEADERS.items():
            talker = Talker()
            text = talker.send(header)
            self.assertTrue(text.startswith(SERVER_HEADER), name)
            self.assertEqual((name, condition(text), text.count("<?xml")), (name, wanted, 1))
            self.assertEqual(talker.connection.calls, ["close"], name)

    def test_answer(self) -> None:
        """The header is answered in the sender's direction, in the host's name as it is written here."""
        for version in ("1.0", "1.1", "2.0", "01.0"):
            header = HEADER.replace("to='example.org' version='1.0'", f"to='EXAMPLE.org' version='{version}'")
            text = Talker().send(header.replace(" to=", " from='romeo@example.org' to="))
            self.assertTrue(text.startswith(SERVER_HEADER[:-1] + " to='romeo@example.org'>"), text)

    def test_ids(self) -> None:
        """Every stream has an id of its own that nobody can guess."""
        ids = set()
        for _ in range(3):
            talker = Talker()
            talker.stream.data_received(HEADER.encode())
            header = b"".join(talker.connection.written).decode()
            ids.add(header.partition(" id='")[2].partition("'")[0])
        self.assertEqual((len(ids), {len(found) for found in ids}), (3, {16}))

    def test_restart(self) -> None:
        """Behind the login the same host must be meant."""
        other = House(domain="example.com").host
        for domain, wanted in (
            ("example.org", None),
            ("example.com", "not-authorized"),
            ("x.example", "host-unknown"),
        ):
            talker = Talker()
            talker.stream.hosts["example.com"] = other
            talker.send(HEADER + plain())
            text = talker.send(HEADER.replace("example.org", domain))
            self.assertEqual((condition(text), text.startswith(SERVER_HEADER)), (wanted, True))

    def test_every_end(self) -> None:
        """The server's own errors come with a header when there was none, and only then; they are counted."""
        metrics.reset()
        for ready in (False, True):
            talker = Talker()
            if ready:
                talker.send(HEADER)
            talker.stream.end(StreamError("system-shutdown", "Bye"))
            header = "" if ready else SERVER_HEADER
            self.assertEqual(talker.take(), header + error("system-shutdown", "Bye"))
            talker.stream.end(StreamError("reset"))
            talker.stream.connection_lost()
            self.assertEqual((talker.take(), talker.connection.calls), ("", ["close"]))
        self.assertEqual(dict(metrics.stream_errors), {"system-shutdown": 2})

    def test_good_bye(self) -> None:
        """A client's end of the stream is answered with ours, at any stage; nothing behind it is read."""
        for stage in (lambda talker: talker.send(HEADER), Talker.authenticate, Talker.log_in):
            talker = Talker()
            stage(talker)
            self.assertEqual(talker.send(END + "<message/>"), END)
            self.assertEqual((talker.connection.calls, talker.host.users), (["close"], {}))
            self.assertEqual(talker.send("<message/>"), "")

    def test_error(self) -> None:
        """A client's stream error ends the stream; it is not answered with an error."""
        sent = "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        for stage in (lambda talker: talker.send(HEADER), Talker.authenticate, Talker.log_in):
            talker = Talker()
            stage(talker)
            self.assertEqual(talker.send(sent + END), END)
            self.assertEqual(talker.connection.calls, ["close"])


REGISTER = "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>"
# What does not belong where it comes, by stage.
TOO_EARLY = {
    "<message/>": "not-authorized",
    "<presence/>": "not-authorized",
    "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>": "not-authorized",
    REGISTER: "not-authorized",
    "<hello xmlns='urn:example:hello'/>": "unsupported-stanza-type",
    "<message xmlns='jabber:server'/>": "unsupported-stanza-type",
    f"<proceed xmlns='{TLS}'/>": "policy-violation",
}


class OrderTests(SynchronousTestCase):
    """Each element in its place."""

    def test_too_early(self) -> None:
        """Neither before the login nor before the binding is a stanza taken."""
        for sent, wanted in TOO_EARLY.items():
            for stage in (lambda talker: talker.send(HEADER), Talker.authenticate):
                talker = Talker()
                stage(talker)
                self.assertEqual((sent, condition(talker.send(sent))), (sent, wanted))

    def test_too_late(self) -> None:
        """Behind the login there is none any more, nor TLS."""
        for stage in (Talker.authenticate, Talker.log_in):
            for sent in (plain(), STARTTLS):
                talker = Talker(tls="optional")
                stage(talker)
                self.assertEqual(condition(talker.send(sent)), "policy-violation")

    def test_bind_before_login(self) -> None:
        """A stranger has no resource to bind."""
        self.assertEqual(condition(Talker().send(HEADER + bind("orchard"))), "not-authorized")

    def test_registration(self) -> None:
        """mod_register answers before the login; what comes while it works waits, unread."""
        talker = Talker()
        gate: Deferred[object] = Deferred()

        class Registration:
            def handle(self, stream, iq):
                return gate.addCallback(lambda _: iq.result())

        talker.host.provide(Registration(), IRegistration)
        talker.send(HEADER)
        self.assertEqual(talker.send(REGISTER + plain()) + talker.send(HEADER), "")
        gate.callback(None)
        text = talker.take()
        self.assertTrue(text.startswith("<iq type='result' id='r'/><success"), text)
        self.assertEqual(talker.stream.state, State.AUTHENTICATED)
        self.assertEqual(talker.connection.calls, ["pause", "resume"])

    def test_registration_answered(self) -> None:
        """A stranger has no request of ours to answer: a result or an error ends the stream, unanswered."""
        for kind in ("result", "error", "odd"):
            talker = Talker()
            talker.host.provide(object(), IRegistration)
            text = talker.send(HEADER + REGISTER.replace("type='get'", f"type='{kind}'"))
            self.assertEqual(condition(text), "not-authorized")
            self.assertNotIn("<iq", text)


class TlsTests(SynchronousTestCase):
    """STARTTLS (RFC 6120 section 5)."""

    def test_proceed(self) -> None:
        """TLS begins for the host of the header; a new stream follows, even for another host."""
        for tls in ("optional", "required"):
            talker = Talker(tls=tls)
            talker.stream.hosts["example.com"] = House(domain="example.com").host
            talker.stream.hosts["example.com"].authenticator = talker.host.authenticator
            talker.send(HEADER)
            self.assertEqual(talker.send(STARTTLS), PROCEED)
            self.assertEqual((talker.connection.tls_domain, talker.stream.secure), ("example.org", True))
            text = talker.send(HEADER.replace("example.org", "example.com"))
            self.assertIn("from='example.com'", text)
            self.assertNotIn("starttls", text)

    def test_not_offered(self) -> None:
        """Where TLS is off, or there already, it fails and the stream ends."""
        for settings in (
            {"tls": "off"},
            {"tls": "direct", "secure": True},
            {"tls": "required", "secure": True},
        ):
            talker = Talker(**settings)
            talker.send(HEADER)
            wanted = f"<failure xmlns='{TLS}'/>" + error("policy-violation", "There is no TLS to start here")
            self.assertEqual((talker.send(STARTTLS), talker.connection.tls_domain), (wanted, None))

    def test_injection(self) -> None:
        """What was written in the clear behind <starttls/> is thrown away."""
        for injected in (plain(), HEADER + plain(), "<stream:stream", "</oops>"):
            talker = Talker(tls="optional")
            talker.send(HEADER)
            self.assertEqual(talker.send(STARTTLS + injected), PROCEED)
            self.assertIsNone(talker.stream.authenticated_as)
            self.assertTrue(talker.send(HEADER).startswith(SERVER_HEADER))
            talker.send(plain("juliet", "balcony"))
            self.assertEqual(talker.stream.authenticated_as, "juliet")

    def test_login_begun_before(self) -> None:
        """An attempt to log in does not go on within TLS."""
        talker = Talker(tls="optional")
        talker.send(HEADER)
        talker.send(auth("PLAIN") + STARTTLS)
        talker.send(HEADER)
        answer = talker.send(f"<response xmlns='{SASL}'>AHJvbWVvAHBlbmNpbA==</response>")
        self.assertIn("<not-authorized/>", answer)


def refusal(text: str):
    """Give (condition, type) of an error stanza."""
    error = next(node for node in parse_element(text.encode()).elements() if node.name == "error")
    return error.firstChildElement().name, error["type"]


class BindTests(SynchronousTestCase):
    """Resource binding (RFC 6120 section 7)."""

    def setUp(self) -> None:
        self.talker = Talker()
        self.talker.authenticate()

    def test_wanted(self) -> None:
        """A client gets the resource that it wants, prepared, and counts as a stranger no more then."""
        self.assertEqual(self.talker.connection.logged_in, 0)
        self.assertEqual(self.talker.send(bind("a&lt;b")), bound("romeo@example.org/a&lt;b"))
        self.assertEqual((self.talker.connection.logged_in, self.talker.stream.state), (1, State.BOUND))

    def test_made(self) -> None:
        """Without a wish it gets one that nobody else has."""
        for sent in (bind(), bind("")):
            talker = Talker()
            talker.authenticate()
            made = talker.send(sent).partition("example.org/")[2].partition("<")[0]
            self.assertRegex(made, "^[0-9a-f]{12}$")

    def test_bad(self) -> None:
        """A resource that is none is refused; the client may try again."""
        for resource in ("x" * 1024, "a&#x9;b", "&#xE000;"):
            self.assertEqual(refusal(self.talker.send(bind(resource))), ("bad-request", "modify"))
        two = bind("a").replace("</iq>", "<x xmlns='urn:x'/></iq>")
        for sent in (two, bind("a").replace(" id='b'", "")):
            self.assertEqual(refusal(self.talker.send(sent)), ("bad-request", "modify"))
        self.assertEqual(self.talker.send(bind("orchard")), bound("romeo@example.org/orchard"))

    def test_again(self) -> None:
        """One stream has one resource; the old session means nothing."""
        self.talker.send(bind("orchard"))
        self.assertEqual(refusal(self.talker.send(bind("other"))), ("not-allowed", "cancel"))
        for to in ("", " to='example.org'"):
            session = f"<iq type='set' id='s'{to}><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"
            self.assertIn(" type='result'", f" {self.talker.send(session)}")

    def test_roster_unread(self) -> None:
        """A roster that cannot be read keeps the client out, and it may try again."""
        documents: Any = self.talker.house.storage.documents
        load = documents.list
        self.talker.stream.documents = None
        documents.list = lambda *args, **more: fail(StorageError("gone"))
        self.assertEqual(refusal(self.talker.send(bind("orchard"))), ("internal-server-error", "wait"))
        documents.list = load
        self.assertEqual(self.talker.send(bind("orchard")), bound("romeo@example.org/orchard"))

    def test_lost_while_binding(self) -> None:
        """A session whose connection goes while modules are told of it is gone at once."""
        gate: Deferred[None] = Deferred()
        told: list[object] = []
        self.talker.host.events.add(SessionBound, "test", lambda event: gate)
        self.talker.host.events.add(SessionUnbound, "test", told.append)
        self.assertEqual(self.talker.send(bind("orchard") + "<presence/>"), "")
        self.talker.stream.connection_lost()
        self.assertEqual((self.talker.host.users, len(told)), ({}, 1))
        gate.callback(None)
        self.assertEqual((self.talker.host.users, len(told), self.talker.take()), ({}, 1, ""))

    def test_unexpected(self) -> None:
        """A defect in what is read at the binding is logged and told; the stream lives."""
        self.talker.stream.documents = None
        documents: Any = self.talker.house.storage.documents
        documents.list = lambda *args, **more: succeed(5)
        self.assertEqual(refusal(self.talker.send(bind("orchard")))[0], "internal-server-error")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
