"""Affiliations and roles: which follows from which, and who may change what (XEP-0045 section 5)."""

from __future__ import annotations

from palaver.errors import StanzaError
from palaver.pubsub.fields import Values

OWNER = "owner"
ADMIN = "admin"
MEMBER = "member"
NONE = "none"
OUTCAST = "outcast"
MODERATOR = "moderator"
PARTICIPANT = "participant"
VISITOR = "visitor"

AFFILIATIONS = (OUTCAST, NONE, MEMBER, ADMIN, OWNER)
RANK = {affiliation: number for number, affiliation in enumerate(AFFILIATIONS)}
ROLES = (NONE, VISITOR, PARTICIPANT, MODERATOR)
ROLE_RANK = {role: number for number, role in enumerate(ROLES)}


def first_role(affiliation: str, config: Values) -> str:
    """Give the role of somebody who enters (section 5.1.2)."""
    if affiliation in (OWNER, ADMIN):
        return MODERATOR
    if affiliation == MEMBER:
        return PARTICIPANT
    return VISITOR if config["moderatedroom"] and not config["members_by_default"] else PARTICIPANT


def check_affiliation(by: str, before: str, after: str) -> None:
    """Refuse a change of an affiliation that whoever is affiliated as ``by`` may not make (section 5.2.1).

    Raises StanzaError: forbidden for whom this is never open, not-allowed for a target that is out of reach.
    """
    if RANK[by] < RANK[ADMIN]:
        raise StanzaError("forbidden", "Admins and owners change affiliations")
    if by != OWNER and (RANK[before] >= RANK[ADMIN] or RANK[after] >= RANK[ADMIN]):
        raise StanzaError("not-allowed", "Only owners make and unmake admins and owners")


def check_role(by_role: str, by: str, before: str, after: str, target: str) -> None:
    """Refuse a change of a role (section 5.1.1); ``target`` is the affiliation of whom it is for.

    Raises StanzaError: forbidden for whom this is never open, not-allowed for a target that is out of reach.
    """
    if by_role != MODERATOR:
        raise StanzaError("forbidden", "Moderators change roles")
    is_admin = RANK[by] >= RANK[ADMIN]
    if after == MODERATOR and before != MODERATOR and not is_admin:
        raise StanzaError("forbidden", "Admins and owners make moderators")
    if ROLE_RANK[after] >= ROLE_RANK[before]:
        return
    # An admin or owner who enters is a moderator again anyway (sections 8.4 and 9.7).
    if after != NONE and RANK[target] >= RANK[ADMIN]:
        raise StanzaError("not-allowed", "Admins and owners are moderators")
    if RANK[target] > RANK[by] or (target == by == ADMIN):
        raise StanzaError("not-allowed", "Somebody of this affiliation is out of reach")
    if before == MODERATOR and not is_admin:
        raise StanzaError("not-allowed" if after == NONE else "forbidden", "Moderators are out of reach")
