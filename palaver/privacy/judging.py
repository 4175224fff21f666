"""Which of an account's lists a stanza meets, what kind of stanza it is to them, and what a refusal is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver.errors import StanzaError
from palaver.interfaces import ISession
from palaver.jid import JID
from palaver.privacy import invitations
from palaver.privacy.lists import Lists
from palaver.privacy.rules import IQ, MESSAGE, OTHER, PRESENCE_IN, PrivacyList
from palaver.routing.delivery import recipients
from palaver.routing.pipeline import DROP, Verdict, refusal
from palaver.routing.roster import SUBSCRIPTION_TYPES
from palaver.stanza import Stanza

if TYPE_CHECKING:
    from palaver.routing.users import User


class Account:
    """The lists of an account, and which of its sessions have chosen one for themselves."""

    __slots__ = ("active", "lists")

    def __init__(self, lists: Lists) -> None:
        self.lists = lists
        self.active: dict[ISession, str] = {}

    def in_force(self, session: ISession) -> PrivacyList | None:
        """Give the list that applies to a session: its active one, or else the default (section 2.2)."""
        name = self.active.get(session)
        return self.lists.lists[name] if name is not None else self.lists.standing


def lists_for(account: Account, user: User | None, stanza: Stanza, to: JID) -> list[PrivacyList | None]:
    """Give the lists of the sessions that a stanza is for; the default list when there is none."""
    standing = account.lists.standing
    if user is None or not account.active or stanza.type in SUBSCRIPTION_TYPES:
        return [standing]
    session = user.sessions.get(to.resource) if to.resource else None
    if session is not None:
        return [account.in_force(session)]
    if stanza.name == "iq":
        return [standing]
    sessions = recipients(user, stanza, to) if stanza.name == "message" else user.available()
    return [account.in_force(session) for session in sessions] or [standing]


def inbound_kind(stanza: Stanza) -> str:
    """Give the kind of stanza that a rule calls what comes in (section 2.1)."""
    if stanza.name == "message":
        return MESSAGE
    if stanza.name == "iq":
        return IQ
    return PRESENCE_IN if stanza.type in (None, "unavailable") else OTHER


def turn_away(stanza: Stanza) -> Verdict:
    """Answer as if nobody were there, or not at all (XEP-0191 section 3.3)."""
    if stanza.name == "presence" or stanza.type in ("groupchat", "headline"):
        return DROP
    # A room takes an error for the end of whoever it comes from.
    if invitations.is_of_room(stanza):
        return DROP
    return refusal(stanza, StanzaError("service-unavailable"))
