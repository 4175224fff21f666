"""Storage in memory."""

from __future__ import annotations

from palaver.storage.memory import MemoryStorage
from palaver.test.storage.conformance import (
    DocumentsConformance,
    LogsConformance,
    StorageCase,
    WritesConformance,
)


class _Memory(StorageCase):
    def make_storage(self):
        return MemoryStorage()


class MemoryDocumentsTests(DocumentsConformance, _Memory):
    """Documents in memory."""


class MemoryLogsTests(LogsConformance, _Memory):
    """Logs in memory."""


class MemoryWritesTests(WritesConformance, _Memory):
    """Batches in memory."""
