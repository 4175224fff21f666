"""What is wrong with a configuration, in sentences that say what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from palaver.log import SECRET

Key = tuple[str | int, ...]

# A long value says no more than its beginning, and a mistake is one line.
MAX_SHOWN_CHARS = 60


class Mistake(NamedTuple):
    """One thing that is wrong: in which file, at which key, and what would be right."""

    file: str
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in self if part)


class ConfigError(Exception):
    """The configuration cannot be used; ``mistakes`` has everything that is wrong with it."""

    def __init__(self, mistakes: str | Sequence[Mistake]) -> None:
        self.mistakes = [Mistake("", "", mistakes)] if isinstance(mistakes, str) else list(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


def mistakes_of(error: ValidationError, model: type[BaseModel], file: str, at: Key = ()) -> list[Mistake]:
    """Give the mistakes that pydantic found in the table at key ``at``, which should be a ``model``."""
    return [
        Mistake(file, dotted((*at, *detail["loc"])), _sentence(detail, model))
        for detail in error.errors(include_url=False)
    ]


def unknown(name: str, allowed: Iterable[str]) -> str:
    """Say that a name is unknown, which one may be meant, and which there are."""
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, 1)
    meant = f"; did you mean {close[0]!r}?" if close else ";"
    return f"unknown key{meant} allowed: {', '.join(names) or 'none'}"


def dotted(key: Key) -> str:
    """Give a key as TOML writes it, array places in brackets: ``listen.c2s[0].port``."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if part.replace("_", "").replace("-", "").isalnum() else f'"{part}"'
            text += f".{shown}" if text else shown
    return text


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, loc = detail["type"], detail["loc"]
    if kind == "extra_forbidden":
        return unknown(str(loc[-1]), _keys_at(model, loc[:-1]))
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    wanted = detail["msg"].removeprefix("Input should be ")
    if kind == "literal_error":
        wanted = wanted.replace("'", "")
        return f"{_shown(detail)} is not allowed; allowed: {wanted}"
    return f"{_shown(detail)} is not allowed; it should be {wanted[0].lower()}{wanted[1:]}"


def _shown(detail: ErrorDetails) -> str:
    if any(SECRET.search(str(part)) for part in detail["loc"]):
        return "this value"
    text = repr(detail["input"])
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"


def _keys_at(model: type[BaseModel], loc: Key) -> list[str]:
    """Give the keys of the table at a location inside a model."""
    here: Any = model
    for part in loc:
        if isinstance(here, type) and issubclass(here, BaseModel) and part in here.model_fields:
            here = here.model_fields[str(part)].annotation
        here = next(_models_in(here), here)
    if isinstance(here, type) and issubclass(here, BaseModel):
        return [field.alias or name for name, field in here.model_fields.items()]
    return []


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Give the models that an annotation such as ``list[Model] | None`` is about."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
