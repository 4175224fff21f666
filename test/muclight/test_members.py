"""Who belongs to rooms of MUC Light: changes and their rules, blocking, limits, lists of rooms."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import fail
from twisted.words.xish import domish

from palaver.errors import StorageError
from palaver.muclight.namespaces import NS_LIGHT
from palaver.test.house import Client
from palaver.test.muclight.cases import ROOM, SERVICE, LightCase, bare, refusal, told, users

NS_RSM = "http://jabber.org/protocol/rsm"
ITEMS = "http://jabber.org/protocol/disco#items"


class ChangeTests(LightCase):
    """What an owner and a member may change."""

    def setUp(self) -> None:
        """Have a room of two."""
        super().setUp()
        self.make(romeo="member")

    def change(self, client: Client, inner: str = "", **affiliations: str) -> domish.Element:
        """Ask for other affiliations; gives the answer."""
        return self.ask(client, "set", "affiliations", inner + users(**affiliations))

    def test_add(self) -> None:
        """Who was there hears everything with both versions, a newcomer of himself alone."""
        self.assertEqual(self.change(self.juliet, nurse="member")["type"], "result")
        (got,) = self.romeo.take()
        self.assertEqual([what for what, _ in told(got)], ["prev-version", "version", "member"])
        (got,) = self.nurse.take()
        self.assertEqual([what for what, _ in told(got)], ["version", "member"])
        self.assertEqual(self.members(), {"juliet": "owner", "romeo": "member", "nurse": "member"})

    def test_remove(self) -> None:
        """Who is removed learns no version."""
        self.change(self.juliet, romeo="none")
        (got,) = self.romeo.take()
        self.assertEqual(told(got), [("none", bare("romeo"))])
        self.assertEqual(self.members(), {"juliet": "owner"})

    def test_hand_over(self) -> None:
        """With a new owner the old one is a member, and everybody hears both."""
        self.change(self.juliet, romeo="owner")
        (got,) = self.romeo.take()
        self.assertEqual(told(got)[2:], [("owner", bare("romeo")), ("member", bare("juliet"))])
        self.assertEqual(self.members(), {"romeo": "owner", "juliet": "member"})

    def test_owner_leaves(self) -> None:
        """The first of the members is the owner after the owner has left."""
        self.change(self.juliet, nurse="member", mercutio="member")
        self.hush()
        self.change(self.juliet, juliet="none")
        (got,) = self.romeo.take()
        self.assertEqual(told(got)[2:], [("none", bare("juliet")), ("owner", bare("mercutio"))])

    def test_hand_over_and_leave(self) -> None:
        """An owner names who follows him."""
        self.change(self.juliet, juliet="none", nurse="owner")
        self.assertEqual(
            self.service.rooms["garden"].users, {bare("nurse"): "owner", bare("romeo"): "member"}
        )

    def test_last_leaves(self) -> None:
        """A room that the last one has left is gone."""
        self.change(self.romeo, romeo="none")
        self.change(self.juliet, juliet="none")
        self.assertEqual(refusal(self.ask(self.juliet, "get", "info"))[1], "item-not-found")

    def test_stays_owner(self) -> None:
        """Who is alone stays the owner whatever he wants; there is a new version."""
        self.change(self.juliet, romeo="none")
        self.hush()
        self.assertEqual(self.change(self.juliet, juliet="member")["type"], "result")
        (got,) = self.juliet.take()
        self.assertEqual([what for what, _ in told(got)], ["prev-version", "version"])
        self.assertEqual(self.members(), {"juliet": "owner"})

    def test_not_allowed(self) -> None:
        """A member takes nobody in or out but himself."""
        for wish in ({"nurse": "member"}, {"juliet": "none"}, {"romeo": "owner"}, {"juliet": "member"}):
            self.assertEqual(refusal(self.change(self.romeo, **wish))[:2], ("cancel", "not-allowed"))
        self.assertEqual(self.members(), {"juliet": "owner", "romeo": "member"})

    def test_meaningless(self) -> None:
        """What changes nothing, or contradicts itself, is refused."""
        version = self.service.rooms["garden"].version
        twice = "Cannot change affiliation for the same user twice in the same request"
        for inner, text in (
            (users(romeo="member"), "Meaningless change"),
            (users(nurse="none"), "Meaningless change"),
            (users(nurse="owner", mercutio="owner"), "Failed to demote old owner"),
            (users(nurse="member") * 2, twice),
            ("", "Failed to parse affiliations"),
            ("<user>nurse@example.org</user>", "Failed to parse affiliations"),
        ):
            answer = self.change(self.juliet, inner)
            self.assertEqual(refusal(answer), ("modify", "bad-request", text))
        self.assertEqual((self.service.rooms["garden"].version, self.romeo.take()), (version, []))

    def test_storage_fails(self) -> None:
        """What could not be stored has not happened, and nobody hears of it."""
        self.patch(self.house.storage, "write", lambda batch: fail(StorageError("disk full")))
        answer = self.change(self.juliet, nurse="member")
        self.assertEqual(refusal(answer)[1], "internal-server-error")
        self.say(self.juliet, "O")
        self.assertEqual([got["type"] for got in self.juliet.take()], ["error"])
        self.assertEqual(self.romeo.take() + self.nurse.take(), [])
        self.assertNotIn(bare("nurse"), self.service.rooms["garden"].users)


class InviteTests(LightCase):
    """Members who may take others in, and how many there may be."""

    options: ClassVar[dict[str, Any]] = {"all_can_invite": True, "max_occupants": 3, "rooms_per_user": 1}

    def test_invite(self) -> None:
        """A member takes in others, as members alone, up to the limit."""
        self.make(romeo="member")
        answer = self.ask(self.romeo, "set", "affiliations", users(nurse="owner"))
        self.assertEqual(refusal(answer)[1], "not-allowed")
        self.assertEqual(self.ask(self.romeo, "set", "affiliations", users(nurse="member"))["type"], "result")
        answer = self.ask(self.romeo, "set", "affiliations", users(mercutio="member"))
        self.assertEqual(refusal(answer)[2], "occupant_limit_exceeded")

    def test_rooms_per_user(self) -> None:
        """Who is in as many rooms as he may be makes no other, and is not taken into one."""
        self.make()
        other = f"other@{SERVICE}"
        self.assertEqual(refusal(self.ask(self.juliet, "set", "create", to=other))[1], "bad-request")
        inner = f"<occupants>{users(juliet='member')}</occupants>"
        self.assertEqual(self.ask(self.romeo, "set", "create", inner, other)["type"], "result")
        self.assertEqual(self.service.rooms["other"].users, {bare("romeo"): "owner"})

    def test_max_occupants(self) -> None:
        """A room that begins with too many is not made."""
        inner = f"<occupants>{users(romeo='member', nurse='member', mercutio='member')}</occupants>"
        answer = self.ask(self.juliet, "set", "create", inner)
        self.assertEqual(refusal(answer), ("modify", "bad-request", "max_occupants_reached"))


class EqualTests(LightCase):
    """Rooms without owners."""

    options: ClassVar[dict[str, Any]] = {"equal_occupants": True}

    def test_equal(self) -> None:
        """Nobody owns a room, nobody becomes its owner, and nobody destroys it."""
        self.make(romeo="member")
        self.assertEqual(self.members(), {"juliet": "member", "romeo": "member"})
        answer = self.ask(self.juliet, "set", "affiliations", users(romeo="owner"))
        self.assertEqual(refusal(answer)[2], "Ownerless room")
        self.assertEqual(refusal(self.ask(self.juliet, "set", "destroy"))[1], "not-allowed")
        answer = self.ask(
            self.romeo, "set", "create", f"<occupants>{users(nurse='owner')}</occupants>", SERVICE
        )
        self.assertEqual(refusal(answer)[2], "Ownerless room")


class BlockingTests(LightCase):
    """People who do not want to be taken into rooms."""

    def test_list(self) -> None:
        """What is denied is in the list until it is allowed again."""
        deny = f"<user action='deny'>{bare('juliet')}</user><room action='deny'>{ROOM}</room>"
        self.assertEqual(self.ask(self.romeo, "set", "blocking", deny, SERVICE)["type"], "result")
        allow = f"<user action='allow'>{bare('juliet')}</user><user action='allow'>{bare('nurse')}</user>"
        self.ask(self.romeo, "set", "blocking", allow, SERVICE)
        (query,) = self.ask(self.romeo, "get", "blocking", to=SERVICE).elements()
        found = [(child.name, child["action"], str(child)) for child in query.elements()]
        self.assertEqual(found, [("room", "deny", ROOM)])
        (query,) = self.ask(self.juliet, "get", "blocking", to=SERVICE).elements()
        self.assertEqual(list(query.elements()), [])

    def test_skipped(self) -> None:
        """Who blocks the owner or the room is left out; when nobody is left, nothing happens."""
        self.ask(self.romeo, "set", "blocking", f"<user action='deny'>{bare('juliet')}</user>", SERVICE)
        self.ask(self.nurse, "set", "blocking", f"<room action='deny'>{ROOM}</room>", SERVICE)
        self.make(romeo="member", nurse="member", mercutio="member")
        self.assertEqual(self.members(), {"juliet": "owner", "mercutio": "member"})
        self.assertEqual(
            self.ask(self.juliet, "set", "affiliations", users(romeo="member"))["type"], "result"
        )
        self.assertEqual(self.juliet.take() + self.romeo.take(), [])

    def test_wrong(self) -> None:
        """What is no block is refused, and nothing of the request counts."""
        good = f"<user action='deny'>{bare('juliet')}</user>"
        for bad in (
            "<user action='deny'>example.org</user>",
            "<user action='maybe'>nurse@example.org</user>",
            "<animal action='deny'>nurse@example.org</animal>",
            "<user action='deny'>@</user>",
        ):
            answer = self.ask(self.romeo, "set", "blocking", good + bad, SERVICE)
            self.assertEqual(refusal(answer)[1], "bad-request")
        (query,) = self.ask(self.romeo, "get", "blocking", to=SERVICE).elements()
        self.assertEqual(list(query.elements()), [])


class OffTests(LightCase):
    """Blocking and archives that are switched off."""

    options: ClassVar[dict[str, Any]] = {"blocking": False, "archive": False}

    def test_off(self) -> None:
        """There are no lists, and no archive."""
        self.assertEqual(refusal(self.ask(self.romeo, "get", "blocking", to=SERVICE))[1], "bad-request")
        self.make()
        answer = self.juliet.ask(f"<iq type='set' id='a' to='{ROOM}'><query xmlns='urn:xmpp:mam:2'/></iq>")
        self.assertEqual(refusal(answer)[1], "feature-not-implemented")


class ListTests(LightCase):
    """Service discovery: the service, and the rooms of the asker."""

    options: ClassVar[dict[str, Any]] = {"rooms_per_page": 2}

    def setUp(self) -> None:
        """Have three rooms of Juliet's."""
        super().setUp()
        for name in ("c", "a", "b"):
            self.ask(self.juliet, "set", "create", to=f"{name}@{SERVICE}")
        self.hush()

    def items(self, inner: str = "", client: Client | None = None) -> tuple[str, dict[str, str]]:
        """Ask for rooms; gives their names in one text, and the <set/>."""
        rsm = f"<set xmlns='{NS_RSM}'>{inner}</set>" if inner else ""
        asked = f"<iq type='get' id='d' to='{SERVICE}'><query xmlns='{ITEMS}'>{rsm}</query></iq>"
        (query,) = (client or self.juliet).ask(asked).elements()
        if query.name == "error":
            return next(child.name for child in query.elements()), {}
        names = "".join(child["jid"][0] for child in query.elements() if child.name == "item")
        return names, {
            child.name: str(child) for found in query.elements(NS_RSM, "set") for child in found.elements()
        }

    def test_pages(self) -> None:
        """Pages go forwards, backwards and by index."""
        self.assertEqual(
            self.items(), ("ab", {"first": f"a@{SERVICE}", "last": f"b@{SERVICE}", "count": "3"})
        )
        for inner, names in (
            (f"<after>b@{SERVICE}</after>", "c"),
            ("<before/>", "bc"),
            (f"<max>1</max><before>c@{SERVICE}</before>", "b"),
            ("<index>1</index><max>1</max>", "b"),
            ("<max>9</max>", "ab"),
            ("<max>0</max>", ""),
            ("<max>-1</max>", "item-not-found"),
            ("<index>3</index>", "item-not-found"),
            (f"<after>x@{SERVICE}</after>", "item-not-found"),
        ):
            self.assertEqual(self.items(inner)[0], names, inner)

    def test_nobody_elses(self) -> None:
        """Others' rooms are not listed."""
        self.assertEqual(self.items(client=self.romeo), ("", {}))

    def test_info(self) -> None:
        """The service says what it is, and so does a room."""
        for to in (SERVICE, f"a@{SERVICE}"):
            query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
            answer = self.romeo.ask(f"<iq type='get' id='d' to='{to}'>{query}</iq>")
            (found,) = answer.elements()
            self.assertIn(NS_LIGHT, [child.getAttribute("var") for child in found.elements()])
