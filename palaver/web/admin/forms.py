"""Data forms as HTML: what a command asks for, what was filled in, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from palaver.commands.typed import MAX_VALUE_CHARS
from palaver.forms import Field, Form
from palaver.web.admin.frame import NOTHING
from palaver.web.pages.html import Html, facts, field, tag, void

MULTI = ("text-multi", "jid-multi")
# Addresses that a browser may open when it finds them in a result.
OPENED = ("https://", "http://", "xmpp:")

Given = Mapping[str, Sequence[str]]


def submitted(request: Any, form: Form) -> dict[str, list[str]]:
    """Give the values of a posted form by field; a box that is not ticked counts as false.

    What is not UTF-8 or too long for any field is left out, and so is an empty one, which browsers send too.
    """
    found = {}
    for one in form.fields.values():
        texts = map(_text, request.args.get(one.var.encode(), []))
        values = [text for text in texts if text]
        if one.fieldType == "boolean":
            values = ["1" if values else "0"]
        elif one.fieldType in MULTI:
            values = [line for value in values for line in value.splitlines()]
        if values:
            found[one.var] = values
    return found


def _text(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if len(text) <= MAX_VALUE_CHARS else None


def inputs(form: Form, given: Given) -> list[Html]:
    """Give the inputs of a form, filled in with what was given, but for passwords."""
    return [_input(one, given.get(one.var)) for one in form.fields.values() if one.fieldType != "hidden"]


def _input(one: Field, given: Sequence[str] | None) -> Html:
    values = list(given) if given is not None else [str(value) for value in one.values or ()]
    name, label, kind = one.var, one.label or one.var, one.fieldType
    if kind == "boolean":
        box = void("input", type="checkbox", name=name, value="1", checked=values[:1] in (["1"], ["true"]))
        return tag("label", box, label, class_="check")
    if kind == "text-private":
        return field(name, label, "password", required=one.required, autocomplete="new-password")
    if kind == "list-single":
        options = [
            tag("option", option.label or option.value, value=option.value, selected=values == [option.value])
            for option in one.options or ()
        ]
        return Html(tag("label", label, for_=name) + tag("select", *options, id=name, name=name))
    if kind in MULTI:
        # A line break behind the tag belongs to the tag; one in the value must not get lost.
        area = tag("textarea", "\n", "\n".join(values), id=name, name=name, rows=4, required=one.required)
        hint = tag("p", "One each line." if kind == "jid-multi" else "Several lines.", class_="hint")
        return Html(tag("label", label, for_=name) + area + hint)
    plain = {"autocapitalize": "none", "spellcheck": "false"} if kind == "jid-single" else {}
    return field(
        name, label, value=values[0] if values else "", required=one.required, autocomplete="off", **plain
    )


def results(form: Form) -> Html:
    """Give what a command tells, as a list of names and values."""
    pairs = [
        (one.label or one.var, _values(one.fieldType, [str(value) for value in one.values or ()]))
        for one in form.fields.values()
        if one.fieldType != "hidden"
    ]
    return facts(*pairs)


def _values(kind: str, values: list[str]) -> Html:
    if kind == "boolean":
        return Html("yes" if values[:1] in (["1"], ["true"]) else "no")
    if len(values) > 1:
        return tag("ul", *(tag("li", _value(value)) for value in values))
    return _value(values[0]) if values else Html(NOTHING)


def _value(value: str) -> Html:
    shown = tag("code", value)
    return tag("a", shown, href=value, rel="noopener noreferrer") if value.startswith(OPENED) else shown
