"""What happens to a stanza on the way, in one readable table.

For each direction the phases in order; for each phase the modules that take
part, in order. A module that is not named here (somebody else's) comes last in
its phase. Resolved once at start-up; ``palaver check --pipeline`` prints it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from palaver.errors import StanzaError
from palaver.routing.failures import failed
from palaver.stanza import Stanza


class Direction(Enum):
    """Which way a stanza goes."""

    FROM_CLIENT = "from-client"
    SENT = "sent"
    TO_USER = "to-user"
    TO_SESSION = "to-session"
    UNDELIVERED = "undelivered"


FROM_CLIENT = Direction.FROM_CLIENT
SENT = Direction.SENT
TO_USER = Direction.TO_USER
TO_SESSION = Direction.TO_SESSION
UNDELIVERED = Direction.UNDELIVERED

TABLE: dict[Direction, dict[str, tuple[str, ...]]] = {
    # a stanza from a local session, before the router sees it
    Direction.FROM_CLIENT: {
        "guard": ("mod_privacy", "mod_blocking"),
        "strip": ("mod_mam",),
        "rules": ("mod_amp",),
        "change": ("mod_pep_vcard_avatar",),
        "archive": ("mod_mam", "mod_inbox"),
        "copy": ("mod_carboncopy",),
        "notice": ("mod_caps", "mod_event_pusher"),
    },
    # a stanza from a local session, once the router is done with it; what it is changed to travels no further
    Direction.SENT: {
        "rules": ("mod_amp",),
        "archive": ("mod_mam",),
        "copy": ("mod_carboncopy",),
        "notice": ("mod_privilege",),
    },
    # a stanza for a local account, before its sessions are chosen
    Direction.TO_USER: {
        "guard": ("mod_privacy", "mod_block_strangers", "mod_blocking"),
        "strip": ("mod_mam",),
        "change": (),
        "archive": ("mod_mam", "mod_inbox"),
        "copy": ("mod_carboncopy",),
        "notice": ("mod_pubsub", "mod_event_pusher"),
    },
    # a stanza for one session, just before its bytes are queued; stream management counts what passes
    Direction.TO_SESSION: {
        "guard": ("mod_privacy",),
        "hold": ("mod_filter_chatstates", "mod_throttle_presence", "mod_csi"),
        "notice": ("mod_event_pusher",),
    },
    # a message that no session took
    Direction.UNDELIVERED: {
        "notify": ("mod_event_pusher",),
        "store": ("mod_message_events", "mod_offline", "mod_offline_stub"),
    },
}


class Drop:
    """Verdict: the stanza ends here, and nobody is told."""


class Handled:
    """Verdict: the stanza has been taken care of; what was stored for it is committed."""


class Reply(NamedTuple):
    """Verdict: the stanza ends here and this one goes back to its sender."""

    stanza: Stanza


DROP = Drop()
HANDLED = Handled()

Verdict = Drop | Handled | Reply
Answer = Stanza | Verdict | None
PhaseHandler = Callable[..., Answer | Awaitable[Answer]]


class Step(NamedTuple):
    """One handler with its place."""

    phase: str
    module: str
    handler: PhaseHandler
    guarded: bool = False


F = TypeVar("F", bound=Callable[..., Any])


def no_groupchat(handler: F) -> F:
    """Mark a TO_USER handler that does nothing with messages of the type groupchat.

    What rooms of this server send goes past it, and straight to the sessions when every handler is so marked.
    """
    handler.__dict__["palaver_no_groupchat"] = True
    return handler


class Track:
    """Handlers resolved by direction and stanza name: what the stanzas of some accounts go through.

    ``groupchat`` tells whether anybody wants to see messages of that type on their way to an account.
    """

    def __init__(self) -> None:
        self.groupchat = False
        # Read for every stanza, so each direction has a plain dictionary of its own.
        self.from_client: dict[str, tuple[Step, ...]] = {}
        self.sent: dict[str, tuple[Step, ...]] = {}
        self.to_user: dict[str, tuple[Step, ...]] = {}
        self.to_session: dict[str, tuple[Step, ...]] = {}
        self.undelivered: dict[str, tuple[Step, ...]] = {}
        self.by_direction = {
            Direction.FROM_CLIENT: self.from_client,
            Direction.SENT: self.sent,
            Direction.TO_USER: self.to_user,
            Direction.TO_SESSION: self.to_session,
            Direction.UNDELIVERED: self.undelivered,
        }

    def put(self, direction: Direction, name: str, steps: tuple[Step, ...]) -> None:
        """Set the steps for stanzas of a name."""
        resolved = self.by_direction[direction]
        if steps:
            resolved[name] = steps
        else:
            resolved.pop(name, None)
        if direction is Direction.TO_USER and name == "message":
            self.groupchat = any(not hasattr(step.handler, "palaver_no_groupchat") for step in steps)
        # Where nothing is done with a stanza before it is routed, nobody looks at what is done after.
        if name in self.sent:
            self.from_client.setdefault(name, ())
        elif not self.from_client.get(name, True):
            del self.from_client[name]


class Pipeline(Track):
    """The handlers of one host.

    Itself the track of most accounts; ``guarded`` is that of accounts with rules of their own (see
    `palaver.routing.users.User.guard`) and of those that nobody is online with, whose rules nobody has read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.guarded = Track()
        self._steps: dict[tuple[Direction, str], list[Step]] = {}

    def add(
        self,
        direction: Direction,
        phase: str,
        names: Sequence[str],
        module: str,
        handler: PhaseHandler,
        guarded: bool = False,
    ) -> Callable[[], None]:
        """Add a handler for stanzas of these names; gives the function that takes it back.

        With ``guarded`` only the stanzas of guarded accounts meet it.
        Raises `ValueError` for a phase that the direction does not have.
        """
        if phase not in TABLE[direction]:
            raise ValueError(f"{module}: {direction.value} has no phase {phase!r}")
        step = Step(phase, module, handler, guarded)
        for name in names:
            self._steps.setdefault((direction, name), []).append(step)
            self._resolve(direction, name)

        def remove() -> None:
            for name in names:
                self._steps[direction, name].remove(step)
                self._resolve(direction, name)

        return remove

    def _resolve(self, direction: Direction, name: str) -> None:
        steps = sorted(self._steps[direction, name], key=lambda step: _place(direction, step))
        self.put(direction, name, tuple([step for step in steps if not step.guarded]))
        self.guarded.put(direction, name, tuple(steps))

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Give (direction, stanza name, phase, module) for every step, in order of execution."""
        return [
            (direction.value, name, step.phase, step.module)
            for direction, resolved in self.guarded.by_direction.items()
            for name in sorted(resolved)
            for step in resolved[name]
        ]


def _place(direction: Direction, step: Step) -> tuple[int, int, str]:
    phases = TABLE[direction]
    modules = phases[step.phase]
    known = modules.index(step.module) if step.module in modules else len(modules)
    return list(phases).index(step.phase), known, step.module


def run(
    steps: tuple[Step, ...], stanza: Stanza, context: Any
) -> Stanza | Verdict | Deferred[Stanza | Verdict]:
    """Take a stanza through steps; gives the stanza to go on with, or the verdict.

    Each handler is called with (stanza, context); context is the session or the user.
    Only when a handler waits is the answer a Deferred, which never fails: a `StanzaError`, and
    whatever else a handler raises, becomes a `Reply`.
    """
    for number, step in enumerate(steps):
        try:
            answer = step.handler(stanza, context)
        except Exception:
            return refusal(stanza, failed(step.module, Failure()))
        if answer is None:
            continue
        if isinstance(answer, Stanza):
            stanza = answer
        elif isinstance(answer, Drop | Handled | Reply):
            return answer
        else:
            # Not a coroutine, which would cost as much as all the rest.
            waiting: Deferred[Any] = answer if isinstance(answer, Deferred) else _as_deferred(answer)
            told = stanza, steps[number:], context
            return waiting.addCallbacks(_go_on, _refuse, told, errbackArgs=told)
    return stanza


def _as_deferred(answer: Awaitable[Answer]) -> Deferred[Answer]:
    async def wait() -> Answer:
        return await answer

    return Deferred.fromCoroutine(wait())


def _go_on(
    answer: Answer, stanza: Stanza, steps: tuple[Step, ...], context: Any
) -> Stanza | Verdict | Deferred[Stanza | Verdict]:
    """Take a stanza through the others after the first step has answered."""
    if isinstance(answer, Stanza):
        stanza = answer
    elif answer is not None:
        return answer
    return run(steps[1:], stanza, context)


def _refuse(failure: Failure, stanza: Stanza, steps: tuple[Step, ...], context: Any) -> Verdict:
    return refusal(stanza, failed(steps[0].module, failure))


def refusal(stanza: Stanza, error: StanzaError) -> Verdict:
    """Give the verdict for a refused stanza: never an error in answer to an error or a result."""
    if stanza.type in ("error", "result"):
        return DROP
    return Reply(stanza.error(error))
