"""What people fill in about hats, and what they are told of them: the forms of XEP-0317 section 3."""

from __future__ import annotations

import re
from collections.abc import Sequence

from palaver import forms, jid
from palaver.commands.typed import bad_payload
from palaver.errors import StanzaError
from palaver.forms import Field, Form
from palaver.jid import InvalidJID
from palaver.markup import element, escape
from palaver.rooms.adhoc import Submitted
from palaver.rooms.hats import Hat, of
from palaver.rooms.hooks import RoomRequest
from palaver.rooms.room import Room

NS_HATS_COMMANDS = "urn:xmpp:hats:commands"
TITLE, URI, HUE, WHO = "hats#title", "hats#uri", "hats#hue", "hats#jid"
# Everybody gets it with every presence of who wears the hat.
MAX_TITLE_CHARS = 100
MAX_URI_CHARS = 500
# What one answer lists: about 200 bytes each, and clients take stanzas of 256 KiB.
MAX_LISTED = 500
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
# A language tag that is longer says nothing (RFC 5646 section 4.4.1).
MAX_LANG_CHARS = 35
_HUE = re.compile(r"\d{1,3}(\.\d{1,9})?")


# -- what was filled in ----------------------------------------------------------------


def read_one(fields: Submitted, var: str) -> str:
    """Give the one value of a field. Raises StanzaError."""
    values = fields.get(var, [])
    if len(values) != 1 or not values[0].strip():
        raise bad_payload(f"{var}: one value is wanted")
    return values[0].strip()


def read_hat(fields: Submitted, lang: str) -> Hat:
    """Give a hat that somebody wants made; ``lang`` is of its title. Raises StanzaError."""
    uri, title = read_one(fields, URI), read_one(fields, TITLE)
    if len(uri) > MAX_URI_CHARS or _URI.fullmatch(uri) is None:
        raise bad_payload(f"{URI}: a URI of at most {MAX_URI_CHARS} characters is wanted")
    if len(title) > MAX_TITLE_CHARS:
        raise bad_payload(f"{TITLE}: at most {MAX_TITLE_CHARS} characters are wanted")
    hue = (fields.get(HUE) or [""])[0].strip()
    if hue and (_HUE.fullmatch(hue) is None or float(hue) > 360):
        raise bad_payload(f"{HUE}: an angle from 0 to 360 is wanted")
    return Hat(uri, title, hue, lang if len(lang) <= MAX_LANG_CHARS else "")


def read_who(room: Room, text: str) -> str:
    """Give the bare JID that is meant, by itself or by the address of an occupant. Raises StanzaError."""
    try:
        found = jid.parse(text)
    except InvalidJID as error:
        raise bad_payload(f"{WHO}: {error}") from None
    if found.bare == room.jid.bare:
        occupant = room.occupants.get(found.resource)
        if occupant is None:
            raise StanzaError("item-not-found", "Nobody here has this nick")
        return occupant.bare
    if not found.local:
        raise bad_payload(f"{WHO}: the address of a person is wanted")
    return found.bare


# -- what is to be filled in -----------------------------------------------------------


def form_of_new(request: RoomRequest) -> Form:
    """Give the form of a new hat."""
    fields = [
        Field("text-single", TITLE, label="Hat title", required=True),
        Field("text-single", URI, label="Hat URI", required=True),
        Field("text-single", HUE, label="Hat hue: an angle from 0 to 360"),
    ]
    return Form("form", "Create a hat", formNamespace=NS_HATS_COMMANDS, fields=fields)


def form_of_old(request: RoomRequest) -> Form:
    """Give the form that asks for one of the hats."""
    return Form("form", "Which hat?", formNamespace=NS_HATS_COMMANDS, fields=[_choice(request)])


def form_of_wearer(request: RoomRequest) -> Form:
    """Give the form that asks for a hat and for somebody."""
    fields = [Field("jid-single", WHO, label="Address", required=True), _choice(request)]
    return Form("form", "Whose hat?", formNamespace=NS_HATS_COMMANDS, fields=fields)


def _choice(request: RoomRequest) -> Field:
    assert request.room is not None
    options = {hat.uri: hat.title for hat in of(request.room).hats.values()}
    return Field("list-single", URI, options=options, label="Hat", required=True)


# -- what is told ----------------------------------------------------------------------


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """Give rows as a form of results (XEP-0004 section 3.4)."""
    note = b""
    if len(rows) > MAX_LISTED:
        note = element("note", None, b"The first %d of %d" % (MAX_LISTED, len(rows)), type="warn")
    form_type = element("value", None, escape(NS_HATS_COMMANDS))
    inner = element("title", None, escape(title))
    inner += element("field", None, form_type, var="FORM_TYPE", type="hidden")
    inner += element("reported", None, b"".join([element("field", None, var=var) for var in columns]))
    for row in rows[:MAX_LISTED]:
        cells = zip(columns, row, strict=True)
        inner += element("item", None, b"".join([_cell(var, text) for var, text in cells]))
    return note + element("x", forms.NS_DATA, inner, type="result")


def _cell(var: str, text: str) -> bytes:
    return element("field", None, element("value", None, escape(text)), var=var)
