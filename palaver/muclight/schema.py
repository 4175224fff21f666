"""The configuration that rooms have: the fields that the options name, each a text or a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from twisted.words.xish import domish

from palaver.errors import StanzaError
from palaver.markup import element, escape

Value = str | int | float
Config = dict[str, Value]

DEFAULT_FIELDS: Config = {"roomname": "Untitled", "subject": ""}
ROOM_NAME = "roomname"
SUBJECT = "subject"
# Everybody in the room is sent what is set.
MAX_VALUE_CHARS = 8192
# More digits than any number needs; int() takes seconds over a stranger's million digits.
MAX_DIGITS = 18


class Schema:
    """The fields of a service's rooms; a field's default says whether it is a text or a number."""

    def __init__(self, fields: Mapping[str, Value]) -> None:
        self.defaults: Config = dict(fields)

    def read(self, nodes: Iterable[domish.Element]) -> Config:
        """Give the values in elements by field; one without exactly one text is passed over.

        Raises StanzaError(bad-request) for a field that is not there, and for what is no number.
        """
        found: Config = {}
        for node in nodes:
            default = self.defaults.get(node.name)
            if default is None:
                raise StanzaError("bad-request", f"{node.name}:not_found")
            if len(node.children) == 1 and isinstance(node.children[0], str):
                found[node.name] = read_value(node.name, str(node), default)
        return found

    def write(self, config: Mapping[str, Value]) -> bytes:
        """Give values as elements, in the order of the mapping."""
        return b"".join(element(name, None, escape(str(value))) for name, value in config.items())


def read_value(name: str, text: str, default: Value) -> Value:
    """Give a text as a value of the same type as a field's default. Raises StanzaError(bad-request)."""
    if len(text) > (MAX_VALUE_CHARS if isinstance(default, str) else MAX_DIGITS):
        raise StanzaError("bad-request", f"{name} is too long")
    try:
        return type(default)(text)
    except ValueError:
        raise StanzaError("bad-request", f"{name} is a number") from None
