"""What the server counts.

Hot code bumps plain integers: ``metrics.stanzas_received["message"] += 1``. They are
read when somebody asks (`render`, in the Prometheus text format). Labels come from
small closed sets, never from what a stranger sends.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

# From one fast commit of an embedded database to one that a user notices.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CHANGES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)


class Tally(dict[str, int]):
    """Counts by one label; a label that was never counted is 0."""

    __slots__ = ()

    def __missing__(self, label: str) -> int:
        return 0


class Count:
    """One count without labels: ``metrics.bytes_in.value += n``."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Histogram:
    """How many observed values are below each of some bounds, and their sum; one thread observes."""

    __slots__ = ("bounds", "counts", "help", "name", "sum")

    def __init__(self, name: str, help: str, bounds: tuple[float, ...]) -> None:
        """``bounds`` ascend; what is above the last one is counted too."""
        self.name = name
        self.help = help
        self.bounds = bounds
        self.reset()

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Give how many values there are up to each bound, the last of which is infinite."""
        names = (*map(str, map(float, self.bounds)), "+Inf")
        return list(zip(names, accumulate(self.counts), strict=True))

    def reset(self) -> None:
        """Forget what was observed."""
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0


class _Counted(NamedTuple):
    name: str
    help: str
    label: str
    counts: Tally | Count


_counted: list[_Counted] = []
_gauges: dict[str, tuple[str, list[Callable[[], float]]]] = {}
_histograms: list[Histogram] = []


def tally(name: str, help: str, label: str) -> Tally:
    """Give a new counter with one label, shown as ``palaver_NAME_total``."""
    counts = Tally()
    _counted.append(_Counted(f"palaver_{name}", help, label, counts))
    return counts


def count(name: str, help: str) -> Count:
    """Give a new counter without labels, shown as ``palaver_NAME_total``."""
    counts = Count()
    _counted.append(_Counted(f"palaver_{name}", help, "", counts))
    return counts


def histogram(name: str, help: str, bounds: tuple[float, ...]) -> Histogram:
    """Give a new histogram, shown as ``palaver_NAME``."""
    made = Histogram(f"palaver_{name}", help, bounds)
    _histograms.append(made)
    return made


stanzas_received = tally("stanzas_received", "Stanzas that clients sent.", "name")
stanzas_sent = tally("stanzas_sent", "Stanzas written to clients.", "name")
stanza_errors = tally("stanza_errors", "Error stanzas made by this server.", "condition")
stream_errors = tally("stream_errors", "Streams that ended with an error of this server's.", "condition")
connections = tally("connections", "Connections accepted.", "listener")
connections_refused = tally("connections_refused", "Connections refused at once.", "reason")
s2s_stanzas = tally("s2s_stanzas", "Stanzas to and from other servers.", "direction")
s2s_streams = tally("s2s_streams", "Streams between servers that came about, and by what.", "kind")
s2s_failures = tally("s2s_failures", "Streams to other servers that did not come about.", "condition")
http_requests = tally("http_requests", "Answers over HTTP, by the class of their status.", "status")
bosh_requests = tally("bosh_requests", "BOSH requests that came again, or were refused.", "condition")
bytes_in = count("bytes_in", "Bytes read by streams, without TLS.")
bytes_out = count("bytes_out", "Bytes written by streams, without TLS.")
rate_limited = count("rate_limited", "How often a stream was paused because it sent too fast.")
component_stanzas = tally("component_stanzas", "Stanzas that components sent.", "name")
logins = tally("logins", "Successful authentications.", "mechanism")
login_failures = tally("login_failures", "Failed authentications.", "reason")
module_failures = tally("module_failures", "Exceptions in modules.", "module")
storage_failures = tally("storage_failures", "Reads and commits that a backend could not do.", "kind")

commit_seconds = histogram("commit_seconds", "How long a storage transaction took.", SECONDS)
commit_changes = histogram("commit_changes", "How many changes one transaction carried.", CHANGES)


def gauge(name: str, help: str, read: Callable[[], float]) -> Callable[[], None]:
    """Show a value that is read when somebody asks; several readers of one name are added up.

    Gives the function that takes the reader away.
    """
    _, readers = _gauges.setdefault(f"palaver_{name}", (help, []))
    readers.append(read)
    return lambda: readers.remove(read)


class _Reader:
    """Turns plain numbers into Prometheus' samples; its client is loaded when somebody first asks."""

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for name, help, label, counts in _counted:
            if isinstance(counts, Count):
                yield CounterMetricFamily(name, help, value=counts.value)
                continue
            counter = CounterMetricFamily(name, help, labels=[label])
            for value, number in tuple(counts.items()):
                counter.add_metric([value], number)
            yield counter
        for name, (help, readers) in tuple(_gauges.items()):
            yield GaugeMetricFamily(name, help, value=sum(read() for read in readers))
        for held in _histograms:
            yield HistogramMetricFamily(held.name, held.help, buckets=held.buckets(), sum_value=held.sum)


def render() -> bytes:
    """Give everything in the Prometheus text format."""
    from prometheus_client import generate_latest

    return generate_latest(_Reader())


def snapshot() -> dict[str, float]:
    """Give every count and gauge by its sample name, such as ``palaver_logins_total{mechanism="PLAIN"}``."""
    found: dict[str, float] = {}
    for name, _, label, counts in _counted:
        if isinstance(counts, Count):
            found[f"{name}_total"] = counts.value
            continue
        for value, number in tuple(counts.items()):
            found[f'{name}_total{{{label}="{value}"}}'] = number
    for name, (_, readers) in tuple(_gauges.items()):
        found[name] = sum(read() for read in readers)
    return found


def reset() -> None:
    """Set every counter to zero; for tests, which share the process."""
    for counted in _counted:
        if isinstance(counted.counts, Count):
            counted.counts.value = 0
        else:
            counted.counts.clear()
    for held in _histograms:
        held.reset()
