"""What a privileged entity may do (XEP-0356), as it is configured and as it is told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from palaver.markup import element
from palaver.settings import Section

NS_PRIVILEGE = "urn:xmpp:privilege:2"

Access = Literal["none", "get", "set", "both"]

# Who may read rosters.
READS = frozenset(("get", "both"))


class Privileges(Section):
    """What one service may do for every account of the host."""

    roster: Access = Field("none", description="Which roster requests it may make.")
    push: bool = Field(True, description="Tell it of changes of rosters that it may get.")
    message: Literal["none", "outgoing"] = Field(
        "none", description="outgoing: it sends messages in the name of the host and of accounts."
    )
    presence: Literal["none", "managed_entity", "roster"] = Field(
        "none",
        description="managed_entity: it sees which accounts come and go; roster: it sees the presence of "
        "their contacts too, for which it has to be allowed to get rosters.",
    )
    iq: dict[str, Access] = Field(
        {}, description="By the namespace of the payload, which requests it makes in the name of accounts."
    )

    @model_validator(mode="after")
    def _reads_rosters(self) -> Privileges:
        if self.presence == "roster" and self.roster not in READS:
            raise ValueError("presence is roster only for those whose roster is get or both")
        return self

    @property
    def pushes(self) -> bool:
        """True when it is told of changes of rosters (section 4.1)."""
        return self.push and self.roster in READS

    def encode(self) -> bytes:
        """Give the ``<perm/>`` elements that tell it."""
        parts = []
        if self.roster != "none":
            push = str(self.pushes).lower()
            parts.append(element("perm", access="roster", type=self.roster, push=push))
        if self.message != "none":
            parts.append(element("perm", access="message", type=self.message))
        if self.iq:
            named = [element("namespace", ns=ns, type=access) for ns, access in self.iq.items()]
            parts.append(element("perm", None, b"".join(named), access="iq"))
        if self.presence != "none":
            parts.append(element("perm", access="presence", type=self.presence))
        return b"".join(parts)
