"""How long something is good for, as options say it (MongooseIM's form)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

UNITS_S = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}


class Validity(BaseModel):
    """How long a token is good for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: int = Field(ge=1, description="How many.")
    unit: Literal["days", "hours", "minutes", "seconds"] = Field(description="Of what.")

    @property
    def seconds(self) -> int:
        """The whole in seconds."""
        return self.value * UNITS_S[self.unit]
