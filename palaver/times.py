"""Points in time as XMPP writes them (XEP-0082)."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(seconds: float) -> str:
    """Give a Unix time as ``2026-11-21T02:13:00.123456Z``; the fraction is left out when it is zero."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
