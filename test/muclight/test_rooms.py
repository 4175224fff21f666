"""Rooms of MUC Light: made, read, configured, spoken in, destroyed."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from palaver.muclight.namespaces import NS_CONFIGURATION, NS_DESTROY
from palaver.routing.lifecycle import delete_account
from palaver.test.house import now
from palaver.test.muclight.cases import ROOM, SERVICE, LightCase, bare, refusal, told, users
from palaver.xeps.muc_light import MucLight

MAM = "urn:xmpp:mam:2"


class CreationTests(LightCase):
    """Making rooms."""

    def test_named(self) -> None:
        """Everybody is told of his own affiliation alone, then the creator gets the result."""
        inner = f"<occupants>{users(romeo='member')}</occupants>"
        answer = self.ask(self.juliet, "set", "create", inner)
        self.assertEqual((answer["type"], answer["from"], list(answer.elements())), ("result", ROOM, []))
        for client, is_ in ((self.romeo, "member"), (self.juliet, "owner")):
            (got,) = client.take()
            self.assertEqual((got["from"], got["type"], got["id"]), (ROOM, "groupchat", "q1"))
            self.assertEqual([what for what, _ in told(got)], ["version", is_])
        self.assertEqual(self.nurse.take(), [])

    def test_generated(self) -> None:
        """The service finds a name when none is asked for, and answers itself."""
        answer = self.ask(self.juliet, "set", "create", to=SERVICE)
        self.assertEqual((answer["type"], answer["from"]), ("result", SERVICE))
        (got,) = self.juliet.take()
        self.assertTrue(got["from"].endswith(f"@{SERVICE}"))

    def test_taken(self) -> None:
        """A name that is taken is refused."""
        self.make()
        answer = self.ask(self.romeo, "set", "create")
        self.assertEqual(refusal(answer), ("cancel", "conflict", "Room already exists"))

    def test_wrong(self) -> None:
        """What makes no sense is refused, and no room is made."""
        for inner in (
            f"<occupants>{users(juliet='member')}</occupants>",
            f"<occupants>{users(romeo='none')}</occupants>",
            f"<occupants>{users(romeo='member') * 2}</occupants>",
            f"<occupants>{users(romeo='owner', nurse='owner')}</occupants>",
            "<occupants><user affiliation='king'>romeo@example.org</user></occupants>",
            "<occupants><user affiliation='member' x='y'>romeo@example.org</user></occupants>",
            "<occupants><user affiliation='member'>example.org</user></occupants>",
            "<occupants>text</occupants>",
            "<nonsense/>",
            "<configuration><color>red</color></configuration>",
        ):
            answer = self.ask(self.juliet, "set", "create", inner)
            self.assertEqual(refusal(answer)[:2], ("modify", "bad-request"), inner)
        self.assertEqual((self.service.rooms, self.romeo.take()), ({}, []))

    def test_unknown_field(self) -> None:
        """The error names a field that is not there."""
        answer = self.ask(self.juliet, "set", "create", "<configuration><color>red</color></configuration>")
        self.assertEqual(refusal(answer)[2], "color:not_found")

    def test_other_owner(self) -> None:
        """Who gives the room to somebody else is a member."""
        self.make(romeo="owner")
        self.assertEqual(self.members(), {"romeo": "owner", "juliet": "member"})


class ReadingTests(LightCase):
    """Configuration and affiliations."""

    def setUp(self) -> None:
        """Have a room."""
        super().setUp()
        self.make("<configuration><roomname>Garden</roomname></configuration>", romeo="member")

    def test_configuration(self) -> None:
        """A member gets the configuration with its version; who has this version gets nothing."""
        (query,) = self.ask(self.romeo, "get", "configuration").elements()
        found = {child.name: str(child) for child in query.elements()}
        version = found.pop("version")
        self.assertEqual(found, {"roomname": "Garden", "subject": ""})
        for name in ("configuration", "affiliations", "info"):
            answer = self.ask(self.romeo, "get", name, f"<version>{version}</version>")
            self.assertEqual((answer["type"], list(answer.elements())), ("result", []))

    def test_info(self) -> None:
        """Both come together."""
        (query,) = self.ask(self.romeo, "get", "info", "<version/>").elements()
        self.assertEqual(
            [child.name for child in query.elements()], ["version", "configuration", "occupants"]
        )
        self.assertEqual(self.members(), {"juliet": "owner", "romeo": "member"})

    def test_stranger(self) -> None:
        """Who does not belong to the room learns nothing, not even that it is there."""
        for kind, name in (("get", "info"), ("set", "configuration"), ("set", "destroy")):
            for to in (ROOM, f"other@{SERVICE}"):
                answer = self.ask(self.nurse, kind, name, to=to)
                self.assertEqual(refusal(answer)[:2], ("cancel", "item-not-found"))

    def test_unknown(self) -> None:
        """Requests that there are not are refused."""
        self.assertEqual(refusal(self.ask(self.romeo, "set", "info"))[1], "bad-request")
        answer = self.romeo.ask(f"<iq type='get' id='p' to='{ROOM}'><time xmlns='urn:xmpp:time'/></iq>")
        self.assertEqual(refusal(answer)[1], "feature-not-implemented")
        answer = self.ask(self.romeo, "get", "info", to=f"{ROOM}/romeo")
        self.assertEqual(refusal(answer), ("modify", "bad-request", "Resource expected to be empty"))

    def test_ping(self) -> None:
        """The service answers everybody's ping, a room that of its members."""
        ping = "<iq type='get' id='p' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>"
        for client, to in ((self.nurse, SERVICE), (self.romeo, ROOM)):
            answer = client.ask(ping.format(to))
            self.assertEqual((answer["type"], list(answer.elements())), ("result", []))
        for client, to in ((self.nurse, ROOM), (self.romeo, f"other@{SERVICE}")):
            self.assertEqual(refusal(client.ask(ping.format(to)))[:2], ("cancel", "item-not-found"))

    def test_presence(self) -> None:
        """There is no presence."""
        self.romeo.send(f"<presence to='{ROOM}'/>")
        self.assertEqual(refusal(self.romeo.take()[0])[2], "Failed to decode unknown format")


class ConfigurationTests(LightCase):
    """Setting fields."""

    def setUp(self) -> None:
        """Have a room."""
        super().setUp()
        self.make("<configuration><roomname>Garden</roomname></configuration>", romeo="member")

    def test_set(self) -> None:
        """Everybody hears what is set, with both versions; what is not named stays."""
        answer = self.ask(self.juliet, "set", "configuration", "<subject>Love</subject>")
        self.assertEqual((answer["type"], list(answer.elements())), ("result", []))
        for client in (self.juliet, self.romeo):
            (got,) = client.take()
            self.assertEqual(
                [what for what, _ in told(got, NS_CONFIGURATION)], ["prev-version", "version", "subject"]
            )
        self.assertEqual(self.service.rooms["garden"].config, {"roomname": "Garden", "subject": "Love"})

    def test_member(self) -> None:
        """A member sets the subject, and nothing beside it."""
        answer = self.ask(self.romeo, "set", "configuration", "<subject>Love</subject>")
        self.assertEqual(answer["type"], "result")
        self.hush()
        wanted = "<subject>Hate</subject><roomname>Street</roomname>"
        answer = self.ask(self.romeo, "set", "configuration", wanted)
        self.assertEqual(refusal(answer)[:2], ("cancel", "not-allowed"))
        self.assertEqual(self.service.rooms["garden"].config["subject"], "Love")
        self.assertEqual(self.juliet.take(), [])

    def test_wrong(self) -> None:
        """A version, and fields that are not there, are refused."""
        version = self.service.rooms["garden"].version
        for inner, text in (
            ("<version>1</version>", "Version element not allowed"),
            ("<prev-version>1</prev-version>", "prev-version:not_found"),
        ):
            answer = self.ask(self.juliet, "set", "configuration", inner)
            self.assertEqual(refusal(answer), ("modify", "bad-request", text))
        self.assertEqual(self.service.rooms["garden"].version, version)


class SchemaTests(LightCase):
    """A schema of the operator's own."""

    options: ClassVar[dict[str, Any]] = {
        "config_schema": [{"field": "title", "string_value": "-"}, {"field": "age", "integer_value": 3}],
        "all_can_configure": True,
    }

    def test_types(self) -> None:
        """A number stays a number; a text in its place is refused; members configure when they may."""
        self.make(romeo="member")
        answer = self.ask(self.romeo, "set", "configuration", "<age>7</age>")
        self.assertEqual(answer["type"], "result")
        self.assertEqual(self.service.rooms["garden"].config, {"title": "-", "age": 7})
        for bad in ("old", "9" * 30):
            answer = self.ask(self.romeo, "set", "configuration", f"<age>{bad}</age>")
            self.assertEqual(refusal(answer)[1], "bad-request")


class OptionTests(SynchronousTestCase):
    """Options that make no sense."""

    def test_schema(self) -> None:
        """A schema is refused that names a field twice, or not with one default."""
        for schema in (
            [{"field": "a", "string_value": ""}] * 2,
            [{"field": "a"}],
            [{"field": "a", "string_value": "", "integer_value": 1}],
            [{"field": "version", "string_value": ""}],
            [{"field": "a b", "string_value": ""}],
        ):
            self.assertRaises(ValueError, MucLight.Settings, config_schema=schema)


class MessageTests(LightCase):
    """What members say."""

    def setUp(self) -> None:
        """Have a room."""
        super().setUp()
        self.make(romeo="member")

    def test_all(self) -> None:
        """All sessions of all members get it, the author's too, with its id in the archive."""
        second = self.house.login("romeo", "balcony", presence="<presence/>")
        second.take()
        self.say(self.romeo, "O Juliet")
        for client in (self.romeo, self.juliet, second):
            (got,) = [one for one in client.take() if one.name == "message"]
            self.assertEqual(
                (got["from"], got["id"], got["type"]), (f"{ROOM}/{bare('romeo')}", "m1", "groupchat")
            )
            self.assertEqual([child["by"] for child in got.elements() if child.name == "stanza-id"], [ROOM])
        self.assertEqual(self.nurse.take(), [])

    def test_refused(self) -> None:
        """Strangers, other types and rooms that are not there are refused; errors are passed over."""
        self.say(self.nurse, "Madam!")
        self.assertEqual(refusal(self.nurse.take()[0])[:2], ("cancel", "item-not-found"))
        for kind, to, condition in (
            ("chat", ROOM, "bad-request"),
            ("normal", ROOM, "bad-request"),
            ("groupchat", f"other@{SERVICE}", "item-not-found"),
            ("groupchat", f"{ROOM}/juliet", "bad-request"),
        ):
            self.romeo.send(f"<message type='{kind}' to='{to}'><body>O</body></message>")
            self.assertEqual(refusal(self.romeo.take()[0])[1], condition)
        self.romeo.send(f"<message type='error' to='{ROOM}'><body>O</body></message>")
        self.assertEqual(self.romeo.take() + self.juliet.take(), [])

    def test_forged(self) -> None:
        """What claims to be of the room is taken off: ids, times, and what rooms alone tell."""
        forged = f"<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='1'/>"
        forged += f"<delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2002-09-10T23:08:25Z'/>"
        told = "<user affiliation='owner'>romeo@example.org</user>"
        forged += f"<x xmlns='urn:xmpp:muclight:0#affiliations'>{told}</x>"
        forged += "<x xmlns='http://jabber.org/protocol/muc#user'><status code='321'/></x>"
        self.romeo.send(f"<message type='groupchat' to='{ROOM}'><body>O</body>{forged}</message>")
        (got,) = self.juliet.take()
        self.assertNotIn("1", [child["id"] for child in got.elements() if child.name == "stanza-id"])
        self.assertEqual([child.name for child in got.elements() if child.name in ("delay", "x")], [])
        self.assertTrue(got["id"])

    def test_away(self) -> None:
        """Nothing comes back for members who are away."""
        self.romeo.session.unbind()
        self.hush()
        self.say(self.juliet, "Where art thou?")
        self.assertEqual([got["type"] for got in self.juliet.take()], ["groupchat"])

    def test_subject(self) -> None:
        """A subject alone is an ordinary message."""
        self.romeo.send(f"<message type='groupchat' id='s' to='{ROOM}'><subject>Love</subject></message>")
        self.assertEqual(len(self.juliet.take()), 1)
        self.assertEqual(self.service.rooms["garden"].config["subject"], "")

    def query(self, client: Any, inner: str = "") -> list[Any]:
        """Fetch the room's archive; gives the messages in it."""
        client.take()
        client.send(f"<iq type='set' id='a' to='{ROOM}'><query xmlns='{MAM}'>{inner}</query></iq>")
        results = [got for got in client.take() if got.name == "message"]
        return [next(got.elements(MAM, "result")).firstChildElement() for got in results]

    def test_archive(self) -> None:
        """The archive has what was said and what the room told; one's own affiliation is with one's own."""
        self.say(self.romeo, "O Juliet")
        self.ask(self.juliet, "set", "configuration", "<subject>Love</subject>")
        entries = self.query(self.romeo)
        self.assertEqual(len(entries), 3)
        created, said, configured = (entry.toXml() for entry in entries)
        self.assertIn("juliet", created)
        self.assertNotIn("version", created)
        self.assertIn("muc#user", said)
        self.assertIn("prev-version", configured)
        self.assertNotIn("muc#user", self.query(self.juliet)[1].toXml())

    def test_strangers_archive(self) -> None:
        """Nobody else reads the archive; neither does who was taken out."""
        self.ask(self.juliet, "set", "affiliations", users(romeo="none"))
        for client in (self.nurse, self.romeo):
            answer = client.ask(f"<iq type='set' id='a' to='{ROOM}'><query xmlns='{MAM}'/></iq>")
            self.assertEqual(refusal(answer)[1], "item-not-found")

    def test_again(self) -> None:
        """A message that is sent again is not archived twice, and goes out under the same id."""
        self.say(self.romeo, "O Juliet")
        self.say(self.romeo, "O Juliet")
        ids = [[c["id"] for c in got.elements() if c.name == "stanza-id"] for got in self.juliet.take()]
        self.assertEqual(ids[0], ids[1])
        self.assertEqual(len(self.query(self.romeo)), 2)


class EndTests(LightCase):
    """Rooms that are destroyed, idle, or read again."""

    def test_destroy(self) -> None:
        """The owner destroys the room; everybody is told, and nothing is left."""
        self.make(romeo="member")
        self.say(self.romeo, "O")
        self.assertEqual(refusal(self.ask(self.romeo, "set", "destroy"))[1], "not-allowed")
        self.hush()
        self.assertEqual(self.ask(self.juliet, "set", "destroy")["type"], "result")
        (got,) = self.romeo.take()
        self.assertEqual(told(got), [("none", bare("romeo"))])
        self.assertEqual(told(got, NS_DESTROY), [])
        self.assertEqual(refusal(self.ask(self.juliet, "get", "info"))[1], "item-not-found")
        storage = self.house.storage
        self.assertEqual(self.successResultOf(storage.documents.owners(SERVICE, "muclight")), [])
        self.assertEqual(self.successResultOf(storage.logs.count(SERVICE, "garden", "muclight-log")), 0)

    def test_idle(self) -> None:
        """An idle room is dropped from memory and read again when somebody speaks in it."""
        self.make(romeo="member")
        self.house.clock.pump([31] * 5)
        self.assertEqual(self.service.rooms, {})
        self.say(self.romeo, "O")
        self.assertEqual(len(self.juliet.take()), 1)

    def test_account_deleted(self) -> None:
        """An account that is deleted belongs to no room any more, and blocks nobody."""
        self.make(romeo="member")
        self.ask(self.juliet, "set", "blocking", f"<user action='deny'>{bare('nurse')}</user>", SERVICE)
        self.hush()
        now(delete_account(self.house.host, "juliet"))
        (got,) = [one for one in self.romeo.take() if one.name == "message"]
        self.assertEqual([what for what, _ in told(got)][-2:], ["none", "owner"])
        self.assertEqual(now(self.service.store.blocked_by(bare("juliet"))), [])
