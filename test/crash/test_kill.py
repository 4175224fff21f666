"""kill -9 under load, again and again: what was acknowledged is kept, once and in order."""

from __future__ import annotations

import os
import secrets
import sys

from twisted.trial.unittest import TestCase

from palaver.test.crash.rounds import Rounds

ROUNDS = int(os.environ.get("PALAVER_CRASH_ROUNDS") or 20)
# A round takes two to three seconds on a busy machine, most of it the start of the server.
ROUND_S = 10


class KillTests(TestCase):
    """Three pairs write to each other while their server is killed."""

    timeout = 60 + ROUNDS * ROUND_S

    async def test_kill(self) -> None:
        """Archives, deliveries and kept messages are as acknowledged after each of the crashes."""
        seed = int(os.environ.get("PALAVER_CRASH_SEED") or secrets.randbelow(10**6))
        rounds = Rounds(seed)
        self.addCleanup(rounds.server.stop)
        try:
            await rounds.run(ROUNDS)
        except AssertionError as error:
            raise AssertionError(f"PALAVER_CRASH_SEED={seed}: {error}") from error
        history = rounds.history
        print(
            f"seed {seed}: {ROUNDS} kills, {len(history.sent)} messages,"
            f" {len(history.sent_again)} sent again, {len(history.due)} kept for who was away,"
            f" {sum(client.resumed for client in rounds.clients)} sessions resumed",
            file=sys.stderr,
        )
        # With less than this the load was none.
        self.assertGreater(len(history.acknowledged), ROUNDS * 10)
