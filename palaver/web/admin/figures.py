"""What the server does, in figures: how much of each since a while ago."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from palaver import metrics

# What is shown is the mean of so long; a sample is taken when somebody looks, and not more often than that.
SPAN_S = 60.0
STEP_S = 2.0

RATES = (
    ("Stanzas received", "palaver_stanzas_received_total"),
    ("Stanzas sent", "palaver_stanzas_sent_total"),
    ("Errors sent", "palaver_stanza_errors_total"),
    ("Stanzas between servers", "palaver_s2s_stanzas_total"),
    ("Logins", "palaver_logins_total"),
    ("Failed logins", "palaver_login_failures_total"),
    ("HTTP answers", "palaver_http_requests_total"),
    ("Storage failures", "palaver_storage_failures_total"),
    ("Bytes read", "palaver_bytes_in_total"),
    ("Bytes written", "palaver_bytes_out_total"),
)


class Rate(NamedTuple):
    """Something that is counted: its name, the count, and how often it is each second; None at first."""

    name: str
    total: int
    each_second: float | None


class _Sample(NamedTuple):
    at: float
    counts: Mapping[str, int]
    commits: int
    commit_s: float


class Figures:
    """Samples of the process's counts, of the last `SPAN_S`, one list for all who look."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._samples: deque[_Sample] = deque()

    def rates(self) -> list[Rate]:
        """Give how often things happen now."""
        now = self._sample()
        then = self._samples[0]
        passed = now.at - then.at
        return [
            Rate(
                name,
                now.counts[key],
                (now.counts[key] - then.counts[key]) / passed if passed > 0 else None,
            )
            for name, key in RATES
        ]

    def commit_ms(self) -> tuple[int, float | None]:
        """Give the number of commits, and how many milliseconds one has taken of late."""
        now = self._sample()
        then = self._samples[0]
        number = now.commits - then.commits
        # Nothing of late: the mean of all.
        spent, number = (now.commit_s - then.commit_s, number) if number else (now.commit_s, now.commits)
        return now.commits, spent / number * 1000 if number else None

    def waiting(self) -> float | None:
        """Give how much waits for the storage; None for a storage in memory, where nothing does."""
        return metrics.snapshot().get("palaver_storage_waiting")

    def _sample(self) -> _Sample:
        """Give the counts of now, and remember them."""
        at = self._clock.seconds()
        found = metrics.snapshot()
        counts = {key: int(sum(value for name, value in found.items() if _is(name, key))) for _, key in RATES}
        held = metrics.commit_seconds
        sample = _Sample(at, counts, sum(held.counts), held.sum)
        while len(self._samples) > 1 and self._samples[1].at <= at - SPAN_S:
            self._samples.popleft()
        if not self._samples or at - self._samples[-1].at >= STEP_S:
            self._samples.append(sample)
        return sample


def _is(sample: str, key: str) -> bool:
    return sample == key or sample.startswith(key + "{")
