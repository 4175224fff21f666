"""XEP-0398, XEP-0153 and XEP-0292: old and new avatars and vCards follow each other."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.auth.accounts import NotSupported
from palaver.interfaces import IPersonalEventing
from palaver.routing.lifecycle import delete_account
from palaver.routing.users import bind
from palaver.test.house import Client, House, now
from palaver.tree import parse_element
from palaver.vcards.stored import vcards
from palaver.xeps.pep import PersonalEventing
from palaver.xeps.pep_vcard_avatar import PepVCardAvatar
from palaver.xeps.vcard import VCard

DATA, METADATA = "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"
NICK, VCARD4 = "http://jabber.org/protocol/nick", "urn:xmpp:vcard4"
UPDATE = "vcard-temp:x:update"
PNG = b"\x89PNG\r\n\x1a\n some pixels"
OTHER = b"GIF89a other pixels"


def sha1(data: bytes) -> str:
    """Give the hash of an image."""
    return hashlib.sha1(data).hexdigest()


def encoded(data: bytes) -> str:
    """Give an image in Base64."""
    return base64.b64encode(data).decode()


def photo(data: bytes, kind: str = "image/png") -> str:
    """Give the photo of a vCard."""
    return f"<PHOTO><TYPE>{kind}</TYPE><BINVAL>{encoded(data)}</BINVAL></PHOTO>"


class AvatarCase(SynchronousTestCase):
    """Romeo has clients of both kinds."""

    def setUp(self) -> None:
        """Log in."""
        self.house: Any = House(VCard, PersonalEventing, PepVCardAvatar)
        self.romeo = self.house.login("romeo", "home")

    def store(self, inner: str) -> None:
        """Store a vCard as an old client does."""
        answer = self.romeo.ask(f"<iq type='set' id='1'><vCard xmlns='vcard-temp'>{inner}</vCard></iq>")
        self.assertEqual(answer["type"], "result")

    def publish(self, node: str, item: str, payload: str, access: str = "open") -> None:
        """Publish as a new client does."""
        kind = "http://jabber.org/protocol/pubsub#publish-options"
        options = (
            "<publish-options><x xmlns='jabber:x:data' type='submit'>"
            f"<field var='FORM_TYPE' type='hidden'><value>{kind}</value></field>"
            f"<field var='pubsub#access_model'><value>{access}</value></field></x></publish-options>"
        )
        inner = f"<publish node='{node}'><item id='{item}'>{payload}</item></publish>{options}"
        xml = f"<iq type='set' id='1'><pubsub xmlns='http://jabber.org/protocol/pubsub'>{inner}</pubsub></iq>"
        answer = self.romeo.ask(xml)
        self.assertEqual(answer["type"], "result", answer.toXml())

    def publish_avatar(self, data: bytes, access: str = "open", identity: str = "") -> None:
        """Publish an avatar: data first, then metadata."""
        identity = identity or sha1(data)
        self.publish(DATA, identity, f"<data xmlns='{DATA}'>{encoded(data)}</data>", access)
        info = f"<info id='{identity}' bytes='{len(data)}' type='image/png'/>"
        away = f"<info id='{sha1(b'x')}' bytes='1' type='image/gif' url='https://example.org/x.gif'/>"
        self.publish(METADATA, identity, f"<metadata xmlns='{METADATA}'>{away}{info}</metadata>", access)

    def items(self, node: str) -> list[tuple[str, domish.Element]]:
        """Give (id, payload) of a node's items."""
        found = now(self.house.host.query(IPersonalEventing).items("romeo", node))
        return [(item.id, parse_element(item.payload)) for item in found]

    def card(self) -> Any:
        """Give the vCard."""
        stored = now(vcards(self.house.host).get("romeo"))
        return parse_element(stored) if stored is not None else None

    def hashes(self, client: Client) -> list[str | None]:
        """Give the photo of each available presence that has come from romeo: None without one."""
        found: list[str | None] = []
        for node in client.take():
            if (
                node.name == "presence"
                and not node.hasAttribute("type")
                and node["from"].startswith("romeo@")
            ):
                update = next(node.elements(UPDATE, "x"), None)
                found.append(str(update.photo or "") if update is not None else None)
                self.assertLessEqual(len(list(node.elements(UPDATE, "x"))), 1)
        return found


class FromVCardTests(AvatarCase):
    """What an old client stores is published."""

    def test_photo(self) -> None:
        """The photo is published as avatar, open for everybody: data, and metadata with the same id."""
        self.store(photo(PNG))
        ((identity, data),) = self.items(DATA)
        self.assertEqual((identity, str(data)), (sha1(PNG), encoded(PNG)))
        ((identity, metadata),) = self.items(METADATA)
        self.assertEqual(identity, sha1(PNG))
        self.assertEqual(
            dict(metadata.info.attributes), {"id": sha1(PNG), "bytes": str(len(PNG)), "type": "image/png"}
        )
        for node in (DATA, METADATA):
            configuration = now(self.house.host.query(IPersonalEventing).configuration("romeo", node))
            self.assertEqual(configuration["access_model"], "open")

    def test_same_again(self) -> None:
        """The same photo is not published again."""
        self.store(photo(PNG))
        before = now(self.house.host.query(IPersonalEventing).items("romeo", METADATA))
        self.house.clock.advance(5)
        self.store(photo(PNG) + "<FN>Romeo</FN>")
        self.assertEqual(now(self.house.host.query(IPersonalEventing).items("romeo", METADATA)), before)

    def test_taken_away(self) -> None:
        """Without the photo the avatar is disabled; who never had one publishes nothing."""
        self.store("<FN>Romeo</FN>")
        self.assertEqual(self.items(METADATA), [])
        self.store(photo(PNG))
        self.store("<FN>Romeo</FN>")
        (_, metadata) = self.items(METADATA)[-1]
        self.assertIsNone(metadata.info)

    def test_broken(self) -> None:
        """A photo that cannot be read is kept and not published."""
        self.store("<PHOTO><TYPE>image/png</TYPE><BINVAL>%%%</BINVAL></PHOTO>")
        self.assertEqual(str(self.card().PHOTO.BINVAL), "%%%")
        self.assertEqual(self.items(DATA), [])

    def test_nick(self) -> None:
        """The nickname is published."""
        self.store("<NICKNAME>R &amp; J</NICKNAME>")
        ((identity, nick),) = self.items(NICK)
        self.assertEqual((identity, str(nick)), ("current", "R & J"))

    def test_vcard4(self) -> None:
        """The rest is published as vCard4."""
        self.store(
            "<FN>Romeo M</FN><N><FAMILY>M</FAMILY></N><EMAIL><USERID>r@m</USERID></EMAIL><TITLE/>"
            "<ADR><CTRY>Italia</CTRY></ADR><x xmlns='urn:other'/>" + photo(PNG)
        )
        ((identity, card),) = self.items(VCARD4)
        self.assertEqual((identity, card.uri), ("current", "urn:ietf:params:xml:ns:vcard-4.0"))
        self.assertEqual([node.name for node in card.elements()], ["fn", "n", "email", "adr"])
        self.assertEqual((str(card.fn.text), str(card.n.surname)), ("Romeo M", "M"))
        self.assertEqual((str(card.email.text), str(card.adr.country)), ("r@m", "Italia"))

    def test_refused(self) -> None:
        """When the account's nodes are full, the vCard is stored all the same."""
        house = self.house = House(
            VCard, PersonalEventing, PepVCardAvatar, PersonalEventing={"max_nodes_user": 1}
        )
        self.romeo = house.login("romeo")
        self.store(photo(PNG))
        self.assertIsNotNone(self.card().PHOTO)

    def test_without_pep(self) -> None:
        """Without PEP the photo's hash is in presence nevertheless."""
        self.house = House(VCard, PepVCardAvatar)
        self.romeo = self.house.login("romeo", presence="<presence/>")
        self.store(photo(PNG))
        self.romeo.send("<presence/>")
        self.assertEqual(self.hashes(self.romeo), [sha1(PNG)])


class ToVCardTests(AvatarCase):
    """What a new client publishes is in the vCard."""

    def test_photo(self) -> None:
        """An open avatar is stored as photo, in the place of the old one; the rest stays."""
        self.store("<FN>Romeo</FN>" + photo(OTHER, "image/gif"))
        self.publish_avatar(PNG)
        (found,) = self.card().elements("vcard-temp", "PHOTO")
        self.assertEqual((str(found.TYPE), str(found.BINVAL)), ("image/png", encoded(PNG)))
        self.assertEqual(str(self.card().FN), "Romeo")

    def test_first(self) -> None:
        """Who has no vCard gets one."""
        self.publish_avatar(PNG)
        self.assertEqual(str(self.card().PHOTO.BINVAL), encoded(PNG))

    def test_not_open(self) -> None:
        """What is not for everybody does not get into the vCard, which is, unless the administrator wills."""
        for options, access, expected in (
            ({}, "presence", None),
            ({}, "open", sha1(PNG)),
            ({"only_open": False}, "presence", sha1(PNG)),
        ):
            self.house = House(VCard, PersonalEventing, PepVCardAvatar, PepVCardAvatar=options)
            self.romeo = self.house.login("romeo")
            self.publish_avatar(PNG, access)
            self.publish(NICK, "current", f"<nick xmlns='{NICK}'>R</nick>", access)
            self.romeo.send("<presence/>")
            self.assertEqual(self.hashes(self.romeo), [expected])
            self.assertEqual(self.card() is not None, expected is not None)

    def test_wrong_hash(self) -> None:
        """Data that do not have the hash that they are published under are not stored."""
        self.publish_avatar(PNG, identity=sha1(OTHER))
        self.assertIsNone(self.card())

    def test_no_data(self) -> None:
        """Metadata without data, with data elsewhere only, or of no known form change nothing."""
        self.store(photo(OTHER, "image/gif"))
        for inner in (
            f"<info id='{sha1(PNG)}' bytes='1' type='image/png'/>",
            f"<info id='{sha1(PNG)}' bytes='1' type='image/png' url='https://example.org/x'/>",
            "<info/>",
        ):
            self.publish(METADATA, "x", f"<metadata xmlns='{METADATA}'>{inner}</metadata>")
            self.assertEqual(str(self.card().PHOTO.BINVAL), encoded(OTHER))

    def test_disabled(self) -> None:
        """Empty metadata take the photo away, whoever stored it."""
        self.publish_avatar(PNG)
        self.publish(METADATA, "none", f"<metadata xmlns='{METADATA}'/>")
        self.assertIsNone(self.card().PHOTO)

    def test_retracted(self) -> None:
        """So does the end of the item."""
        self.publish_avatar(PNG)
        now(self.house.host.query(IPersonalEventing).retract("romeo", METADATA, sha1(PNG)))
        self.assertIsNone(self.card().PHOTO)

    def test_nick(self) -> None:
        """The nickname is stored, and taken away when it is empty."""
        self.store("<NICKNAME>old</NICKNAME><FN>Romeo</FN>")
        self.publish(NICK, "current", f"<nick xmlns='{NICK}'>new</nick>")
        self.assertEqual([str(node) for node in self.card().elements("vcard-temp", "NICKNAME")], ["new"])
        self.publish(NICK, "current", f"<nick xmlns='{NICK}'/>")
        self.assertIsNone(self.card().NICKNAME)
        self.assertEqual(str(self.card().FN), "Romeo")

    def test_vcard4(self) -> None:
        """A vCard4 replaces what both can say; the photo stays."""
        self.store("<FN>Old</FN><TITLE>Sir</TITLE><JABBERID>r@m</JABBERID>" + photo(PNG))
        self.publish(
            VCARD4,
            "current",
            "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><fn><text>New</text></fn><n><given>R</given></n>"
            "<tel><parameters><type><text>home</text></type></parameters><uri>tel:+39-1</uri></tel></vcard>",
        )
        card = self.card()
        self.assertEqual((str(card.FN), str(card.N.GIVEN), str(card.TEL.NUMBER)), ("New", "R", "+39-1"))
        self.assertEqual((card.TITLE, str(card.JABBERID)), (None, "r@m"))
        self.assertEqual(str(card.PHOTO.BINVAL), encoded(PNG))

    def test_read_only(self) -> None:
        """Where vCards cannot be changed, publishing works all the same."""
        self.patch(vcards(self.house.host), "put", lambda *_: fail(NotSupported("read-only")))
        self.publish_avatar(PNG)
        self.assertEqual(len(self.items(METADATA)), 1)


class PresenceTests(AvatarCase):
    """The hash in presence."""

    def setUp(self) -> None:
        """Have an avatar."""
        super().setUp()
        self.store(photo(PNG))
        self.romeo.take()

    def test_injected(self) -> None:
        """The hash is put into every available presence that has none, or another one."""
        for inner in ("", f"<x xmlns='{UPDATE}'/>", f"<x xmlns='{UPDATE}'><photo>other</photo></x>"):
            self.romeo.send(f"<presence>{inner}</presence>")
            self.assertEqual(self.hashes(self.romeo), [sha1(PNG)], inner)

    def test_left(self) -> None:
        """A client that is not ready, or says the same, is left alone."""
        for told in ("", sha1(PNG)):
            self.romeo.send(f"<presence><x xmlns='{UPDATE}'><photo>{told}</photo></x></presence>")
            self.assertEqual(self.hashes(self.romeo), [told])

    def test_directed(self) -> None:
        """Presence for one addressee has it too."""
        juliet = self.house.login("juliet", presence="<presence/>")
        juliet.take()
        self.romeo.send("<presence to='juliet@example.org'/>")
        self.assertEqual(self.hashes(juliet), [sha1(PNG)])

    def test_other_types(self) -> None:
        """The end of presence has none."""
        self.romeo.send("<presence/>")
        self.romeo.take()
        self.romeo.send("<presence type='unavailable'/>")
        (gone,) = [node for node in self.romeo.take() if node.name == "presence"]
        self.assertEqual(list(gone.elements()), [])

    def test_never(self) -> None:
        """Of who never had an avatar nothing is said; an update without photo says that there is none."""
        juliet = self.house.login("juliet")
        juliet.send("<presence/>")
        (shown,) = [node for node in juliet.take() if node.name == "presence"]
        self.assertEqual(list(shown.elements()), [])
        juliet.send(f"<presence><x xmlns='{UPDATE}'/></presence>")
        (shown,) = [node for node in juliet.take() if node.name == "presence"]
        self.assertIsNotNone(shown.x.photo)

    def test_login(self) -> None:
        """The hash is known at the next login, whether the login has read it already or not."""
        documents = now(
            self.house.storage.documents.list("example.org", "romeo", self.house.host.login_kinds)
        )
        for given in (documents, None):
            for session in list(self.house.host.users["romeo"].sessions.values()):
                session.unbind()
            client = Client(self.house)
            client.session = now(bind(self.house.host, client, "romeo", "new", given))
            client.send("<presence/>")
            self.assertEqual(self.hashes(client), [sha1(PNG)])

    def test_rebroadcast(self) -> None:
        """A new avatar is seen at once, and once, in the presence of all sessions that are ready."""
        other = self.house.login("romeo", "phone", "<presence><show>away</show></presence>")
        quiet = self.house.login("romeo", "old", f"<presence><x xmlns='{UPDATE}'><photo/></x></presence>")
        other.take()
        self.publish_avatar(OTHER)
        self.assertEqual(self.hashes(other), [sha1(OTHER)])
        self.assertIn(b"away", other.session.presence.inner)
        self.assertNotIn(sha1(OTHER).encode(), quiet.session.presence.inner)
        self.store("<FN>Romeo</FN>")
        self.assertEqual(self.hashes(other), [""])
        self.store(photo(PNG))
        self.assertIn(sha1(PNG), self.hashes(other))

    def test_unload(self) -> None:
        """Without the module presence is left as it is."""
        self.house.modules["PepVCardAvatar"].detach()
        self.romeo.send("<presence/>")
        self.assertEqual(self.hashes(self.romeo), [None])

    def test_deleted(self) -> None:
        """A new account of the same name has no avatar."""
        now(delete_account(self.house.host, "romeo"))
        romeo = self.house.login("romeo")
        romeo.send("<presence/>")
        self.assertEqual(self.hashes(romeo), [None])
