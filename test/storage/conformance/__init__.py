"""What every backend must do: one mix-in an interface. A backend's test case makes the object."""

from palaver.test.storage.conformance.blobs import BlobsConformance
from palaver.test.storage.conformance.cases import HOST, StorageCase
from palaver.test.storage.conformance.documents import DocumentsConformance
from palaver.test.storage.conformance.logs import LogsConformance
from palaver.test.storage.conformance.registry import RegistryCase, RegistryConformance
from palaver.test.storage.conformance.writes import WritesConformance

__all__ = (
    "HOST",
    "BlobsConformance",
    "DocumentsConformance",
    "LogsConformance",
    "RegistryCase",
    "RegistryConformance",
    "StorageCase",
    "WritesConformance",
)
