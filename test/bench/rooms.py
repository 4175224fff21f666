"""What rooms cost that are stored and that nobody is in: at the start, in memory, and when they are entered.

    python -m palaver.test.bench.rooms [--rooms 100000]

A room is made by a client, and stored again under so many names. Prints a line for each figure.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from palaver.rooms.store import KIND, KIND_AFFILIATION
from palaver.storage import Batch, Document
from palaver.storage.open import open_storage
from palaver.test.bench.alone import load, memory_mib
from palaver.test.bench.fresh import Fresh
from palaver.test.wire import connect

MODULE = "[modules.mod_muc]\nmax_user_conferences = 1000\n"
SERVICE = "muc.localhost"
USER, PASSWORD = "maker", "load-secret"
ENTERED = 10_000
BATCH = 5000
SETTLE_S = 1.0
FORM = (
    "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
    "<value>http://jabber.org/protocol/muc#roomconfig</value></field>"
    "<field var='muc#roomconfig_persistentroom'><value>1</value></field>"
    "<field var='muc#roomconfig_publicroom'><value>1</value></field></x>"
)

reactor: Any = _reactor


async def make_one(port: int) -> None:
    """Have a client make a room that stays, with a subject."""
    room = f"template@{SERVICE}"
    wire = await connect(port)
    await wire.features()
    account = f"<username>{USER}</username><password>{PASSWORD}</password>"
    await wire.ask(f"<iq type='set' id='r'><query xmlns='jabber:iq:register'>{account}</query></iq>")
    await wire.close()
    wire = await connect(port)
    await wire.log_in(f"{USER}@localhost/bench", PASSWORD)
    wire.send(f"<presence to='{room}/n'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    wire.send(
        f"<iq type='set' id='c' to='{room}'>"
        f"<query xmlns='http://jabber.org/protocol/muc#owner'>{FORM}</query></iq>"
    )
    wire.send(f"<message type='groupchat' to='{room}'><subject>What was agreed</subject></message>")
    wire.send("<iq type='get' id='last'><ping xmlns='urn:xmpp:ping'/></iq>")
    while (await wire.next()).getAttribute("id") != "last":
        pass
    await wire.close()


async def multiply(folder: Path, count: int) -> None:
    """Store the room under so many names."""
    storage = open_storage("sqlite", folder, reactor)
    await storage.start()
    try:
        documents: list[Document] = await storage.documents.list(
            SERVICE, "template", (KIND, KIND_AFFILIATION)
        )
        if not documents:
            raise RuntimeError("the room was not stored")
        for start in range(0, count, BATCH):
            batch = Batch()
            for number in range(start, min(start + BATCH, count)):
                for each in documents:
                    batch.put(SERVICE, f"stored{number}", each.kind, each.key, each.value, tags=each.tags)
            await storage.write(batch)
    finally:
        await storage.stop()


def started(folder: str) -> tuple[float, float]:
    """Give the seconds until the ready line, and the memory then in MiB."""
    began = time.monotonic()
    with Fresh(folder, MODULE) as server:
        seconds = time.monotonic() - began
        time.sleep(SETTLE_S)
        return seconds, memory_mib(server.pid)


async def measure(count: int) -> None:
    """Make, multiply, measure and print."""
    with tempfile.TemporaryDirectory(prefix="palaver-bench-") as folder:
        with Fresh(folder, MODULE) as server:
            await make_one(server.port)
        few = started(folder)
        await multiply(Path(folder, "data"), count)
        many = started(folder)
        print(f"start: {few[0]:.2f} s with 1 room, {many[0]:.2f} s with {count}")
        print(f"memory then: {few[1]:.1f} MiB, {many[1]:.1f} MiB")
        with Fresh(folder, MODULE) as server:
            row = load(server, "enter", "--users", "20", "--count", str(min(ENTERED, count)))
            print(f"rooms entered: {row['per_s']:.0f} a second, {row['cpu_us_per_unit']:.0f} us each")


def main(_: Any, *arguments: str) -> Deferred[None]:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rooms", type=int, default=100_000)
    return Deferred.fromCoroutine(measure(parser.parse_args(arguments).rooms))


if __name__ == "__main__":
    react(main, sys.argv[1:])
