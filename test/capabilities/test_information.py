"""Hashes of disco#info answers: the examples of the standards."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.capabilities.information import NS_CAPS, NS_ECAPS2, digest, proves, read
from palaver.tree import parse_element

INFO = "http://jabber.org/protocol/disco#info"
PROTOCOLS = (
    "si", "bytestreams", "chatstates", "disco#info", "disco#items", "rosterx", "ibb",
    "si/profile/file-transfer",
)  # fmt: skip
BOMBUS = (
    "jabber:iq:last", "jabber:iq:roster", "urn:xmpp:receipts", "jabber:x:oob", "urn:xmpp:time",
    "jabber:iq:time", "jabber:iq:privacy", "jabber:iq:version", "urn:xmpp:ping",
    *(f"http://jabber.org/protocol/{name}" for name in PROTOCOLS),
)  # fmt: skip


def query(*features: str, inner: str = "") -> str:
    """Give a result's query."""
    given = "".join(f"<feature var='{feature}'/>" for feature in features)
    return f"<query xmlns='{INFO}'>{inner}{given}</query>"


class DigestTests(SynchronousTestCase):
    """The hash of an answer."""

    def test_ecaps2(self) -> None:
        """XEP-0390 section 4.5.1, with both functions that it shows."""
        identity = "<identity category='client' name='BombusMod' type='mobile'/>"
        found = read(parse_element(query(*BOMBUS, inner=identity).encode()))
        for algorithm, value in (
            ("sha-256", "kzBZbkqJ3ADrj7v08reD1qcWUwNGHaidNUgD7nHpiw8="),
            ("sha3-256", "79mdYAfU9rEdTOcWDO7UEAt6E56SUzk/g6TnqUeuD9Q="),
        ):
            self.assertEqual(digest(found, NS_ECAPS2, algorithm), value)
            self.assertTrue(proves(found, NS_ECAPS2, algorithm, value))
            self.assertFalse(proves(found, NS_ECAPS2, algorithm, value.lower()))

    def test_language_of_the_query(self) -> None:
        """An identity without a language has that of the query around it."""
        around = f"<query xmlns='{INFO}' xml:lang='en'><identity category='client' type='pc'/></query>"
        own = f"<query xmlns='{INFO}'><identity category='client' type='pc' xml:lang='en'/></query>"
        one, two = (digest(read(parse_element(text.encode())), NS_CAPS, "sha-1") for text in (around, own))
        self.assertEqual(one, two)

    def test_parts_cannot_move(self) -> None:
        """With XEP-0390 an answer of other parts has another hash."""
        one = read(parse_element(query("a", "b").encode()))
        two = read(parse_element(query(inner="<identity category='a' type='b'/>").encode()))
        self.assertNotEqual(digest(one, NS_ECAPS2, "sha-256"), digest(two, NS_ECAPS2, "sha-256"))

    def test_forms_without_type(self) -> None:
        """A form without a hidden type does not count for XEP-0115, and spoils a hash of XEP-0390."""
        form = (
            "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE'><value>urn:x</value></field></x>"
        )
        with_form = read(parse_element(query("a", inner=form).encode()))
        without = read(parse_element(query("a").encode()))
        self.assertEqual(digest(with_form, NS_CAPS, "sha-1"), digest(without, NS_CAPS, "sha-1"))
        self.assertTrue(proves(with_form, NS_CAPS, "sha-1", digest(without, NS_CAPS, "sha-1")))
        self.assertFalse(proves(with_form, NS_ECAPS2, "sha-1", digest(with_form, NS_ECAPS2, "sha-1")))
