"""What people are found by: the fields of a vCard that a search asks for, and tags for the storage."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from twisted.words.xish import domish

from palaver.vcards.photo import NS_VCARD

# A tag holds the field's name too, and 255 characters are what every database indexes.
MAX_VALUE_CHARS = 120
# A search for a beginning looks up at most so many characters of it, and compares the rest.
MAX_PREFIX_CHARS = 4
# As in "Smi*".
WILDCARD = "*"


class SearchField(NamedTuple):
    """A field: its name in forms, what people call it, and the way to it in a vCard (none: the localpart)."""

    var: str
    label: str
    path: tuple[str, ...] = ()


# The names are those of MongooseIM and ejabberd.
FIELDS = (
    SearchField("user", "User"),
    SearchField("fn", "Full Name", ("FN",)),
    SearchField("first", "Given Name", ("N", "GIVEN")),
    SearchField("middle", "Middle Name", ("N", "MIDDLE")),
    SearchField("last", "Family Name", ("N", "FAMILY")),
    SearchField("nick", "Nickname", ("NICKNAME",)),
    SearchField("bday", "Birthday", ("BDAY",)),
    SearchField("ctry", "Country", ("ADR", "CTRY")),
    SearchField("locality", "City", ("ADR", "LOCALITY")),
    SearchField("email", "Email", ("EMAIL", "USERID")),
    SearchField("orgname", "Organization Name", ("ORG", "ORGNAME")),
    SearchField("orgunit", "Organization Unit", ("ORG", "ORGUNIT")),
)
VARS = frozenset(field.var for field in FIELDS)


def values(local: str, card: domish.Element) -> dict[str, str]:
    """Give what a vCard says by field, empty ones left out, long ones cut."""
    found = {field.var: _at(card, field.path) if field.path else local for field in FIELDS}
    return {var: text[:MAX_VALUE_CHARS] for var, text in found.items() if text}


def _at(node: domish.Element, path: Iterable[str]) -> str:
    for name in path:
        child = next(node.elements(NS_VCARD, name), None)
        if child is None:
            return ""
        node = child
    return str(node).strip()


def normal(text: str) -> str:
    """Give a text as it is compared: without regard to case, width and spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split())[:MAX_VALUE_CHARS]


def tags(found: Mapping[str, str]) -> tuple[str, ...]:
    """Give the tags by which the owner of these values is found: whole values, and their beginnings."""
    made = []
    for var, text in found.items():
        text = normal(text)
        made.append(f"{var}={text}")
        made += [f"{var}^{text[:length]}" for length in range(1, min(len(text), MAX_PREFIX_CHARS) + 1)]
    return tuple(dict.fromkeys(made))


class Criteria:
    """What is searched for: all of it has to match. A value that ends in ``*`` asks for a beginning."""

    def __init__(self, given: Mapping[str, str]) -> None:
        """Take texts by the field's name; unknown and empty ones ask for nothing."""
        self._exact: dict[str, str] = {}
        self._prefixes: dict[str, str] = {}
        for var, text in given.items():
            wanted = normal(text.removesuffix(WILDCARD))
            if var in VARS and wanted:
                (self._prefixes if text.endswith(WILDCARD) else self._exact)[var] = wanted

    def tag(self) -> str | None:
        """Give the tag that promises the fewest; None when nothing is asked for."""
        if self._exact:
            return next(f"{var}={text}" for var, text in self._exact.items())
        if not self._prefixes:
            return None
        var, text = max(self._prefixes.items(), key=lambda item: len(item[1]))
        return f"{var}^{text[:MAX_PREFIX_CHARS]}"

    def match(self, found: Mapping[str, str]) -> bool:
        """Tell whether values match."""
        kept = {var: normal(text) for var, text in found.items()}
        return all(kept.get(var) == text for var, text in self._exact.items()) and all(
            kept.get(var, "").startswith(text) for var, text in self._prefixes.items()
        )
