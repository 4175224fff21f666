"""Every conversation file is a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from palaver.test.served import ServedCase
from palaver.test.talk.player import Player
from palaver.test.talk.script import read

FOLDER = Path(__file__).with_name("talks")


class TcpTalks(ServedCase):
    """The conversations over TCP with STARTTLS."""

    accounts: ClassVar[list[str]] = []

    async def play(self, path: Path) -> None:
        """Play one file."""
        script = read(path)
        await self.create_accounts(script.accounts)
        await Player(script, lambda: self.connect("required")).play()


def _as_test(path: Path) -> Any:
    async def test(self: TcpTalks) -> None:
        await self.play(path)

    test.__doc__ = read(path).title
    return test


for _path in sorted(FOLDER.glob("*.talk")):
    setattr(TcpTalks, f"test_{_path.stem}", _as_test(_path))
