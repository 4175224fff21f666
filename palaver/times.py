"""Points in time as XMPP writes them (XEP-0082)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,12})?(Z|[+-]\d\d:\d\d)\Z", re.ASCII)


def stamp(seconds: float) -> str:
    """Give a Unix time as ``2026-11-21T02:13:00.123456Z``; the fraction is left out when it is zero."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def read_stamp(text: str) -> float:
    """Give the Unix time of a DateTime (section 3.2), to the microsecond; raises `ValueError`."""
    if not _DATE_TIME.match(text):
        raise ValueError("not a time as in 2026-11-21T02:13:00Z")
    return datetime.fromisoformat(text).timestamp()
