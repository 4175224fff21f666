"""``kill -9`` in a busy room: no acknowledged message and no affiliation is lost."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from palaver.test.crash.client import MAM, PASSWORD, RSM, SM
from palaver.test.crash.rounds import CONFIG, all_of
from palaver.test.peers.server import ServerProcess
from palaver.test.wire import Wire, connect

ROOM = "verona@muc.localhost"
SENDERS = 100
KILLS = 3
# Long enough for a few hundred commits at least on a slow disk.
LOAD_S = (0.3, 0.8)
BURST = 5
ADMIN = "http://jabber.org/protocol/muc#admin"
OWNER = "http://jabber.org/protocol/muc#owner"

reactor: Any = _reactor


class Speaker:
    """Somebody in the room, who knows what the server has acknowledged."""

    def __init__(self, local: str) -> None:
        self.local = local
        self.wire: Wire
        self.acknowledged: list[str] = []
        self._number = 0
        # What was sent in this session: names of messages, None for all else.
        self._sent: list[str | None] = []
        self._acked = 0

    async def register(self, port: int) -> None:
        """Make the account."""
        wire = await connect(port)
        await wire.features()
        await wire.ask(
            "<iq type='set' id='register'><query xmlns='jabber:iq:register'>"
            f"<username>{self.local}</username><password>{PASSWORD}</password></query></iq>"
        )
        await wire.close()

    async def enter(self, port: int) -> None:
        """Log in, switch stream management on, and enter the room."""
        self.wire = await connect(port)
        await self.wire.log_in(f"{self.local}@localhost/home", PASSWORD)
        self.wire.send(f"<enable xmlns='{SM}'/>")
        await self.wire.until(lambda: any(one.name == "enabled" for one in self.wire.elements), "enabled")
        self.wire.elements.clear()
        self._sent, self._acked = [], 0
        self.send(
            None,
            f"<presence to='{ROOM}/{self.local}'><x xmlns='http://jabber.org/protocol/muc'>"
            "<history maxstanzas='0'/></x></presence>",
        )
        await self.wire.until(lambda: any(one.subject for one in self.wire.elements), "the subject")

    def send(self, name: str | None, stanza: str) -> None:
        """Send a stanza, and ask for its acknowledgement."""
        self._sent.append(name)
        self.wire.send(f"{stanza}<r xmlns='{SM}'/>")

    def read(self) -> None:
        """Note what is acknowledged."""
        while self.wire.elements:
            came = self.wire.elements.popleft()
            if came.name == "a":
                acked = int(came["h"])
                self.acknowledged += [name for name in self._sent[self._acked : acked] if name is not None]
                self._acked = acked

    async def talk(self, until: Deferred[None]) -> None:
        """Say something again and again."""
        while not until.called:
            for _ in range(BURST):
                self._number += 1
                name = f"{self.local}-{self._number}"
                body = f"<body>{name}</body>"
                self.send(name, f"<message type='groupchat' to='{ROOM}' id='{name}'>{body}</message>")
            self.read()
            await deferLater(reactor, 0.02)


class RoomTests(TestCase):
    """A hundred talk while their server is killed."""

    timeout = 180

    async def test_kill(self) -> None:
        """Each acknowledged message is in the archive once, each affiliation in its list."""
        dice = random.Random(45)
        modules = {**CONFIG["modules"], "mod_muc": {"max_users": 1000}}
        self.server = ServerProcess({**CONFIG, "modules": modules})
        self.addCleanup(self.server.stop)
        await deferToThread(self.server.start)
        self.owner = Speaker("owner")
        speakers = [Speaker(f"s{number}") for number in range(SENDERS)]
        await all_of(one.register(self.server.port) for one in (self.owner, *speakers))
        await self.owner.enter(self.server.port)
        form = "<x xmlns='jabber:x:data' type='submit'>{}</x>".format(
            "<field var='muc#roomconfig_persistentroom'><value>1</value></field>"
            "<field var='muc#roomconfig_maxusers'><value>1000</value></field>"
        )
        await self.ask(f"<query xmlns='{OWNER}'>{form}</query>")
        members: list[str] = []
        for _ in range(KILLS):
            await all_of(one.enter(self.server.port) for one in speakers)
            over: Deferred[None] = Deferred()
            talks = [Deferred.fromCoroutine(one.talk(over)) for one in speakers]
            appointing = Deferred.fromCoroutine(self.appoint(members, over))
            await deferLater(reactor, dice.uniform(*LOAD_S))
            self.server.kill()
            over.callback(None)
            for talk in talks:
                await talk
            appointing.addErrback(lambda failure: None)
            for one in speakers:
                # What had come before the end.
                one.read()
            await deferToThread(self.server.start)
            await self.owner.enter(self.server.port)
        kept = await self.archive()
        self.assertEqual(len(kept), len(set(kept)))
        acknowledged = {name for one in speakers for name in one.acknowledged}
        self.assertGreater(len(acknowledged), SENDERS)
        self.assertEqual(acknowledged - set(kept), set())
        self.assertEqual(set(members) - await self.members(), set())
        self.assertTrue(members)

    async def ask(self, inner: str, kind: str = "set") -> Any:
        """Send the owner's request to the room; give the answer."""
        answer = await self.owner.wire.ask(f"<iq type='{kind}' id='q' to='{ROOM}'>{inner}</iq>")
        self.assertEqual(answer["type"], "result", answer.toXml())
        return answer

    async def appoint(self, members: list[str], until: Deferred[None]) -> None:
        """Make somebody a member again and again, and note whom the server has taken."""
        while not until.called:
            bare = f"member{len(members)}@localhost"
            await self.ask(f"<query xmlns='{ADMIN}'><item jid='{bare}' affiliation='member'/></query>")
            members.append(bare)

    async def members(self) -> set[str]:
        """Give the room's members."""
        found: set[str] = set()
        after = ""
        while True:
            page = f"<set xmlns='{RSM}'><max>100</max><after>{after}</after></set>"
            answer = await self.ask(
                f"<query xmlns='{ADMIN}'><item affiliation='member'/>{page}</query>", kind="get"
            )
            listed = [item["jid"] for item in answer.query.elements() if item.name == "item"]
            if not listed:
                return found
            found.update(listed)
            after = listed[-1]

    async def archive(self) -> list[str]:
        """Give the names of the messages in the room's archive."""
        found: list[str] = []
        after = ""
        while True:
            self.owner.wire.elements.clear()
            page = f"<set xmlns='{RSM}'><max>50</max>{after}</set>"
            answer = await self.ask(f"<query xmlns='{MAM}'>{page}</query>")
            results = [one.result for one in self.owner.wire.elements if one.result is not None]
            found += [str(result.forwarded.message.body) for result in results]
            if answer.fin.getAttribute("complete") == "true":
                return found
            after = f"<after>{answer.fin.set.last}</after>"
