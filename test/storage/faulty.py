"""A storage that fails or stalls when a test says so, in front of a real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from palaver.errors import StorageError
from palaver.interfaces import IDocuments, ILogs, IStorage
from palaver.storage import Batch

Call = Callable[[], Deferred[Any]]


class Plan:
    """What becomes of reads and writes: they pass, fail, wait, or are written and reported as failed.

    A fault lasts until the next call of a method here.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._countdown = 0
        self._fault: Callable[[Call], Deferred[Any]] | None = None
        self._stalled: list[tuple[Call, Deferred[Any]]] = []

    def fail(self, after: int = 0) -> None:
        """Let everything fail once ``after`` more have passed; nothing is done then."""
        self._set(lambda call: fail(StorageError("planned failure")), after)

    def lose_answer(self, after: int = 0) -> None:
        """Do everything, and report a failure, as when a server dies between commit and answer."""
        self._set(lambda call: call().addCallback(_planned_failure), after)

    def stall(self, after: int = 0) -> None:
        """Keep everything waiting, undone, until `go_on`, `fail` or `lose_answer` is called."""
        self._set(self._wait, after)

    def go_on(self) -> None:
        """Let everything pass, what waits first."""
        self._set(None, 0)

    def run(self, call: Call) -> Deferred[Any]:
        """Do one read or write by the plan."""
        self.asked += 1
        if self._fault is None:
            return call()
        if self._countdown:
            self._countdown -= 1
            return call()
        return self._fault(call)

    def _wait(self, call: Call) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred()
        self._stalled.append((call, waiting))
        return waiting

    def _set(self, fault: Callable[[Call], Deferred[Any]] | None, after: int) -> None:
        self._fault, self._countdown = fault, after
        stalled, self._stalled = self._stalled, []
        for call, waiting in stalled:
            (fault(call) if fault else call()).chainDeferred(waiting)


def _planned_failure(result: object) -> None:
    raise StorageError("planned failure after the fact")


class _Kind:
    """The methods of one kind, each run by the plan."""

    def __init__(self, kind: Any, plan: Plan) -> None:
        self._kind = kind
        self._plan = plan

    def _run(self, name: str, *args: Any, **options: Any) -> Deferred[Any]:
        return self._plan.run(lambda: getattr(self._kind, name)(*args, **options))


@implementer(IDocuments)
class _Documents(_Kind):
    def get(self, host, owner, kind, key=""):
        return self._run("get", host, owner, kind, key)

    def list(self, host, owner, kinds, *, descending=False, limit=None, after=None):
        return self._run("list", host, owner, kinds, descending=descending, limit=limit, after=after)

    def find(self, host, kind, tag, *, limit=None, after=None):
        return self._run("find", host, kind, tag, limit=limit, after=after)

    def owners(self, host, kind, *, limit=None, after=None):
        return self._run("owners", host, kind, limit=limit, after=after)

    def count(self, host, owner, kind):
        return self._run("count", host, owner, kind)


@implementer(ILogs)
class _Logs(_Kind):
    def get(self, host, owner, kind, ids):
        return self._run("get", host, owner, kind, ids)

    def range(self, host, owner, kind, query):
        return self._run("range", host, owner, kind, query)

    def count(self, host, owner, kind, query=None):
        return self._run("count", host, owner, kind, query)


@implementer(IStorage)
class FaultyStorage:
    """Passes everything to ``inner``, by the plans ``reads`` and ``writes``."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.reads = Plan()
        self.writes = Plan()
        self.documents = _Documents(inner.documents, self.reads)
        self.logs = _Logs(inner.logs, self.reads)

    def start(self) -> Any:
        """See `IStorage`."""
        return self.inner.start()

    def stop(self) -> Any:
        """See `IStorage`."""
        return self.inner.stop()

    def write(self, batch: Batch) -> Deferred[Any]:
        """See `IStorage`."""
        return self.writes.run(lambda: self.inner.write(batch))
