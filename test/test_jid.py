"""Addresses: prepared by RFC 7622, escaped by XEP-0106."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from precis_i18n import get_profile
from twisted.trial.unittest import SynchronousTestCase

from palaver import jid
from palaver.jid import InvalidJID

ACCEPTED = [
    ("Romeo@Example.ORG/Balcony", "romeo@example.org/Balcony"),
    ("juliet@example.com/foo@bar/baz", "juliet@example.com/foo@bar/baz"),
    ("foo\\20bar@example.com", "foo\\20bar@example.com"),
    ("fußball@example.com", "fußball@example.com"),
    ("π@example.com", "π@example.com"),
    ("Σ@example.com/foo", "\u03c3@example.com/foo"),
    ("ς@example.com", "ς@example.com"),
    ("king@example.com/♚", "king@example.com/♚"),
    ("\uff58@example.com", "x@example.com"),
    ("a@b/\u00a0x", "a@b/ x"),
    ("a@b/ x ", "a@b/ x "),
    ("a@b/e\u0301", "a@b/é"),
    ("example.org.", "example.org"),
    ("xn--mnchen-3ya.de", "münchen.de"),
    ("MÜNCHEN.de.", "münchen.de"),
    ("XN--MNCHEN-3YA.DE", "münchen.de"),
    ("faß.de", "faß.de"),
    ("a@x。y", "a@x.y"),
    ("127.0.0.1", "127.0.0.1"),
    ("a@[::0:1]/r", "a@[::1]/r"),
    ("[2001:DB8::1]", "[2001:db8::1]"),
    ("build_host", "build_host"),
    ("a" * 1023 + "@x", "a" * 1023 + "@x"),
    ("x/" + "a" * 1023, "x/" + "a" * 1023),
]

REFUSED = [
    "", "@", "/", "@b", "a@", "a@/r", "a@b/", "b/", "/r",
    "a@b@c", "a b@c", '"a"@c', "a&b@c", "a'b@c", "a:b@c", "<a>@c", " a@c", "a\n@c",
    "henry\u2163@example.com", "\u265a@example.com", "\ufb00@c", "\uff41\uff20\uff42@c",
    "a\u0000@c", "\ud800@c",
    "a@b/\x07", "a@b/\n", "a@b/\ud800", "a@b/\ue000",
    "a@b c", "a@-b", "a@b-", "a@b..c", "a@.b", "a@b..", "a@.", "a@localhost:5222", "a@xn--zz--.de",
    "a@b\uff0fc", "a@\u200d.de", "a@[::1", "a@[1]", "a@[fe80::1%eth0]", "a@" + "b" * 64, "a@b&c", "a@<b>",
    "a" * 1024 + "@x", "é" * 512 + "@x", "x/" + "a" * 1024, "x/" + "é" * 512, "a@" + "b." * 600 + "c",
]  # fmt: skip

_TEXT = st.text(min_size=1, max_size=8)
_ASCII = st.text(st.characters(codec="ascii"), min_size=1, max_size=8)


def _long_way(profile: str, text: str) -> str | None:
    try:
        return str(get_profile(profile).enforce(text))
    except UnicodeError:
        return None


def _prepared(prepare: object, text: str) -> str | None:
    try:
        return prepare(text)  # type: ignore[no-any-return, operator]
    except InvalidJID:
        return None


class ParseTests(SynchronousTestCase):
    """From text to address."""

    def test_accepted(self) -> None:
        """Each way to write an address leads to its one canonical form, which leads to itself."""
        for text, full in ACCEPTED:
            self.assertEqual(jid.parse(text).full, full)
            self.assertEqual(jid.parse(full), jid.parse(text))

    def test_refused(self) -> None:
        """What is no address is refused, the second time too."""
        for text in REFUSED:
            for _ in range(2):
                self.assertIsNone(_prepared(jid.parse, text), ascii(text))

    def test_parts(self) -> None:
        """An address gives its parts, with and without a resource."""
        address = jid.parse("romeo@example.org/orchard")
        self.assertEqual(
            (address.local, address.domain, address.resource), ("romeo", "example.org", "orchard")
        )
        self.assertEqual(address.bare, "romeo@example.org")
        self.assertEqual(address.without_resource(), jid.parse("Romeo@example.org"))
        self.assertEqual(address.without_resource().with_resource("orchard"), address)
        self.assertEqual(hash(jid.parse("A@b/c")), hash(jid.make("a", "B", "c")))
        self.assertNotEqual(address, "romeo@example.org/orchard")
        self.assertRaises(InvalidJID, address.with_resource, "\x07")

    def test_size_in_bytes(self) -> None:
        """Wide letters that become narrow ones fit in; what no preparation makes small enough does not."""
        self.assertEqual(jid.prepare_local("\uff58" * jid.MAX_PART_BYTES), "x" * jid.MAX_PART_BYTES)
        self.assertRaises(InvalidJID, jid.prepare_local, "\uff58" * (jid.MAX_PART_BYTES + 1))

    def test_memory_is_bounded(self) -> None:
        """Long addresses are not remembered, and no more than so many short ones."""
        before = jid._parse_cached.cache_info().currsize
        jid.parse("a@b/" + "x" * jid.MAX_CACHED_CHARS)
        self.assertEqual(jid._parse_cached.cache_info().currsize, before)
        self.assertEqual(jid._parse_cached.cache_info().maxsize, jid.CACHE_SIZE)


class ProfileTests(SynchronousTestCase):
    """The short way for plain ASCII agrees with the profiles."""

    @settings(max_examples=500, deadline=None)
    @given(_ASCII)
    def test_local(self, text: str) -> None:
        """A localpart of ASCII is what UsernameCaseMapped makes of it, less RFC 7622's exclusions."""
        expected = _long_way("UsernameCaseMapped", text)
        if expected is not None and set(expected) & set("\"&'/:<>@"):
            expected = None
        self.assertEqual(_prepared(jid.prepare_local, text), expected)

    @settings(max_examples=500, deadline=None)
    @given(_ASCII)
    def test_resource(self, text: str) -> None:
        """A resourcepart of ASCII is what OpaqueString makes of it."""
        self.assertEqual(_prepared(jid.prepare_resource, text), _long_way("OpaqueString", text))

    @settings(max_examples=500, deadline=None)
    @given(st.text(st.sampled_from("aZ9-_.[]:xn"), min_size=1, max_size=10))
    def test_domain(self, text: str) -> None:
        """A domain of ASCII keeps its labels, in small letters and without a hyphen at an end."""
        prepared = _prepared(jid.prepare_domain, text)
        if prepared is not None and not prepared.startswith("["):
            self.assertEqual(prepared, text.lower().removesuffix("."))
            for label in prepared.split("."):
                self.assertEqual(label, label.strip("-"))
                self.assertTrue(label)

    @settings(max_examples=500, deadline=None)
    @given(st.one_of(st.just(""), _TEXT), st.one_of(st.just("b"), _TEXT), st.one_of(st.just(""), _TEXT))
    def test_stable(self, local: str, domain: str, resource: str) -> None:
        """An address that was prepared once does not change any more."""
        try:
            address = jid.make(local, domain, resource)
        except InvalidJID:
            return
        again = jid.parse(address.full)
        self.assertEqual(
            (again.local, again.domain, again.resource), (address.local, address.domain, address.resource)
        )


class EscapeTests(SynchronousTestCase):
    """JID escaping (XEP-0106)."""

    def test_examples(self) -> None:
        """The examples of the XEP."""
        for text, escaped in [
            ("space cadet", "space\\20cadet"),
            ('call me "ishmael"', "call\\20me\\20\\22ishmael\\22"),
            ("at&t guy", "at\\26t\\20guy"),
            ("d'artagnan", "d\\27artagnan"),
            ("/.fanboy", "\\2f.fanboy"),
            ("::foo::", "\\3a\\3afoo\\3a\\3a"),
            ("<foo>", "\\3cfoo\\3e"),
            ("user@host", "user\\40host"),
            ("c:\\net", "c\\3a\\net"),
            ("c:\\\\net", "c\\3a\\\\net"),
            ("c:\\cool stuff", "c\\3a\\cool\\20stuff"),
            ("c:\\5commas", "c\\3a\\5c5commas"),
        ]:
            self.assertEqual(jid.escape_local(text), escaped)
            self.assertEqual(jid.unescape_local(escaped), text)

    @given(st.text(st.sampled_from("a \\\"&'/:<>@0235cef")))
    def test_round_trip(self, text: str) -> None:
        """Whatever is escaped comes back, and is a localpart."""
        if text and text == text.strip(" "):
            escaped = jid.escape_local(text)
            self.assertEqual(jid.unescape_local(escaped), text)
            self.assertEqual(jid.prepare_local(escaped), escaped)

    def test_space_at_the_ends(self) -> None:
        """Space at either end cannot be escaped, and is not made by unescaping."""
        self.assertRaises(InvalidJID, jid.escape_local, " a")
        self.assertRaises(InvalidJID, jid.escape_local, "a ")
        self.assertEqual(jid.unescape_local("\\20a"), "\\20a")
