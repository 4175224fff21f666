"""What an account wants archived, as XEP-0136 speaks of it (section 2).

What the server goes by is in `palaver.archive.preferences`, and is the same for XEP-0441. Beside it the
server keeps what clients tell each other: whether bodies are enough, off-the-record modes, preferred methods.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from twisted.words.xish import domish

from palaver import jid
from palaver.archive.collections import NS_ARCHIVE, read_truth
from palaver.archive.preferences import MAX_LISTED, Preferences
from palaver.errors import StanzaError
from palaver.jid import InvalidJID
from palaver.markup import element

KIND = "archive-modes"
SAVES = ("body", "false", "message")
OTRS = ("approve", "concede", "forbid", "oppose", "prefer", "require")
METHODS = ("auto", "local", "manual")
USES = ("concede", "forbid", "prefer")
SCOPES = ("stream", "global")


class Mode(NamedTuple):
    """What is saved (one of `SAVES`), and the off-the-record mode (one of `OTRS`)."""

    save: str = "message"
    otr: str = "concede"

    def saving(self, wanted: bool) -> Mode:
        """Give this mode for something that is archived, or is not; itself when it agrees."""
        if wanted == (self.save != "false"):
            return self
        return Mode("message" if wanted else "false")

    def attributes(self) -> dict[str, str]:
        """Give its attributes."""
        return {"otr": self.otr, "save": self.save}


class Modes(NamedTuple):
    """All modes of an account: for everybody, for some, and the use of each method."""

    default: Mode
    items: dict[str, Mode]
    methods: dict[str, str]

    def of(self, peer: str) -> Mode:
        """Give the mode for a bare JID."""
        return self.items.get(peer, self.default)

    def to_json(self) -> dict[str, Any]:
        """Give what a document holds of it."""
        items = {address: list(mode) for address, mode in self.items.items()}
        return {"default": list(self.default), "items": items, "methods": self.methods}


NOTHING_SET = Modes(Mode(), {}, dict.fromkeys(METHODS, "concede"))


def from_json(value: dict[str, Any]) -> Modes:
    """Give what `Modes.to_json` wrote."""
    items = {address: Mode(*mode) for address, mode in value["items"].items()}
    return Modes(Mode(*value["default"]), items, value["methods"])


def combine(preferences: Preferences, noted: Modes) -> Modes:
    """Give the modes that are in force: what is archived as in the preferences, the rest as noted."""
    items = {
        address: noted.items.get(address, Mode()).saving(address not in preferences.never)
        for address in sorted(preferences.always | preferences.never)
    }
    return Modes(noted.default.saving(preferences.default != "never"), items, noted.methods)


class Auto(NamedTuple):
    """Whether archiving is on: for this stream, or (``lasting``) for those to come."""

    on: bool
    lasting: bool


class Change(NamedTuple):
    """What a client sets: what is None or not in a dictionary stays as it is."""

    default: Mode | None
    items: dict[str, Mode]
    methods: dict[str, str]
    auto: Auto | None

    def apply(self, preferences: Preferences, modes: Modes) -> tuple[Preferences, Modes]:
        """Give the preferences and the modes as they are then.

        Raises `StanzaError`: resource-constraint for too many items.
        """
        default = preferences.default
        if self.default is not None:
            default = "never" if self.default.save == "false" else "always"
        saved = frozenset(address for address, mode in self.items.items() if mode.save != "false")
        unsaved = frozenset(self.items) - saved
        always = (preferences.always - unsaved) | saved
        never = (preferences.never - saved) | unsaved
        if len(always) + len(never) > MAX_LISTED:
            raise StanzaError("resource-constraint", f"There are at most {MAX_LISTED} items")
        after = Preferences(default, always, never)
        noted = Modes(
            self.default or modes.default, {**modes.items, **self.items}, {**modes.methods, **self.methods}
        )
        return after, combine(after, noted)


def without(preferences: Preferences, modes: Modes, gone: frozenset[str]) -> tuple[Preferences, Modes]:
    """Take items away. Raises `StanzaError`: item-not-found when one is not there."""
    if not gone <= preferences.always | preferences.never:
        raise StanzaError("item-not-found", "There is no such item")
    after = preferences._replace(always=preferences.always - gone, never=preferences.never - gone)
    return after, combine(after, modes)


# -- reading ---------------------------------------------------------------------------------


def read(node: domish.Element) -> Change:
    """Read a ``<pref/>`` that a client sets.

    An ``expire`` is read and left out: how long messages stay is the server's choice, and what it tells
    clients says so. Raises `StanzaError`: bad-request, jid-malformed; feature-not-implemented for modes of
    chat sessions, streams, and addresses that the preferences have no word for.
    """
    default: Mode | None = None
    items: dict[str, Mode] = {}
    methods: dict[str, str] = {}
    auto: Auto | None = None
    children = [child for child in node.elements() if child.uri == NS_ARCHIVE]
    if not children:
        raise StanzaError("bad-request", "There is nothing to set")
    for child in children:
        if child.name == "default" and default is None:
            default = _mode(child)
        elif child.name == "item":
            items[read_item(child)] = _mode(child)
        elif child.name == "method":
            methods[_choice(child, "type", METHODS)] = _choice(child, "use", USES)
        elif child.name == "auto" and auto is None:
            auto = read_auto(child)
        elif child.name == "session":
            raise StanzaError("feature-not-implemented", "Chat sessions have no modes of their own")
        else:
            raise StanzaError("bad-request", f"{child.name} is not known, or is there twice")
    return Change(default, items, methods, auto)


def read_auto(node: domish.Element) -> Auto:
    """Read an ``<auto/>`` (section 2.2.1). Raises `StanzaError`: bad-request."""
    if node.getAttribute("save") is None:
        raise StanzaError("bad-request", "save is missing")
    return Auto(read_truth(node, "save"), _choice(node, "scope", SCOPES, "stream") == "global")


def read_items(node: domish.Element) -> frozenset[str]:
    """Give the addresses of an ``<itemremove/>``. Raises `StanzaError`: bad-request, jid-malformed."""
    found = frozenset(_address(item) for item in node.elements(NS_ARCHIVE, "item"))
    if not found:
        raise StanzaError("bad-request", "There is no item")
    return found


def read_item(node: domish.Element) -> str:
    """Give the address that an ``<item/>`` is for.

    Raises `StanzaError`: bad-request, jid-malformed; feature-not-implemented for all accounts of a domain,
    and for a bare JID without its resources.
    """
    text = _address(node)
    address = jid.parse(text)
    if not address.resource and read_truth(node, "exactmatch") == bool(address.local):
        raise StanzaError("feature-not-implemented", "An item is for an account, or for one address")
    return text


def _address(node: domish.Element) -> str:
    text = node.getAttribute("jid")
    if text is None:
        raise StanzaError("bad-request", "jid is missing")
    try:
        return jid.parse(text).full
    except InvalidJID as error:
        raise StanzaError("jid-malformed", str(error)) from None


def _mode(node: domish.Element) -> Mode:
    if node.getAttribute("save") == "stream":
        raise StanzaError("feature-not-implemented", "Messages are saved, and no streams")
    expire = node.getAttribute("expire", "0")
    if not (expire.isascii() and expire.isdigit()):
        raise StanzaError("bad-request", "expire is a number of seconds")
    mode = Mode(_choice(node, "save", SAVES), _choice(node, "otr", OTRS, Mode().otr))
    if mode.otr == "require" and mode.save != "false":
        raise StanzaError("bad-request", "What must be off the record is not saved")
    return mode


def _choice(node: domish.Element, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    text: str | None = node.getAttribute(name, default)
    if text not in allowed:
        raise StanzaError("bad-request", f"{name} is one of {', '.join(allowed)}")
    return text


# -- writing ---------------------------------------------------------------------------------


def encode(modes: Modes, auto: Auto, unset: bool) -> bytes:
    """Give the whole ``<pref/>`` (section 2.2); ``unset`` when the account has set nothing yet."""
    scope = "global" if auto.lasting else "stream"
    parts = [
        element("auto", None, save="true" if auto.on else "false", scope=scope),
        element("default", None, **modes.default.attributes(), unset="true" if unset else None),
        *(_item(address, mode) for address, mode in modes.items.items()),
        *_methods(modes),
    ]
    return element("pref", NS_ARCHIVE, b"".join(parts))


def encode_change(before: Modes, after: Modes) -> list[bytes]:
    """Give what clients that have asked are told when modes change: payloads, each for an IQ of its own."""
    parts = []
    if before.default != after.default:
        parts.append(element("default", None, **after.default.attributes()))
    changed = [address for address, mode in after.items.items() if before.items.get(address) != mode]
    parts += [_item(address, after.items[address]) for address in changed]
    if before.methods != after.methods:
        # Section 2.7: all of them, whichever were set.
        parts += _methods(after)
    payloads = [element("pref", NS_ARCHIVE, b"".join(parts))] if parts else []
    gone = [element("item", None, jid=address) for address in before.items if address not in after.items]
    return [*payloads, element("itemremove", NS_ARCHIVE, b"".join(gone))] if gone else payloads


def _item(address: str, mode: Mode) -> bytes:
    # Without this a domain would stand for all its accounts (section 10.1).
    exact = None if "@" in address.partition("/")[0] else "true"
    return element("item", None, jid=address, **mode.attributes(), exactmatch=exact)


def _methods(modes: Modes) -> list[bytes]:
    return [element("method", None, type=name, use=modes.methods[name]) for name in METHODS]
