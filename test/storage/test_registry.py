"""The registry of one process."""

from __future__ import annotations

from palaver.cluster.registry import MemoryRegistry
from palaver.test.storage.conformance import RegistryCase, RegistryConformance


class MemoryRegistryTests(RegistryConformance, RegistryCase):
    """The registry in memory."""

    def make_registry(self):
        return MemoryRegistry(self.clock)

    def test_no_timers_remain(self):
        """A key that is deleted or replaced leaves no timer behind."""
        self.registry.set("k", b"1", ttl=10)
        self.registry.set("k", b"2", ttl=10)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.registry.delete("k")
        self.assertEqual(self.clock.getDelayedCalls(), [])
