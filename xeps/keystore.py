"""Keys for other modules: made at the start, or read from files."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from palaver.interfaces import IKeystore
from palaver.mistakes import ConfigError
from palaver.modules import Module, Settings


class Key(Settings):
    """One key."""

    name: str = Field(min_length=1, description="What modules call it.")
    type: Literal["ram", "file"] = Field(
        description="ram: made at each start, and what it signed before is void; file: read from `path`."
    )
    path: str | None = Field(
        None, description="The file of a key of the type file; all its bytes are the key."
    )

    @model_validator(mode="after")
    def _has_path(self) -> Self:
        if (self.path is not None) != (self.type == "file"):
            raise ValueError("a key of the type file has a path, one of the type ram has none")
        return self


class KeystoreSettings(Settings):
    """Options of mod_keystore."""

    ram_key_size: int = Field(2048, ge=32, le=65536, description="Bytes of a key of the type ram.")
    keys: list[Key] = Field([], description="The keys, each with a name of its own.")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [key.name for key in self.keys]
        if len(set(names)) != len(names):
            raise ValueError("two keys have one name")
        return self


class Keystore(Module):
    """Keeps the keys that other modules sign with; nobody sees them from outside."""

    Settings = KeystoreSettings
    provides = (IKeystore,)

    settings: KeystoreSettings

    def start(self) -> None:
        """Make or read the keys; raises ConfigError when one cannot be read."""
        self._keys = {key.name: self._load(key) for key in self.settings.keys}

    def _load(self, key: Key) -> bytes:
        if key.path is None:
            return secrets.token_bytes(self.settings.ram_key_size)
        try:
            data = Path(key.path).read_bytes()
        except OSError as error:
            raise ConfigError(f"{self.name}: the key {key.name} cannot be read: {error.strerror}") from None
        if not data:
            raise ConfigError(f"{self.name}: the key {key.name} is empty")
        return data

    def key(self, name: str) -> bytes | None:
        """See IKeystore."""
        return self._keys.get(name)
