"""All privacy lists of an account as a value that is stored, and the block list that is a part of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from palaver.privacy.rules import PrivacyList, Rule, from_json
from palaver.storage import Batch, Document

KIND = "privacy-list"
KIND_STATE = "privacy"
LIST_KINDS = (KIND_STATE, KIND)

# The list that blocking makes for an account that has no default list; MongooseIM calls it so too.
BLOCKING = "blocking"


class Lists(NamedTuple):
    """What an account has set: its lists by name, and the name of the default one, if any.

    Never changed in place.
    """

    lists: Mapping[str, PrivacyList] = {}
    default: str | None = None

    @property
    def standing(self) -> PrivacyList | None:
        """The default list; None when there is none."""
        return self.lists[self.default] if self.default is not None else None

    @property
    def blocked(self) -> tuple[str, ...]:
        """The JIDs that are blocked: the default list's denials of a JID in everything."""
        standing = self.standing
        return tuple([rule.value for rule in standing.rules if rule.blocks]) if standing is not None else ()

    # -- made from another -----------------------------------------------------------------

    def with_list(self, changed: PrivacyList) -> Lists:
        """Give the lists with one more, or another one of the same name."""
        return self._replace(lists={**self.lists, changed.name: changed})

    def without_list(self, name: str) -> Lists:
        """Give the lists without one, which is the default no more."""
        kept = {other: held for other, held in self.lists.items() if other != name}
        return Lists(kept, None if self.default == name else self.default)

    def with_blocked(self, jids: Sequence[str]) -> Lists:
        """Give the lists with JIDs blocked, before the default list's other rules (XEP-0191 section 5)."""
        name = self.default if self.default is not None else BLOCKING
        held = self.lists[name].rules if name in self.lists else ()
        present = {rule.value for rule in held if rule.blocks}
        new = [jid for jid in dict.fromkeys(jids) if jid not in present]
        first = [rule for rule in held if rule.blocks]
        rest = [rule for rule in held if not rule.blocks]
        rules = [*first, *[Rule(0, False, "jid", jid) for jid in new], *rest]
        return self.with_list(_numbered(name, rules))._replace(default=name)

    def without_blocked(self, jids: Iterable[str]) -> Lists:
        """Give the lists with JIDs unblocked; what other rules say of them stays."""
        standing = self.standing
        if standing is None:
            return self
        gone = set(jids)
        rules = [rule for rule in standing.rules if not (rule.blocks and rule.value in gone)]
        return self.with_list(PrivacyList(standing.name, rules))

    # -- stored ------------------------------------------------------------------------------

    def changes(self, host: str, owner: str, new: Lists) -> Batch:
        """Give the batch that stores ``new`` where these lists are stored."""
        batch = Batch()
        for name, held in new.lists.items():
            if self.lists.get(name) is not held:
                batch.put(host, owner, KIND, name, held.to_json())
        for name in self.lists:
            if name not in new.lists:
                batch.delete(host, owner, KIND, name)
        if new.default is None:
            batch.delete(host, owner, KIND_STATE, "")
        elif new.default != self.default:
            batch.put(host, owner, KIND_STATE, "", {"default": new.default})
        return batch


NONE = Lists()


def from_documents(documents: Iterable[Document]) -> Lists:
    """Give the lists that documents hold; those of other kinds are passed over."""
    lists: dict[str, PrivacyList] = {}
    default: str | None = None
    for document in documents:
        if document.kind == KIND:
            lists[document.key] = from_json(document.key, document.value)
        elif document.kind == KIND_STATE:
            default = document.value["default"]
    if not lists:
        return NONE
    return Lists(lists, default if default in lists else None)


def _numbered(name: str, rules: list[Rule]) -> PrivacyList:
    """Give a list of rules in the order given."""
    return PrivacyList(name, [rule._replace(order=order) for order, rule in enumerate(rules, 1)])
