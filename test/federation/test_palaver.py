"""Palaver with Palaver."""

from __future__ import annotations

from palaver.test.federation.case import FederatedCase, run


class Conversations(FederatedCase):
    """What people on two servers do together."""

    @run
    async def test_messages(self) -> None:
        """A message goes to a friend on another server, and the answer comes back."""
        verona = await self.serve("verona.example")
        mantua = await self.serve("mantua.example")
        romeo = await self.log_in(mantua, "romeo@mantua.example/exile")
        nurse = await self.log_in(verona, "romeo@verona.example/home")
        await self.say(romeo, nurse, "there")
        await self.say(nurse, romeo, "back")
