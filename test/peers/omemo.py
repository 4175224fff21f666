"""OMEMO (XEP-0384) for slixmpp clients: slixmpp-omemo with keys in memory and trust in everybody."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from omemo.storage import Just, Maybe, Nothing, Storage
from slixmpp.plugins import register_plugin
from xmlschema.validators.xsdbase import XsdValidator


def _cached_properties(cls: type) -> Iterator[str]:
    """Do what the library does, past what a class has by name and does not give."""
    return (name for name in dir(cls) if isinstance(getattr(cls, name, None), cached_property))


# zope.interface marks the abstract classes of collections, whose subclasses then seem to have an
# attribute that only instances give; xmlschema, which slixmpp-omemo needs, asks its classes for all.
setattr(XsdValidator, "_cached_properties", classmethod(_cached_properties))  # noqa: B010

from slixmpp_omemo import XEP_0384  # noqa: E402


class MemoryStorage(Storage):
    """Keys that are gone with the client."""

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, Any] = {}

    async def _load(self, key: str) -> Maybe[Any]:
        return Just(self._values[key]) if key in self._values else Nothing()

    async def _store(self, key: str, value: Any) -> None:
        self._values[key] = value

    async def _delete(self, key: str) -> None:
        self._values.pop(key, None)


class Omemo(XEP_0384):
    """The plugin of one client."""

    def plugin_init(self) -> None:
        """Begin with no keys."""
        self._keys = MemoryStorage()
        super().plugin_init()

    @property
    def storage(self) -> Storage:
        """Where the keys are."""
        return self._keys

    @property
    def _btbv_enabled(self) -> bool:
        return True

    async def _prompt_manual_trust(self, manually_trusted: Any, identifier: str | None) -> None:
        raise AssertionError("every device is trusted here")


def add(xmpp: Any) -> None:
    """Give a slixmpp client the plugin."""
    # It warns of the first list of devices, which is empty.
    logging.getLogger("omemo.core").setLevel(logging.ERROR)
    register_plugin(Omemo)
    for plugin in ("xep_0115", "xep_0163", "xep_0280", "xep_0334", "xep_0380"):
        xmpp.register_plugin(plugin)
    xmpp.register_plugin("xep_0384", module=sys.modules[__name__])
