"""A server whose pages are looked at."""

from __future__ import annotations

from palaver.commands import command as commands
from palaver.commands.command import Call, Done
from palaver.jid import parse
from palaver.test.web.case import WebCase
from palaver.test.web.pages.visitor import Visitor


class PageCase(WebCase):
    """Also has visitors."""

    def visitor(self) -> Visitor:
        """Give somebody with a browser of their own."""
        found = Visitor(self.http_port)
        self.addCleanup(found.end)
        return found

    async def command(self, name: str, /, by: str | None = None, **values: object) -> Done:
        """Run a command of the host localhost by its words; ``by`` is a bare JID."""
        host = self.palaver.hosts["localhost"]
        found = commands.named(host, name)
        assert found is not None
        given = found.arguments.model_validate(values) if found.arguments is not None else None
        done = await found.run(Call(host, parse(by) if by else None), given)
        assert isinstance(done, Done)
        return done
