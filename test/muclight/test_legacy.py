"""MUC Light in the words of Multi-User Chat: rooms, their configuration, who belongs to them."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import fail

from palaver.errors import StorageError
from palaver.muclight.namespaces import NS_LIGHT
from palaver.rooms.namespaces import NS_ADMIN, NS_MUC, NS_OWNER, NS_ROOM_CONFIG, NS_USER
from palaver.test.muclight.cases import PEOPLE, ROOM, SERVICE, bare, refusal, users
from palaver.test.muclight.legacy import DATA, ENTER, LegacyCase, shown
from palaver.xeps.inbox import Inbox
from palaver.xeps.offline import Offline

ITEMS = "http://jabber.org/protocol/disco#items"
INFO = "http://jabber.org/protocol/disco#info"


class CreateTests(LegacyCase):
    """Presence that makes rooms."""

    def test_create(self) -> None:
        """Who sends presence to a room that is not there makes it, and is its owner, alone."""
        self.enter(self.nurse, "kitchen")
        (got,) = self.xml(self.nurse)
        x = "<item affiliation='owner' role='moderator'/><status code='110'/><status code='201'/>"
        address = f"kitchen@{SERVICE}/{bare('nurse')}"
        self.assertEqual(got, f"<presence from='{address}'><x xmlns='{NS_USER}'>{x}</x></presence>")
        room = self.service.rooms["kitchen"]
        self.assertEqual(room.users, {bare("nurse"): "owner"})
        self.assertEqual(room.config, {"roomname": "Untitled", "subject": ""})

    def test_exists(self) -> None:
        """Nobody enters a room by presence, whether he belongs to it or not."""
        for client in (self.nurse, self.romeo):
            self.enter(client)
            (got,) = client.take()
            self.assertEqual((got.name, got["type"]), ("presence", "error"))
            x, error = got.elements()
            self.assertEqual((x.uri, x.name), (NS_MUC, "x"))
            self.assertEqual(
                (error["type"], error.firstChildElement().name), ("auth", "registration-required")
            )
        self.assertEqual(len(self.service.rooms["garden"].users), 2)

    def test_passed_over(self) -> None:
        """Other presence means nothing, and nobody leaves by it."""
        self.enter(self.nurse, "kitchen", "")
        self.enter(self.nurse, "kitchen", more=" type='unavailable'")
        self.enter(self.romeo, more=" type='unavailable'")
        self.assertEqual((self.nurse.take(), self.romeo.take()), ([], []))
        self.assertEqual(list(self.service.rooms), ["garden"])
        self.assertIn(bare("romeo"), self.service.rooms["garden"].users)

    def test_nowhere(self) -> None:
        """The service itself is no room."""
        self.nurse.send(f"<presence to='{SERVICE}'>{ENTER}</presence>")
        (got,) = self.nurse.take()
        self.assertEqual(got["type"], "error")
        self.assertIn("bad-request", got.toXml())

    def test_storage_fails(self) -> None:
        """A room that could not be stored is not there."""
        self.patch(self.house.storage, "write", lambda batch: fail(StorageError("disk full")))
        self.enter(self.nurse, "kitchen")
        (got,) = self.nurse.take()
        self.assertIn("internal-server-error", got.toXml())
        self.assertNotIn("kitchen", self.service.rooms)


class EqualTests(LegacyCase):
    """Rooms without owners."""

    options: ClassVar[dict[str, Any]] = {"legacy_mode": True, "equal_occupants": True, "all_can_invite": True}

    def test_create(self) -> None:
        """Who makes a room is a member."""
        self.enter(self.nurse, "kitchen")
        (got,) = self.xml(self.nurse)
        self.assertIn("<item affiliation='member' role='participant'/>", got)


class DiscoveryTests(LegacyCase):
    """What the service tells of itself."""

    def test_info(self) -> None:
        """The service looks like Multi-User Chat, and its node too."""
        for node in ("", f" node='{NS_MUC}'"):
            self.juliet.send(f"<iq type='get' id='d' to='{SERVICE}'><query xmlns='{INFO}'{node}/></iq>")
            (query,) = self.juliet.take()[0].elements()
            (identity,) = query.elements(INFO, "identity")
            self.assertEqual(
                (identity["category"], identity["type"], identity["name"]),
                ("conference", "text", "MUC Light (legacy)"),
            )
            features = {feature["var"] for feature in query.elements(INFO, "feature")}
            self.assertIn(NS_MUC, features)
            self.assertNotIn(NS_LIGHT, features)

    def test_items(self) -> None:
        """One's rooms are listed without versions."""
        (query,) = self.query(self.romeo, "get", ITEMS, to=SERVICE).elements()
        (item,) = query.elements(ITEMS, "item")
        self.assertEqual(item.attributes, {"jid": ROOM, "name": "Untitled"})


class MessageTests(LegacyCase):
    """What is said, and subjects."""

    def test_said(self) -> None:
        """A message goes to everybody, from the sender's address in the room."""
        self.say(self.romeo, "O")
        for client in (self.romeo, self.juliet):
            (got,) = client.take()
            self.assertEqual(
                (got["from"], got["type"], got["id"]), (f"{ROOM}/{bare('romeo')}", "groupchat", "m1")
            )
        self.say(self.nurse, "O")
        self.assertEqual(refusal(self.nurse.take()[0])[:2], ("cancel", "item-not-found"))

    def test_subject(self) -> None:
        """A subject alone is set by every member, and comes from the room; with a body it is only said."""
        self.romeo.send(f"<message type='groupchat' id='s' to='{ROOM}'><subject>Love</subject></message>")
        for client in (self.romeo, self.juliet):
            (got,) = self.xml(client)
            said = "<subject>Love</subject>"
            self.assertEqual(got, f"<message from='{ROOM}' type='groupchat' id='s'>{said}</message>")
        self.assertEqual(self.fields(self.romeo)["subject"], "Love")
        inner = "<subject>Hate</subject><body>O</body>"
        self.romeo.send(f"<message type='groupchat' id='s' to='{ROOM}'>{inner}</message>")
        self.assertEqual(self.fields(self.romeo)["subject"], "Love")

    def test_subject_refused(self) -> None:
        """A stranger sets no subject, nor is there one too long or of a room that is not there."""
        for client, to, text, condition in (
            (self.nurse, ROOM, "Love", "item-not-found"),
            (self.romeo, f"other@{SERVICE}", "Love", "item-not-found"),
            (self.romeo, ROOM, "x" * 9000, "bad-request"),
        ):
            client.send(f"<message type='groupchat' id='s' to='{to}'><subject>{text}</subject></message>")
            self.assertEqual(refusal(client.take()[0])[1], condition)
        self.assertEqual(self.fields(self.romeo)["subject"], "")


class ConfigurationTests(LegacyCase):
    """The form of a room's configuration."""

    def test_get(self) -> None:
        """A member gets all fields under their own names; a stranger gets nothing."""
        (query,) = self.query(self.romeo, "get", NS_OWNER).elements()
        (form,) = query.elements(DATA, "x")
        self.assertEqual((query.uri, form["type"]), (NS_OWNER, "form"))
        self.assertEqual(str(next(form.elements(DATA, "title"))), "Configuration form for the room")
        self.assertEqual(
            [
                (field["var"], field["type"], str(next(field.elements())))
                for field in form.elements(DATA, "field")
            ],
            [
                ("FORM_TYPE", "hidden", NS_ROOM_CONFIG),
                ("roomname", "text-single", "Untitled"),
                ("subject", "text-single", ""),
            ],
        )
        self.assertEqual(refusal(self.query(self.nurse, "get", NS_OWNER))[1], "item-not-found")

    def test_set(self) -> None:
        """What is set is told with a status; what is not named stays, and a field may be there twice."""
        fields = (("subject", "Elixirs"), ("roomname", "The Coven"), ("subject", "Elixirs"))
        answer = self.configure(self.juliet, *fields)
        self.assertEqual((answer["type"], list(answer.elements())), ("result", []))
        for client in (self.juliet, self.romeo):
            (got,) = self.xml(client)
            x = f"<x xmlns='{NS_USER}'><status code='104'/></x>"
            self.assertEqual(got, f"<message from='{ROOM}' type='groupchat' id='q1'>{x}</message>")
        self.configure(self.juliet, ("roomname", "Garden"))
        self.assertEqual(
            self.fields(self.romeo),
            {"FORM_TYPE": NS_ROOM_CONFIG, "roomname": "Garden", "subject": "Elixirs"},
        )

    def test_subject(self) -> None:
        """A form with the subject alone is allowed to every member, and told as a subject."""
        self.assertEqual(self.configure(self.romeo, ("subject", "Love"))["type"], "result")
        (got,) = self.juliet.take()
        self.assertEqual((got.firstChildElement().name, got["from"]), ("subject", ROOM))

    def test_cancelled(self) -> None:
        """A form that is cancelled, or sets nothing, changes nothing."""
        self.assertEqual(self.configure(self.juliet, ("roomname", "x"), kind="cancel")["type"], "result")
        self.assertEqual(self.configure(self.juliet)["type"], "result")
        self.assertEqual((self.romeo.take(), self.fields(self.romeo)["roomname"]), ([], "Untitled"))

    def test_refused(self) -> None:
        """A member sets no more than the subject; unknown fields, and no form at all, are wrong."""
        answer = self.configure(self.romeo, ("roomname", "Street"))
        self.assertEqual(refusal(answer)[:2], ("cancel", "not-allowed"))
        answer = self.configure(self.juliet, ("color", "red"))
        self.assertEqual(refusal(answer), ("modify", "bad-request", "color:not_found"))
        empty = f"<x xmlns='{DATA}' type='submit'><field var='subject'/></x>"
        for inner in ("", empty):
            self.assertEqual(refusal(self.query(self.juliet, "set", NS_OWNER, inner))[1], "bad-request")
        self.assertEqual(self.romeo.take(), [])

    def test_destroy(self) -> None:
        """The owner destroys the room, and everybody is shown that he is gone."""
        answer = self.query(self.romeo, "set", NS_OWNER, "<destroy/>")
        self.assertEqual(refusal(answer)[1], "not-allowed")
        self.assertEqual(self.query(self.juliet, "set", NS_OWNER, "<destroy/>")["type"], "result")
        for name in ("romeo", "juliet"):
            (got,) = self.xml(self.clients[name])
            x = f"<x xmlns='{NS_USER}'><item affiliation='none' role='none'/><destroy/></x>"
            self.assertEqual(got, f"<presence from='{ROOM}/{bare(name)}' type='unavailable'>{x}</presence>")
        self.assertEqual(self.service.rooms, {})


class AffiliationTests(LegacyCase):
    """Who belongs to a room."""

    def test_list(self) -> None:
        """A member gets everybody, whatever he asks for."""
        inner = "<item affiliation='outcast'/>"
        (query,) = self.query(self.romeo, "get", NS_ADMIN, inner).elements()
        self.assertEqual(
            [tuple(item[key] for key in ("affiliation", "jid", "nick", "role")) for item in query.elements()],
            [
                ("owner", bare("juliet"), bare("juliet"), "moderator"),
                ("member", bare("romeo"), bare("romeo"), "participant"),
            ],
        )

    def test_add(self) -> None:
        """Who was there is shown the newcomer, who is invited."""
        answer = self.affiliate(self.juliet, nurse="member", mercutio="member")
        self.assertEqual((answer["type"], list(answer.elements())), ("result", []))
        seen = [shown("nurse", "member", "participant"), shown("mercutio", "member", "participant")]
        self.assertEqual(self.xml(self.juliet), seen)
        self.assertEqual(self.xml(self.romeo), seen)
        invite = f"<x xmlns='{NS_USER}'><invite from='{bare('juliet')}'/></x>"
        for client in (self.nurse, self.mercutio):
            self.assertEqual(self.xml(client), [f"<message from='{ROOM}'>{invite}</message>"])

    def test_remove(self) -> None:
        """Who is removed is shown that he is gone, and so are the others; nobody else is shown anything."""
        self.affiliate(self.juliet, nurse="member")
        self.hush()
        self.affiliate(self.juliet, romeo="none")
        gone = shown("romeo", "none", "none", "<status code='321'/>", nick=False)
        for client in (self.juliet, self.nurse, self.romeo):
            self.assertEqual(self.xml(client), [gone])
        self.assertEqual(self.mercutio.take(), [])

    def test_owner_leaves(self) -> None:
        """Who is the owner after the owner has left is shown to those who stay."""
        self.affiliate(self.juliet, juliet="none")
        gone = shown("juliet", "none", "none", "<status code='321'/>", nick=False)
        self.assertEqual(self.xml(self.romeo), [gone, shown("romeo", "owner", "moderator")])
        self.assertEqual(self.xml(self.juliet), [gone])

    def test_stays_owner(self) -> None:
        """Who has to stay the owner is shown what else has changed alone."""
        self.affiliate(self.juliet, juliet="member", romeo="none")
        gone = shown("romeo", "none", "none", "<status code='321'/>", nick=False)
        self.assertEqual(self.xml(self.juliet), [gone])
        self.assertEqual(self.service.rooms["garden"].users, {bare("juliet"): "owner"})

    def test_refused(self) -> None:
        """A member takes nobody in or out; what is no affiliation here is refused; so is a stranger."""
        for wish in ({"nurse": "member"}, {"juliet": "none"}, {"juliet": "member", "romeo": "owner"}):
            self.assertEqual(refusal(self.affiliate(self.romeo, **wish))[:2], ("cancel", "not-allowed"))
        for wish in ({"nurse": "outcast"}, {"nurse": "none"}, {}):
            self.assertEqual(refusal(self.affiliate(self.juliet, **wish))[1], "bad-request")
        for inner in ("<item affiliation='member'/>", "<item affiliation='member' jid='@'/>"):
            self.assertEqual(refusal(self.query(self.juliet, "set", NS_ADMIN, inner))[1], "bad-request")
        self.assertEqual(refusal(self.affiliate(self.nurse, nurse="member"))[1], "item-not-found")
        self.assertEqual(len(self.service.rooms["garden"].users), 2)

    def test_away(self) -> None:
        """An invitation waits for who is away."""
        self.house.add(Offline)
        self.nurse.session.unbind()
        self.affiliate(self.juliet, nurse="member")
        nurse = self.house.login("nurse", presence="<presence/>")
        (got,) = [one for one in nurse.take() if one.name == "message"]
        self.assertEqual(got["from"], ROOM)

    def test_modern_words(self) -> None:
        """Requests in MUC Light's own words are answered, and told of in these."""
        answer = self.ask(self.juliet, "set", "affiliations", users(nurse="member"))
        self.assertEqual(answer["type"], "result")
        self.assertEqual(self.xml(self.romeo), [shown("nurse", "member", "participant")])
        other = f"other@{SERVICE}"
        self.ask(self.nurse, "set", "create", f"<occupants>{users(romeo='member')}</occupants>", other)
        (got,) = self.romeo.take()
        self.assertEqual((got.name, got["from"]), ("message", other))

    def test_restart(self) -> None:
        """A room that was read again is the same."""
        self.configure(self.juliet, ("roomname", "Garden"))
        self.hush()
        self.service.rooms = {}
        self.assertEqual(self.fields(self.romeo)["roomname"], "Garden")

    def test_inbox(self) -> None:
        """An invitation is in the inbox, what is only shown is not; who is removed has nothing there."""
        inbox = self.house.add(Inbox)
        self.affiliate(self.juliet, nurse="member")
        self.assertEqual(self.peers(inbox), {"nurse": [ROOM]})
        self.affiliate(self.juliet, nurse="none")
        self.assertEqual(self.peers(inbox), {})

    def peers(self, inbox: Any) -> dict[str, list[str]]:
        """Give with whom everybody has conversations."""
        found = {}
        for name in PEOPLE:
            held = self.house.storage.documents.list("example.org", name, ("inbox",))
            if documents := self.successResultOf(held):
                found[name] = [document.key for document in documents]
        return found
