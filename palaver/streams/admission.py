"""How many connections may be there that have not logged in yet."""

from __future__ import annotations


class Admission:
    """Counts strangers, in total and by address. What it remembers is bounded by the total."""

    def __init__(self, max_total: int | None, max_per_address: int | None) -> None:
        """None for no limit."""
        self.max_total = max_total
        self.max_per_address = max_per_address
        self._total = 0
        self._by_address: dict[str, int] = {}

    def admit(self, address: str) -> bool:
        """Count one more stranger; False, and nothing counted, when there are too many."""
        here = self._by_address.get(address, 0)
        if self.max_total is not None and self._total >= self.max_total:
            return False
        if self.max_per_address is not None and here >= self.max_per_address:
            return False
        self._total += 1
        self._by_address[address] = here + 1
        return True

    def dismiss(self, address: str) -> None:
        """Count one stranger less."""
        self._total -= 1
        here = self._by_address[address] - 1
        if here:
            self._by_address[address] = here
        else:
            del self._by_address[address]
