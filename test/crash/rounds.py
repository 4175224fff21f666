"""Rounds of load and ``kill -9`` against one server process and its SQLite file."""

from __future__ import annotations

import random
from collections.abc import Coroutine, Iterable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from palaver.test.crash.client import Client
from palaver.test.crash.history import History, Name, check
from palaver.test.peers.server import LOOPBACK, ServerProcess

PAIRS = (("romeo", "juliet"), ("tybalt", "mercutio"), ("nurse", "friar"))
# How long a load lasts; a commit takes some milliseconds, so a kill hits any part of one.
LOAD_S = (0.02, 0.5)
# In one round of so many the server is killed while clients come back.
EARLY_EVERY = 5
EARLY_S = (0.0, 0.1)
MAX_AWAY = 2

CONFIG: dict[str, Any] = {
    "listen": {"c2s": [{"interface": LOOPBACK, "port": 0, "tls": "off"}]},
    "auth": {"allow_unencrypted_plain_auth": True, "password": {"scram_iterations": 4096}},
    "limits": {"enabled": False},
    "modules": {
        "mod_mam": {"max_result_limit": 1000},
        "mod_offline": {"access_max_user_messages": "infinity"},
        "mod_register": {"registration_throttle_max": 0},
    },
}

reactor: Any = _reactor


class Rounds:
    """A server, its clients and what they have seen. Everything random comes from ``seed``."""

    def __init__(self, seed: int) -> None:
        self.history = History()
        self.server = ServerProcess(CONFIG)
        self._dice = random.Random(seed)
        names = [*PAIRS, *(pair[::-1] for pair in PAIRS)]
        self.clients = [
            Client(local, partner, self.history, random.Random(self._dice.random()))
            for local, partner in names
        ]
        self._life = 0
        self._away: list[Client] = []
        # What was acknowledged when they went.
        self._before: set[Name] = set()
        self._killed = False

    async def run(self, count: int) -> None:
        """Kill the server so many times; look at everything after each. Raises AssertionError."""
        await self._start()
        await all_of(client.register(self.server.port) for client in self.clients)
        for number in range(count):
            await self._come_back(number)
            if not self._killed:
                await self._load()
            for client in self.clients:
                # What had come before the end.
                client.read()
            await self._start()
        await self._come_back(count, last=True)
        await all_of(client.read_archive(whole=True) for client in self.clients)
        await all_of(client.leave() for client in self.clients)

    async def _start(self) -> None:
        self._killed = False
        self._life += 1
        # Waiting blocks, and what the old connections still hold has to be read meanwhile.
        await deferToThread(self.server.start)

    def _kill(self) -> None:
        self._killed = True
        self.server.kill()

    async def _come_back(self, number: int, *, last: bool = False) -> None:
        """Log everybody in, and see that all is well; or be killed meanwhile."""
        timer = None
        if not last and number and self._dice.randrange(EARLY_EVERY) == 0:
            # What was being handed over from the store then is in the archive only.
            self._away = []
            timer = reactor.callLater(self._dice.uniform(*EARLY_S), self._kill)
        try:
            await all_of(client.enter(self.server.port, self._life) for client in self.clients)
            # What was sent again has arrived everywhere; now it is looked at.
            await all_of(client.settle() for client in self.clients)
            due = self._due()
            self.history.due |= due
            # The store is emptied beside everything else.
            await all_of(client.get_all(due) for client in self._away)
            await all_of(client.read_archive() for client in self.clients)
        except AssertionError:
            if not self._killed:
                raise
            return
        finally:
            if timer is not None and timer.active():
                timer.cancel()
        wrong = check(self.history)
        if wrong:
            raise AssertionError(f"after {number} rounds:\n" + "\n".join(wrong))

    def _due(self) -> set[Name]:
        """Give what was acknowledged since some went away, and is for them."""
        away = {client.local for client in self._away}
        return {name for name in self.history.acknowledged - self._before if name.receiver in away}

    async def _load(self) -> None:
        """Have most clients talk, and kill the server at some moment."""
        self._away = self._dice.sample(self.clients, self._dice.randint(0, MAX_AWAY))
        await all_of(client.leave() for client in self._away)
        self._before = set(self.history.acknowledged)
        reactor.callLater(self._dice.uniform(*LOAD_S), self._kill)
        here = [client for client in self.clients if client not in self._away]
        results = await DeferredList(
            [Deferred.fromCoroutine(client.talk(self._others(client))) for client in here],
            consumeErrors=True,
        )
        if not self._killed:
            raise AssertionError(f"a connection ended before the server: {results}")

    def _others(self, client: Client) -> list[str]:
        return [other.local for other in self.clients if other is not client]


async def all_of(coroutines: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """Run all to their ends; raises the first failure after that."""
    waiting = [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]
    for _, result in await DeferredList(waiting, consumeErrors=True):
        if isinstance(result, Failure):
            result.raiseException()
