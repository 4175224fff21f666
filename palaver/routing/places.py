"""Where a stanza is while it is handled, found by looking at what waits or runs: nobody notes it."""

from __future__ import annotations

from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import palaver
from palaver.routing import pipeline
from palaver.routing.host import Host
from palaver.routing.iqs import BARE, FULL, HOST, SELF
from palaver.routing.pipeline import Step
from palaver.stanza import Stanza

PACKAGE = f"{Path(palaver.__file__).parent}/"
# Whoever waits longer in a chain of Deferreds is not found.
MAX_LINKS = 32
# Their frames say which module has the stanza: functions with the local of that name.
_RUNS_STEP: CodeType = pipeline.run.__code__
_CALLS_ROUTE: CodeType = Host.call.__code__


class Place(NamedTuple):
    """A module and, in the pipeline, its phase; "" for what is not known."""

    module: str = ""
    phase: str = ""


class Running(NamedTuple):
    """What a thread is at."""

    frame: FrameType
    """The outermost call that has the stanza: another one means that it was taken up again."""
    stanza: Stanza
    place: Place
    at: str
    """File and line of ours."""


def waits_at(waiting: Any, stanza: Stanza) -> Place:
    """Give where a stanza is whose handling has given this Deferred."""
    for _ in range(MAX_LINKS):
        for callback in waiting.callbacks:
            step = _step_of(callback)
            if step is not None:
                return Place(step.module, step.phase)
        waiting = getattr(waiting, "_chainedTo", None)
        if waiting is None:
            break
    return _answering(stanza)


def _step_of(callback: Any) -> Step | None:
    """Give the step that a callback of the pipeline's waits for."""
    _, arguments, _ = callback[0]
    for argument in arguments or ():
        if isinstance(argument, tuple) and argument and isinstance(argument[0], Step):
            return argument[0]
    return None


def _answering(stanza: Stanza) -> Place:
    """Give the module that answers an IQ of a local session."""
    session: Any = stanza.origin
    if stanza.name != "iq" or session is None or not stanza.children:
        return Place()
    for kind in (SELF, BARE, HOST, FULL):
        route = session.host.iqs.find(kind, stanza.attrs.get("type"), stanza.children[0])
        if route is not None:
            return Place(route.module, "iq")
    return Place()


def runs_at(frame: FrameType | None) -> Running | None:
    """Give what a thread is at whose innermost frame this is; None when it has no stanza."""
    place, at, found = Place(), "", None
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(PACKAGE):
            at = at or f"{code.co_filename.removeprefix(PACKAGE)}:{frame.f_lineno}"
            if place == Place() and code in (_RUNS_STEP, _CALLS_ROUTE):
                place = _place_in(frame)
            stanza = frame.f_locals.get("stanza") if "stanza" in code.co_varnames else None
            if isinstance(stanza, Stanza):
                found = (frame, stanza)
        frame = frame.f_back
    return None if found is None else Running(*found, place, at)


def _place_in(frame: FrameType) -> Place:
    names = frame.f_locals
    step, route = names.get("step"), names.get("route")
    if step is not None:
        return Place(step.module, step.phase)
    return Place() if route is None else Place(route.module, "iq")
