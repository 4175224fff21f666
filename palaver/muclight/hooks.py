"""What modules add to the rooms of MUC Light: empty until somebody adds to it.

A module registers in its ``start``, whether mod_muc_light is there yet or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from palaver.stanza import Stanza
from palaver.storage import Batch

if TYPE_CHECKING:
    from palaver.muclight.room import Room
    from palaver.routing.host import Host


class Said(NamedTuple):
    """A message on its way to all members; ``author`` is a bare JID, ``id`` what the archive knows it by.

    ``stanza`` has no ``to``. ``id`` is None for what is not kept.
    """

    room: Room
    author: str
    stanza: Stanza
    id: int | None


class Affiliated(NamedTuple):
    """Affiliations change: ``notices`` has for each whom that concerns his new one and what he is told.

    That may be presence, and is None when he is told nothing.
    """

    room: Room
    notices: Mapping[str, tuple[str, Stanza | None]]


Store = Callable[[Said | Affiliated, Batch], None]


class Hooks:
    """What was added on one host; see `of`."""

    def __init__(self) -> None:
        self.store: tuple[Store, ...] = ()

    @classmethod
    def of(cls, host: Host) -> Hooks:
        """Give the host's one, which is there as long as the host is."""
        found = _OF_HOSTS.get(host)
        if found is None:
            found = _OF_HOSTS[host] = cls()
        return found

    def add_store(self, store: Store) -> Callable[[], None]:
        """Have something added to the batch that stores what happens; gives what takes it back."""
        self.store = (*self.store, store)

        def remove() -> None:
            self.store = tuple(other for other in self.store if other is not store)

        return remove


_OF_HOSTS: WeakKeyDictionary[Host, Hooks] = WeakKeyDictionary()
