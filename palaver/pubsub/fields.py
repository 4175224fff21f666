"""Fields of data forms with types: read from what somebody submitted, written for somebody to fill in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from palaver import jid
from palaver.errors import StanzaError
from palaver.forms import Field, Form, encode
from palaver.jid import InvalidJID
from palaver.times import read_stamp

PREFIX = "pubsub#"
MAX = "max"
# More digits than any of our limits has; int() takes long over a stranger's million digits.
MAX_DIGITS = 12
MAX_TEXT_CHARS = 1000
MAX_VALUES = 200

Value = bool | int | str | list[str]
Values = dict[str, Value]
Submitted = Mapping[str, list[str]]
"""What was submitted: texts by field name, with or without `PREFIX`."""

_BOOLEANS = {"1": True, "true": True, "0": False, "false": False}


class Spec(NamedTuple):
    """One field.

    ``kind`` is boolean, text, number, choice, choices, texts, jids or time; ``options`` are what may be
    chosen, or the words that stand for a number.
    """

    kind: str
    label: str
    options: tuple[str, ...] = ()


Specs = Mapping[str, Spec]

_FORM_TYPES = {
    "boolean": "boolean",
    "choice": "list-single",
    "choices": "list-multi",
    "texts": "text-multi",
    "jids": "jid-multi",
}


_CHOICES = ("choice", "choices")


def bare_name(name: str) -> str:
    """Give a field's name without `PREFIX`."""
    return name.removeprefix(PREFIX)


def read(specs: Specs, submitted: Submitted) -> Values:
    """Give the values of what was submitted; fields that nobody knows are passed over.

    Raises ValueError, with a sentence, for a value of a wrong type.
    """
    found: Values = {}
    for name, texts in submitted.items():
        spec = specs.get(bare_name(name))
        if spec is not None:
            found[bare_name(name)] = _value(bare_name(name), spec, texts)
    return found


def _value(name: str, spec: Spec, texts: list[str]) -> Value:
    if len(texts) > MAX_VALUES or any(len(text) > MAX_TEXT_CHARS for text in texts):
        raise ValueError(f"{name} is too long")
    if spec.kind in ("choices", "texts", "jids"):
        return _several(name, spec, texts)
    if len(texts) > 1:
        raise ValueError(f"{name} has one value")
    text = texts[0] if texts else ""
    if spec.kind == "text":
        return text
    text = text.strip()
    if spec.kind == "boolean":
        if text not in _BOOLEANS:
            raise ValueError(f"{name} is true or false")
        return _BOOLEANS[text]
    if spec.kind == "choice":
        if text not in spec.options:
            raise ValueError(f"{name} is one of {', '.join(spec.options)}")
        return text
    return _time(name, text) if spec.kind == "time" else _number(name, spec, text)


def _several(name: str, spec: Spec, texts: list[str]) -> list[str]:
    if spec.kind == "choices" and spec.options and not set(texts) <= set(spec.options):
        raise ValueError(f"{name} are some of {', '.join(spec.options)}")
    if spec.kind != "jids":
        return list(dict.fromkeys(texts))
    try:
        return list(dict.fromkeys(jid.parse(text.strip()).full for text in texts))
    except InvalidJID as error:
        raise ValueError(f"{name}: {error}") from None


def _number(name: str, spec: Spec, text: str) -> Value:
    if text in spec.options:
        return text
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise ValueError(f"{name} is {' or '.join(('a number', *spec.options))}")
    return int(text)


def _time(name: str, text: str) -> str:
    """Give the time of a lease as it came; "presence" is for as long as the subscriber is online."""
    if text not in ("", "presence"):
        try:
            read_stamp(text)
        except ValueError:
            raise ValueError(f"{name} is a time as in 2026-11-21T02:13:00Z") from None
    return text


def texts_of(value: Value) -> list[str]:
    """Give a value as a form holds it."""
    if isinstance(value, list):
        return value
    if isinstance(value, bool):
        return ["1" if value else "0"]
    return [str(value)]


def filled(specs: Specs, values: Mapping[str, Value], form_type: str, kind: str = "form") -> bytes:
    """Give a data form with values; ``kind`` is form, to be filled in, or result."""
    fields = [
        Field(
            _FORM_TYPES.get(specs[name].kind, "text-single"),
            f"{PREFIX}{name}",
            values=texts_of(value),
            options=dict.fromkeys(specs[name].options) if specs[name].kind in _CHOICES else None,
            label=specs[name].label,
        )
        for name, value in values.items()
    ]
    return encode(Form(kind, formNamespace=form_type, fields=fields))


def refused(error: ValueError) -> StanzaError:
    """Give the error for a form that cannot be taken (section 8.2.5.1)."""
    return StanzaError("not-acceptable", str(error))
