"""A server that owns its process: the reactor, the log and the exit status."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.python.failure import Failure
from zope.interface import implementer

from palaver import log
from palaver.auth.accounts import NotSupported
from palaver.commands.admins import all_admins
from palaver.config import Config, ConfigError
from palaver.errors import StorageError
from palaver.interfaces import IProcess
from palaver.jid import parse
from palaver.web.addresses import pages

if TYPE_CHECKING:
    from palaver.routing.host import Host
    from palaver.server import Server
    from palaver.service import Palaver

# What is in flight under load is more than Python's 700: it would be looked through again and again.
GC_THRESHOLD = 20_000

# Names in one line.
MAX_ADMINS = 5

_log = log.Log("start")


def run(config: Config) -> int:
    """Serve until a signal ends it; gives the exit status. Raises `ConfigError`."""
    reactor = _reactor()
    log.begin(
        sys.stderr,
        config.general.loglevel,
        config.general.log_format,
        later=lambda flush: reactor.callLater(0, flush),
    )
    from palaver.tap import service_for

    palaver = service_for(config)
    process = _Process(reactor)
    palaver.server.registry.registerUtility(process, IProcess)
    failed: list[int] = []

    def give_up(failure: Failure) -> None:
        if failure.check(CancelledError) is not None:
            # A signal came first, and ends the reactor as well.
            return
        failed.append(_explain(failure))
        reactor.stop()

    palaver.ready.addCallbacks(_say_ready, give_up)

    def begin() -> None:
        reactor.addSystemEventTrigger("before", "shutdown", _stop, palaver)
        try:
            palaver.startService()
        except ConfigError:
            give_up(Failure())

    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])
    reactor.callWhenRunning(begin)
    reactor.run()
    if process.again:
        # Everything is stored and closed; the descriptors that are left close with this.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return failed[0] if failed else 0


@implementer(IProcess)
class _Process:
    """This process; see IProcess."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.again = False

    def end(self, restart: bool) -> None:
        """See IProcess."""
        self.again = restart
        self._reactor.stop()


def run_opened(config: Config, work: Callable[[Server], Awaitable[Any]]) -> Any:
    """Open storage and modules without listening, do something, close; gives what ``work`` gave.

    Raises what it raised, `ConfigError` or `StorageError`.
    """
    reactor = _reactor()
    log.begin(sys.stderr, "warning", config.general.log_format)
    config.make_data_dir()
    from palaver.server import Server

    outcome: list[Any] = []

    async def whole() -> Any:
        server = Server(config, reactor)
        await server.start()
        try:
            return await work(server)
        finally:
            await server.stop()

    def begin() -> None:
        Deferred.fromCoroutine(whole()).addBoth(outcome.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not outcome:
        raise KeyboardInterrupt
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return outcome[0]


def _reactor() -> Any:
    """Give the reactor: epoll where there is one, else what Twisted finds best."""
    try:
        from palaver import loop

        loop.install()
    except (ImportError, AssertionError):
        # Another system, or the process has chosen one before.
        pass
    from twisted.internet import reactor

    return reactor


def _say_ready(palaver: Palaver) -> Deferred[None]:
    print("palaver ready: " + ", ".join(palaver.addresses()), flush=True)
    host = next(iter(palaver.hosts.values()))
    found = pages(palaver.addresses(), host.domain)
    for address in found:
        print(f"palaver pages: {address}", flush=True)
    return Deferred.fromCoroutine(_say_administration(host, found[:1], palaver.config.file))


async def _say_administration(host: Host, found: list[str], file: str) -> None:
    """Say where the host is administered in a browser, and by whom."""
    module = host.modules.get("mod_admin_web")
    if module is None:
        return
    for address in found:
        try:
            admins = await _administrators(host)
        except (StorageError, NotSupported) as error:
            _log.warn("administrators-not-read", host=host.domain, reason=error)
            return
        where = address.rstrip("/") + module.settings.path
        print(f"palaver administration: {administration(where, host.domain, admins, file)}", flush=True)


async def _administrators(host: Host) -> list[str]:
    """Give those who administer a host and have an account on it. Raises StorageError."""
    found = [each for each in map(parse, await all_admins(host)) if each.domain == host.domain]
    return [each.bare for each in found if await host.accounts.exists(each.local)]


def administration(address: str, domain: str, admins: list[str], file: str) -> str:
    """Give where a host is administered and who may, or how somebody becomes one who may."""
    if admins:
        return f"{address} for {', '.join(admins[:MAX_ADMINS])}"
    you = f"you@{domain}"
    return (
        f'{address}, for nobody yet: palaver account create {you}, then admins = ["{you}"] below [general] '
        f"in {file or 'the configuration'}, then palaver reload"
    )


def _explain(failure: Failure) -> int:
    """Say why the start failed; gives the exit status."""
    if failure.check(ConfigError):
        print(failure.getErrorMessage(), file=sys.stderr)
        return 2
    if failure.check(StorageError, OSError, CannotListenError):
        print(f"The server cannot start: {failure.getErrorMessage()}", file=sys.stderr)
        return 1
    _log.failure("start-failed", failure)
    return 1


def _stop(palaver: Palaver) -> Deferred[Any]:
    def complain(failure: Failure) -> None:
        _log.failure("stop-failed", failure)

    # Another signal asks for what is under way already; the stop has an end of its own.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    stopping: Deferred[Any] = palaver.stopService()
    return stopping.addErrback(complain)
