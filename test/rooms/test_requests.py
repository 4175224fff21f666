"""Requests: service discovery, archives, and what occupants ask each other."""

from __future__ import annotations

import base64
from typing import Any

from twisted.words.xish import domish

from palaver.rooms.namespaces import NS_PING, NS_UNIQUE
from palaver.test.rooms.cases import ROOM, SERVICE, RoomCase, fields, refusal
from palaver.xeps.vcard import VCard

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
MAM = "urn:xmpp:mam:2"


class Asking(RoomCase):
    """Asks in few words."""

    def ask(self, client: Any, inner: str, to: str = ROOM, kind: str = "get") -> domish.Element:
        """Send a request; give the answer."""
        answer: domish.Element = client.ask(f"<iq type='{kind}' id='q1' to='{to}'>{inner}</iq>")
        return answer

    def features(self, client: Any, to: str = ROOM) -> set[str]:
        """Give the features that somebody is told of."""
        answer = self.ask(client, f"<query xmlns='{INFO}'/>", to)
        return {child["var"] for child in answer.query.elements() if child.name == "feature"}

    def items(self, client: Any, to: str = ROOM, inner: str = "") -> list[str]:
        """Give the JIDs of items."""
        answer = self.ask(client, f"<query xmlns='{ITEMS}'>{inner}</query>", to)
        return [child["jid"] for child in answer.query.elements() if child.name == "item"]


class DiscoTests(Asking):
    """XEP-0045 section 6, XEP-0307."""

    def test_service(self) -> None:
        """The service says what it is, and stands among the host's items."""
        answer = self.ask(self.romeo, f"<query xmlns='{INFO}'/>", SERVICE)
        self.assertEqual(
            (answer.query.identity["category"], answer.query.identity["type"]), ("conference", "text")
        )
        self.assertLessEqual(
            {"http://jabber.org/protocol/muc", f"{NS_UNIQUE}", "http://jabber.org/protocol/muc#stable_id"},
            self.features(self.romeo, SERVICE),
        )
        self.assertIn((SERVICE, "Chatrooms"), self.house.host.disco.items())

    def test_room(self) -> None:
        """A room says of which kind it is, and what can be known of it."""
        self.make(roomname="Verona", roomdesc="A square", moderatedroom="1", persistentroom="1")
        answer = self.ask(self.nurse, f"<query xmlns='{INFO}'/>")
        self.assertEqual(answer.query.identity["name"], "Verona")
        self.assertLessEqual(
            {
                "muc_public",
                "muc_open",
                "muc_moderated",
                "muc_semianonymous",
                "muc_unsecured",
                "muc_persistent",
                MAM,
            },
            self.features(self.nurse),
        )
        info = fields(answer.query)
        self.assertEqual(info["FORM_TYPE"], ["http://jabber.org/protocol/muc#roominfo"])
        self.assertEqual(info["muc#roominfo_description"], ["A square"])
        self.assertEqual(info["muc#roominfo_occupants"], ["1"])
        self.configure(publicroom="0", membersonly="1", whois="anyone", persistentroom="0", moderatedroom="0")
        self.assertLessEqual(
            {"muc_hidden", "muc_membersonly", "muc_unmoderated", "muc_nonanonymous", "muc_temporary"},
            self.features(self.nurse),
        )
        self.assertNotIn(MAM, self.features(self.nurse))

    def test_rooms(self) -> None:
        """Public rooms are listed, stored ones and others, in pages; hidden ones are not."""
        for name in ("b", "a", "c", "d"):
            now_room = f"{name}@{SERVICE}"
            self.enter(self.romeo, "R", room=now_room)
            inner = "<x xmlns='jabber:x:data' type='submit'/>"
            self.owner(self.romeo, "set", inner, now_room)
        self.make(publicroom="0")
        self.service.rooms["c"].config = {**self.service.rooms["c"].config, "publicroom": False}
        found = self.items(self.nurse, SERVICE)
        self.assertEqual(found, [f"{name}@{SERVICE}" for name in "abd"])
        rsm = "<set xmlns='http://jabber.org/protocol/rsm'><max>2</max><after>{}</after></set>"
        self.assertEqual(self.items(self.nurse, SERVICE, rsm.format("")), found[:2])
        self.assertEqual(self.items(self.nurse, SERVICE, rsm.format(found[1])), found[2:])

    def test_stored_rooms(self) -> None:
        """Rooms that nobody is in are listed too."""
        self.make(persistentroom="1", roomname="Verona")
        self.restart()
        self.assertEqual(self.items(self.nurse, SERVICE), [ROOM])
        self.assertEqual(self.service.rooms, {})

    def test_occupants(self) -> None:
        """Who is in a room is told, unless it is to be private."""
        self.make((self.juliet, "Juliet"))
        self.assertEqual(self.items(self.nurse), [f"{ROOM}/Romeo", f"{ROOM}/Juliet"])
        self.configure(public_list="0")
        self.assertEqual(self.items(self.nurse), [])
        self.assertEqual(len(self.items(self.juliet)), 2)

    def test_unknown(self) -> None:
        """What is not there is not found, and what nobody answers is refused."""
        self.make()
        self.assertEqual(
            refusal(self.ask(self.nurse, f"<query xmlns='{INFO}'/>", f"x@{SERVICE}"))[1], "item-not-found"
        )
        self.assertEqual(
            refusal(self.ask(self.nurse, f"<query xmlns='{INFO}' node='x'/>"))[1], "item-not-found"
        )
        traffic = f"<query xmlns='{INFO}' node='http://jabber.org/protocol/muc#traffic'/>"
        self.assertEqual(refusal(self.ask(self.nurse, traffic, ROOM))[1], "service-unavailable")
        for to in (ROOM, SERVICE):
            self.assertEqual(refusal(self.ask(self.nurse, "<x xmlns='what'/>", to))[1], "service-unavailable")
            self.assertEqual(refusal(self.ask(self.nurse, "", to))[1], "bad-request")

    def test_unique(self) -> None:
        """The service gives names that are free."""
        answers = [self.ask(self.romeo, f"<unique xmlns='{NS_UNIQUE}'/>", SERVICE) for _ in range(2)]
        first, second = [str(answer.unique) for answer in answers]
        self.assertNotEqual(first, second)
        self.assertTrue(first)


class PassingTests(Asking):
    """Requests to occupants, XEP-0410."""

    def setUp(self) -> None:
        """Have two in a room."""
        super().setUp()
        self.make((self.juliet, "Juliet"))

    def test_self_ping(self) -> None:
        """Whoever asks whether he is in the room is answered by the room."""
        ping = f"<ping xmlns='{NS_PING}'/>"
        self.assertEqual(self.ask(self.juliet, ping, f"{ROOM}/Juliet")["type"], "result")
        self.assertEqual(refusal(self.ask(self.nurse, ping, f"{ROOM}/Nurse"))[1], "not-acceptable")
        self.assertEqual(refusal(self.ask(self.nurse, ping, f"gone@{SERVICE}/Nurse"))[1], "not-acceptable")
        self.assertEqual(refusal(self.ask(self.juliet, ping, f"{ROOM}/Tybalt"))[1], "item-not-found")

    def test_passed(self) -> None:
        """A request goes to the other's client under another id, and its answer comes back from the nick."""
        self.juliet.send(f"<iq type='get' id='v' to='{ROOM}/Romeo'><query xmlns='jabber:iq:version'/></iq>")
        (asked,) = self.romeo.take()
        self.assertEqual(asked["from"], f"{ROOM}/Juliet")
        self.assertNotIn(b"juliet@", base64.urlsafe_b64decode(asked["id"]))
        answer = "<query xmlns='jabber:iq:version'><name>Quill</name></query>"
        self.nurse.send(f"<iq type='result' id='{asked['id']}' to='{ROOM}/Juliet'>{answer}</iq>")
        self.romeo.send(f"<iq type='result' id='v' to='{ROOM}/Juliet'>{answer}</iq>")
        self.assertEqual(self.juliet.take(), [])
        self.romeo.send(f"<iq type='result' id='{asked['id']}' to='{ROOM}/Juliet'>{answer}</iq>")
        (got,) = self.juliet.take()
        self.assertEqual((got["from"], got["id"], got["type"]), (f"{ROOM}/Romeo", "v", "result"))

    def test_other_session(self) -> None:
        """An answer goes to the session that has asked, and not to others of its nick."""
        tablet = self.house.login("juliet", "tablet", "<presence/>")
        self.enter(tablet, "Juliet")
        self.quiet()
        self.juliet.send(f"<iq type='get' id='v' to='{ROOM}/Romeo'><query xmlns='jabber:iq:version'/></iq>")
        (asked,) = self.romeo.take()
        tablet.take()
        self.romeo.send(f"<iq type='result' id='{asked['id']}' to='{ROOM}/Juliet'/>")
        self.assertEqual([one["id"] for one in self.juliet.take()], ["v"])
        self.assertEqual(tablet.take(), [])

    def test_error_hides(self) -> None:
        """An error comes back without what says whose it is."""
        self.juliet.send(f"<iq type='get' id='v' to='{ROOM}/Romeo'><query xmlns='jabber:iq:version'/></iq>")
        (asked,) = self.romeo.take()
        text = "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>No romeo@example.org</text>"
        condition = "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        self.romeo.send(
            f"<iq type='error' id='{asked['id']}' to='{ROOM}/Juliet'>"
            f"<error type='cancel' by='example.org'>{condition}{text}</error></iq>"
        )
        (got,) = self.juliet.take()
        self.assertEqual(refusal(got), ("cancel", "item-not-found"))
        self.assertNotIn("example.org", got.error.toXml())

    def test_vcard(self) -> None:
        """What an account answers for itself is asked of the account, and comes from the nick."""
        self.house.add(VCard)
        card = "<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>"
        self.romeo.ask(f"<iq type='set' id='s'>{card}</iq>")
        answer = self.ask(self.juliet, "<vCard xmlns='vcard-temp'/>", f"{ROOM}/Romeo")
        self.assertEqual((answer["from"], str(answer.vCard.FN)), (f"{ROOM}/Romeo", "Romeo"))

    def test_refused(self) -> None:
        """Requests come from occupants only, and where the room allows them."""
        query = "<query xmlns='jabber:iq:version'/>"
        self.assertEqual(refusal(self.ask(self.nurse, query, f"{ROOM}/Romeo"))[1], "not-acceptable")
        disco = f"<query xmlns='{INFO}'/>"
        self.assertEqual(refusal(self.ask(self.nurse, disco, f"{ROOM}/Romeo"))[1], "bad-request")
        self.configure(allow_query_users="0")
        self.assertEqual(refusal(self.ask(self.juliet, query, f"{ROOM}/Romeo"))[1], "not-allowed")


class ArchiveTests(Asking):
    """XEP-0313 on a room."""

    def setUp(self) -> None:
        """Have a room where two have spoken."""
        super().setUp()
        self.make((self.juliet, "Juliet"), persistentroom="1")
        for number, client in enumerate((self.romeo, self.juliet, self.romeo)):
            self.say(client, f"line {number}", id=f"l{number}")
        self.quiet()

    def read(self, client: Any, inner: str = "") -> list[domish.Element]:
        """Give the messages that a query brings."""
        client.send(f"<iq type='set' id='m' to='{ROOM}'><query xmlns='{MAM}'>{inner}</query></iq>")
        *results, fin = client.take()
        self.assertEqual(fin["type"], "result", fin.toXml())
        return [result.result.forwarded.message for result in results]

    def filtered(self, who: str) -> str:
        """Give the form for one person's messages."""
        return (
            "<x xmlns='jabber:x:data' type='submit'>"
            "<field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>"
            f"<field var='with'><value>{who}</value></field></x>"
        )

    def test_all(self) -> None:
        """The archive has what was said, from occupant JIDs; real ones are for those who see them."""
        got = self.read(self.juliet)
        self.assertEqual([str(one.body) for one in got], ["line 0", "line 1", "line 2"])
        self.assertEqual([one["from"].partition("/")[2] for one in got], ["Romeo", "Juliet", "Romeo"])
        self.assertIsNone(got[0].x)
        self.assertEqual(self.read(self.romeo)[1].x.item["jid"], "juliet@example.org")

    def test_stranger(self) -> None:
        """An open room's archive is read by who may enter it; nobody else reads it."""
        self.assertEqual(len(self.read(self.nurse)), 3)
        self.affiliate("nurse", "outcast")
        query = f"<query xmlns='{MAM}'/>"
        self.assertEqual(refusal(self.ask(self.nurse, query, kind="set"))[1], "forbidden")
        self.configure(membersonly="1")
        for kind, inner in (("set", query), ("get", query), ("get", f"<metadata xmlns='{MAM}'/>")):
            self.assertEqual(refusal(self.ask(self.mercutio, inner, kind=kind))[1], "forbidden")
        self.configure(membersonly="0", passwordprotectedroom="1", roomsecret="moon")
        self.assertEqual(refusal(self.ask(self.mercutio, query, kind="set"))[1], "forbidden")

    def test_with(self) -> None:
        """One occupant's messages are found by nick; by real JID only where that tells nothing."""
        got = self.read(self.juliet, self.filtered(f"{ROOM}/Romeo"))
        self.assertEqual([str(one.body) for one in got], ["line 0", "line 2"])
        got = self.read(self.romeo, self.filtered("juliet@example.org"))
        self.assertEqual([str(one.body) for one in got], ["line 1"])
        query = f"<query xmlns='{MAM}'>{self.filtered('romeo@example.org')}</query>"
        self.assertEqual(refusal(self.ask(self.juliet, query, kind="set"))[1], "forbidden")

    def test_page(self) -> None:
        """The archive comes in pages; the ids are those of the messages."""
        got = self.read(
            self.juliet, "<set xmlns='http://jabber.org/protocol/rsm'><max>1</max><before/></set>"
        )
        self.assertEqual([str(one.body) for one in got], ["line 2"])
        answer = self.ask(self.juliet, f"<metadata xmlns='{MAM}'/>")
        self.assertTrue(answer.metadata.start["id"])

    def test_preferences(self) -> None:
        """Nobody has preferences of his own for a room's archive: its owners decide for all."""
        for client in (self.romeo, self.juliet, self.nurse):
            for kind in ("get", "set"):
                answer = self.ask(client, f"<prefs xmlns='{MAM}' default='never'/>", kind=kind)
                self.assertEqual(refusal(answer), ("cancel", "feature-not-implemented"))
        self.assertEqual(len(self.read(self.juliet)), 3)

    def test_off(self) -> None:
        """A room that keeps nothing has no archive, and what was said goes when the room goes."""
        self.configure(enablearchiving="0")
        query = f"<query xmlns='{MAM}'/>"
        self.assertEqual(refusal(self.ask(self.juliet, query, kind="set"))[1], "feature-not-implemented")
        self.owner(self.romeo, "set", "<destroy/>")
        self.assertEqual(
            self.house.storage.logs._logs if hasattr(self.house.storage.logs, "_logs") else {}, {}
        )
