"""What the server counts.

Hot code bumps plain integers: ``metrics.stanzas_received["message"] += 1``. They are
read when somebody asks (`render`, in the Prometheus text format). Labels come from
small closed sets, never from what a stranger sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# From one fast commit of an embedded database to one that a user notices.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


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


class _Counted(NamedTuple):
    name: str
    help: str
    label: str
    counts: Tally | Count


_counted: list[_Counted] = []
_gauges: dict[str, tuple[str, list[Callable[[], float]]]] = {}
registry = CollectorRegistry()


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


stanzas_received = tally("stanzas_received", "Stanzas that clients sent.", "name")
stanzas_sent = tally("stanzas_sent", "Stanzas written to clients.", "name")
stanza_errors = tally("stanza_errors", "Error stanzas made by this server.", "condition")
stream_errors = tally("stream_errors", "Streams that ended with an error of this server's.", "condition")
connections = tally("connections", "Connections accepted.", "listener")
connections_refused = tally("connections_refused", "Connections refused at once.", "reason")
bytes_in = count("bytes_in", "Bytes read by streams, without TLS.")
bytes_out = count("bytes_out", "Bytes written by streams, without TLS.")
rate_limited = count("rate_limited", "How often a stream was paused because it sent too fast.")
logins = tally("logins", "Successful authentications.", "mechanism")
login_failures = tally("login_failures", "Failed authentications.", "reason")
module_failures = tally("module_failures", "Exceptions in modules.", "module")
storage_failures = tally("storage_failures", "Reads and commits that a backend could not do.", "kind")

commit_seconds = Histogram(
    "palaver_commit_seconds", "How long a storage transaction took.", registry=registry, buckets=SECONDS
)
commit_changes = Histogram(
    "palaver_commit_changes",
    "How many changes one transaction carried.",
    registry=registry,
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000),
)
login_seconds = Histogram(
    "palaver_login_seconds",
    "From the connection to the bound session.",
    registry=registry,
    buckets=SECONDS,
)


def gauge(name: str, help: str, read: Callable[[], float]) -> Callable[[], None]:
    """Show a value that is read when somebody asks; several readers of one name are added up.

    Gives the function that takes the reader away.
    """
    _, readers = _gauges.setdefault(f"palaver_{name}", (help, []))
    readers.append(read)
    return lambda: readers.remove(read)


class _Reader(Collector):
    """Turns the plain integers into Prometheus samples."""

    def collect(self) -> Iterator[Metric]:
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


registry.register(_Reader())


def render() -> bytes:
    """Give everything in the Prometheus text format."""
    return generate_latest(registry)


def snapshot() -> dict[str, float]:
    """Give every count and gauge by its sample name, such as ``palaver_logins_total{mechanism="PLAIN"}``."""
    found: dict[str, float] = {}
    for metric in _Reader().collect():
        for sample in metric.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def reset() -> None:
    """Set every counter to zero; for tests, which share the process."""
    for counted in _counted:
        if isinstance(counted.counts, Count):
            counted.counts.value = 0
        else:
            counted.counts.clear()
