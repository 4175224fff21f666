"""Hats: titles that a room's admins make and give, beside roles and affiliations (XEP-0317)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from palaver.markup import element
from palaver.rooms.namespaces import NS_HATS
from palaver.rooms.store import short
from palaver.storage import Batch, Document, Json

if TYPE_CHECKING:
    from palaver.rooms.room import Room

KIND = "room-hat"
KIND_WEARER = "room-hat-wearer"
STATE = "hats"


class Hat(NamedTuple):
    """One hat: ``uri`` is what it goes by; ``hue`` an angle as text, ``lang`` the title's language, or ""."""

    uri: str
    title: str
    hue: str = ""
    lang: str = ""

    def encode(self) -> bytes:
        """Give the ``<hat/>`` element (section 3.1)."""
        attrs = {"xml:lang": self.lang or None}
        return element("hat", None, title=self.title, uri=self.uri, hue=self.hue or None, **attrs)


class Hats:
    """The hats of one room: ``hats`` by URI, and ``worn``, the URIs that each account wears, by bare JID."""

    __slots__ = ("_shown", "hats", "worn")

    def __init__(self) -> None:
        self.hats: dict[str, Hat] = {}
        self.worn: dict[str, tuple[str, ...]] = {}
        # What presences hold, made when it is first wanted.
        self._shown: dict[str, bytes] = {}

    def shown(self, bare: str) -> bytes:
        """Give the ``<hats/>`` that an account wears; b"" for none."""
        if bare not in self.worn:
            return b""
        found = self._shown.get(bare)
        if found is None:
            inner = b"".join([self.hats[uri].encode() for uri in self.worn[bare]])
            found = self._shown[bare] = element("hats", NS_HATS, inner)
        return found

    def wearers(self, uri: str) -> list[str]:
        """Give the bare JIDs of those who wear a hat."""
        return [bare for bare, uris in self.worn.items() if uri in uris]

    def wear(self, bare: str, uris: tuple[str, ...]) -> None:
        """Have an account wear these hats and no others."""
        self._shown.pop(bare, None)
        if uris:
            self.worn[bare] = uris
        else:
            self.worn.pop(bare, None)

    def put(self, hat: Hat) -> None:
        """Take a hat, in the place of the one with its URI."""
        self.hats[hat.uri] = hat
        self._shown.clear()

    def remove(self, uri: str) -> None:
        """Forget a hat; nobody wears it any more."""
        for bare in self.wearers(uri):
            self.wear(bare, without(self.worn[bare], uri))
        self.hats.pop(uri, None)

    def hash(self) -> str:
        """Give what is another one after every change of a hat (section 2); "" when there are none."""
        if not self.hats:
            return ""
        text = "\n".join("\0".join(hat) for _, hat in sorted(self.hats.items()))
        return hashlib.sha256(text.encode()).hexdigest()

    def fill(self, documents: Iterable[Document]) -> None:
        """Take what was stored of both kinds."""
        worn: dict[str, list[str]] = {}
        for document in documents:
            value = document.value
            if document.kind == KIND:
                self.hats[value["uri"]] = _read(value)
            else:
                worn[value["jid"]] = value["hats"]
        for bare, uris in worn.items():
            self.wear(bare, tuple(uri for uri in uris if uri in self.hats))


def of(room: Room) -> Hats:
    """Give the hats of a room."""
    found: Hats | None = room.state.get(STATE)
    if found is None:
        found = room.state[STATE] = Hats()
    return found


def without(uris: tuple[str, ...], uri: str) -> tuple[str, ...]:
    """Give the same without one."""
    return tuple(one for one in uris if one != uri)


# -- what is stored --------------------------------------------------------------------


def _read(value: Json) -> Hat:
    return Hat(value["uri"], value["title"], value.get("hue", ""), value.get("lang", ""))


def put_hat(batch: Batch, room: Room, hat: Hat) -> None:
    """Have a hat stored."""
    value = {name: text for name, text in hat._asdict().items() if text}
    batch.put(room.service.domain, room.name, KIND, short(hat.uri), value)


def drop_hat(batch: Batch, room: Room, uri: str) -> None:
    """Have a hat deleted."""
    batch.delete(room.service.domain, room.name, KIND, short(uri))


def put_worn(batch: Batch, room: Room, bare: str, uris: tuple[str, ...]) -> None:
    """Have it stored what an account wears; the tag finds it again when the account is deleted."""
    key = short(bare)
    if uris:
        value = {"jid": bare, "hats": list(uris)}
        batch.put(room.service.domain, room.name, KIND_WEARER, key, value, tags=(key,))
    else:
        batch.delete(room.service.domain, room.name, KIND_WEARER, key)
