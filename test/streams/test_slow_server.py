"""The log of slow stanzas of a whole server."""

from __future__ import annotations

import io
import threading
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

from palaver import log
from palaver.routing.pipeline import FROM_CLIENT
from palaver.test.served import ServedCase

THRESHOLD_S = 0.2
LOOKS = 100


class SlowServerTests(ServedCase):
    """One stanza that blocks, one that waits."""

    async def test_lines(self) -> None:
        """Each has its line, and the server goes on."""
        out = io.StringIO()
        observer = log.LineObserver(out)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.palaver._slow.set(THRESHOLD_S)
        pipeline = self.palaver.hosts["localhost"].pipeline
        pipeline.add(FROM_CLIENT, "guard", ["message"], "mod_test", self.handle)
        romeo = await self.log_in("romeo@localhost/orchard")
        for kind in ("blocks", "waits"):
            romeo.send(f"<message to='juliet@localhost' id='{kind}'><body>{kind}</body></message>")
        for _ in range(LOOKS):
            if out.getvalue().count("slow-stanza") >= 2:
                break
            await deferLater(reactor, 0.05)
        lines = sorted(line for line in out.getvalue().splitlines() if "slow-stanza" in line)
        for line, how in zip(
            sorted(lines, key=lambda line: line.partition("how=")[2]), ("blocked", "waited"), strict=True
        ):
            self.assertIn(f"how={how} ", line)
            self.assertIn(" name=message sender=romeo@localhost module=mod_test phase=guard", line)
        await self.assert_serves()

    def handle(self, stanza: Any, context: object) -> Any:
        """Block, or wait."""
        if stanza.id == "blocks":
            threading.Event().wait(4 * THRESHOLD_S)
        if stanza.id == "waits":
            return deferLater(reactor, 4 * THRESHOLD_S)
        return None
