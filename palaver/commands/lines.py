"""What a command has done, as lines for people at a terminal."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from palaver.commands.command import Done


def text(done: Done) -> str:
    """Give what is said, then a line for each value of the result."""
    lines = [done.said] if done.said else []
    if done.result is not None:
        lines += _lines(done.result)
    return "\n".join(lines)


def _lines(result: BaseModel) -> list[str]:
    values: dict[str, Any] = {name: value for name, value in result if value is not None}
    if len(values) == 1 and isinstance(only := next(iter(values.values())), tuple):
        return [str(value) for value in only]
    return [
        f"{name}: {', '.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in values.items()
    ]
