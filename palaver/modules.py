"""The base of every module, and the marks that say what it registers.

A module is a class with marked methods. `Module.attach` reads the marks and
registers everything; what was registered is recorded, and `Module.detach` takes
it back. Nobody writes "remove".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict
from twisted.internet import task
from twisted.internet.defer import Deferred
from zope.interface import Interface, implementer

from palaver.commands import command as commands
from palaver.commands.command import Arguments, Permission
from palaver.interfaces import IModule
from palaver.routing.iqs import BARE, FULL, HOST, SELF, IqRoute
from palaver.routing.pipeline import Direction

if TYPE_CHECKING:
    from palaver.routing.host import Host

__all__ = (
    "BARE",
    "BIND",
    "FULL",
    "HOST",
    "LOGIN",
    "SELF",
    "Module",
    "Settings",
    "command",
    "every",
    "inline",
    "iq",
    "nonza",
    "on",
    "phase",
)

# Where a client may ask for something within its login: XEP-0388 section 2.3, and XEP-0386 section 3.2.
LOGIN, BIND = "login", "bind"

F = TypeVar("F", bound=Callable[..., Any])


class Settings(BaseModel):
    """Options of a module: typed, closed, with a description for each."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Mark(NamedTuple):
    kind: str
    arguments: tuple[Any, ...]


def _marked(kind: str, *arguments: Any) -> Callable[[F], F]:
    def mark(function: F) -> F:
        function.__dict__.setdefault("palaver_marks", []).append(_Mark(kind, arguments))
        return function

    return mark


def iq(type: str, ns: str, name: str, to: Iterable[str] = (HOST,)) -> Callable[[F], F]:
    """Answer IQs of this type and payload, for these kinds of addressee.

    The method takes the Stanza. It gives None (an empty result), a payload (bytes or a
    domish.Element), a whole Stanza, or an awaitable of one; `StanzaError` refuses.
    """
    return _marked("iq", type, ns, name, tuple(to))


def command(
    node: str,
    name: str,
    title: str,
    arguments: type[Arguments] | None = None,
    permission: Permission = "admin",
) -> Callable[[F], F]:
    """Be a command (XEP-0050, and ``name`` on the command line); see `palaver.commands.command.Command`.

    The method takes (call, arguments) and gives an awaitable of Done or Step.
    """
    return _marked("command", node, name, title, arguments, permission)


def phase(direction: Direction, name: str, *stanzas: str) -> Callable[[F], F]:
    """Take part in a phase of the pipeline for stanzas of these names (all three when none is given).

    The method takes (stanza, context); see `palaver.routing.pipeline.run`.
    """
    return _marked("phase", direction, name, stanzas or ("message", "presence", "iq"))


def on(event: type) -> Callable[[F], F]:
    """Be told of events of a class in `palaver.events`; an awaitable that the method gives is waited for."""
    return _marked("event", event)


def nonza(ns: str, name: str) -> Callable[[F], F]:
    """Take top-level elements that are no stanzas; the method takes (stanza, stream)."""
    return _marked("nonza", ns, name)


def inline(when: str, ns: str, name: str) -> Callable[[F], F]:
    """Do what clients ask for within their login, by an element of this name.

    With ``BIND`` the method takes (element, session) once a resource is bound, and the namespace is announced
    (XEP-0386). With ``LOGIN`` it takes (element, login), a `palaver.streams.sasl2.ExtensibleLogin`;
    `Module.inline_feature` announces it. It gives what to answer as bytes or None, or an awaitable of that.
    """
    return _marked("inline", when, ns, name)


def every(seconds: float) -> Callable[[F], F]:
    """Be called again and again, first after ``seconds``; a failure is logged and does not end it."""
    return _marked("every", seconds)


@implementer(IModule)
class Module:
    """One feature on one host.

    Class attributes, all optional:

    ``features``          disco features of the server
    ``identities``        (category, type, name) identities of the server
    ``account_features``  disco features of every account
    ``account_identities``
    ``provides``          interfaces under which the module itself is found by `Host.query`
    ``requires``          interfaces that must be found, or the start stops
    ``iq_policy``         default of the ``iqdisc`` option: no_queue, one_queue, queues or parallel
    """

    Settings: ClassVar[type[Settings]] = Settings
    features: ClassVar[tuple[str, ...]] = ()
    identities: tuple[tuple[str, str, str], ...] = ()
    account_features: tuple[str, ...] = ()
    account_identities: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    provides: ClassVar[tuple[type[Interface], ...]] = ()
    requires: ClassVar[tuple[type[Interface], ...]] = ()
    iq_policy: ClassVar[str] = "no_queue"

    def __init__(self, host: Host, name: str, settings: Any, iq_policy: str | None = None) -> None:
        self.host = host
        self.name = name
        self.settings = settings
        self.policy = iq_policy or self.iq_policy
        self._undo: list[Callable[[], object]] = []

    # -- for subclasses -----------------------------------------------------------

    def start(self) -> Deferred[Any] | None:
        """Do what marks cannot say; called after everything is registered."""
        return None

    def stop(self) -> Deferred[Any] | None:
        """Undo what `start` did beyond `undo`; called before everything is taken back."""
        return None

    def in_use(self) -> bool:
        """Tell whether more is in memory than `start` finds again, so that the host may not sleep."""
        return False

    def stream_feature(self, stream: Any) -> bytes | None:
        """Give what to announce in stream features now (IStreamFeature); None for nothing."""
        return None

    def inline_feature(self, stream: Any) -> bytes | None:
        """Give what may be asked for within a login by XEP-0388 now; None for nothing."""
        return None

    def disco_forms(self) -> Iterable[bytes]:
        """Give XEP-0128 forms for the server's disco#info, serialised."""
        return ()

    def undo(self, function: Callable[[], object]) -> None:
        """Have a function called when the module is detached."""
        self._undo.append(function)

    def repeat(self, seconds: float, function: Callable[[], object]) -> None:
        """Call a function again and again until the module is detached; see `every`."""

        def guarded() -> object:
            return self.host.guard(self.name, function)

        loop = task.LoopingCall(guarded)
        loop.clock = self.host.clock
        loop.start(seconds, now=False)
        self.undo(loop.stop)

    # -- IModule ------------------------------------------------------------------------

    def attach(self) -> Deferred[Any] | None:
        """Register every mark, then `start`. When something is refused, nothing stays registered."""
        try:
            self._take_up()
            return self.start()
        except BaseException:
            self._take_back()
            raise

    def _take_up(self) -> None:
        host = self.host
        for interface in self.provides:
            self.undo(host.provide(self, interface))
        self.undo(host.disco.add(self))
        if type(self).stream_feature is not Module.stream_feature:
            self.undo(host.add_stream_feature(self.stream_feature))
        if type(self).inline_feature is not Module.inline_feature:
            host.inline_features.append(self.inline_feature)
            self.undo(lambda: host.inline_features.remove(self.inline_feature))
        for method, mark in self._marks():
            getattr(self, f"_attach_{mark.kind}")(method, *mark.arguments)

    def detach(self) -> Deferred[Any] | None:
        """`stop`, then take everything back, last first."""
        try:
            return self.stop()
        finally:
            self._take_back()

    def _take_back(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _marks(self) -> list[tuple[Callable[..., Any], _Mark]]:
        found = []
        for name in dir(type(self)):
            for mark in getattr(getattr(type(self), name, None), "palaver_marks", ()):
                found.append((getattr(self, name), mark))
        return found

    def _attach_iq(self, method: Any, type: str, ns: str, name: str, to: tuple[str, ...]) -> None:
        for kind in to:
            route = IqRoute(type, ns, name, kind, self.name, method, self.policy)
            self.undo(self.host.iqs.add(route))

    def _attach_phase(self, method: Any, direction: Direction, phase: str, stanzas: tuple[str, ...]) -> None:
        self.undo(self.host.pipeline.add(direction, phase, stanzas, self.name, method))

    def _attach_event(self, method: Any, event: type) -> None:
        self.undo(self.host.events.add(event, self.name, method))

    def _attach_nonza(self, method: Any, ns: str, name: str) -> None:
        self.undo(self.host.add_nonza(ns, name, method))

    def _attach_inline(self, method: Any, when: str, ns: str, name: str) -> None:
        self.undo(self.host.add_inline(when, ns, name, method))

    def _attach_command(self, method: Any, node: str, name: str, title: str, *rest: Any) -> None:
        self.undo(commands.add(self.host, commands.Command(node, name, title, method, *rest)))

    def _attach_every(self, method: Any, seconds: float) -> None:
        self.repeat(seconds, method)
