"""The roster and its subscription states (RFC 6121 sections 2 and 3, appendix A): values and tables only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from palaver.markup import element, escape

if TYPE_CHECKING:
    from twisted.internet.defer import DeferredLock

NS_ROSTER = "jabber:iq:roster"

# Who sees the account's presence, and whose presence the account sees.
SEES_US = frozenset(("from", "both"))
SEEN_BY_US = frozenset(("to", "both"))

STATES = ("none", "none+out", "none+in", "none+out+in", "to", "to+in", "from", "from+out", "both")
"""The nine states of appendix A.1: the subscription, then which requests are pending."""


class Move(NamedTuple):
    """What a subscription stanza does: the state after it, and whether the stanza travels on."""

    state: str
    travels: bool


def _table(text: str) -> dict[str, dict[str, Move]]:
    """Read a table with one row a state; ``!`` after the new state lets the stanza travel on."""
    (_, *kinds), *rows = (line.split() for line in text.strip().splitlines())
    moves = {state: [Move(cell.rstrip("!"), cell.endswith("!")) for cell in cells] for state, *cells in rows}
    return {kind: {state: moves[state][column] for state in STATES} for column, kind in enumerate(kinds)}


# Appendix A.2: the account sends it.
OUTBOUND = _table("""
    state        subscribe     unsubscribe  subscribed  unsubscribed
    none         none+out!     none!        none        none
    none+out     none+out!     none!        none+out    none+out
    none+in      none+out+in!  none+in!     from!       none!
    none+out+in  none+out+in!  none+in!     from+out!   none+out!
    to           to!           none!        to          to
    to+in        to+in!        none+in!     both!       to!
    from         from+out!     from!        from        none!
    from+out     from+out!     from!        from+out    none+out!
    both         both!         from!        both        to!
""")

# Appendix A.3: the contact sends it.
INBOUND = _table("""
    state        subscribe     unsubscribe  subscribed  unsubscribed
    none         none+in!      none         none        none
    none+out     none+out+in!  none+out     to!         none!
    none+in      none+in       none!        none+in     none+in
    none+out+in  none+out+in   none+out!    to+in!      none+in!
    to           to+in!        to           to          none!
    to+in        to+in         to!          to+in       none+in!
    from         from          none!        from        from
    from+out     from+out      none+out!    both!       from!
    both         both          to!          both        from!
""")

SUBSCRIPTION_TYPES = frozenset(OUTBOUND)

# Most rosters hold nothing but the account's own contacts.
NO_SHARES: Mapping[str, Any] = MappingProxyType({})


class RosterItem(NamedTuple):
    """What an account holds about one contact; a value that never changes.

    ``jid``           the contact's bare JID
    ``groups``        sorted
    ``subscription``  none, to, from or both
    ``ask``           the account's own request is pending
    ``approved``      a request of the contact's will be granted without asking (RFC 6121 section 3.4)
    ``listed``        clients see it; an item that only holds a pending request is not listed
    ``request``       the contact's pending request as it came, serialised; None when there is none
    """

    jid: str
    name: str = ""
    groups: tuple[str, ...] = ()
    subscription: str = "none"
    ask: bool = False
    approved: bool = False
    listed: bool = True
    request: bytes | None = None

    @property
    def state(self) -> str:
        """One of `STATES`."""
        out = "+out" if self.ask else ""
        return f"{self.subscription}{out}{'+in' if self.request is not None else ''}"

    @property
    def kept(self) -> bool:
        """Tell whether there is anything left to store."""
        return self.listed or self.request is not None

    def after(self, state: str, request: bytes | None = None) -> RosterItem:
        """Give the item in another state; ``request`` is what is pending when that begins with it."""
        subscription, *pending = state.split("+")
        ask = "out" in pending
        return self._replace(
            subscription=subscription,
            ask=ask,
            # Once the contact is subscribed the approval has served its purpose.
            approved=self.approved and subscription not in SEES_US,
            listed=self.listed or ask or subscription != "none",
            request=(self.request or request) if "in" in pending else None,
        )

    def looks_like(self, other: RosterItem) -> bool:
        """Tell whether clients see the same."""
        return self._replace(request=None) == other._replace(request=None)

    def encode(self) -> bytes:
        """Give the ``<item/>`` as clients see it (RFC 6121 section 2.1.2); one not listed is gone (2.5)."""
        if not self.listed:
            return element("item", jid=self.jid, subscription="remove")
        return element(
            "item",
            None,
            b"".join([element("group", None, escape(group)) for group in self.groups]),
            jid=self.jid,
            name_=self.name or None,
            subscription=self.subscription,
            ask="subscribe" if self.ask else None,
            approved="true" if self.approved else None,
        )


def query(version: int, items: bytes) -> bytes:
    """Give the payload of a roster result or push; ``items`` is serialised."""
    return element("query", NS_ROSTER, items, ver=str(version))


class Roster:
    """An account's contacts, as they are committed.

    ``version`` grows with every change. ``lock`` is there while a change is under way, see
    `palaver.routing.rosters.changing`. ``gone`` is True once the account is. ``shares``, ``below`` and
    ``stamp`` are those of `palaver.routing.sharing`: shared contacts, what the account itself holds about
    them, and their part of the version; ``added`` is the part of that that `palaver.routing.additions` has.
    """

    __slots__ = (
        "__weakref__",
        "_encoded",
        "added",
        "below",
        "gone",
        "items",
        "lock",
        "shares",
        "stamp",
        "version",
    )

    def __init__(self, items: Iterable[RosterItem] = (), version: int = 0) -> None:
        self.items = {item.jid: item for item in items}
        self.version = version
        self.lock: DeferredLock | None = None
        self.gone = False
        self.shares: Mapping[str, Any] = NO_SHARES
        self.below: Mapping[str, RosterItem] = NO_SHARES
        self.stamp = 0
        self.added = 0
        self._encoded: bytes | None = None

    def item(self, jid: str) -> RosterItem:
        """Give what is held about a contact; for a stranger an item that is not listed."""
        return self.items.get(jid) or RosterItem(jid, listed=False)

    def is_seen_by(self, jid: str) -> bool:
        """Tell whether a contact is subscribed to the account's presence."""
        item = self.items.get(jid)
        return item is not None and item.subscription in SEES_US

    def encode(self, additions: Iterable[bytes] = ()) -> bytes:
        """Give the payload of a roster result; ``additions`` are further items.

        Without them it is kept until the next change.
        """
        if additions:
            return query(self.version, b"".join([*self._listed(), *additions]))
        if self._encoded is None:
            self._encoded = query(self.version, b"".join(self._listed()))
        return self._encoded

    def _listed(self) -> list[bytes]:
        return [item.encode() for item in self.items.values() if item.listed]

    def end(self) -> None:
        """Forget everything: whoever still holds the roster of an account that is gone sees nobody in it."""
        self.items = {}
        self.shares = self.below = NO_SHARES
        self.gone = True
        self._encoded = None

    def apply(self, changed: Iterable[RosterItem], gone: Iterable[str], version: int) -> None:
        """Take over what has been committed."""
        for item in changed:
            self.items[item.jid] = item
        for jid in gone:
            self.items.pop(jid, None)
        self.version = version
        self._encoded = None
