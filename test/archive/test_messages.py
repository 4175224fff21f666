"""What is archived, its text, and what tells a message from others."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver import jid
from palaver.archive import stanzaids
from palaver.archive.messages import address, body_text, is_archived, reference
from palaver.test.house import stanza

ROMEO, JULIET = jid.parse("romeo@example.org/orchard"), jid.parse("juliet@example.org")

HINTS = "xmlns='urn:xmpp:hints'"
BODY = "<body>hi</body>"
KEPT = (
    BODY,
    "<body xml:lang='it'>ciao</body>",
    "<subject>love</subject>",
    f"<store {HINTS}/>",
    f"{BODY}<no-copy {HINTS}/>",
    f"{BODY}<active xmlns='http://jabber.org/protocol/chatstates'/>",
    f"{BODY}<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T00:00:00Z'/>",
    "<received xmlns='urn:xmpp:receipts' id='1'/>",
    "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
    "<encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>",
    "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>x</reaction></reactions>",
    f"{BODY}<replace xmlns='urn:xmpp:message-correct:0' id='1'/>",
    "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>",
    "<apply-to xmlns='urn:xmpp:fasten:0' id='1'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>",
    "<x xmlns='jabber:x:conference' jid='room@muc.example.org'/>",
    "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>",
    "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>",
)
NOT_KEPT = (
    "",
    "<thread>t</thread>",
    "<body xmlns='other'>hi</body>",
    "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
    f"{BODY}<no-store {HINTS}/>",
    f"{BODY}<no-permanent-store {HINTS}/>",
    f"<store {HINTS}/><no-store {HINTS}/>",
    f"{BODY}<result xmlns='urn:xmpp:mam:2'/>",
    f"{BODY}<sent xmlns='urn:xmpp:carbons:2'/>",
    f"{BODY}<received xmlns='urn:xmpp:carbons:2'/>",
    "<event xmlns='http://jabber.org/protocol/pubsub#event'/>",
)


class RuleTests(SynchronousTestCase):
    """The one rule of what is archived."""

    def archived(self, inner: str, kind: str = " type='chat'") -> bool:
        """Tell what becomes of a message."""
        return is_archived(stanza(f"<message{kind}>{inner}</message>"))

    def test_kept(self) -> None:
        """What people say and do in a conversation is archived."""
        for inner in KEPT:
            self.assertTrue(self.archived(inner), inner)

    def test_not_kept(self) -> None:
        """What passes, what is a copy, and what its sender wants forgotten is not."""
        for inner in NOT_KEPT:
            self.assertFalse(self.archived(inner), inner)

    def test_types(self) -> None:
        """Chat and normal messages are, and unknown types are normal."""
        for kind, kept in {
            "": True, " type='chat'": True, " type='normal'": True, " type='odd'": True,
            " type='groupchat'": False, " type='headline'": False, " type='error'": False,
        }.items():  # fmt: skip
            self.assertEqual(self.archived(BODY, kind), kept, kind)

    def test_without_markers(self) -> None:
        """Chat markers may be left out; a message that has more stays."""
        marker = "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"
        self.assertFalse(is_archived(stanza(f"<message>{marker}</message>"), markers=False))
        self.assertTrue(is_archived(stanza(f"<message>{marker}{BODY}</message>"), markers=False))


class TextTests(SynchronousTestCase):
    """The words that searches find."""

    def test_rows(self) -> None:
        """The text of every body, however it was written."""
        rows = {
            "<body>hi there</body>": "hi there",
            "<body>a &lt;b&gt; &amp;amp; &quot;c&quot; &apos;</body>": 'a <b> &amp; "c" \'',
            "<body>&#72;i</body>": "Hi",
            "<body/>": "",
            "<body xml:lang='it'>ciao</body>": "ciao",
            "<subject>s</subject><body>b</body>": "b",
            "<body>hi</body><body xml:lang='it'>ciao</body>": "hi\nciao",
            "<body><x xmlns='y'>in</x>out</body>": "out",
            "<subject>s</subject>": None,
            "<x xmlns='y'><body>b</body></x>": None,
        }
        for inner, text in rows.items():
            self.assertEqual(body_text(stanza(f"<message>{inner}</message>")), text, inner)


class ReferenceTests(SynchronousTestCase):
    """What a message has in common with itself when it is sent again."""

    def of(self, xml: str, sender: jid.JID = ROMEO, to: jid.JID = JULIET) -> str | None:
        """Give a message's reference."""
        return reference(stanza(xml), sender, to)

    def test_again(self) -> None:
        """The same message from another session of the same account is the same."""
        sent = self.of("<message id='1'><body>a</body></message>")
        again = self.of("<message id='1'><body>a</body></message>", ROMEO.with_resource("garden"))
        self.assertIsNotNone(sent)
        self.assertEqual(sent, again)

    def test_origin_id(self) -> None:
        """An origin-id counts, and then the id does not."""
        origin = "<body>a</body><origin-id xmlns='urn:xmpp:sid:0' id='o'/>"
        sent = self.of(f"<message id='1'>{origin}</message>")
        self.assertEqual(sent, self.of(f"<message id='2'>{origin}</message>"))
        self.assertEqual(sent, self.of(f"<message>{origin}</message>"))

    def test_others(self) -> None:
        """Another id, another text, another sender or another addressee make another message."""
        sent = self.of("<message id='1'><body>a</body></message>")
        others = {
            self.of("<message id='2'><body>a</body></message>"),
            self.of("<message id='1'><body>b</body></message>"),
            self.of("<message id='1'><body>a</body></message>", JULIET),
            self.of("<message id='1'><body>a</body></message>", to=ROMEO),
        }
        self.assertEqual(len(others - {sent}), 4)

    def test_without_id(self) -> None:
        """Nothing tells a message without any id from another one with the same text."""
        self.assertIsNone(self.of("<message><body>a</body></message>"))


class AddressTests(SynchronousTestCase):
    """Addresses of a message as it is stored."""

    def test_rows(self) -> None:
        """They are read off the start tag, prepared, and nowhere else."""
        got = stanza("<message to='Juliet@Example.org/a&apos;&gt;&lt;b' from='x'><to from='y'/></message>")
        payload = got.encode(declare=True)
        self.assertEqual(address(payload, "to"), jid.parse("juliet@example.org/a'><b"))
        self.assertEqual(address(payload, "from"), jid.parse("x"))
        self.assertIsNone(address(b"<message><to from='y'/></message>", "from"))
        self.assertIsNone(address(b"<message from='@'/>", "from"))


class IdTests(SynchronousTestCase):
    """Ids as clients see them."""

    def test_one_form(self) -> None:
        """An id is read back from the one text that it has."""
        for id in (1, 255, 1838318498138440704, 2**63 - 1):
            self.assertEqual(stanzaids.from_text(stanzaids.to_text(id)), id)
        for text in (
            "",
            "0",
            "01",
            "FF",
            "0x1",
            " 1",
            "1\n",
            "-1",
            "1_0",
            "g",
            "8000000000000000",
            "1" * 40,
            "\u0661",
        ):
            self.assertIsNone(stanzaids.from_text(text), text)

    def test_forged(self) -> None:
        """Ids of this domain and its accounts go, however they are written; others stay."""

        def sid(by: str) -> str:
            return f"<stanza-id xmlns='urn:xmpp:sid:0' id='1'{by}/>"

        forged = ("juliet@example.org", "JULIET@EXAMPLE.ORG", "example.org", "nurse@example.org/x")
        others = (" by='room@muc.example.org'", " by='juliet@example.com'", " by='@'", "")
        for by in forged:
            message = stanza(f"<message><body>a</body>{sid(f' by={by!r}')}<x xmlns='stanza-id'/></message>")
            clean = stanzaids.without_ids_of(message, "example.org")
            self.assertEqual([name for _, name in clean.children], ["body", "x"], by)
        for by in others:
            message = stanza(f"<message>{sid(by)}</message>")
            self.assertEqual(stanzaids.without_ids_of(message, "example.org").children, message.children, by)
