"""A client that keeps what it sends until that is acknowledged, and tells a `History` what it sees."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.words.xish import domish

from palaver.test.crash.history import History, Name, Seen
from palaver.test.wire import NS_PING, Wire, connect

SM = "urn:xmpp:sm:3"
MAM = "urn:xmpp:mam:2"
RSM = "http://jabber.org/protocol/rsm"
SID = "urn:xmpp:sid:0"
PING = f"<ping xmlns='{NS_PING}'/>"
FORWARD = "urn:xmpp:forward:0"

PASSWORD = "sesame"
PAGE = 500
# Enough to have several commits under way, and to fill the server's queue of one session at times.
MAX_BURST = 40
MAX_UNACKED = 200
# How long a client rests between bursts, at most; most of the time it does not.
REST_S = 0.02
# One burst in so many loses its connection, and the session goes on over another one.
CUT_EVERY = 12

reactor: Any = _reactor


class Client:
    """One account with one session at a time, which speaks whatever it has to over ``wire``."""

    def __init__(self, local: str, partner: str, history: History, dice: random.Random) -> None:
        self.local = local
        self.partner = partner
        self.history = history
        self.life = 0
        """How often the server was started."""
        self.resumed = 0
        self.shown: list[str] = []
        """Whose presence came: bare JIDs."""
        self.wire: Wire
        self._port = 0
        self._dice = dice
        self._number = 0
        self._asked = 0
        self._handled = 0
        self._token = ""
        self._acked = 0
        # What was sent in this session and is not acknowledged: messages by name, all else as it is.
        self._outbox: list[tuple[Name | None, str]] = []
        self._answers: dict[str, domish.Element] = {}
        # Where a page of the archive goes.
        self._page: list[Seen] = []
        history.received.setdefault(local, [])
        history.archives.setdefault(local, [])

    # -- the way in and out -------------------------------------------------------------------

    async def register(self, port: int) -> None:
        """Make the account (XEP-0077)."""
        wire = await connect(port)
        await wire.features()
        await wire.ask(
            "<iq type='set' id='register'><query xmlns='jabber:iq:register'>"
            f"<username>{self.local}</username><password>{PASSWORD}</password></query></iq>"
        )
        await wire.close()

    async def enter(self, port: int, life: int) -> None:
        """Go on with the session, or with a new one, and send again what was not acknowledged."""
        self._port, self.life = port, life
        if not self._token or not await self.resume():
            await self._bind()
        await self.settle()

    async def _log_in(self) -> None:
        self.wire = await connect(self._port)
        await self.wire.features()
        await self.wire.authenticate(self.local, PASSWORD)
        await self.wire.features()

    async def _bind(self) -> None:
        if not self._token:
            await self._log_in()
        again = [(name, stanza) for name, stanza in self._outbox if name is not None]
        self.wire.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        bound = await self.wire.next()
        if bound["type"] != "result":
            raise AssertionError(bound.toXml())
        self.wire.send(f"<enable xmlns='{SM}' resume='true'/>")
        self._token = (await self.wire.next())["id"]
        self._handled = self._acked = 0
        self._outbox = []
        self._send((None, "<presence/>"), *again)
        self.history.sent_again.update(name for name, _ in again if name is not None)

    async def resume(self) -> bool:
        """Log in and resume the session; False when the server knows nothing of it. Ready to bind then."""
        await self._log_in()
        self.wire.send(f"<resume xmlns='{SM}' previd='{self._token}' h='{self._handled}'/>")
        answer = await self.wire.next()
        if answer.name == "failed":
            return False
        if answer.name != "resumed":
            raise AssertionError(answer.toXml())
        self._acknowledged(int(answer["h"]))
        self.wire.send("".join(stanza for _, stanza in self._outbox))
        self.resumed += 1
        return True

    async def leave(self) -> None:
        """Go away like a client that has got everything."""
        await self.settle()
        self.wire.send(f"<a xmlns='{SM}' h='{self._handled}'/>")
        await self.wire.close()
        self._token = ""
        self._outbox = []

    # -- messages ---------------------------------------------------------------------------

    async def talk(self, others: list[str]) -> None:
        """Send bursts to the partner, and now and then to others, until the connection is lost."""
        dice = self._dice
        while True:
            self.burst(others)
            if dice.randrange(CUT_EVERY) == 0:
                self.wire.drop()
                self.read()
                if not await self.resume():
                    raise AssertionError(f"{self.local} cannot resume")
            await self.until(lambda: len(self._outbox) <= MAX_UNACKED, "room for more")
            await deferLater(reactor, max(0, dice.uniform(-REST_S, REST_S)))

    def burst(self, others: list[str]) -> None:
        """Send some messages in one write, and ask for an acknowledgement."""
        dice = self._dice
        stanzas: list[tuple[Name | None, str]] = []
        for _ in range(dice.randint(1, MAX_BURST)):
            to = dice.choice(others) if dice.randrange(8) == 0 else self.partner
            stanzas.append(self._message(to))
            if dice.randrange(8) == 0:
                stanzas.append((None, _typing(to)))
        self._send(*stanzas)
        self.wire.send(f"<r xmlns='{SM}'/>")

    def show(self, to: str) -> None:
        """Send presence to somebody."""
        self._send((None, f"<presence to='{to}@localhost'/>"))

    def again(self, name: Name) -> None:
        """Send a message that was refused once more, as it was."""
        self.history.refused.discard(name)
        self.history.sent_again.add(name)
        self._send((name, _stanza(name)))

    def _message(self, to: str) -> tuple[Name, str]:
        name = Name(self.local, self._number, to)
        self._number += 1
        self.history.sent.add(name)
        return name, _stanza(name)

    def _send(self, *stanzas: tuple[Name | None, str]) -> None:
        self._outbox += stanzas
        self.wire.send("".join(stanza for _, stanza in stanzas))

    async def settle(self) -> None:
        """Wait until all that was sent is acknowledged, and what was there before has come."""
        await self.ask(PING, "get")
        self.wire.send(f"<r xmlns='{SM}'/>")
        await self.until(lambda: not self._outbox, "acknowledgement of everything")

    async def get_all(self, due: set[Name]) -> None:
        """Wait until all that is for this client has come."""
        mine = {name for name in due if name.receiver == self.local}
        received = self.history.received[self.local]
        await self.until(lambda: mine <= {seen.name for seen in received}, "all that was kept")

    async def read_archive(self, *, whole: bool = False) -> None:
        """Read on in the archive behind what was read last; or all of it, which gives the same."""
        known = self.history.archives[self.local]
        found: list[Seen] = [] if whole else known
        while True:
            after = f"<after>{found[-1].stanza_id}</after>" if found else ""
            before = len(found)
            self._page = found
            await self.ask(
                f"<query xmlns='{MAM}'><set xmlns='{RSM}'><max>{PAGE}</max>{after}</set></query>", "set"
            )
            if len(found) - before < PAGE:
                break
        if whole and found != known:
            raise AssertionError(f"the archive of {self.local} has changed")

    # -- what comes -------------------------------------------------------------------------

    async def ask(self, payload: str, kind: str) -> domish.Element:
        """Send a request and give its answer; raises AssertionError for an error."""
        self._asked += 1
        wanted = str(self._asked)
        self._send((None, f"<iq type='{kind}' id='{wanted}'>{payload}</iq>"))
        await self.until(lambda: wanted in self._answers, f"answer to {payload}")
        answer = self._answers.pop(wanted)
        if answer["type"] != "result":
            raise AssertionError(answer.toXml())
        return answer

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something, reading what comes. Raises AssertionError."""

        def reached() -> bool:
            self.read()
            return condition()

        await self.wire.until(reached, f"{self.local}: {what}")

    def read(self) -> None:
        """Take what has come."""
        elements = self.wire.elements
        while elements:
            came = elements.popleft()
            if came.uri == "jabber:client":
                self._handled += 1
                self._take(came)
            elif came.name == "r":
                self.wire.send(f"<a xmlns='{SM}' h='{self._handled}'/>")
            elif came.name == "a":
                self._acknowledged(int(came["h"]))
            else:
                raise AssertionError(f"{self.local} got {came.toXml()}")

    def _take(self, came: domish.Element) -> None:
        if came.name == "iq":
            self._answers[came["id"]] = came
        elif came.name == "presence":
            self.shown.append(came["from"].partition("/")[0])
        else:
            result = _child(came, "result", MAM)
            if result is not None:
                forwarded = _child(result, "forwarded", FORWARD)
                assert forwarded is not None
                kept = _child(forwarded, "message", "jabber:client")
                assert kept is not None
                self._page.append(Seen(Name.read(kept["id"]), result["id"]))
            elif came.getAttribute("type") == "error":
                self.history.refused.add(Name.read(came["id"]))
            elif came.body is not None:
                stanza_id = _child(came, "stanza-id", SID)
                seen = Seen(Name.read(came["id"]), stanza_id["id"] if stanza_id else "", self.life)
                self.history.received[self.local].append(seen)

    def _acknowledged(self, h: int) -> None:
        count = h - self._acked
        self._acked = h
        if not 0 <= count <= len(self._outbox):
            raise AssertionError(f"{self.local} has {h} acknowledged, {count} more")
        self.history.acknowledged.update(name for name, _ in self._outbox[:count] if name is not None)
        del self._outbox[:count]


def _child(parent: domish.Element, name: str, ns: str) -> domish.Element | None:
    found: domish.Element
    for found in parent.elements(ns, name):
        return found
    return None


def _stanza(name: Name) -> str:
    return (
        f"<message type='chat' to='{name.receiver}@localhost' id='{name}'><body>{name}</body>"
        f"<origin-id xmlns='{SID}' id='{name}'/></message>"
    )


def _typing(to: str) -> str:
    return (
        f"<message type='chat' to='{to}@localhost'><composing xmlns='http://jabber.org/protocol/chatstates'/>"
        "</message>"
    )
