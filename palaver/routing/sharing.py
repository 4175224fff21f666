"""Contacts whom the administrator puts into rosters: shown with the account's own, and never stored.

A member of an account's group is there with the subscription both, whatever the account itself holds about
it; that is kept below, and counts again afterwards. The account may give it another name and further groups,
which are stored as its own; it can neither remove it nor end the subscription. A contact that is only listed
is in the roster too, but the subscription is the account's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from palaver.routing.roster import NO_SHARES, Roster, RosterItem

# Long enough that two sets of contacts never give the same version, short enough for a number with 20 digits.
STAMP_BYTES = 6


class Share(NamedTuple):
    """What the administrator says about a contact.

    ``name``    what it is called, unless the account says otherwise
    ``groups``  sorted
    ``mutual``  both see each other; else the contact is only listed
    """

    name: str
    groups: tuple[str, ...]
    mutual: bool = True


Shares = Mapping[str, Share]
"""By bare JID; never changed in place."""


class Sharing(NamedTuple):
    """What the accounts of a host are shown: some what stands under their localparts, others ``rest``."""

    accounts: Mapping[str, Shares] = MappingProxyType({})
    rest: Shares = NO_SHARES

    def of(self, local: str) -> Shares:
        """Give what one account is shown."""
        return self.accounts.get(local, self.rest)


NOTHING_SHARED = Sharing()


def is_mutual(roster: Roster, contact: str) -> bool:
    """Tell whether a contact and the account see each other because the administrator says so."""
    held = roster.shares.get(contact)
    return held is not None and held.mutual


def share(roster: Roster, shares: Shares) -> None:
    """Show other shared contacts than before; the roster gets another version when they differ."""
    for contact in roster.shares:
        own = roster.below[contact]
        if own.kept:
            roster.items[contact] = own
        else:
            del roster.items[contact]
    stamp = _stamp(shares) + roster.added
    roster.below = {contact: roster.item(contact) for contact in shares}
    roster.shares = shares
    items = [shown(roster, roster.below[contact]) for contact in shares]
    roster.apply(items, (), roster.version - roster.stamp + stamp)
    roster.stamp = stamp


def shown(roster: Roster, own: RosterItem) -> RosterItem:
    """Give what clients see of a shared contact, from what the account holds itself."""
    held = roster.shares[own.jid]
    groups = tuple(sorted({*own.groups, *held.groups}))
    item = own._replace(name=own.name or held.name, groups=groups, listed=True)
    return item._replace(subscription="both", ask=False, request=None) if held.mutual else item


def own_item(roster: Roster, item: RosterItem) -> RosterItem:
    """Give what is the account's own in a changed item, which is what is stored."""
    held = roster.shares.get(item.jid)
    if held is None:
        return item
    below = roster.below[item.jid]
    name = item.name if item.name != held.name else ""
    groups = tuple(group for group in item.groups if group not in held.groups)
    if held.mutual:
        return below._replace(name=name, groups=groups, listed=below.listed or bool(name or groups))
    listed = below.listed or bool(name or groups) or item.ask or item.approved or item.subscription != "none"
    return item._replace(name=name, groups=groups, listed=listed)


def _stamp(shares: Shares) -> int:
    if not shares:
        return 0
    text = repr(sorted(shares.items())).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=STAMP_BYTES).digest(), "big")
