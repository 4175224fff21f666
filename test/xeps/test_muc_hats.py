"""Hats (XEP-0317)."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.words.xish import domish

from palaver.commands.typed import NS_COMMANDS
from palaver.events import AccountDeleted
from palaver.jid import parse
from palaver.rooms.hatforms import NS_HATS_COMMANDS
from palaver.rooms.hats import KIND, KIND_WEARER
from palaver.rooms.namespaces import NS_HATS
from palaver.test.house import Client, now
from palaver.test.rooms.cases import ROOM, SERVICE, RoomCase, codes, fields, form, refusal
from palaver.test.storage.faulty import FaultyStorage
from palaver.xeps.muc_hats import RoomHats

HOST_HAT = "http://schemas.example.com/hats#host"
SPEAKER = "http://schemas.example.com/hats#speaker"
INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
ROMEO, JULIET = "romeo@example.org", "juliet@example.org"


def worn(presence: domish.Element) -> list[tuple[str, str]]:
    """Give the URIs and titles of the hats in a presence."""
    return [
        (hat["uri"], hat["title"])
        for hats in presence.elements(NS_HATS, "hats")
        for hat in hats.elements(NS_HATS, "hat")
    ]


def rows(command: domish.Element) -> list[dict[str, str]]:
    """Give what a list holds."""
    (x,) = command.elements("jabber:x:data", "x")
    return [
        {field["var"]: str(field.value) for field in item.elements("jabber:x:data", "field")}
        for item in x.elements("jabber:x:data", "item")
    ]


def refused(answer: domish.Element) -> str:
    """Give the condition of a refusal, and that of commands behind it."""
    own = [node.name for node in answer.error.elements() if node.uri == NS_COMMANDS]
    return " ".join([refusal(answer)[1], *own])


class HatsCase(RoomCase):
    """Romeo owns a room with two hats; Juliet is in it, and so is Mercutio."""

    settings: ClassVar[dict[str, Any]] = {}
    persists = "1"

    def setUp(self) -> None:
        """Make the room and the hats."""
        super().setUp()
        self.house.add(RoomHats, **self.settings)
        self.make((self.juliet, "Juliet"), (self.mercutio, "Mercutio"), persistentroom=self.persists)
        self.create(HOST_HAT, "Host", "327.255249")
        self.create(SPEAKER, "Speaker")
        self.quiet()

    def command(self, client: Client, name: str, inner: str = "", **attrs: str) -> domish.Element:
        """Send a command to the room; give the answer, and leave what else came."""
        more = " ".join(f"{key}='{value}'" for key, value in {"action": "execute", **attrs}.items())
        client.send(
            f"<iq type='set' id='c1' to='{ROOM}' xml:lang='en'><command xmlns='{NS_COMMANDS}' "
            f"node='{NS_HATS_COMMANDS}:{name}' {more}>{inner}</command></iq>"
        )
        (answer,) = [one for one in client.received if one.name == "iq"]
        client.received.remove(answer)
        return answer.element

    def fill(self, client: Client, name: str, **given: str) -> domish.Element:
        """Send a command with its form."""
        return self.command(
            client, name, form({f"hats#{var}": text for var, text in given.items()}, NS_HATS_COMMANDS)
        )

    def done(self, answer: domish.Element) -> None:
        """See that a command was run."""
        self.assertEqual(answer["type"], "result", answer.toXml())
        self.assertEqual(answer.command["status"], "completed")

    def create(self, uri: str, title: str, hue: str = "") -> None:
        """Have Romeo make a hat."""
        self.done(self.fill(self.romeo, "create", uri=uri, title=title, hue=hue))

    def assign(self, who: str, uri: str) -> None:
        """Have Romeo give somebody a hat."""
        self.done(self.fill(self.romeo, "assign", jid=who, uri=uri))

    def ask(self, client: Client, ns: str, node: str | None = None) -> domish.Element:
        """Ask the room's service discovery."""
        at = f" node='{node}'" if node else ""
        return client.ask(f"<iq type='get' id='d' to='{ROOM}'><query xmlns='{ns}'{at}/></iq>")


class WearingTests(HatsCase):
    """What everybody sees of hats."""

    def test_assigned(self) -> None:
        """Everybody sees who gets a hat, with its title and colour; whoever enters later too."""
        self.assign(JULIET, HOST_HAT)
        for client in (self.romeo, self.juliet, self.mercutio):
            (seen,) = client.take()
            self.assertEqual(seen["from"], f"{ROOM}/Juliet")
            self.assertEqual(worn(seen), [(HOST_HAT, "Host")])
            self.assertEqual(seen.hats.hat["hue"], "327.255249")
            self.assertIn("xml:lang='en'", seen.hats.toXml())
        entering = self.enter(self.nurse, "Nurse")
        seen_by_nick = {one["from"]: worn(one) for one in entering if one.name == "presence"}
        self.assertEqual(seen_by_nick[f"{ROOM}/Juliet"], [(HOST_HAT, "Host")])
        self.assertEqual(seen_by_nick[f"{ROOM}/Romeo"], [])

    def test_several(self) -> None:
        """One person wears several hats; the same one again changes nothing."""
        self.assign(JULIET, HOST_HAT)
        self.assign(JULIET, SPEAKER)
        self.assign(JULIET, SPEAKER)
        seen = self.mercutio.take()
        self.assertEqual([len(worn(one)) for one in seen], [1, 2])

    def test_by_nick(self) -> None:
        """Whoever is shown no real JIDs is found by the address in the room."""
        self.assign(f"{ROOM}/Juliet", HOST_HAT)
        self.assertEqual(worn(self.mercutio.take()[0]), [(HOST_HAT, "Host")])
        answer = self.fill(self.romeo, "assign", jid=f"{ROOM}/Tybalt", uri=HOST_HAT)
        self.assertEqual(refused(answer), "item-not-found")

    def test_unassigned(self) -> None:
        """A hat that is taken away is seen no more."""
        self.assign(JULIET, HOST_HAT)
        self.quiet()
        self.done(self.fill(self.romeo, "unassign", jid=JULIET, uri=HOST_HAT))
        (seen,) = self.mercutio.take()
        self.assertEqual((seen["from"], worn(seen)), (f"{ROOM}/Juliet", []))
        answer = self.fill(self.romeo, "unassign", jid=JULIET, uri=HOST_HAT)
        self.assertEqual(refused(answer), "item-not-found")

    def test_absent(self) -> None:
        """Somebody who is away gets a hat, and wears it when he comes, under any nick."""
        self.assign("nurse@example.org/phone", SPEAKER)
        self.assertEqual(self.juliet.take(), [])
        self.enter(self.nurse, "Angelica")
        self.assertEqual(worn(self.juliet.take()[0]), [(SPEAKER, "Speaker")])

    def test_forged(self) -> None:
        """Nobody puts a hat on himself, in presence or with a message."""
        own = f"<hats xmlns='{NS_HATS}'><hat uri='{HOST_HAT}' title='Host'/></hats>"
        self.juliet.send(f"<presence to='{ROOM}/Juliet'>{own}</presence>")
        self.say(self.juliet, "I am the host", own)
        for seen in self.mercutio.take():
            self.assertEqual(worn(seen), [])

    def test_changed(self) -> None:
        """A new title is seen at once on who wears the hat, and everybody hears that the list has changed."""
        self.assign(JULIET, HOST_HAT)
        self.quiet()
        self.create(HOST_HAT, "Hostess")
        first, second = self.mercutio.take()
        self.assertEqual((first["type"], codes(first)), ("groupchat", ["104"]))
        self.assertEqual(worn(second), [(HOST_HAT, "Hostess")])

    def test_destroyed(self) -> None:
        """A hat that is destroyed is taken from everybody."""
        self.assign(JULIET, HOST_HAT)
        self.assign(JULIET, SPEAKER)
        self.quiet()
        self.done(self.fill(self.romeo, "destroy", uri=HOST_HAT))
        first, second = self.mercutio.take()
        self.assertEqual(codes(first), ["104"])
        self.assertEqual(worn(second), [(SPEAKER, "Speaker")])
        self.assertEqual(refused(self.fill(self.romeo, "destroy", uri=HOST_HAT)), "item-not-found")
        answer = self.fill(self.romeo, "assign", jid=JULIET, uri=HOST_HAT)
        self.assertEqual(refused(answer), "item-not-found")


class CommandTests(HatsCase):
    """How clients find and use the commands."""

    def test_discovery(self) -> None:
        """The room tells of hats, with a hash of them, and of the commands that the asker may run."""
        answer = self.ask(self.juliet, INFO)
        self.assertIn(f"var='{NS_HATS}'", answer.toXml())
        self.assertIn(f"var='{NS_COMMANDS}'", answer.toXml())
        (before,) = fields(answer.query)["hats#hash"]
        self.create(HOST_HAT, "Hostess")
        self.assertNotEqual(fields(self.ask(self.juliet, INFO).query)["hats#hash"], [before])
        for client, count in ((self.romeo, 6), (self.juliet, 1)):
            listed = list(self.ask(client, ITEMS, NS_COMMANDS).query.elements(ITEMS, "item"))
            self.assertEqual(len(listed), count)
            for item in listed:
                answer = self.ask(client, INFO, item["node"])
                self.assertIn("command-node", answer.toXml())
        self.assertIn("command-list", self.ask(self.juliet, INFO, NS_COMMANDS).toXml())
        answer = self.ask(self.juliet, INFO, f"{NS_HATS_COMMANDS}:create")
        self.assertEqual(refusal(answer)[1], "item-not-found")

    def test_form_first(self) -> None:
        """A client asks for the form, and sends it with the id that it was given."""
        asked = self.command(self.romeo, "assign").command
        self.assertEqual(asked["status"], "executing")
        self.assertIn(f"<option label='Speaker'><value>{SPEAKER}</value></option>", asked.toXml())
        inner = form({"hats#jid": JULIET, "hats#uri": SPEAKER}, NS_HATS_COMMANDS)
        key = asked["sessionid"]
        answer = self.command(self.romeo, "assign", inner, sessionid=key, action="complete")
        self.done(answer)
        self.assertEqual(answer.command["sessionid"], key)
        for name in ("create", "destroy", "unassign"):
            self.assertEqual(self.command(self.romeo, name).command["status"], "executing")

    def test_canceled(self) -> None:
        """A client that wants no hat after all hears that it is over."""
        key = self.command(self.romeo, "create").command["sessionid"]
        answer = self.command(self.romeo, "create", sessionid=key, action="cancel")
        self.assertEqual(answer.command["status"], "canceled")

    def test_wrong(self) -> None:
        """Steps that there are not, and commands that there are not, are refused."""
        for attrs, condition in (
            ({"action": "prev", "sessionid": "x"}, "bad-request bad-action"),
            ({"action": "complete"}, "bad-request bad-action"),
            ({"action": "dance"}, "bad-request malformed-action"),
            ({"action": "complete", "sessionid": "x"}, "bad-request bad-payload"),
        ):
            self.assertEqual(refused(self.command(self.romeo, "create", **attrs)), condition)
        self.assertEqual(refused(self.command(self.romeo, "polish")), "item-not-found")

    def test_lists(self) -> None:
        """Everybody sees which hats there are; who wears them, admins."""
        self.assign(JULIET, HOST_HAT)
        listed = rows(self.command(self.juliet, "list").command)
        self.assertEqual(
            listed,
            [
                {"hats#title": "Host", "hats#uri": HOST_HAT, "hats#hue": "327.255249"},
                {"hats#title": "Speaker", "hats#uri": SPEAKER, "hats#hue": ""},
            ],
        )
        (one,) = rows(self.command(self.romeo, "list-assigned").command)
        self.assertEqual((one["hats#jid"], one["hats#title"]), (JULIET, "Host"))

    def test_members_only(self) -> None:
        """Strangers do not see the hats of a room that they may not enter."""
        self.assertEqual(self.command(self.nurse, "list")["type"], "result")
        self.configure(membersonly="1")
        self.assertEqual(refused(self.command(self.nurse, "list")), "forbidden")
        self.assertEqual(self.command(self.romeo, "list")["type"], "result")


class PermissionTests(HatsCase):
    """Who may do what."""

    def test_forbidden(self) -> None:
        """Members, moderators and strangers change nothing, and are refused before they see a form."""
        self.affiliate("juliet", "member")
        self.role("Juliet", "moderator")
        self.quiet()
        for client in (self.juliet, self.mercutio, self.nurse):
            for name in ("create", "destroy", "assign", "unassign", "list-assigned"):
                self.assertEqual(refused(self.command(client, name)), "forbidden")
            answer = self.fill(client, "assign", jid=JULIET, uri=HOST_HAT)
            self.assertEqual(refused(answer), "forbidden")
        self.assertEqual(self.mercutio.take(), [])

    def test_admin(self) -> None:
        """Admins of the room give hats as its owner does, from outside too."""
        self.affiliate("nurse", "admin")
        self.quiet()
        self.done(self.fill(self.nurse, "assign", jid=JULIET, uri=HOST_HAT))
        self.assertEqual(len(self.mercutio.take()), 1)


class ServerAdminTests(HatsCase):
    """Administrators of the server, where they have the rights of owners."""

    options: ClassVar[dict[str, Any]] = {"access_admin": "admin"}

    def test_server_admin(self) -> None:
        """An administrator of the server gives hats."""
        self.house.host.admins = frozenset({"nurse@example.org"})
        self.done(self.fill(self.nurse, "assign", jid=JULIET, uri=HOST_HAT))


class LimitTests(HatsCase):
    """How much there may be."""

    settings: ClassVar[dict[str, Any]] = {"max_hats": 3, "max_worn": 2, "max_wearers": 2}

    def test_hats(self) -> None:
        """A room has so many hats and no more; one of them may still be changed."""
        self.create("urn:x:3", "Third")
        answer = self.fill(self.romeo, "create", uri="urn:x:4", title="Fourth")
        self.assertEqual(refused(answer), "resource-constraint")
        self.create("urn:x:3", "Another third")

    def test_worn(self) -> None:
        """Nobody wears too many, and not too many people wear any."""
        self.create("urn:x:3", "Third")
        self.assign(JULIET, HOST_HAT)
        self.assign(JULIET, SPEAKER)
        self.assign(ROMEO, SPEAKER)
        for who in (JULIET, "mercutio@example.org"):
            answer = self.fill(self.romeo, "assign", jid=who, uri="urn:x:3")
            self.assertEqual(refused(answer), "resource-constraint")

    def test_bad_values(self) -> None:
        """Titles without end, colours that are none, and URIs and addresses that are none are refused."""
        good = {"uri": "urn:x:3", "title": "Third", "hue": ""}
        for wrong in (
            {"title": "x" * 101},
            {"title": " "},
            {"uri": "no uri"},
            {"uri": "urn:" + "x" * 500},
            {"hue": "blue"},
            {"hue": "361"},
            {"hue": "-1"},
            {"hue": "1e2"},
        ):
            answer = self.fill(self.romeo, "create", **{**good, **wrong})
            self.assertEqual(refused(answer), "bad-request bad-payload", wrong)
        for who in ("", "@@", "example.org"):
            answer = self.fill(self.romeo, "assign", jid=who, uri=HOST_HAT)
            self.assertEqual(refused(answer), "bad-request bad-payload", who)
        self.assertEqual(len(rows(self.command(self.romeo, "list").command)), 2)
        self.assertEqual(self.mercutio.take(), [])


class StoredTests(HatsCase):
    """What is kept."""

    def stored(self, kind: str) -> int:
        """Give how many documents there are."""
        count: int = now(self.house.storage.documents.count(SERVICE, "verona", kind))
        return count

    def test_restart(self) -> None:
        """After a restart the hats are there, and on the same heads."""
        self.assign(JULIET, HOST_HAT)
        self.assign(JULIET, SPEAKER)
        self.restart()
        self.enter(self.romeo, "Romeo")
        self.enter(self.juliet, "Juliet")
        self.assertEqual(worn(self.romeo.take()[0]), [(HOST_HAT, "Host"), (SPEAKER, "Speaker")])

    def test_room_destroyed(self) -> None:
        """Hats go with the room; who makes another one of its name begins without any."""
        self.assign(JULIET, HOST_HAT)
        self.owner(self.romeo, "set", "<destroy/>")
        self.assertEqual((self.stored(KIND), self.stored(KIND_WEARER)), (0, 0))
        self.make((self.juliet, "Juliet"))
        self.assertEqual(rows(self.command(self.romeo, "list").command), [])

    def test_account_deleted(self) -> None:
        """Whoever gets the name of a deleted account gets no hats, whether the room was in memory or not."""
        self.assign("nurse@example.org", HOST_HAT)
        self.assign("mercutio@example.org", HOST_HAT)
        for who in ("nurse", "mercutio"):
            now(self.house.host.events.fire(AccountDeleted(parse(f"{who}@example.org"))))
            self.restart()
        self.assertEqual(self.stored(KIND_WEARER), 0)
        self.enter(self.romeo, "Romeo")
        self.assertEqual(rows(self.command(self.romeo, "list-assigned").command), [])

    def test_storage_fails(self) -> None:
        """What cannot be stored is refused, and nobody sees it."""
        store = self.service.store
        store.storage = faulty = FaultyStorage(self.house.storage)
        faulty.writes.fail()
        answer = self.fill(self.romeo, "assign", jid=JULIET, uri=HOST_HAT)
        self.assertEqual(answer["type"], "error")
        store.storage = self.house.storage
        self.assertEqual(self.mercutio.take(), [])
        self.assertEqual(rows(self.command(self.romeo, "list-assigned").command), [])


class TemporaryTests(HatsCase):
    """A room that does not stay."""

    persists = "0"

    def test_made_to_stay(self) -> None:
        """Its hats are stored when it is made to stay."""
        self.assign(JULIET, HOST_HAT)
        count = self.house.storage.documents.count
        self.assertEqual(now(count(SERVICE, "verona", KIND)), 0)
        self.configure(persistentroom="1")
        self.assertEqual(now(count(SERVICE, "verona", KIND)), 2)
        self.restart()
        self.enter(self.romeo, "Romeo")
        self.assertEqual(len(rows(self.command(self.romeo, "list-assigned").command)), 1)
