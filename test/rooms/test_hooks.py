"""What modules see and change of rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from palaver.commands.typed import NS_COMMANDS
from palaver.errors import StanzaError
from palaver.forms import Field
from palaver.jid import JID
from palaver.pubsub.fields import Spec
from palaver.rooms import events
from palaver.rooms.adhoc import RoomCommand, Submitted
from palaver.rooms.affiliating import Change
from palaver.rooms.config import RoomField
from palaver.rooms.hooks import (
    GROUPCHAT,
    OCCUPANT,
    PRIVATE,
    ROOM,
    SUBJECT,
    Announced,
    Greeting,
    Hooks,
    RoomRequest,
    Said,
    Watch,
)
from palaver.rooms.occupants import Occupant
from palaver.rooms.room import Room
from palaver.stanza import Stanza
from palaver.storage import Batch, Document
from palaver.test.house import now
from palaver.test.rooms.cases import ROOM as ADDRESS
from palaver.test.rooms.cases import SERVICE, RoomCase, bodies, fields, refusal

NS = "urn:example:test"


class HookTests(RoomCase):
    """Each table of `Hooks`, and its end."""

    def setUp(self) -> None:
        """Have two in a room."""
        super().setUp()
        self.hooks = Hooks.of(self.house.host)
        self.make((self.juliet, "Juliet"), persistentroom="1")

    def test_phases(self) -> None:
        """What is said is refused, changed and added to by those who take part, in order."""
        seen: list[tuple[str, str, bool]] = []

        def guard(said: Said) -> None:
            if b"swear" in said.stanza.inner:
                raise StanzaError("policy-violation", "Not here")

        def change(said: Said) -> Stanza:
            return said.stanza.with_child(f"<mark xmlns='{NS}'/>".encode(), NS, "mark")

        def store(said: Said, batch: Batch) -> None:
            seen.append((said.kind, said.occupant.nick, said.id is not None))
            batch.put(SERVICE, "verona", "test-kind", "", {"last": said.stanza.id})

        undo = [
            self.hooks.add_phase("store", "test", store),
            self.hooks.add_phase("change", "test", change),
            self.hooks.add_phase("guard", "test", guard),
        ]
        self.say(self.juliet, "swear not by the moon")
        self.assertEqual(refusal(self.juliet.take()[0])[1], "policy-violation")
        self.assertEqual(self.romeo.take(), [])
        self.say(self.juliet, "Well")
        self.assertIn("mark", [child.name for child in self.romeo.take()[0].elements()])
        self.set_subject(self.romeo, "Moons")
        self.juliet.send(f"<message type='chat' to='{ADDRESS}/Romeo'><body>psst</body></message>")
        self.assertEqual(seen, [(GROUPCHAT, "Juliet", True), (SUBJECT, "Romeo", True)])
        self.assertIn("mark", self.romeo.take()[-1].toXml())
        stored = now(self.house.storage.documents.get(SERVICE, "verona", "test-kind"))
        self.assertEqual(stored.value, {"last": "s1"})
        for one in undo:
            one()
        self.say(self.juliet, "swear")
        self.assertEqual(bodies(self.romeo.take()), ["swear"])

    def test_private(self) -> None:
        """Private messages are told apart."""
        kinds: list[tuple[str, Any]] = []
        self.hooks.add_phase("guard", "test", lambda said: kinds.append((said.kind, said.target)))
        self.juliet.send(f"<message type='chat' to='{ADDRESS}/Romeo'><body>psst</body></message>")
        self.assertEqual(kinds, [(PRIVATE, self.room.occupants["Romeo"])])

    def test_presence(self) -> None:
        """A child of presence is the room's: a client's own is taken off."""

        def give(room: Room, occupant: Occupant) -> bytes:
            return f"<hat xmlns='{NS}' of='{occupant.nick}'/>".encode() if occupant.nick != "Romeo" else b""

        undo = self.hooks.add_presence(NS, "hat", give)
        self.nurse.send(
            f"<presence to='{ADDRESS}/Nurse'><x xmlns='http://jabber.org/protocol/muc'/>"
            f"<hat xmlns='{NS}' of='king'/></presence>"
        )
        (seen,) = self.juliet.take()
        self.assertEqual([child["of"] for child in seen.elements() if child.name == "hat"], ["Nurse"])
        undo()
        self.nurse.send(f"<presence to='{ADDRESS}/Nurse'/>")
        self.assertEqual([child.name for child in self.juliet.take()[0].elements()], ["x"])

    def test_entry(self) -> None:
        """A module may refuse whoever wants to enter."""

        def guard(room: Room, who: JID, nick: str) -> None:
            if nick == "Nurse":
                raise StanzaError("not-allowed", "No nurses")

        undo = self.hooks.add_entry(guard)
        self.assertEqual(self.refused(self.nurse, "Nurse"), ("cancel", "not-allowed"))
        undo()
        self.enter(self.nurse, "Nurse")
        self.assertIn("Nurse", self.room.occupants)

    def test_field(self) -> None:
        """A field of a module stands in the form, is set, stored and read again."""
        undo = self.hooks.add_field("pace", RoomField("{urn:x}pace", Spec("number", "Seconds"), 0))
        self.assertRaises(ValueError, self.hooks.add_field, "pace", None)
        self.service.forget(self.room)
        self.enter(self.romeo, "Romeo")
        self.assertEqual(self.room.config["pace"], 0)
        self.configure(**{"{urn:x}pace": "7"})
        held = fields(self.owner(self.romeo, "get", "").query)
        self.assertEqual(held["{urn:x}pace"], ["7"])
        self.restart()
        self.enter(self.romeo, "Romeo")
        self.assertEqual(self.room.config["pace"], 7)
        undo()

    def test_info(self) -> None:
        """A module adds to what discovery tells of rooms and of the service."""
        told = Announced([NS], [Field(var="muc#roominfo_x", value="1")])
        undo = [self.hooks.add_room_info(lambda room: told), self.hooks.add_service_features(NS)]
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        for to in (ADDRESS, SERVICE):
            self.assertIn(NS, self.nurse.ask(f"<iq type='get' id='i' to='{to}'>{query}</iq>").toXml())
        answer = self.nurse.ask(f"<iq type='get' id='i' to='{ADDRESS}'>{query}</iq>")
        self.assertEqual(fields(answer.query)["muc#roominfo_x"], ["1"])
        for one in undo:
            one()
        self.assertNotIn(NS, self.nurse.ask(f"<iq type='get' id='i' to='{SERVICE}'>{query}</iq>").toXml())

    def test_iq(self) -> None:
        """A module answers requests to rooms and to occupants."""
        asked: list[RoomRequest] = []

        async def answer(request: RoomRequest) -> bytes:
            asked.append(request)
            return f"<x xmlns='{NS}'/>".encode()

        undo = self.hooks.add_iq("set", NS, "x", "test", answer, (ROOM, OCCUPANT))
        self.assertRaises(ValueError, self.hooks.add_iq, "set", NS, "x", "test", answer)
        for to in (ADDRESS, f"{ADDRESS}/Romeo"):
            got = self.juliet.ask(f"<iq type='set' id='i' to='{to}'><x xmlns='{NS}'/></iq>")
            self.assertEqual(got["type"], "result")
        first, second = asked
        self.assertEqual((first.occupant, first.target), (self.room.occupants["Juliet"], None))
        self.assertEqual(second.target, self.room.occupants["Romeo"])
        undo()
        got = self.juliet.ask(f"<iq type='set' id='i' to='{ADDRESS}'><x xmlns='{NS}'/></iq>")
        self.assertEqual(refusal(got)[1], "service-unavailable")

    def test_command(self) -> None:
        """A module adds commands of rooms; who may not run one does not find it."""

        def check(request: RoomRequest) -> None:
            if request.sender.local != "romeo":
                raise StanzaError("forbidden", "Not you")

        async def run(request: RoomRequest, fields: Submitted) -> bytes:
            return f"<note>{request.sender.local}</note>".encode()

        undo = self.hooks.add_command(RoomCommand(f"{NS}:do", "Do it", NS, check, run))
        self.assertRaises(ValueError, self.hooks.add_command, RoomCommand(f"{NS}:do", "Do", NS, check, run))
        command = f"<command xmlns='{NS_COMMANDS}' node='{NS}:do'/>"
        asked = f"<iq type='set' id='c' to='{ADDRESS}'>{command}</iq>"
        answer = self.romeo.ask(asked)
        self.assertEqual((answer.command["status"], str(answer.command.note)), ("completed", "romeo"))
        self.assertEqual(refusal(self.juliet.ask(asked))[1], "forbidden")
        items = f"<query xmlns='http://jabber.org/protocol/disco#items' node='{NS_COMMANDS}'/>"
        listed = f"<iq type='get' id='l' to='{ADDRESS}'>{items}</iq>"
        self.assertIn("Do it", self.romeo.ask(listed).toXml())
        self.assertNotIn("Do it", self.juliet.ask(listed).toXml())
        undo()
        self.assertEqual(refusal(self.romeo.ask(asked))[1], "item-not-found")

    def test_welcome(self) -> None:
        """A module tells who enters more before all else, and whose presence he gets."""
        first = Stanza("message", {"from": ADDRESS}, ((NS, "hello"),), f"<hello xmlns='{NS}'/>".encode())
        own = f"<own xmlns='{NS}'/>".encode()
        undo = self.hooks.add_welcome(
            lambda room, seat, presence: Greeting((first,), own, frozenset(["Romeo"]))
        )
        hello, romeo, nurse, _ = self.enter(self.nurse, "Nurse")
        self.assertEqual(hello.firstChildElement().name, "hello")
        self.assertEqual((romeo["from"], nurse["from"]), (f"{ADDRESS}/Romeo", f"{ADDRESS}/Nurse"))
        self.assertIn("<own", nurse.toXml())
        self.assertNotIn("<own", self.juliet.take()[0].toXml())
        undo()
        self.assertEqual(len(self.enter(self.mercutio, "Mercutio")), 5)

    def test_told(self) -> None:
        """A module marks each presence that is new, once, and none that is told again."""
        seen: list[tuple[str, bool]] = []

        def mark(room: Room, occupant: Occupant, gone: bool) -> bytes:
            seen.append((occupant.nick, gone))
            return f"<mark xmlns='{NS}'/>".encode()

        undo = self.hooks.add_told(mark)
        came = self.enter(self.nurse, "Nurse")
        self.assertEqual(["<mark" in one.toXml() for one in came], [False, False, True, False])
        self.leave(self.nurse, "Nurse")
        self.assertEqual(["<mark" in one.toXml() for one in self.juliet.take()], [True, True])
        self.assertEqual(seen, [("Nurse", False), ("Nurse", True)])
        undo()
        self.enter(self.nurse, "Nurse")
        self.assertEqual(len(seen), 2)

    def test_watch(self) -> None:
        """A module adds to what is stored of affiliations, and to what is told of each."""
        stored: list[tuple[str, ...]] = []

        def store(room: Room, changes: Sequence[Change], batch: Batch) -> None:
            stored.append(tuple(change.bare for change in changes))

        def mark(room: Room, change: Change) -> bytes:
            return f"<mark xmlns='{NS}' before='{room.affiliation(change.bare)}'/>".encode()

        undo = self.hooks.add_watch(Watch(store, mark))
        self.affiliate("juliet", "member")
        self.assertIn("before='none'", self.juliet.take()[0].toXml())
        self.assertEqual(stored, [("juliet@example.org",)])
        undo()
        self.affiliate("juliet", "none")
        self.assertEqual(len(stored), 1)

    def test_kind(self) -> None:
        """Documents of a module are read with the room, and go with it."""

        def take(room: Room, documents: Sequence[Document]) -> None:
            room.state["test-kind"] = [document.value["n"] for document in documents]

        undo = self.hooks.add_kind("test-kind", take)
        now(self.service.store.storage.write(Batch().put(SERVICE, "verona", "test-kind", "a", {"n": 1})))
        self.restart()
        self.enter(self.romeo, "Romeo")
        self.assertEqual(self.room.state["test-kind"], [1])
        self.owner(self.romeo, "set", "<destroy/>")
        self.assertEqual(now(self.house.storage.documents.count(SERVICE, "verona", "test-kind")), 0)
        undo()


class EventTests(RoomCase):
    """What is told."""

    KINDS = (
        events.RoomCreated,
        events.RoomConfigured,
        events.OccupantJoined,
        events.OccupantLeft,
        events.NickChanged,
        events.AffiliationChanged,
        events.RoomMessage,
        events.Invited,
        events.RoomDestroyed,
    )

    def test_all(self) -> None:
        """Everything that happens is told once, in order."""
        told: list[Any] = []
        for kind in self.KINDS:
            self.house.host.events.add(kind, "test", told.append)
        self.enter(self.romeo, "Romeo")
        self.configure(roomname="Verona")
        self.enter(self.juliet, "Juliet")
        self.say(self.juliet, "Ay me")
        self.juliet.send(f"<presence to='{ADDRESS}/Julia'/>")
        self.affiliate("juliet", "member")
        self.juliet.send(
            f"<message to='{ADDRESS}'><x xmlns='http://jabber.org/protocol/muc#user'>"
            "<invite to='nurse@example.org'/></x></message>"
        )
        self.role("Julia", "none")
        self.owner(self.romeo, "set", "<destroy><reason>End</reason></destroy>")
        self.assertEqual(
            [type(event).__name__ for event in told],
            [
                "RoomCreated",
                "OccupantJoined",
                "RoomConfigured",
                "OccupantJoined",
                "RoomMessage",
                "NickChanged",
                "AffiliationChanged",
                "Invited",
                "OccupantLeft",
                "OccupantLeft",
                "RoomDestroyed",
            ],
        )
        message = next(event for event in told if isinstance(event, events.RoomMessage))
        assert message.sender is not None and message.occupant is not None
        self.assertEqual((message.sender.full, message.occupant.nick), ("juliet@example.org/home", "Julia"))
        kicked = next(event for event in told if isinstance(event, events.OccupantLeft))
        self.assertEqual((kicked.codes, kicked.last), (("307",), True))
        self.assertEqual(told[-1].reason, "End")
