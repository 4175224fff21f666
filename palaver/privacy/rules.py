"""A privacy list as a value: its rules, in order, and what they say about a stanza (XEP-0016 section 2.1)."""

from __future__ import annotations

from typing import Any, NamedTuple

from palaver.jid import JID
from palaver.markup import element
from palaver.routing.roster import Roster
from palaver.storage import Json

MESSAGE, IQ = "message", "iq"
PRESENCE_IN, PRESENCE_OUT = "presence-in", "presence-out"
OTHER = ""
"""A kind of stanza that only rules for everything cover: what is sent, and subscriptions."""

KINDS = (MESSAGE, IQ, PRESENCE_IN, PRESENCE_OUT)
TYPES = ("jid", "group", "subscription")
SUBSCRIPTIONS = ("both", "to", "from", "none")


class Rule(NamedTuple):
    """One item of a list.

    ``type``   one of `TYPES`; None for a rule that everybody matches
    ``value``  a prepared JID, a group of the roster, or one of `SUBSCRIPTIONS`
    ``kinds``  the `KINDS` that it is about; empty for everything
    """

    order: int
    allow: bool
    type: str | None = None
    value: str = ""
    kinds: tuple[str, ...] = ()

    @property
    def blocks(self) -> bool:
        """Tell whether a block list shows it (XEP-0191 section 5)."""
        return self.type == "jid" and not self.allow and not self.kinds

    def covers(self, kind: str) -> bool:
        """Tell whether it is about stanzas of a kind."""
        return not self.kinds or kind in self.kinds

    def encode(self) -> bytes:
        """Give the ``<item/>``."""
        return element(
            "item",
            None,
            b"".join([element(kind) for kind in self.kinds]),
            type=self.type,
            value=self.value or None,
            action="allow" if self.allow else "deny",
            order=str(self.order),
        )


class PrivacyList:
    """Rules in ascending order, with the ones for JIDs found by one look-up each."""

    __slots__ = ("_by_jid", "_others", "name", "rules")

    def __init__(self, name: str, rules: list[Rule]) -> None:
        self.name = name
        self.rules = tuple(sorted(rules))
        self._by_jid: dict[str, list[Rule]] = {}
        self._others: list[Rule] = []
        for rule in self.rules:
            if rule.type == "jid":
                self._by_jid.setdefault(rule.value, []).append(rule)
            else:
                self._others.append(rule)

    @property
    def asks_roster(self) -> bool:
        """Tell whether a rule depends on the roster."""
        return any(rule.type is not None for rule in self._others)

    def rule_for(self, kind: str, other: JID, roster: Roster | None) -> Rule | None:
        """Give the first rule about stanzas of a kind from or to somebody; None when there is none.

        ``roster`` is needed when `asks_roster`.
        """
        found: Rule | None = None
        by_jid = self._by_jid
        if by_jid:
            for value in _forms(other):
                for rule in by_jid.get(value, ()):
                    if rule.covers(kind):
                        if found is None or rule.order < found.order:
                            found = rule
                        break
        for rule in self._others:
            if found is not None and found.order < rule.order:
                break
            if rule.covers(kind) and _applies(rule, other, roster):
                return rule
        return found

    def allows(self, kind: str, other: JID, roster: Roster | None) -> bool:
        """Tell whether stanzas of a kind from or to somebody pass; those that no rule is about do."""
        rule = self.rule_for(kind, other, roster)
        return rule is None or rule.allow

    def to_json(self) -> Json:
        """Give it as it is stored, without the name."""
        return {"rules": [list(rule) for rule in self.rules]}


def from_json(name: str, value: Json) -> PrivacyList:
    """Give a list that was stored."""
    stored: list[list[Any]] = value["rules"]
    return PrivacyList(
        name, [Rule(order, allow, type, text, tuple(kinds)) for order, allow, type, text, kinds in stored]
    )


def _forms(other: JID) -> tuple[str, ...]:
    """Give what a rule may call somebody (XEP-0016 section 2.1)."""
    if not other.resource:
        return (other.bare, other.domain) if other.local else (other.domain,)
    return other.full, other.bare, f"{other.domain}/{other.resource}", other.domain


def _applies(rule: Rule, other: JID, roster: Roster | None) -> bool:
    if rule.type is None:
        return True
    if roster is None:
        return False
    item = roster.item(other.bare)
    return rule.value == item.subscription if rule.type == "subscription" else rule.value in item.groups
