"""Mentions in rooms: of members who are away (XEP-0452), and who may make them (XEP-0513)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from twisted.words.xish import domish

from palaver.rooms import mentions
from palaver.rooms.hats import Hat, of
from palaver.rooms.mentions import NS_EXPLICIT, NS_REFERENCE
from palaver.rooms.namespaces import NS_REGISTER, NS_REGISTER_FORM
from palaver.rooms.room import Room
from palaver.test.house import Client
from palaver.test.rooms.cases import ROOM, RoomCase, codes, fields, form, refusal
from palaver.xeps.muc_hats import RoomHats
from palaver.xeps.muc_mentions import NS_FORWARD, NS_MENTIONS, Mentions
from palaver.xeps.muc_occupant_id import OccupantIds

VAR = "muc#roomconfig_forwardmentions"


def mention(uri: str, type: str = "mention") -> str:
    """Give a reference."""
    return f"<reference xmlns='{NS_REFERENCE}' type='{type}' begin='0' end='4' uri='{uri}'/>"


def explicit(inner: str = "", **attrs: str) -> str:
    """Give an explicit mention; ``group`` is the kind of group."""
    if "group" in attrs:
        attrs["mentions"] = f"{NS_EXPLICIT}#{attrs.pop('group')}"
    given = "".join(f" {name}='{value}'" for name, value in attrs.items())
    return f"<mention xmlns='{NS_EXPLICIT}'{given}>{inner}</mention>"


class MentionCase(RoomCase):
    """Juliet is a member with a nick, and is not in the room."""

    settings: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Make the room."""
        super().setUp()
        self.house.add(OccupantIds)
        self.house.add(Mentions, **self.settings)
        self.make((self.mercutio, "Mercutio"), **{VAR: "1", "persistentroom": "1"})
        inner = form({"muc#register_roomnick": "Jule"}, NS_REGISTER_FORM)
        self.juliet.ask(
            f"<iq type='set' id='g' to='{ROOM}'><query xmlns='{NS_REGISTER}'>{inner}</query></iq>"
        )
        self.quiet()

    def told(self, *references: str) -> list[domish.Element]:
        """Have Romeo mention somebody; give what Juliet gets."""
        self.say(self.romeo, "Jule: come", "".join(references))
        self.assertEqual(self.nurse.take(), [])
        return self.juliet.take()


class MentionTests(MentionCase):
    """References, as the first clients send them."""

    def test_forwarded(self) -> None:
        """The whole message comes from the room, with its id in the archive."""
        for uri in ("xmpp:juliet@example.org", f"xmpp:{ROOM}/Jule"):
            (told,) = self.told(mention(uri), mention(uri))
            self.assertEqual(told["from"], ROOM)
            (mentions,) = told.elements(NS_MENTIONS, "mentions")
            (forwarded,) = mentions.elements(NS_FORWARD, "forwarded")
            self.assertEqual(forwarded.message["from"], f"{ROOM}/Romeo")
            self.assertEqual(str(forwarded.message.body), "Jule: come")
            self.assertIn("stanza-id", told.toXml())

    def test_not(self) -> None:
        """Strangers, data, nonsense, and those who are in the room get nothing more."""
        uris = (
            "xmpp:nurse@example.org",
            "xmpp:",
            "xmpp:@@",
            f"xmpp:{ROOM}",
            f"xmpp:{ROOM}/Nurse",
            "https://x/",
        )
        self.assertEqual(self.told(*map(mention, uris)), [])
        self.assertEqual(self.told(mention("xmpp:juliet@example.org", "data")), [])
        self.enter(self.juliet, "Jule")
        self.assertEqual(len(self.told(mention("xmpp:juliet@example.org"))), 1)

    def test_switch(self) -> None:
        """Only rooms forward whose owners have said so; the form has the field."""
        self.assertEqual(fields(self.owner(self.romeo, "get", "").query)[VAR], ["true"])
        self.configure(**{VAR: "0"})
        self.assertEqual(self.told(mention("xmpp:juliet@example.org")), [])


class ExplicitTests(MentionCase):
    """Mentions as XEP-0513 has them."""

    def test_individual(self) -> None:
        """A member is mentioned by occupant id or by JID."""
        self.enter(self.juliet, "Jule")
        (seen,) = [one for one in self.romeo.take() if one["from"] == f"{ROOM}/Jule"]
        (id,) = [node["id"] for node in seen.elements() if node.name == "occupant-id"]
        self.leave(self.juliet, "Jule")
        self.quiet()
        for given in ({"occupantid": id}, {"jid": "juliet@example.org"}, {"jid": f"{ROOM}/Jule"}):
            self.assertEqual(len(self.told(explicit(begin="0", end="4", **given))), 1, given)
        for wrong in ({"occupantid": "x"}, {"jid": "nurse@example.org"}, {"jid": "@@"}, {}):
            self.assertEqual(self.told(explicit(**wrong)), [], wrong)

    def test_new_member(self) -> None:
        """Who has become a member since the last mention is known as well."""
        self.told(explicit(occupantid="x"))
        self.affiliate("nurse", "member")
        self.quiet()
        give = self.service.hooks.occupant_id
        assert give is not None
        id = give(self.room, "nurse@example.org")
        self.say(self.romeo, "come", explicit(occupantid=id))
        self.assertEqual(len(self.nurse.take()), 1)

    def test_groups(self) -> None:
        """Everybody, and those with an affiliation or a hat, get the message; roles are of who is there."""
        self.house.add(RoomHats)
        of(self.room).put(Hat("urn:x:student", "Student"))
        of(self.room).wear("juliet@example.org", ("urn:x:student",))
        here = f"xmpp:{ROOM}"
        for attrs in (
            {"group": "channel"},
            {"group": "channel", "uri": here},
            {"group": "member"},
            {"group": "hats", "uri": "urn:x:student"},
        ):
            self.assertEqual(len(self.told(explicit(**attrs))), 1, attrs)
        for attrs in (
            {"group": "channel", "uri": "xmpp:other@muc.example.org"},
            {"group": "owner"},
            {"group": "participants"},
            {"group": "hats", "uri": "urn:x:teacher"},
            {"group": "space"},
            {"mentions": "urn:example:friends"},
        ):
            self.assertEqual(self.told(explicit(**attrs)), [], attrs)

    def test_repeated(self) -> None:
        """A group that is mentioned again and again is looked up once; people beside it are heard."""
        self.affiliate("nurse", "member")
        self.quiet()
        quiet = explicit("<noping/>", group="member")
        looked: list[domish.Element] = []
        look = mentions._meant

        def note(room: Room, node: domish.Element) -> Iterable[str]:
            looked.append(node)
            return look(room, node)

        self.patch(mentions, "_meant", note)
        self.say(self.romeo, "x", quiet + explicit(group="member") * 5 + explicit(jid="juliet@example.org"))
        self.assertEqual((len(looked), len(self.nurse.take()), len(self.juliet.take())), (2, 1, 1))

    def test_modifiers(self) -> None:
        """Who is away is not active, and nobody is disturbed against the sender's will."""
        for name in ("active", "noping"):
            self.assertEqual(self.told(explicit(f"<{name}/>", jid="juliet@example.org")), [])


class PermissionTests(MentionCase):
    """Who may mention whom; Mercutio is a participant."""

    def query(self, client: Client, **given: str) -> domish.Element:
        """Ask for the permissions, or set some."""
        values = {f"mentions#{name}": text for name, text in given.items()}
        kind, inner = ("set", form(values, NS_EXPLICIT)) if given else ("get", "")
        client.send(f"<iq type='{kind}' id='p' to='{ROOM}'><query xmlns='{NS_EXPLICIT}'>{inner}</query></iq>")
        (answer,) = [one for one in client.received if one.name == "iq"]
        client.received.remove(answer)
        return answer.element

    def seen(self, client: Client, *inner: str) -> int:
        """Have somebody say something; give how many mentions the others see."""
        self.quiet()
        self.say(client, "hark", "".join(inner))
        (told,) = [one for one in self.romeo.take() if one.body is not None]
        return len(list(told.elements(NS_EXPLICIT, "mention")))

    def test_form(self) -> None:
        """Anybody reads the form; only what the room can do is in it, and in service discovery."""
        asked = self.query(self.nurse).query
        self.assertEqual(
            fields(asked),
            {
                "FORM_TYPE": [NS_EXPLICIT],
                "mentions#count": ["10"],
                "mentions#individual": ["participants"],
                "mentions#channel": ["moderators"],
                "mentions#associations": ["participants"],
            },
        )
        disco = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        told = self.nurse.ask(f"<iq type='get' id='i' to='{ROOM}'>{disco}</iq>")
        features = [node["var"] for node in told.query.elements() if node.name == "feature"]
        known = [name for name in features if name.startswith(NS_EXPLICIT)]
        self.assertEqual(known, [NS_EXPLICIT, f"{NS_EXPLICIT}#associations", f"{NS_EXPLICIT}#channel"])
        self.assertEqual(fields(told.query)["mentions#channel"], ["moderators"])
        self.house.add(RoomHats)
        self.assertIn("mentions#hats", fields(self.query(self.nurse).query))

    def test_set(self) -> None:
        """An owner changes them; everybody hears what has changed, and it stays."""
        self.assertEqual(self.query(self.romeo, count="1", individual="moderators")["type"], "result")
        status, told = self.mercutio.take()
        self.assertEqual(codes(status), ["104"])
        self.assertEqual((told["from"], told["type"]), (ROOM, "groupchat"))
        self.assertEqual(
            fields(told),
            {
                "FORM_TYPE": [NS_EXPLICIT],
                "mentions#count": ["1"],
                "mentions#individual": ["moderators"],
            },
        )
        self.restart()
        self.enter(self.romeo, "Romeo")
        self.assertEqual(fields(self.query(self.romeo).query)["mentions#count"], ["1"])

    def test_refused(self) -> None:
        """Nobody but owners changes them, and not to nonsense."""
        self.affiliate("mercutio", "admin")
        for client in (self.mercutio, self.nurse):
            self.assertEqual(refusal(self.query(client, count="1"))[1], "forbidden")
        for wrong in ({"count": "many"}, {"count": "-1"}, {"channel": "everybody"}):
            self.assertEqual(refusal(self.query(self.romeo, **wrong))[1], "not-acceptable", wrong)
        inner = form({"mentions#count": "1"}, "urn:example:other")
        answer = self.romeo.ask(
            f"<iq type='set' id='p' to='{ROOM}'><query xmlns='{NS_EXPLICIT}'>{inner}</query></iq>"
        )
        self.assertEqual(refusal(answer)[1], "bad-request")
        self.assertEqual(fields(self.query(self.romeo).query)["mentions#count"], ["10"])

    def test_filtered(self) -> None:
        """What somebody may not mention is taken off, and the rest is left."""
        one, all = explicit(jid="juliet@example.org"), explicit(group="channel")
        other = explicit(mentions="urn:example:friends")
        self.assertEqual(self.seen(self.mercutio, one, all, other), 2)
        self.assertEqual(self.seen(self.romeo, one, all), 2)
        self.assertEqual(len(self.juliet.take()), 1)
        self.query(self.romeo, channel="none", individual="none", associations="moderators")
        self.assertEqual(self.seen(self.romeo, one, all, explicit(group="owner")), 1)
        self.assertEqual(self.seen(self.mercutio, explicit(group="moderators")), 0)

    def test_too_many(self) -> None:
        """A message with more mentions than allowed mentions nobody."""
        self.query(self.romeo, count="2")
        one = explicit(jid="juliet@example.org")
        self.assertEqual(self.seen(self.mercutio, one, one), 2)
        self.assertEqual(self.seen(self.mercutio, one, one, one), 0)
        self.assertEqual(self.juliet.take(), [])

    def test_private(self) -> None:
        """Private messages are nobody else's business."""
        self.query(self.romeo, individual="none")
        self.quiet()
        inner = f"<body>psst</body>{explicit(jid='romeo@example.org')}"
        self.mercutio.send(f"<message type='chat' to='{ROOM}/Romeo'>{inner}</message>")
        self.assertIn("mention", self.romeo.take()[0].toXml())


class ManyTests(MentionCase):
    """A message for more absent members than the administrator allows."""

    settings: ClassVar[dict[str, Any]] = {"max_forwarded": 1}

    def test_many(self) -> None:
        """It is forwarded to nobody, and everybody in the room has it."""
        self.affiliate("nurse", "member")
        self.quiet()
        self.assertEqual(self.told(explicit(group="channel")), [])
        self.assertEqual(len(self.mercutio.take()), 1)
