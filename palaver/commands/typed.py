"""Models as data forms (XEP-0004): the fields of a form from annotations, and values back from a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from palaver import jid
from palaver.commands.command import Arguments
from palaver.errors import StanzaError
from palaver.forms import Field, Form
from palaver.markup import element

NS_COMMANDS = "http://jabber.org/protocol/commands"
# What people type into one field; an announcement is the longest.
MAX_VALUE_CHARS = 16384
MAX_VALUES = 1000

T = TypeVar("T", bound=Arguments)


class As(NamedTuple):
    """Says in an annotation which type of field shows it."""

    type: str


def _bare(text: str) -> str:
    found = jid.parse(text)
    if found.resource:
        raise ValueError("an address without a resource is wanted")
    return found.bare


def _account(text: str) -> str:
    bare = _bare(text)
    if not jid.parse(bare).local:
        raise ValueError("write user@host")
    return bare


def _full(text: str) -> str:
    return jid.parse(text).full


Account = Annotated[str, AfterValidator(_account), As("jid-single")]
Accounts = Annotated[tuple[Annotated[str, AfterValidator(_account)], ...], As("jid-multi")]
Bares = Annotated[tuple[Annotated[str, AfterValidator(_bare)], ...], As("jid-multi")]
Jids = Annotated[tuple[Annotated[str, AfterValidator(_full)], ...], As("jid-multi")]
Lines = Annotated[str, As("text-multi")]
"""A text of several lines, each a value of its field."""


# -- out ------------------------------------------------------------------------------


def asking(arguments: type[Arguments], form_type: str, title: str, values: Mapping[str, Any]) -> Form:
    """Give the form that asks for arguments; ``values`` by names of fields are filled in, passwords never."""
    fields = []
    for name, info in arguments.model_fields.items():
        kind = _type(info)
        given = values.get(name, None if info.is_required() else info.default)
        fields.append(
            Field(
                kind,
                info.alias or name,
                values=_texts(given, kind) if kind != "text-private" else None,
                options=dict.fromkeys(_choices(info)),
                label=info.title or info.description,
                required=info.is_required(),
            )
        )
    return Form("form", title, formNamespace=form_type, fields=fields)


def told(result: BaseModel, form_type: str) -> Form:
    """Give the form that tells a result; what is None is left out."""
    fields = []
    for name, info in type(result).model_fields.items():
        value = getattr(result, name)
        if value is not None:
            kind = _type(info)
            fields.append(Field(kind, info.alias or name, values=_texts(value, kind), label=info.description))
    return Form("result", formNamespace=form_type, fields=fields)


def _type(info: FieldInfo) -> str:
    """Give the type of the field for an annotation."""
    marked = next((mark.type for mark in info.metadata if isinstance(mark, As)), None)
    if marked is not None:
        return marked
    if info.annotation is bool:
        return "boolean"
    if info.annotation is SecretStr:
        return "text-private"
    if _choices(info):
        return "list-single"
    return "text-multi" if get_origin(info.annotation) is tuple else "text-single"


def _choices(info: FieldInfo) -> list[str]:
    return [str(choice) for choice in get_args(info.annotation)] if _is_choice(info) else []


def _is_choice(info: FieldInfo) -> bool:
    return get_origin(info.annotation) is Literal


def _texts(value: Any, kind: str) -> list[str]:
    """Give a value as those of a field."""
    if value is None:
        return []
    if isinstance(value, bool):
        return [str(int(value))]
    if isinstance(value, tuple | list):
        return [str(part) for part in value]
    return str(value).split("\n") if kind == "text-multi" and value else [str(value)] if value != "" else []


# -- in --------------------------------------------------------------------------------


def check(arguments: type[T], values: Mapping[str, Any]) -> T:
    """Give arguments from values by name; raises StanzaError ``bad-request`` that says what is wrong."""
    try:
        return arguments.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors())
        raise bad_payload(wrong) from None


def read(arguments: type[T], fields: Mapping[str, list[str]]) -> T:
    """Give arguments from the fields of a submitted form; unknown ones are passed over (XEP-0004).

    Raises StanzaError ``bad-request``.
    """
    values: dict[str, Any] = {}
    for name, info in arguments.model_fields.items():
        given = fields.get(info.alias or name)
        # A field that is left empty is not filled in.
        if given is None or (given in ([], [""]) and info.is_required()):
            continue
        values[info.alias or name] = _value(info.alias or name, _type(info), given)
    return check(arguments, values)


def _value(name: str, kind: str, given: list[str]) -> Any:
    if len(given) > MAX_VALUES or sum(map(len, given)) > MAX_VALUE_CHARS:
        raise bad_payload(f"{name}: too long")
    if kind == "jid-multi":
        return [text for text in given if text.strip()]
    if kind == "text-multi":
        return "\n".join(given)
    if len(given) > 1:
        raise bad_payload(f"{name}: one value is wanted")
    if kind == "boolean" and given and given[0] not in ("0", "1", "true", "false"):
        raise bad_payload(f"{name}: true or false is wanted")
    return given[0] if given else ""


def bad_payload(text: str) -> StanzaError:
    """Give the error for a form that cannot be used (XEP-0050 section 4.4)."""
    return StanzaError("bad-request", text, extra=element("bad-payload", NS_COMMANDS))
