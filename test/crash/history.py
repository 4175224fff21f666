"""What clients have sent, seen and found in their archives, and whether a server may do so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class Name(NamedTuple):
    """What a message is known by everywhere: its id and origin-id, ``sender.number.receiver``."""

    sender: str
    number: int
    receiver: str

    def __str__(self) -> str:
        return f"{self.sender}.{self.number}.{self.receiver}"

    @classmethod
    def read(cls, text: str) -> Name:
        """Read an id. Raises ValueError when it is none of ours."""
        sender, number, receiver = text.split(".")
        return cls(sender, int(number), receiver)


class Seen(NamedTuple):
    """A message as a client got it: ``stanza_id`` is its id in the client's own archive.

    ``life`` counts the server's starts.
    """

    name: Name
    stanza_id: str
    life: int = 0


class History:
    """Everything that happened in a run. A sender's numbers grow in the order of its (last) sending."""

    def __init__(self) -> None:
        self.sent: set[Name] = set()
        self.acknowledged: set[Name] = set()
        self.sent_again: set[Name] = set()
        self.refused: set[Name] = set()
        """Answered with an error; such a message is acknowledged as well, and need not be anywhere."""
        self.received: dict[str, list[Seen]] = {}
        """By receiver: what came over its connections by itself."""
        self.archives: dict[str, list[Seen]] = {}
        """By owner: what its archive has, oldest first."""
        self.due: set[Name] = set()
        """Acknowledged while their receivers were away; these have logged in since."""


def check(history: History) -> list[str]:
    """Give what the server has done wrong, a line each; empty when all is well.

    Every message that was acknowledged and not refused is in the sender's and in the receiver's archive.
    No archive has a message twice or in another order than its sender's; what came to a client is in
    its archive, under the id that it came with, and came in order at first. It came a second time only when
    its sender or the server could not know that it had come: when it was sent again, or after a crash. What
    was kept for somebody who was away has come.
    """
    wrong: list[str] = []
    kept = {owner: {seen.name for seen in archive} for owner, archive in history.archives.items()}
    for name in sorted(history.acknowledged - history.refused):
        for owner in (name.sender, name.receiver):
            if name not in kept.get(owner, ()):
                wrong.append(f"{name} is acknowledged and not in the archive of {owner}")
    for owner, archive in history.archives.items():
        wrong += _archive_mistakes(owner, archive, history.sent)
    for receiver, received in history.received.items():
        wrong += _delivery_mistakes(receiver, received, history.archives.get(receiver, []))
        again = history.sent_again
        lives = Counter((seen.name, seen.life) for seen in received if seen.name not in again)
        wrong += [
            f"{name} came {count} times to {receiver}" for (name, _), count in lives.items() if count > 1
        ]
    came = {seen.name for received in history.received.values() for seen in received}
    wrong += [f"{name} was kept for {name.receiver} and never came" for name in sorted(history.due - came)]
    return wrong


def _archive_mistakes(owner: str, archive: list[Seen], sent: set[Name]) -> Iterable[str]:
    for name, count in Counter(seen.name for seen in archive).items():
        if count > 1:
            yield f"{name} is {count} times in the archive of {owner}"
        if name not in sent:
            yield f"{name} is in the archive of {owner} and was never sent"
        if owner not in (name.sender, name.receiver):
            yield f"{name} is in the archive of {owner}, who has nothing to do with it"
    yield from _disorder(f"the archive of {owner}", archive)


def _delivery_mistakes(receiver: str, received: list[Seen], archive: list[Seen]) -> Iterable[str]:
    kept = {seen.stanza_id: seen.name for seen in archive}
    first: dict[Name, Seen] = {}
    for seen in received:
        first.setdefault(seen.name, seen)
        if seen.name.receiver != receiver:
            yield f"{seen.name} came to {receiver}"
        if (of := kept.get(seen.stanza_id)) != seen.name:
            yield f"{seen.name} came to {receiver} with the id {seen.stanza_id!r} of {of}"
    yield from _disorder(f"what came to {receiver}", first.values())


def _disorder(where: str, found: Iterable[Seen]) -> Iterable[str]:
    last: dict[str, Name] = {}
    for name, *_ in found:
        before = last.get(name.sender)
        if before is not None and before.number > name.number:
            yield f"{name} is behind {before} in {where}"
        last[name.sender] = name
