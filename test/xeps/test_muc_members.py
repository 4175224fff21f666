"""Members of rooms that they are not in."""

from __future__ import annotations

from twisted.words.xish import domish

from palaver.archive.messages import NS_MAM, NS_STANZA_ID
from palaver.events import MessageKept
from palaver.inbox.conversations import NS_CONVERSATION
from palaver.rooms.namespaces import NS_REGISTER, NS_REGISTER_FORM
from palaver.test.house import Client, now
from palaver.test.push.cases import PushService, enable
from palaver.test.rooms.cases import ROOM, RoomCase, bodies, fields, form, refusal
from palaver.xeps.event_pusher import EventPusher
from palaver.xeps.event_pusher_push import Push
from palaver.xeps.inbox import Inbox
from palaver.xeps.muc_members import KIND, VAR, MembersSettings, RoomMembers

ROOM_VAR = "muc#roomconfig_notify_members"


class MemberTests(RoomCase):
    """Juliet is a member with a nick, and has left."""

    def setUp(self) -> None:
        """Make a room for members."""
        super().setUp()
        self.house.add(EventPusher)
        self.house.add(RoomMembers)
        self.told: list[MessageKept] = []
        self.house.host.events.add(MessageKept, "test", self.told.append)
        self.make(persistentroom="1", membersonly="1")
        self.affiliate("juliet", "member")
        self.register(self.juliet)
        self.quiet()

    def register(self, client: Client, notify: str | None = None, nick: str = "Jule") -> domish.Element:
        """Reserve a nick, and choose; give the answer."""
        chosen = {"muc#register_roomnick": nick, **({} if notify is None else {VAR: notify})}
        inner = form(chosen, NS_REGISTER_FORM)
        return client.ask(
            f"<iq type='set' id='g' to='{ROOM}'><query xmlns='{NS_REGISTER}'>{inner}</query></iq>"
        )

    def texts(self, *said: str) -> list[str]:
        """Have Romeo say something; give what Juliet is notified of."""
        del self.told[:]
        for text in said:
            self.say(self.romeo, text, id=f"m-{text}")
        self.assertEqual({kept.to.bare for kept in self.told} - {"juliet@example.org"}, set())
        return [str(kept.message.element.body) for kept in self.told]

    def test_notified(self) -> None:
        """A member who is not there is notified, of what the archive has under the same id."""
        self.assertEqual(self.texts("hello"), ["hello"])
        message = self.told[0].message
        self.assertEqual(
            (message.attrs["from"], message.attrs["to"]), (f"{ROOM}/Romeo", "juliet@example.org")
        )
        node = message.child(NS_STANZA_ID, "stanza-id")
        assert node is not None
        self.juliet.send(f"<iq type='set' id='q' to='{ROOM}'><query xmlns='{NS_MAM}'/></iq>")
        self.assertIn(f"id='{node['id']}'", "".join(one.toXml() for one in self.juliet.take()))

    def test_here(self) -> None:
        """Who is in the room gets it there only; strangers and the banned get nothing."""
        self.affiliate("nurse", "outcast")
        self.enter(self.juliet, "Jule")
        self.assertEqual(self.texts("hello"), [])
        self.assertEqual(bodies(self.juliet.take()), ["hello"])

    def test_mentioned(self) -> None:
        """Who wants mentions alone is notified when a message mentions everybody, or him without his nick."""
        self.register(self.juliet, "mentions")
        self.assertEqual(self.texts("hello", "Jule: hello"), ["Jule: hello"])
        for mention in ("jid='juliet@example.org'", "mentions='urn:xmpp:mentions:0#channel'"):
            del self.told[:]
            self.say(self.romeo, "come", f"<mention xmlns='urn:xmpp:mentions:0' {mention}/>", id=mention[:4])
            self.assertEqual(len(self.told), 1, mention)

    def test_nothing_to_read(self) -> None:
        """Chat states and subjects notify nobody, and no answer is asked of who is away."""
        self.romeo.send(
            f"<message type='groupchat' to='{ROOM}'>"
            "<composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
        )
        self.set_subject(self.romeo, "x")
        self.assertEqual(self.told, [])
        self.say(self.romeo, "x", "<x xmlns='jabber:x:event'><offline/></x>")
        self.assertFalse(self.told[0].message.has("jabber:x:event", "x"))

    def test_room_switch(self) -> None:
        """Owners choose what members are notified of."""
        self.configure(**{ROOM_VAR: "mentions"})
        self.assertEqual(self.texts("hello", "jule: come", "Jules", "oh, JULE!"), ["jule: come", "oh, JULE!"])
        self.configure(**{ROOM_VAR: "none"})
        self.assertEqual(self.texts("jule: come"), [])
        self.configure(**{ROOM_VAR: "automatic", "membersonly": "0"})
        self.assertEqual(self.texts("hello", "jule?"), ["jule?"])
        refused = self.owner(self.romeo, "set", form({ROOM_VAR: "some"}))
        self.assertEqual(refusal(refused)[1], "not-acceptable")

    def test_member_switch(self) -> None:
        """A member chooses for himself, which stays after a restart; what is no choice is refused."""
        answer = self.juliet.ask(f"<iq type='get' id='g' to='{ROOM}'><query xmlns='{NS_REGISTER}'/></iq>")
        self.assertEqual(fields(answer.query)[VAR], ["automatic"])
        self.assertEqual(refusal(self.register(self.juliet, "some"))[1], "not-acceptable")
        self.assertEqual(self.texts("a"), ["a"])
        self.register(self.juliet, "none")
        self.assertEqual(self.texts("b"), [])
        self.restart()
        self.enter(self.romeo, "Romeo")
        self.assertEqual(self.texts("c"), [])
        self.register(self.juliet, "automatic")
        self.assertEqual(self.texts("d"), ["d"])
        self.assertEqual(self.stored(), 0)

    def test_made_to_stay(self) -> None:
        """A choice made in a room that does not stay is kept when it is made to stay."""
        self.configure(persistentroom="0")
        self.register(self.juliet, "none")
        self.assertEqual(self.stored(), 0)
        self.configure(persistentroom="1")
        self.assertEqual(self.stored(), 1)

    def stored(self) -> int:
        """Give how many choices are stored."""
        count: int = now(self.house.storage.documents.count("muc.example.org", "verona", KIND))
        return count

    def test_no_member(self) -> None:
        """Who is no member any more is not notified, and the choice is forgotten."""
        self.register(self.juliet, "all")
        self.assertEqual(self.stored(), 1)
        self.affiliate("juliet", "none")
        self.assertEqual(self.texts("a"), [])
        self.assertEqual(self.stored(), 0)

    def test_push(self) -> None:
        """A phone that is registered with a push service is woken, once for each message."""
        self.house.add(Push)
        phones = PushService(self.house)
        self.assertEqual(self.juliet.ask(enable())["type"], "result")
        self.texts("hello", "again")
        self.assertEqual([node for node, _ in phones.take()], ["phone", "phone"])

    def test_unread(self) -> None:
        """With an inbox the phone is told how much is unread in the room, until that is read."""
        self.house.add(Inbox, groupchat=["muc"])
        self.house.add(Push)
        phones = PushService(self.house)
        self.juliet.ask(enable())
        self.texts("one", "two", "three")
        self.assertEqual([told["message-count"] for _, told in phones.take()], ["1", "2", "3"])
        self.juliet.ask(f"<iq type='set' id='r'><reset xmlns='{NS_CONVERSATION}' jid='{ROOM}'/></iq>")
        self.texts("four")
        self.assertEqual([told["message-count"] for _, told in phones.take()], ["1"])

    def test_large(self) -> None:
        """A room with very many members notifies nobody."""
        self.house.modules["RoomMembers"].settings = MembersSettings(default_notify="all", max_members=1)
        self.assertEqual(self.texts("a"), [])
