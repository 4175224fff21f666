"""Who belongs to a room, and what a wish to change that comes to; no XML here.

There is at most one owner. Texts of errors are those that MongooseIM's clients know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from palaver.errors import StanzaError

OWNER, MEMBER, NONE = "owner", "member", "none"
AFFILIATIONS = (OWNER, MEMBER, NONE)

Users = dict[str, str]
"""Affiliations, owner or member, by bare JID."""


class Item(NamedTuple):
    """Somebody and the affiliation that he is to have."""

    bare: str
    affiliation: str


class Rules(NamedTuple):
    """Options of the service; None stands for no limit."""

    equal_occupants: bool = False
    all_can_configure: bool = False
    all_can_invite: bool = False
    max_occupants: int | None = None
    rooms_per_user: int | None = None
    blocking: bool = True


class Change(NamedTuple):
    """What comes of a wish: ``users`` from now on, and ``items`` with what goes along with it."""

    users: Users
    items: list[Item]


def check_permission(users: Mapping[str, str], actor: str, items: Iterable[Item], rules: Rules) -> None:
    """Refuse what a member may not do; an owner may do everything. Raises StanzaError."""
    items = list(items)
    if rules.equal_occupants and any(item.affiliation == OWNER for item in items):
        raise StanzaError("bad-request", "Ownerless room")
    if users[actor] == OWNER:
        return
    for item in items:
        leaves = item.bare == actor and item.affiliation == NONE
        invites = item.affiliation == MEMBER and rules.all_can_invite and users.get(item.bare) != OWNER
        if not (leaves or invites):
            raise StanzaError("not-allowed")


def check_twice(items: Sequence[Item]) -> None:
    """Refuse wishes that contradict themselves. Raises StanzaError."""
    if len({item.bare for item in items}) != len(items):
        raise StanzaError(
            "bad-request", "Cannot change affiliation for the same user twice in the same request"
        )


def change(users: Mapping[str, str], items: Sequence[Item], rules: Rules) -> Change:
    """Work out what a permitted wish comes to. Raises StanzaError."""
    check_twice(items)
    after = dict(users)
    for bare, affiliation in items:
        if after.get(bare, NONE) == affiliation:
            raise StanzaError("bad-request", "Meaningless change")
        if affiliation == NONE:
            del after[bare]
        else:
            after[bare] = affiliation
    changed = list(items)
    before = next((bare for bare, is_ in users.items() if is_ == OWNER), None)
    if before is not None:
        changed = _settle_owner(users, before, after, changed)
    if rules.max_occupants is not None and len(after) > max(rules.max_occupants, len(users)):
        raise StanzaError("bad-request", "occupant_limit_exceeded")
    return Change(after, changed)


def _settle_owner(users: Mapping[str, str], before: str, after: Users, items: list[Item]) -> list[Item]:
    """See to it that there is one owner in ``after``, if anybody; gives the items with what that takes."""
    owners = [bare for bare, is_ in after.items() if is_ == OWNER]
    if len(owners) == 2 and before in owners:
        after[before] = MEMBER
        return [*items, Item(before, MEMBER)]
    if len(owners) > 1:
        raise StanzaError("bad-request", "Failed to demote old owner")
    if owners or not after:
        return items
    named = {item.bare for item in items}
    heir = min((bare for bare in after if bare in users and bare not in named), default=None)
    if heir is None:
        heir = min((bare for bare in after if bare not in users), default=before)
    after[heir] = OWNER
    rest = [item for item in items if item.bare != heir]
    # Nothing changes for an owner who has to stay one.
    return rest if heir == before else [*rest, Item(heir, OWNER)]


def first(creator: str, items: Sequence[Item], rules: Rules) -> Users:
    """Give who belongs to a new room: its creator and those whom he names. Raises StanzaError."""
    check_twice(items)
    if any(item.affiliation == NONE or item.bare == creator for item in items):
        raise StanzaError("bad-request", "Failed to parse occupants")
    owners = [item.bare for item in items if item.affiliation == OWNER]
    if owners and rules.equal_occupants:
        raise StanzaError("bad-request", "Ownerless room")
    if len(owners) > 1:
        raise StanzaError("bad-request", "Failed to demote old owner")
    users = {creator: MEMBER if owners or rules.equal_occupants else OWNER}
    users.update(items)
    if rules.max_occupants is not None and len(users) > rules.max_occupants:
        raise StanzaError("bad-request", "max_occupants_reached")
    return users
