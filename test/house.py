"""A small house for tests: a host on memory storage, and clients that are lists of stanzas.

``House()`` has a Host for ``example.org`` with the modules asked for; ``house.login("romeo", "orchard")``
gives a `Client` whose ``send(xml)`` puts a stanza in and whose ``received`` holds what came out.
"""

from __future__ import annotations

import builtins
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.words.xish import domish
from zope.interface import implementer

from palaver.auth.accounts import AccountExists, Credentials, NoSuchAccount
from palaver.errors import StreamError
from palaver.framing import Framer
from palaver.interfaces import IRosters, IStream
from palaver.modules import Module
from palaver.routing.host import Host
from palaver.routing.rosters import StoredRosters
from palaver.routing.router import Router
from palaver.routing.sessions import Session
from palaver.routing.users import bind
from palaver.stanza import NS_CLIENT, Stanza
from palaver.storage import Batch
from palaver.storage.memory import MemoryStorage
from palaver.tree import parse_element

HEADER = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)


def now(waiting: Any) -> Any:
    """Give what a Deferred has fired with; raises its failure; fails when it has not fired."""
    if not isinstance(waiting, Deferred):
        waiting = Deferred.fromCoroutine(waiting) if hasattr(waiting, "send") else succeed(waiting)
    outcome: list[Any] = []
    waiting.addBoth(outcome.append)
    if not outcome:
        raise AssertionError("it still waits")
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return outcome[0]


class _Collector:
    """A framer's receiver that keeps what it is given."""

    def __init__(self) -> None:
        self.stanzas: list[Stanza] = []

    def stream_opened(self, header: object) -> None:
        """Nothing to do."""

    def stream_closed(self) -> None:
        """Nothing to do."""

    def stanza_received(self, stanza: Stanza) -> None:
        """Keep it."""
        self.stanzas.append(stanza)


def stanza(xml: str) -> Stanza:
    """Give the Stanza for XML in the client namespace, through the real framer."""
    collector = _Collector()
    framer = Framer(collector, 1 << 20)
    framer.feed(HEADER)
    framer.feed(xml.encode())
    (found,) = collector.stanzas
    return found


class FakeAccounts:
    """Accounts that are a set of names; those made here have passwords too."""

    deletes = True
    hashes: tuple[str, ...] = ()

    def __init__(self, domain: str, storage: MemoryStorage, *names: str) -> None:
        self._domain = domain
        self._storage = storage
        self.names = set(names)
        self.passwords: dict[str, str] = {}
        self.locked: set[str] = set()

    def exists(self, local: str) -> Deferred[bool]:
        """See IAccounts."""
        return succeed(local in self.names)

    def create(self, local: str, password: str) -> Deferred[None]:
        """See IAccounts."""
        if local in self.names:
            return fail(AccountExists(local))
        self.names.add(local)
        self.passwords[local] = password
        return succeed(None)

    def set_password(self, local: str, password: str) -> Deferred[None]:
        """See IAccounts."""
        self.passwords[local] = password
        return succeed(None)

    def delete(self, local: str) -> Deferred[None]:
        """See IAccounts."""
        self.names.discard(local)
        self.passwords.pop(local, None)
        return self._storage.write(Batch().delete(self._domain, local).drop(self._domain, local))

    def credentials(self, local: str) -> Deferred[Credentials | None]:
        """See IAccounts."""
        return succeed(Credentials({}, local in self.locked) if local in self.names else None)

    def set_disabled(self, local: str, disabled: bool) -> Deferred[None]:
        """See IAccounts."""
        if local not in self.names:
            return fail(NoSuchAccount(local))
        (self.locked.add if disabled else self.locked.discard)(local)
        return succeed(None)

    def disabled(self) -> Deferred[builtins.list[str]]:
        """See IAccounts."""
        return succeed(sorted(self.locked))

    def list(self) -> Deferred[builtins.list[str]]:
        """See IAccounts."""
        return succeed(sorted(self.names))


@implementer(IStream)
class Client:
    """A stream without a socket: what the session writes is parsed and kept."""

    def __init__(self, house: House, address: str = "127.0.0.1") -> None:
        self.house = house
        self.host = house.host
        self.secure = True
        self.address = address
        self.port: int | None = 50000
        self.heard = house.clock.seconds()
        self.authenticated_as: str | None = None
        self.session: Any = None
        self.error: StreamError | None = None
        self.closed = False
        self._in = _Collector()
        self._out = _Collector()
        self._parser = Framer(self._out, 1 << 24)
        self._parser.feed(HEADER)
        self._reader = Framer(self._in, 1 << 24)
        self._reader.feed(HEADER)

    def write(self, data: bytes) -> None:
        """See IStream."""
        self._parser.feed(data)

    def end(self, error: StreamError | None = None) -> None:
        """See IStream."""
        self.error = error
        self.closed = True

    def send(self, xml: str) -> Any:
        """Send stanzas as the client; gives the last one's outcome (None, or a Deferred)."""
        self._reader.feed(xml.encode())
        outcome = None
        for given in self._in.stanzas:
            outcome = self.session.receive(
                Stanza(
                    given.name,
                    {**given.attrs, "from": self.session.jid.full},
                    given.children,
                    given.inner,
                    NS_CLIENT,
                    self.session,
                )
            )
        self._in.stanzas.clear()
        return outcome

    @property
    def received(self) -> list[Stanza]:
        """What came to the client, oldest first."""
        return self._out.stanzas

    def take(self) -> list[domish.Element]:
        """Give what came since the last call, as trees."""
        found = [parse_element(got.encode(declare=True)) for got in self._out.stanzas]
        self._out.stanzas.clear()
        return found

    def ask(self, xml: str) -> domish.Element:
        """Send an IQ and give its answer, which must be the one thing that comes back with its id."""
        sent = stanza(xml)
        self.take()
        self.send(xml)
        answers = [got for got in self.take() if got.getAttribute("id") == sent.id and got.name == "iq"]
        if len(answers) != 1:
            raise AssertionError(f"{len(answers)} answers to {xml}")
        return answers[0]


class House:
    """A host on memory storage with modules of your choice."""

    def __init__(self, *modules: type[Module], domain: str = "example.org", **settings: Any) -> None:
        """Attach modules; ``settings`` are their options by class name, as dictionaries."""
        self.clock = Clock()
        self.storage = MemoryStorage()
        self.router = Router()
        self.accounts = FakeAccounts(domain, self.storage, "romeo", "juliet", "nurse", "mercutio")
        self.host = Host(domain, self.router, self.storage, self.accounts, self.clock)
        self.router.add(self.host)
        self.host.provide(StoredRosters(domain, self.storage), IRosters)
        self.modules: dict[str, Module] = {}
        for maker in modules:
            self.add(maker, **settings.get(maker.__name__, {}))

    def add(self, maker: type[Module], **options: Any) -> Any:
        """Attach one more module; gives it."""
        name = f"mod_{maker.__module__.rpartition('.')[2]}"
        module = maker(self.host, name, maker.Settings(**options))
        module.attach()
        self.host.modules[name] = module
        self.modules[maker.__name__] = module
        return module

    def login(self, local: str, resource: str = "orchard", presence: str | None = None) -> Client:
        """Bind a session; ``presence`` is sent when given, and what it brings stays in ``received``."""
        client = Client(self)
        client.authenticated_as = local
        session: Session = now(bind(self.host, client, local, resource, None))
        client.session = session
        if presence is not None:
            client.send(presence)
        return client
