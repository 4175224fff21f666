"""What every IRegistry does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from palaver.interfaces import IRegistry


class RegistryCase(SynchronousTestCase):
    """Makes a registry on a Clock for each test."""

    def setUp(self):
        self.clock = Clock()
        self.registry = self.make_registry()

    def make_registry(self) -> Any:
        """Give an empty registry whose leases ``self.clock`` ends."""
        raise NotImplementedError


if TYPE_CHECKING:
    _Base = RegistryCase
else:
    _Base = object


class RegistryConformance(_Base):
    """IRegistry."""

    def test_interface(self):
        """The backend has every method of IRegistry."""
        verifyObject(IRegistry, self.registry)

    def now(self, deferred: Deferred[Any]) -> Any:
        return self.successResultOf(deferred)

    def test_set_get_delete(self):
        """A key has the value that was set last, until it is deleted."""
        registry = self.registry
        self.assertIsNone(self.now(registry.get("k")))
        self.now(registry.set("k", b"1"))
        self.now(registry.set("k", b"2"))
        self.assertEqual(self.now(registry.get("k")), b"2")
        self.assertIs(self.now(registry.delete("k")), True)
        self.assertIs(self.now(registry.delete("k")), False)
        self.assertIsNone(self.now(registry.get("k")))

    def test_add(self):
        """Only the first of two who add a key gets it."""
        self.assertIs(self.now(self.registry.add("k", b"1")), True)
        self.assertIs(self.now(self.registry.add("k", b"2")), False)
        self.assertEqual(self.now(self.registry.get("k")), b"1")

    def test_delete_one_value(self):
        """A lease that another process has taken over since is not deleted."""
        self.now(self.registry.set("k", b"theirs"))
        self.assertIs(self.now(self.registry.delete("k", b"mine")), False)
        self.assertIs(self.now(self.registry.delete("k", b"theirs")), True)

    def test_lease(self):
        """A key with a lease is gone after it, and can be added again."""
        self.now(self.registry.add("k", b"1", ttl=10))
        self.clock.advance(9.9)
        self.assertEqual(self.now(self.registry.get("k")), b"1")
        self.clock.advance(0.2)
        self.assertIsNone(self.now(self.registry.get("k")))
        self.assertIs(self.now(self.registry.add("k", b"2", ttl=10)), True)

    def test_lease_renewed(self):
        """Setting a key again replaces its lease; without one it stays."""
        self.now(self.registry.set("k", b"1", ttl=10))
        self.clock.advance(8)
        self.now(self.registry.set("k", b"1", ttl=10))
        self.clock.advance(8)
        self.assertEqual(self.now(self.registry.get("k")), b"1")
        self.now(self.registry.set("k", b"1"))
        self.clock.advance(100)
        self.assertEqual(self.now(self.registry.get("k")), b"1")

    def test_watch(self):
        """A watcher hears of changes, deletions and ended leases below its prefix, until it ends that."""
        heard: list[tuple[str, bytes | None]] = []
        end = self.registry.watch("room/", lambda *change: heard.append(change))
        self.now(self.registry.set("room/a", b"1", ttl=5))
        self.now(self.registry.set("user/a", b"1"))
        self.now(self.registry.set("room/a", b"2", ttl=5))
        self.clock.advance(6)
        self.now(self.registry.set("room/b", b"3"))
        self.now(self.registry.delete("room/b"))
        expected = [("room/a", b"1"), ("room/a", b"2"), ("room/a", None), ("room/b", b"3"), ("room/b", None)]
        self.assertEqual(heard, expected)
        end()
        end()
        self.now(self.registry.set("room/c", b"4"))
        self.assertEqual(heard, expected)
