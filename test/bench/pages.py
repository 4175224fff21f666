"""What a page of an archive costs, whatever the length of the archive (XEP-0313).

    python -m palaver.test.bench.pages [--messages 1000000]

One account's archive of 1,000 messages, and one of many, in an embedded database; for each kind of query the
CPU time of a page of 50, read and written as results, and how much dearer it is in the large archive.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from palaver import jid
from palaver.archive.pages import Archive, find, results
from palaver.archive.query import ArchiveQuery
from palaver.storage import Batch, Entry, ids
from palaver.storage.open import open_storage

FEW = 1000
PAGE = 50
QUERIES = 200
RUNS = 3
BATCH = 5000
PEERS = 20
# The archive is a message every ten minutes, as one of a million is twenty years long.
SPACING_S = 600
BEGAN_S = 1_000_000_000.0

reactor: Any = _reactor


async def fill(storage: Any, owner: str, count: int) -> list[int]:
    """Write an archive; gives its ids."""
    made = [ids.from_time(BEGAN_S + number * SPACING_S) for number in range(count)]
    for start in range(0, count, BATCH):
        batch = Batch()
        for number in range(start, min(start + BATCH, count)):
            peer = f"friend{number % PEERS}@localhost"
            payload = (
                f"<message xmlns='jabber:client' type='chat' id='m{number}' from='{peer}/phone'"
                f" to='{owner}@localhost'><body>message {number}</body></message>"
            ).encode()
            batch.append(
                Entry("localhost", owner, "archive", made[number], payload, peer, None, f"message {number}")
            )
        await storage.write(batch)
    return made


def queries(made: list[int]) -> dict[str, Callable[[int], ArchiveQuery]]:
    """Give the kinds of queries; each makes the nth of them."""
    middle = len(made) // 2
    anchors = made[middle - QUERIES // 2 :]
    return {
        "first page": lambda n: ArchiveQuery(),
        "last page": lambda n: ArchiveQuery(backwards=True),
        "page behind an id in the middle": lambda n: ArchiveQuery(
            after=anchors[n], known=frozenset((anchors[n],))
        ),
        "page before an id in the middle": lambda n: ArchiveQuery(
            before=anchors[n], known=frozenset((anchors[n],)), backwards=True
        ),
        "page from a time in the middle": lambda n: ArchiveQuery(since=anchors[n]),
        "last page with somebody": lambda n: ArchiveQuery(
            peer=jid.parse(f"friend{n % PEERS}@localhost"), backwards=True
        ),
    }


async def cost(archive: Archive, query: Callable[[int], ArchiveQuery]) -> float:
    """Give the CPU microseconds of a page, the median of some runs."""
    runs = []
    for _ in range(RUNS):
        began = time.process_time()
        for number in range(QUERIES):
            asked = query(number)
            found = await find(archive, asked)
            if len(found.entries) != PAGE:
                raise RuntimeError(f"{len(found.entries)} entries")
            for stanza in results(found, asked, "q", "romeo@localhost", "romeo@localhost/phone"):
                stanza.encode()
        runs.append((time.process_time() - began) / QUERIES * 1e6)
    return statistics.median(runs)


async def measure(messages: int) -> None:
    """Fill, measure and print."""
    with tempfile.TemporaryDirectory(prefix="palaver-bench-") as folder:
        storage = open_storage("sqlite", folder, reactor)
        await storage.start()
        try:
            archives = {}
            for owner, count in (("few", FEW), ("many", messages)):
                made = await fill(storage, owner, count)
                archives[owner] = Archive(storage.logs, "localhost", owner, "archive"), queries(made)
            few, many = archives["few"], archives["many"]
            for name in few[1]:
                one, other = await cost(few[0], few[1][name]), await cost(many[0], many[1][name])
                print(f"{name}: {one:.0f} us of {FEW}, {other:.0f} us of {messages}, ratio {other / one:.2f}")
        finally:
            await storage.stop()


def main(_: Any, *arguments: str) -> Deferred[None]:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    work: Coroutine[Any, Any, None] = measure(parser.parse_args(arguments).messages)
    return Deferred.fromCoroutine(work)


if __name__ == "__main__":
    react(main, sys.argv[1:])
