"""The inbox: conversations of two and of rooms, with exact numbers of unread messages."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.commands import command as commands
from palaver.errors import StanzaError
from palaver.events import ItemPublished
from palaver.inbox.conversations import NS_CONVERSATION, NS_INBOX
from palaver.test.house import Client, House, now
from palaver.test.muclight.cases import ROOM, bare, users
from palaver.xeps.inbox import Inbox
from palaver.xeps.mam import MessageArchive
from palaver.xeps.muc import MultiUserChat
from palaver.xeps.muc_light import MucLight
from palaver.xeps.smart_markers import SmartMarkers

MARKERS = "urn:xmpp:chat-markers:0"
DATA = "jabber:x:data"


class InboxCase(SynchronousTestCase):
    """Romeo and Juliet, who write to each other."""

    modules: ClassVar[tuple[Any, ...]] = (Inbox, MucLight)
    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Let them in."""
        self.house = House(*self.modules, Inbox=self.options)
        self.romeo = self.house.login("romeo", presence="<presence/>")
        self.juliet = self.house.login("juliet", presence="<presence/>")

    def say(self, client: Client, to: str, id: str, inner: str = "", kind: str = "chat") -> None:
        """Send a message."""
        inner = inner or f"<body>{id}</body>"
        client.send(f"<message type='{kind}' to='{to}' id='{id}'>{inner}</message>")

    def fetch(self, client: Client, *fields: tuple[str, str], rsm: str = "") -> tuple[Any, ...]:
        """Ask for the inbox; gives the results' elements, and the numbers at the end or the error."""
        form = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields)
        form = f"<x xmlns='{DATA}' type='submit'>{form}</x>" if fields else ""
        rsm = f"<set xmlns='http://jabber.org/protocol/rsm'>{rsm}</set>" if rsm else ""
        client.take()
        client.send(f"<iq type='set' id='i'><inbox xmlns='{NS_INBOX}' queryid='b6'>{form}{rsm}</inbox></iq>")
        *found, answer = client.take()
        if answer["type"] == "error":
            return [], answer
        (fin,) = answer.elements(NS_INBOX, "fin")
        results = [next(one.elements(NS_INBOX, "result")) for one in found]
        return results, {child.name: int(str(child)) for child in fin.elements()}

    def unread(self, client: Client) -> dict[str, int]:
        """Give the numbers of unread messages by who or what the conversation is with, newest last."""
        results, _ = self.fetch(client, ("order", "asc"), ("box", "all"))
        return {_peer(result, client): int(result["unread"]) for result in results}

    def set(self, client: Client, peer: str, inner: str) -> domish.Element:
        """Set properties of a conversation; gives the answer."""
        return client.ask(
            f"<iq type='set' id='p'><query xmlns='{NS_CONVERSATION}' jid='{peer}'>{inner}</query></iq>"
        )

    def get(self, client: Client, peer: str, more: str = "") -> dict[str, str]:
        """Give properties of a conversation."""
        answer = client.ask(
            f"<iq type='get' id='p'><query xmlns='{NS_CONVERSATION}' jid='{peer}'{more}/></iq>"
        )
        (query,) = answer.elements()
        return {child.name: str(child) for child in query.elements()}


def _peer(result: domish.Element, client: Client) -> str:
    message = next(child for child in result.firstChildElement().elements() if child.name == "message")
    other = message["to"] if message["from"].startswith(client.session.user.bare) else message["from"]
    return str(other).partition("@")[0]


class WritingTests(InboxCase):
    """What is in an inbox."""

    def test_two(self) -> None:
        """A message is unread for who gets it, and read for who wrote it; the last one is shown."""
        self.say(self.romeo, bare("juliet"), "m1")
        self.say(self.romeo, bare("juliet"), "m2")
        results, numbers = self.fetch(self.juliet)
        self.assertEqual(numbers, {"active-conversations": 1, "count": 1, "unread-messages": 2})
        (result,) = results
        self.assertEqual((result["unread"], result["queryid"]), ("2", "b6"))
        self.assertIn("m2</body>", result.toXml())
        self.assertEqual([c.name for c in result.elements()], ["forwarded", "box", "archive", "mute"])
        self.assertEqual(self.unread(self.romeo), {"juliet": 0})

    def test_answer(self) -> None:
        """Who answers has read."""
        self.say(self.romeo, bare("juliet"), "m1")
        self.say(self.juliet, bare("romeo"), "m2")
        self.assertEqual((self.unread(self.juliet), self.unread(self.romeo)), ({"romeo": 0}, {"juliet": 1}))

    def test_self(self) -> None:
        """What one writes to oneself is unread."""
        self.say(self.romeo, bare("romeo"), "m1")
        self.assertEqual(self.unread(self.romeo), {"romeo": 1})

    def test_away(self) -> None:
        """Who is away has it as well."""
        self.say(self.romeo, bare("nurse"), "m1")
        self.assertEqual(self.unread(self.house.login("nurse")), {"romeo": 1})

    def test_stranger_to_nobody(self) -> None:
        """What goes to somebody elsewhere is in the sender's inbox alone."""
        self.say(self.romeo, "paris@verona.example", "m1")
        self.assertEqual(self.unread(self.romeo), {"paris": 0})

    def test_again(self) -> None:
        """A message that is sent again counts once."""
        self.say(self.romeo, bare("juliet"), "m1")
        self.say(self.romeo, bare("juliet"), "m1")
        self.assertEqual(self.unread(self.juliet), {"romeo": 1})

    def test_long_name(self) -> None:
        """Somebody with a very long name is in inboxes like others."""
        peer = f"{'n' * 250}@verona.example"
        self.say(self.romeo, peer, "m1")
        self.assertEqual(self.unread(self.romeo), {"n" * 250: 0})
        self.assertEqual(self.set(self.romeo, peer, "<read>false</read>")["type"], "result")
        self.assertEqual(self.get(self.romeo, peer)["read"], "false")

    def test_forgotten(self) -> None:
        """What nobody counts any more is deleted in time; the newest stays."""
        module: Any = self.house.modules["Inbox"]
        self.patch(module._retention, "_max_entries", 2)
        for id in ("m1", "m2", "m3"):
            self.say(self.romeo, bare("juliet"), id)
        self.house.clock.pump([86_400 + 1, *[1] * 5])
        self.assertEqual(self.unread(self.juliet), {"romeo": 2})

    def test_not_written(self) -> None:
        """What is no message to read is in no inbox."""
        body = "<body>O</body>"
        for inner in (
            "<active xmlns='http://jabber.org/protocol/chatstates'/>",
            body + "<no-store xmlns='urn:xmpp:hints'/>",
            body + "<delay xmlns='urn:xmpp:delay' stamp='2026-11-21T00:00:00Z'/>",
            body + f"<x xmlns='{NS_CONVERSATION}'/>",
            body + "<result xmlns='urn:xmpp:mam:2'/>",
        ):
            self.say(self.romeo, bare("juliet"), "m1", inner)
        self.say(self.romeo, bare("juliet"), "m1", kind="headline")
        self.assertEqual((self.unread(self.juliet), self.unread(self.romeo)), ({}, {}))


class ArchivedTests(WritingTests):
    """The same with an archive: one batch holds both."""

    modules = (Inbox, MessageArchive, MucLight)

    def test_one_batch(self) -> None:
        """The archives and the inboxes of both are committed together."""
        batches: list[Any] = []
        write = self.house.storage.write

        def noted(batch: Any) -> Any:
            batches.append(batch)
            return write(batch)

        self.patch(self.house.storage, "write", noted)
        self.say(self.romeo, bare("juliet"), "m1")
        (batch,) = [one for one in batches if one.changes]
        kinds = {
            change.entry.kind if hasattr(change, "entry") else change.document.kind
            for change in batch.changes
        }
        self.assertEqual(kinds, {"archive", "archive-owner", "inbox", "inbox-sent", "inbox-unread"})

    def test_not_wanted(self) -> None:
        """An account that wants nothing archived has its inbox all the same."""
        never = "<prefs xmlns='urn:xmpp:mam:2' default='never'><always/><never/></prefs>"
        self.juliet.ask(f"<iq type='set' id='p'>{never}</iq>")
        self.say(self.romeo, bare("juliet"), "m1")
        self.assertEqual((self.unread(self.juliet), self.unread(self.romeo)), ({"romeo": 1}, {"juliet": 0}))
        self.say(self.juliet, bare("romeo"), "m2")
        self.assertEqual((self.unread(self.juliet), self.unread(self.romeo)), ({"romeo": 0}, {"juliet": 1}))


class ReadingTests(InboxCase):
    """How far a conversation is read."""

    def setUp(self) -> None:
        """Have three messages for Juliet."""
        super().setUp()
        for id in ("m1", "m2", "m3"):
            self.say(self.romeo, bare("juliet"), id)

    def marker(self, id: str, name: str = "displayed") -> None:
        """Have Juliet say how far she has read."""
        self.say(self.juliet, bare("romeo"), "k", f"<{name} xmlns='{MARKERS}' id='{id}'/>")

    def test_markers(self) -> None:
        """What is behind the message that a marker names stays unread; a marker never goes back."""
        for id, left in (("m1", 2), ("m0", 2), ("m3", 0), ("m1", 0)):
            self.marker(id)
            self.assertEqual(self.unread(self.juliet), {"romeo": left}, id)
        self.assertEqual(self.unread(self.romeo), {"juliet": 0})

    def test_other_markers(self) -> None:
        """Markers that the options do not name change nothing."""
        self.marker("m3", "received")
        self.assertEqual(self.unread(self.juliet), {"romeo": 3})

    def test_reset(self) -> None:
        """A reset reads everything, keeps the last message, and does no harm where nothing is."""
        for peer in (bare("romeo"), bare("nurse")):
            answer = self.juliet.ask(
                f"<iq type='set' id='r'><reset xmlns='{NS_CONVERSATION}' jid='{peer}'/></iq>"
            )
            self.assertEqual(answer.firstChildElement().name, "reset")
        self.assertEqual(self.unread(self.juliet), {"romeo": 0})
        for jid, text in (("", "jid-required"), (" jid='@'", "invalid-jid")):
            answer = self.juliet.ask(f"<iq type='set' id='r'><reset xmlns='{NS_CONVERSATION}'{jid}/></iq>")
            self.assertEqual(refusal_text(answer), ("bad-request", text))

    def test_read(self) -> None:
        """Clients may set read and unread; unread counts one, if nothing was."""
        self.set(self.juliet, bare("romeo"), "<read>false</read>")
        self.assertEqual(self.unread(self.juliet), {"romeo": 3})
        self.set(self.juliet, bare("romeo"), "<read>true</read>")
        self.assertEqual(self.unread(self.juliet), {"romeo": 0})
        self.set(self.juliet, bare("romeo"), "<read>false</read>")
        self.assertEqual(self.unread(self.juliet), {"romeo": 1})


class WithheldTests(ReadingTests):
    """The same with markers that go to nobody."""

    def setUp(self) -> None:
        """Withhold markers."""
        super().setUp()
        self.house.add(SmartMarkers, keep_private=True)

    def test_withheld(self) -> None:
        """The peer hears nothing of it."""
        self.romeo.take()
        self.marker("m3")
        self.assertEqual(self.romeo.take(), [])
        self.assertEqual(self.unread(self.juliet), {"romeo": 0})


class DisplayedTests(InboxCase):
    """XEP-0490: an account's clients tell each other how far they have read."""

    modules = (Inbox, MessageArchive)

    def test_displayed(self) -> None:
        """An archive's id says exactly how far."""
        for id in ("m1", "m2", "m3"):
            self.say(self.romeo, bare("juliet"), id)
        second = [
            child["id"] for got in self.juliet.take() for child in got.elements() if child.name == "stanza-id"
        ][1]
        mark = f"<stanza-id xmlns='urn:xmpp:sid:0' by='{bare('juliet')}' id='{second}'/>"
        for payload in (
            f"<displayed xmlns='urn:xmpp:mds:displayed:0'>{mark}</displayed>",
            "<displayed xmlns='urn:xmpp:mds:displayed:0'/>",
            "<displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0'/></displayed>",
        ):
            node = "urn:xmpp:mds:displayed:0"
            event = ItemPublished(self.house.host, "juliet", node, bare("romeo"), payload.encode())
            now(self.house.host.events.fire(event))
            self.assertEqual(self.unread(self.juliet), {"romeo": 1})


class PropertyTests(InboxCase):
    """Boxes and silence."""

    options: ClassVar[dict[str, Any]] = {"boxes": ["work"]}

    def setUp(self) -> None:
        """Have a conversation of Juliet's."""
        super().setUp()
        self.say(self.romeo, bare("juliet"), "m1")

    def boxes(self, *fields: tuple[str, str]) -> int:
        """Give how many conversations of Juliet's a query finds."""
        return int(self.fetch(self.juliet, *fields)[1]["count"])

    def test_boxes(self) -> None:
        """A conversation is in the box that it is put into; the bin is shown when it is asked for."""
        second = self.house.login("juliet", "tomb")
        for box, seen in (("work", 1), ("archive", 1), ("bin", 0), ("inbox", 1)):
            self.assertEqual(self.set(self.juliet, bare("romeo"), f"<box>{box}</box>")["type"], "result")
            (told,) = second.take()
            self.assertIn(f"<box>{box}</box>", told.toXml())
            self.assertEqual(
                (self.boxes(("box", box)), self.boxes(), self.boxes(("box", "all"))), (1, seen, 1)
            )

    def test_out_of_archive(self) -> None:
        """A new message takes a conversation out of the archive, and not out of another box."""
        for box, then in (("archive", "inbox"), ("work", "work"), ("bin", "bin")):
            self.set(self.juliet, bare("romeo"), f"<box>{box}</box>")
            self.say(self.romeo, bare("juliet"), box)
            self.assertEqual(self.get(self.juliet, bare("romeo"))["box"], then)

    def test_mute(self) -> None:
        """A conversation is muted until a time, and not muted by zero."""
        self.set(self.juliet, bare("romeo"), "<mute>3600</mute>")
        self.assertRegex(self.get(self.juliet, bare("romeo"))["mute"], r"^20\d\d-.*Z$")
        self.set(self.juliet, bare("romeo"), "<mute>0</mute>")
        self.assertEqual(self.get(self.juliet, bare("romeo"))["mute"], "0")

    def test_get(self) -> None:
        """The properties come with the message when asked for; without an entry there is an error."""
        found = self.get(self.juliet, bare("romeo"), " complete='true'")
        self.assertEqual(list(found), ["forwarded", "read", "box", "archive", "mute"])
        answer = self.juliet.ask(
            f"<iq type='get' id='p'><query xmlns='{NS_CONVERSATION}' jid='{bare('nurse')}'/></iq>"
        )
        self.assertEqual(refusal_text(answer), ("item-not-found", "Entry not found"))

    def test_wrong(self) -> None:
        """What cannot be set is refused, and nothing is."""
        for inner, text in (
            ("", "no-property"),
            ("<box>all</box>", "invalid-box"),
            ("<box>play</box>", "invalid-box"),
            ("<mute>-1</mute>", "bad-request"),
            ("<mute>x</mute>", "bad-request"),
            ("<read>maybe</read>", "bad-request"),
            ("<box>work</box><color/>", "bad-request"),
            (" <box>work</box>", "bad-request"),
        ):
            answer = self.set(self.juliet, bare("romeo"), inner)
            self.assertEqual(refusal_text(answer), ("bad-request", text), inner)
        answer = self.set(self.juliet, bare("nurse"), "<box>work</box>")
        self.assertEqual(refusal_text(answer), ("bad-request", "item-not-found"))
        self.assertEqual(self.get(self.juliet, bare("romeo"))["box"], "inbox")

    def test_empty_bin(self) -> None:
        """The bin is emptied, and what else there is stays."""
        self.say(self.romeo, bare("juliet"), "m2")
        self.set(self.juliet, bare("romeo"), "<box>bin</box>")
        for number in ("1", "0"):
            answer = self.juliet.ask(f"<iq type='set' id='e'><empty-bin xmlns='{NS_INBOX}'/></iq>")
            self.assertEqual(str(answer.firstChildElement().firstChildElement()), number)
        self.assertEqual(self.unread(self.juliet), {})
        self.say(self.romeo, bare("juliet"), "m3")
        self.assertEqual(self.unread(self.juliet), {"romeo": 1})

    def test_old_bin(self) -> None:
        """What has been in the bin for long is removed."""
        self.set(self.juliet, bare("romeo"), "<box>bin</box>")
        inbox: Any = self.house.modules["Inbox"]
        now(inbox.clean_up())
        self.assertEqual(self.boxes(("box", "bin")), 1)
        self.patch(inbox, "settings", inbox.settings.model_copy(update={"bin_ttl": -1}))
        now(inbox.clean_up())
        self.assertEqual(self.boxes(("box", "bin")), 0)

    def run_command(self, name: str, **given: Any) -> Any:
        """Run an administrator's command; gives its result, or the condition of the refusal."""
        command = commands.named(self.house.host, name)
        assert command is not None and command.arguments is not None
        arguments = command.arguments.model_validate(given)
        try:
            return now(command.run(commands.Call(self.house.host, None), arguments)).result.num
        except StanzaError as error:
            return error.condition

    def test_commands(self) -> None:
        """Administrators empty the bin of one account or those of all, of what has been there long enough."""
        self.say(self.juliet, bare("romeo"), "m2")
        for client, peer in ((self.juliet, "romeo"), (self.romeo, "juliet")):
            self.set(client, bare(peer), "<box>bin</box>")
        one = "inbox empty-bin"
        self.assertEqual(self.run_command(one, jid=bare("juliet"), days=1), 0)
        self.assertEqual(self.run_command(one, jid=bare("nobody")), "item-not-found")
        self.assertEqual(self.run_command(one, jid=bare("juliet")), 1)
        self.assertEqual((self.unread(self.juliet), self.unread(self.romeo)), ({}, {"juliet": 1}))
        self.assertEqual([self.run_command("inbox empty-bins", days=days) for days in (1, 0, 0)], [0, 1, 0])

    def test_others(self) -> None:
        """Nobody reads or changes another one's inbox."""
        for inner in (
            f"<inbox xmlns='{NS_INBOX}'/>",
            f"<query xmlns='{NS_CONVERSATION}' jid='{bare('romeo')}'><read>true</read></query>",
        ):
            answer = self.romeo.ask(f"<iq type='set' id='x' to='{bare('juliet')}'>{inner}</iq>")
            self.assertEqual(answer["type"], "error")
        self.assertEqual(self.unread(self.juliet), {"romeo": 1})


class QueryTests(InboxCase):
    """Forms and limits."""

    def test_forms(self) -> None:
        """The forms say what may be asked."""
        for ns, names in (
            (NS_INBOX, ["FORM_TYPE", "start", "end", "hidden_read", "order", "box", "archive"]),
            (NS_CONVERSATION, ["FORM_TYPE", "box", "archive", "read", "mute"]),
        ):
            answer = self.juliet.ask(f"<iq type='get' id='f'><query xmlns='{ns}'/></iq>")
            (form,) = answer.firstChildElement().elements(DATA, "x")
            self.assertEqual([field["var"] for field in form.elements()], names)

    def test_filters(self) -> None:
        """Read conversations are left out, times bound, a limit cuts, and order is as asked."""
        nurse = self.house.login("nurse")
        self.say(self.romeo, bare("juliet"), "m1")
        self.say(nurse, bare("juliet"), "m2")
        self.say(self.juliet, bare("nurse"), "m3")
        for fields, rsm, found in (
            ((), "", ["nurse", "romeo"]),
            ((("order", "asc"),), "", ["romeo", "nurse"]),
            ((("hidden_read", "true"),), "", ["romeo"]),
            ((("end", "2020-01-01T00:00:00Z"),), "", []),
            ((("start", "2020-01-01T00:00:00Z"),), "<max>1</max>", ["nurse"]),
            ((), "<max>0</max>", ["nurse", "romeo"]),
            ((("archive", "true"),), "", []),
        ):
            results, _ = self.fetch(self.juliet, *fields, rsm=rsm)
            self.assertEqual([_peer(result, self.juliet) for result in results], found)

    def test_wrong(self) -> None:
        """The first field that is wrong is named."""
        for name, value in (
            ("order", "up"),
            ("box", "play"),
            ("start", "yesterday"),
            ("hidden_read", "perhaps"),
            ("archive", "x"),
        ):
            _, answer = self.fetch(self.juliet, (name, value), ("color", "red"))
            text = f"Invalid inbox form field value, field={name}, value={value}"
            self.assertEqual(refusal_text(answer), ("bad-request", text))
        _, answer = self.fetch(self.juliet, ("color", "red"))
        self.assertEqual(refusal_text(answer)[1], "Unknown inbox form field=color, value=red")
        for rsm in ("<max>-1</max>", "<max>x</max>", "<max>1</max><after>1</after>", "<after/>"):
            self.assertEqual(refusal_text(self.fetch(self.juliet, rsm=rsm)[1])[0], "bad-request")

    def test_options(self) -> None:
        """Names of boxes that are taken are refused."""
        for boxes in (["all"], ["bin"], ["a", "a"], [""]):
            self.assertRaises(ValueError, Inbox.Settings, boxes=boxes)


class RoomTests(InboxCase):
    """MUC Light in inboxes."""

    def setUp(self) -> None:
        """Have Juliet make a room with Romeo in it."""
        super().setUp()
        create = f"<occupants>{users(romeo='member')}</occupants>"
        self.light(self.juliet, "create", create)

    def light(self, client: Client, name: str, inner: str) -> None:
        """Ask a room for something."""
        query = f"<query xmlns='urn:xmpp:muclight:0#{name}'>{inner}</query>"
        client.send(f"<iq type='set' id='l' to='{ROOM}'>{query}</iq>")
        client.take()

    def test_messages(self) -> None:
        """Being taken in is a message, and what others say; who speaks has read."""
        self.assertEqual(self.unread(self.romeo), {"garden": 1})
        self.say(self.juliet, ROOM, "m1", kind="groupchat")
        self.say(self.juliet, ROOM, "m2", kind="groupchat")
        self.assertEqual((self.unread(self.romeo), self.unread(self.juliet)), ({"garden": 3}, {"garden": 0}))
        mark = f"<displayed xmlns='{MARKERS}' id='m1'/>"
        self.say(self.romeo, ROOM, "k", mark, kind="groupchat")
        self.assertEqual(self.unread(self.romeo), {"garden": 1})

    def test_leave(self) -> None:
        """Who leaves has the room in his inbox no more, and starts anew when he comes back."""
        self.light(self.romeo, "affiliations", users(romeo="none"))
        self.assertEqual(self.unread(self.romeo), {})
        self.light(self.juliet, "affiliations", users(romeo="member"))
        self.assertEqual(self.unread(self.romeo), {"garden": 1})

    def test_refused(self) -> None:
        """What a room refuses is in no inbox."""
        nurse = self.house.login("nurse")
        self.say(nurse, ROOM, "m1", kind="groupchat")
        self.assertEqual((self.unread(nurse), self.unread(self.romeo)), ({}, {"garden": 1}))


class MucTests(InboxCase):
    """Multi-User Chat in inboxes."""

    modules = (Inbox, MultiUserChat)
    options: ClassVar[dict[str, Any]] = {"groupchat": ["muc"]}

    def test_marked(self) -> None:
        """Markers name messages by the ids that the room gives; who reads a part has the rest unread."""
        room = "verona@muc.example.org"
        join = "<x xmlns='http://jabber.org/protocol/muc'/>"
        form = f"<x xmlns='{DATA}' type='submit'/>"
        self.juliet.send(f"<presence to='{room}/Juliet'>{join}</presence>")
        owner = "http://jabber.org/protocol/muc#owner"
        self.juliet.ask(f"<iq type='set' id='o' to='{room}'><query xmlns='{owner}'>{form}</query></iq>")
        item = f"<item affiliation='member' jid='{bare('romeo')}'/>"
        admin = "http://jabber.org/protocol/muc#admin"
        self.juliet.ask(f"<iq type='set' id='a' to='{room}'><query xmlns='{admin}'>{item}</query></iq>")
        self.romeo.send(f"<presence to='{room}/Romeo'>{join}</presence>")
        self.romeo.take()
        for id in ("m1", "m2", "m3"):
            self.say(self.juliet, room, id, kind="groupchat")
        given = [one for one in self.romeo.take() if one.body is not None]
        ids = [next(one.elements("urn:xmpp:sid:0", "stanza-id"))["id"] for one in given]
        for id, left in (("f" * 16, 3), (ids[0], 2), (ids[2], 0), (ids[0], 0)):
            marker = f"<displayed xmlns='{MARKERS}' id='{id}'/>"
            self.say(self.romeo, room, "k", marker, kind="groupchat")
            self.assertEqual(self.unread(self.romeo), {"verona": left}, id)

    def test_affiliated(self) -> None:
        """Who is affiliated gets what is said, there or not; an outcast and a stranger do not."""
        room = "verona@muc.example.org"
        join = "<x xmlns='http://jabber.org/protocol/muc'/>"
        self.juliet.send(f"<presence to='{room}/Juliet'>{join}</presence>")
        self.juliet.ask(
            f"<iq type='set' id='o' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'>"
            f"<x xmlns='{DATA}' type='submit'/></query></iq>"
        )
        items = f"<item affiliation='member' jid='{bare('nurse')}'/>"
        items += f"<item affiliation='outcast' jid='{bare('mercutio')}'/>"
        query = f"<query xmlns='http://jabber.org/protocol/muc#admin'>{items}</query>"
        self.assertEqual(self.juliet.ask(f"<iq type='set' id='a' to='{room}'>{query}</iq>")["type"], "result")
        self.say(self.juliet, room, "m1", kind="groupchat")
        self.assertEqual(self.unread(self.juliet), {"verona": 0})
        self.assertEqual(self.unread(self.house.login("nurse")), {"verona": 1})
        for client in (self.romeo, self.house.login("mercutio")):
            self.assertEqual(self.unread(client), {})


def refusal_text(answer: domish.Element) -> tuple[str, str]:
    """Give an error's condition and text."""
    (error,) = [child for child in answer.elements() if child.name == "error"]
    condition, *text = error.elements()
    return condition.name, "".join(map(str, text))
