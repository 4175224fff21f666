"""A slot for an account, asked for by whoever administers it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from palaver.commands.command import Arguments
from palaver.commands.typed import Account
from palaver.web.uploads import asked


class SlotWanted(Arguments):
    """What is to be uploaded, and in whose name."""

    accountjid: Account = Field(description="The account that it counts for, user@host.")
    filename: str = Field(description="The file's name.")
    size: int = Field(description="Its size in bytes.")
    type: str = Field("", description="Its media type; empty for any.")

    def asked(self) -> asked.Asked:
        """Give it as a client asks for it. Raises StanzaError ``bad-request``."""
        return asked.checked(self.filename, str(self.size), self.type, "message", None)


class SlotGiven(BaseModel):
    """Two addresses."""

    put: str = Field(description="Where the file goes, by PUT with its size and type, for a short time.")
    get: str = Field(description="Where it is then.")
