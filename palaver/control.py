"""How commands reach a running server: one JSON object a line over a unix socket, and SIGHUP.

A request is ``{"command": "status"}`` with what the command needs; the answer is
``{"ok": true, "result": …}`` or ``{"ok": false, "error": "a sentence"}``. Who may open
the socket, its owner, may do everything.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from palaver import admin
from palaver.ask import socket_path
from palaver.config import ConfigError
from palaver.log import Log
from palaver.service import Palaver

MAX_LINE_BYTES = 1 << 20

log = Log("control")


class ControlProtocol(LineOnlyReceiver):
    """One connection of the ``palaver`` command."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE_BYTES

    def __init__(self, palaver: Palaver) -> None:
        self._palaver = palaver

    def lineReceived(self, line: bytes) -> None:
        """Answer one request."""
        Deferred.fromCoroutine(self._respond(line))

    async def _respond(self, line: bytes) -> None:
        answer: dict[str, Any]
        try:
            answer = {"ok": True, "result": await self._answer(json.loads(line))}
        except admin.Refused as error:
            answer = {"ok": False, "error": str(error)}
        except ConfigError as error:
            answer = {"ok": False, "error": str(error), "config": True}
        except (ValueError, KeyError, TypeError) as error:
            answer = {"ok": False, "error": f"The request is not understood: {error!r}"}
        except Exception:
            log.failure("command-failed", Failure())
            answer = {"ok": False, "error": "The command failed; the server's log says why."}
        self.sendLine(json.dumps(answer).encode())

    async def _answer(self, request: Mapping[str, Any]) -> Any:
        command = request["command"]
        if command == "status":
            return self._palaver.status()
        if command == "reload":
            await admin.reload(self._palaver)
            return "The configuration has been reloaded."
        return await admin.run(self._palaver.server, request)


class Control(Service):
    """Listens for commands while its parent, the `Palaver`, runs."""

    def __init__(self, palaver: Palaver) -> None:
        self._palaver = palaver
        self._port: Any = None
        self._old_hangup: Any = None

    def startService(self) -> None:
        """Open the socket. Raises `ConfigError` when another server has the same data folder."""
        super().startService()
        folder = self._palaver.config.general.data_dir
        path = socket_path(folder)
        factory = Factory.forProtocol(lambda: ControlProtocol(self._palaver))
        # The mode counts from the first moment, not from some time after bind().
        mask = os.umask(0o177)
        try:
            self._port = self._palaver.reactor.listenUNIX(str(path), factory, mode=0o600, wantPID=True)
        except CannotListenError as error:
            raise ConfigError(
                f"another server has {folder} open, or its socket cannot be made: {error}"
            ) from error
        finally:
            os.umask(mask)
        self._old_hangup = signal.signal(signal.SIGHUP, self._hangup)

    def stopService(self) -> Any:
        """Close the socket."""
        super().stopService()
        if self._port is None:
            return None
        signal.signal(signal.SIGHUP, self._old_hangup)
        port, self._port = self._port, None
        return port.stopListening()

    def _hangup(self, number: int, frame: object) -> None:
        self._palaver.reactor.callFromThread(self.reload)

    def reload(self) -> Deferred[None]:
        """Apply the config file again; what is wrong with it is logged and changes nothing."""

        def complain(failure: Failure) -> None:
            error: Any = failure.value
            if failure.check(ConfigError) is None:
                log.failure("reload-failed", failure)
                return
            for mistake in error.mistakes:
                log.error("reload-refused", mistake=mistake)

        return Deferred.fromCoroutine(admin.reload(self._palaver)).addErrback(complain)
