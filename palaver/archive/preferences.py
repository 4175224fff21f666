"""What an account wants archived (XEP-0441)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from twisted.words.xish import domish

from palaver import jid
from palaver.archive.messages import NS_MAM
from palaver.errors import StanzaError
from palaver.jid import JID, InvalidJID
from palaver.markup import element, escape

DEFAULTS = ("always", "never", "roster")
# Both lists together; far more than anybody sets by hand.
MAX_LISTED = 2000


class Preferences(NamedTuple):
    """Whose messages are archived: two lists of JIDs as text, and ``default`` for all others."""

    default: str
    always: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()

    def admits(self, peer: JID) -> bool | None:
        """Tell whether messages from or to somebody are archived; None: when the roster has them.

        A bare JID in a list stands for all its resources; who is in both lists is not archived.
        """
        if self.never and (peer.full in self.never or peer.bare in self.never):
            return False
        if self.always and (peer.full in self.always or peer.bare in self.always):
            return True
        return None if self.default == "roster" else self.default == "always"

    def encode(self) -> bytes:
        """Give the ``<prefs/>`` element."""
        lists = [
            element(name, None, b"".join(element("jid", None, escape(listed)) for listed in sorted(jids)))
            for name, jids in (("always", self.always), ("never", self.never))
        ]
        return element("prefs", NS_MAM, b"".join(lists), default=self.default)

    def to_json(self) -> dict[str, Any]:
        """Give what a document holds of it."""
        return {"default": self.default, "always": sorted(self.always), "never": sorted(self.never)}


def from_json(value: dict[str, Any]) -> Preferences:
    """Give what `Preferences.to_json` wrote."""
    return Preferences(value["default"], frozenset(value["always"]), frozenset(value["never"]))


def read(node: domish.Element) -> Preferences:
    """Read a ``<prefs/>`` element; a list that is not there is empty (sections 2.1.2 and 2.1.3).

    Raises `StanzaError`: bad-request, jid-malformed, or resource-constraint for too long lists.
    """
    default = node.getAttribute("default")
    if default not in DEFAULTS:
        raise StanzaError("bad-request", f"default is one of {', '.join(DEFAULTS)}")
    always, never = _jids(node.elements(NS_MAM, "always")), _jids(node.elements(NS_MAM, "never"))
    if len(always) + len(never) > MAX_LISTED:
        raise StanzaError("resource-constraint", f"The lists have at most {MAX_LISTED} addresses")
    return Preferences(default, always, never)


def _jids(lists: Iterable[domish.Element]) -> frozenset[str]:
    try:
        return frozenset(jid.parse(str(item)).full for node in lists for item in node.elements(NS_MAM, "jid"))
    except InvalidJID as error:
        raise StanzaError("jid-malformed", str(error)) from None
