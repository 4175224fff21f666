"""What is committed together with archived messages of accounts, by others than their archive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from palaver.interfaces import IHost
from palaver.stanza import Stanza
from palaver.storage import Batch, Entry

Companion = Callable[[Stanza, Sequence[Entry], Batch], None]
"""Adds to the batch of a message that these entries archive."""


class Companions:
    """Those of one host; see `of`. None until somebody is added."""

    __slots__ = ("__weakref__", "all")

    def __init__(self) -> None:
        self.all: tuple[Companion, ...] = ()

    @classmethod
    def of(cls, host: IHost) -> Companions:
        """Give the host's, whether its archive is there yet or not."""
        found = _OF_HOSTS.get(host)
        if found is None:
            found = _OF_HOSTS[host] = cls()
        return found

    def add(self, companion: Companion) -> Callable[[], None]:
        """Add one; gives the function that takes it back."""
        self.all = (*self.all, companion)

        def remove() -> None:
            self.all = tuple(other for other in self.all if other is not companion)

        return remove


_OF_HOSTS: WeakKeyDictionary[IHost, Companions] = WeakKeyDictionary()
