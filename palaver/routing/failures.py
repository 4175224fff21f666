"""What becomes of a module's failure: a log line, a count, an error to answer with."""

from __future__ import annotations

from twisted.python.failure import Failure

from palaver import metrics
from palaver.errors import StanzaError, StorageError
from palaver.log import Log

log = Log("modules")


def failed(module: str, failure: Failure) -> StanzaError:
    """Log and count a failure of a module; gives the error for whoever needed it.

    A `StanzaError` is given back as it is; a `StorageError` says that trying again may help.
    """
    error = failure.value
    if isinstance(error, StanzaError):
        return error
    metrics.module_failures[module] += 1
    if isinstance(error, StorageError):
        log.warn("storage-failed", module=module, reason=str(error))
        return StanzaError(
            "internal-server-error", "What this needs cannot be stored or read now", type="wait"
        )
    log.failure("module-failed", failure, module=module)
    return StanzaError("internal-server-error")
