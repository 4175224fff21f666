"""What the interop suite found, as docs/interop.md and as the list of tests that pass."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from palaver.test.peers.interop import LEFT_OUT, PROJECT, Outcome, Way

Found = Mapping[Way, list[Outcome]]

RESULTS = ("passed", "failed", "impossible", "not-run")
NO_SPECIFICATION = "none named: connections, logins, chats"
# Beyond this a reason is a stack of exceptions.
MAX_REASON_CHARS = 240

INTRODUCTION = """\
# What the XMPP Interop Testing suite says

The suite is Smack's integration tests, `org.igniterealtime.smack:smack-integration-test` {version}, the
newest on Maven Central. `make test` runs it against a fresh server that has its default modules and
`mod_register`, once for each kind of connection that the suite has: {ways}.

A test that fails is tried up to three times more by itself: the suite runs its tests in random order, and
some begin before what the last one did to the rosters has arrived, or count presence that came of their own
preparations. A test that is in `test/peers/smack/passing.txt` and does not pass fails `make test`; a new one
that passes is added there.

This page is written by that run, which is also to be had by itself (`trial palaver.test.peers.test_smack`)
and leaves what was said in `test/peers/smack/target/`. A test counts once for every kind of connection.
"""


def passed(found: Found) -> set[str]:
    """Give the names of the tests that pass, each with the way it was run."""
    return {
        f"{outcome.test} ({way})"
        for way, outcomes in found.items()
        for outcome in outcomes
        if outcome.result == "passed"
    }


def lost(before: Iterable[str], found: Found) -> list[str]:
    """Give a line for each test that passed ``before`` and does not now: what became of it, and why."""
    now = {f"{outcome.test} ({way})": outcome for way, outcomes in found.items() for outcome in outcomes}
    lines = []
    for name in sorted(before):
        outcome = now.get(name)
        if outcome is None:
            lines.append(f"{name}: the suite no longer has it")
        elif outcome.result != "passed":
            lines.append(f"{name}: {outcome.result} {outcome.reason}".rstrip())
    return lines


def page(found: Found) -> str:
    """Give the page: counts by specification, then every test with its reason."""
    ways = " and ".join(f"`{way.connection}` ({str(way).partition(', ')[2]})" for way in found)
    parts = [INTRODUCTION.format(version=_version(), ways=ways), *_counts(found)]
    parts += _section("Failed", _by_reason(found, "failed"))
    parts += _section("Not possible, as the suite says", _by_reason(found, "impossible"))
    parts += _section("Not run", _by_reason(found, "not-run"))
    parts += _section("Passed", _by_reason(found, "passed"))
    return "\n".join(parts) + "\n"


def _version() -> str:
    pom = (PROJECT / "pom.xml").read_text("utf-8")
    match = re.search(
        r"<artifactId>smack-integration-test</artifactId>.*?<version>(.*?)</version>", pom, re.DOTALL
    )
    assert match is not None, "the project has lost the suite"
    return match[1]


def _counts(found: Found) -> list[str]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcomes in found.values():
        for outcome in outcomes:
            counts[outcome.specification][outcome.result] += 1
    rows: list[tuple[str, ...]] = [
        ("Specification", "Passed", "Failed", "Not possible", "Not run"),
        ("---", *("---:",) * 4),
    ]
    for specification, count in sorted(counts.items()):
        rows.append((_link(specification), *(str(count[result]) for result in RESULTS)))
    totals = sum(counts.values(), Counter[str]())
    rows.append(("all", *(str(totals[result]) for result in RESULTS)))
    return [f"| {' | '.join(row)} |" for row in rows]


def _link(specification: str) -> str:
    number = specification[-4:]
    if specification.startswith("XEP"):
        return f"[XEP-{number}](https://xmpp.org/extensions/xep-{number}.html)"
    if specification.startswith("RFC"):
        return f"[RFC {number}](https://www.rfc-editor.org/rfc/rfc{number})"
    return specification or NO_SPECIFICATION


def _by_reason(found: Found, result: str) -> dict[tuple[str, str], list[str]]:
    """Give tests, with the kinds of connection where they are not all, by specification and reason."""
    ways: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for way, outcomes in found.items():
        for outcome in outcomes:
            if outcome.result == result:
                reason = (
                    LEFT_OUT.get(outcome.specification, "the suite broke off") if result == "not-run" else ""
                )
                key = (outcome.specification, _short(outcome.reason) or reason, outcome.test)
                ways[key].append(way.connection)
    grouped: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for (specification, reason, test), connections in sorted(ways.items()):
        where = "" if len(connections) == len(found) else f" ({', '.join(connections)})"
        grouped[specification, reason].append(f"`{test}`{where}")
    return grouped


def _short(reason: str) -> str:
    return reason if len(reason) <= MAX_REASON_CHARS else reason[:MAX_REASON_CHARS] + "…"


def _section(heading: str, groups: Mapping[tuple[str, str], list[str]]) -> list[str]:
    lines = ["", f"## {heading}", ""]
    for (specification, reason), tests in groups.items():
        because = f": {reason.rstrip('.')}" if reason else ""
        lines += [f"- {_link(specification)}{because}", *(f"  - {test}" for test in tests)]
    return lines if groups else [*lines, "None."]
