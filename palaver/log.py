"""Log lines with a stable event name and typed values, on twisted.logger.

    log = Log("c2s")
    log.info("session-bound", jid=session.jid)

gives ``2026-11-21T02:13:00.123Z info c2s session-bound jid=juliet@capulet.lit/balcony``,
or the same as one JSON object. What looks like a secret by its name is never written.
"""

from __future__ import annotations

import atexit
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from twisted.logger import (
    ILogObserver,
    Logger,
    LogLevel,
    formatEvent,
    globalLogBeginner,
)
from twisted.python.failure import Failure
from zope.interface import implementer

LEVELS = ("all", "debug", "info", "notice", "warning", "error", "critical", "none")
"""What ``loglevel`` may be; a line is written when its level is at or behind the chosen one."""

LogFormat = Literal["text", "json"]
Later = Callable[[Callable[[], None]], object]

# Longer values are cut: a log line is read by people, and a stranger must not fill the disk with one stanza.
MAX_VALUE_CHARS = 512
SECRET = re.compile(r"passw|secret|token|proof|credential|authorization|cookie|private_?key", re.IGNORECASE)
HIDDEN = "(hidden)"

_DEBUG, _INFO, _WARNING, _ERROR, _CRITICAL = 1, 2, 4, 5, 6
_RANKS = {name: rank for rank, name in enumerate(LEVELS)}
_TWISTED_LEVELS = {
    _DEBUG: LogLevel.debug,
    _INFO: LogLevel.info,
    _WARNING: LogLevel.warn,
    _ERROR: LogLevel.error,
    _CRITICAL: LogLevel.critical,
}
_TWISTED_RANKS = {level: rank for rank, level in _TWISTED_LEVELS.items()}
_PLAIN = re.compile(r"[\w@./:+*%,;()\[\]-]+\Z", re.ASCII)


class _Threshold:
    """The level in force; one for the process, as twisted.logger has one publisher."""

    rank = _INFO


def set_level(name: str) -> None:
    """Choose what is written; ``name`` is one of `LEVELS`. Raises `KeyError` for another one."""
    _Threshold.rank = _RANKS[name]


class Log:
    """The log of one part of the server, such as c2s or storage."""

    __slots__ = ("_logger", "part")

    def __init__(self, part: str) -> None:
        self.part = part
        self._logger = Logger(namespace=f"palaver.{part}")

    @property
    def debugging(self) -> bool:
        """True when debug lines are written; asked before their values are gathered."""
        return _Threshold.rank <= _DEBUG

    def debug(self, event: str, **values: object) -> None:
        """Write what only somebody who looks for a defect reads."""
        if _Threshold.rank <= _DEBUG:
            self._emit(_DEBUG, event, values)

    def info(self, event: str, **values: object) -> None:
        """Write what happened in the ordinary course."""
        if _Threshold.rank <= _INFO:
            self._emit(_INFO, event, values)

    def warn(self, event: str, **values: object) -> None:
        """Write what went wrong without harm, or somebody else's fault that an administrator should see."""
        if _Threshold.rank <= _WARNING:
            self._emit(_WARNING, event, values)

    def error(self, event: str, **values: object) -> None:
        """Write what somebody has to mend."""
        if _Threshold.rank <= _ERROR:
            self._emit(_ERROR, event, values)

    def critical(self, event: str, **values: object) -> None:
        """Write why the server cannot go on."""
        if _Threshold.rank <= _CRITICAL:
            self._emit(_CRITICAL, event, values)

    def failure(self, event: str, failure: Failure, **values: object) -> None:
        """Write an exception that nobody expected, with its traceback."""
        if _Threshold.rank <= _ERROR:
            self._emit(_ERROR, event, values, log_failure=failure)

    def _emit(self, rank: int, event: str, values: Mapping[str, object], **extra: object) -> None:
        shown = {name: shown_value(name, value) for name, value in values.items()}
        self._logger.emit(
            _TWISTED_LEVELS[rank],
            "{palaver_line}",
            palaver_line=" ".join((event, *(f"{name}={_quoted(value)}" for name, value in shown.items()))),
            palaver_event=event,
            palaver_part=self.part,
            palaver_values=shown,
            **extra,
        )


def shown_value(name: str, value: object) -> object:
    """Give a value as it may be written: secrets hidden, texts cut, numbers and truth values as they are."""
    if SECRET.search(name):
        return HIDDEN
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + "…"


def _quoted(value: object) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.match(value):
        return value
    # Escaping what cannot be printed keeps a stranger from forging lines or steering a terminal.
    return json.dumps(value, ensure_ascii=not value.isprintable())


def text_line(event: dict[str, Any]) -> str:
    """Give one event of twisted.logger as text, with its traceback below when it has one."""
    part = event.get("palaver_part") or event.get("log_namespace", "-")
    said = event.get("palaver_line") or _quoted(formatEvent(event))
    line = f"{_time(event)} {_level_name(event)} {part} {said}\n"
    failure = event.get("log_failure")
    return line if failure is None else line + failure.getTraceback()


def json_line(event: dict[str, Any]) -> str:
    """Give one event of twisted.logger as one JSON object."""
    entry: dict[str, Any] = {
        "time": _time(event),
        "level": _level_name(event),
        "part": event.get("palaver_part") or event.get("log_namespace", "-"),
    }
    if "palaver_event" in event:
        entry["event"] = event["palaver_event"]
        entry["values"] = event["palaver_values"]
    else:
        entry["event"] = "text"
        entry["values"] = {"text": formatEvent(event)[:MAX_VALUE_CHARS]}
    if (failure := event.get("log_failure")) is not None:
        entry["traceback"] = failure.getTraceback()
    return json.dumps(entry) + "\n"


def _time(event: dict[str, Any]) -> str:
    when = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level_name(event: dict[str, Any]) -> str:
    return LEVELS[_rank(event)]


def _rank(event: dict[str, Any]) -> int:
    return _TWISTED_RANKS.get(event.get("log_level", LogLevel.info), _INFO)


@implementer(ILogObserver)
class LineObserver:
    """Writes events to a file, a line each. What others log is written from warning on, or when debugging.

    ``later`` calls a function soon: lines below warning then leave together, in one write.
    """

    def __init__(self, out: TextIO, format: LogFormat = "text", later: Later | None = None) -> None:
        self._out = out
        self._line = json_line if format == "json" else text_line
        self._later = later
        self._lines: list[str] = []

    def __call__(self, event: dict[str, Any]) -> None:
        """Write one event."""
        threshold = _Threshold.rank
        if "palaver_event" not in event and threshold > _DEBUG:
            threshold = max(threshold, _WARNING)
        rank = _rank(event)
        if rank < threshold:
            return
        self._lines.append(self._line(event))
        if self._later is None or rank >= _WARNING:
            self.flush()
        elif len(self._lines) == 1:
            self._later(self.flush)

    def flush(self) -> None:
        """Write what is waiting."""
        lines, self._lines = self._lines, []
        self._out.write("".join(lines))
        self._out.flush()


def begin(out: TextIO, level: str, format: LogFormat, later: Later | None = None) -> None:
    """Write log lines to a file from now on; called once, by whoever owns the process."""
    set_level(level)
    observer = LineObserver(out, format, later)
    atexit.register(observer.flush)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)
