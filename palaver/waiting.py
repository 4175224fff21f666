"""Waiting for what may have been done at once."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any


async def settled(waiting: Any) -> Any:
    """Give what a Deferred or coroutine comes to, or the value itself when it is neither."""
    return await waiting if isinstance(waiting, Awaitable) else waiting
