"""A server whose administrators have browsers. Juliet administers all of it, Romeo one host."""

from __future__ import annotations

from typing import Any, ClassVar

from palaver.test.served import PASSWORD
from palaver.test.web.bosh import Answer
from palaver.test.web.pages.case import PageCase
from palaver.test.web.pages.visitor import Visitor, key_of

JULIET, ROMEO = "juliet@localhost", "romeo@localhost"


class AdminCase(PageCase):
    """Lets them log in."""

    modules: ClassVar[dict[str, Any]] = {"mod_register": {"allow_registration": False}}

    async def _set_up(self) -> None:
        await super()._set_up()
        self.host = self.palaver.hosts["localhost"]
        for host in self.palaver.hosts.values():
            host.admins = host.server_admins = frozenset([JULIET])
        self.host.admins |= {ROMEO}

    async def entered(self, name: str = "juliet") -> Visitor:
        """Give an administrator who is logged in."""
        visitor = self.visitor()
        key = key_of(await visitor.get("/admin"))
        fields = {"key": key, "username": name, "password": PASSWORD}
        answer = await visitor.post("/admin/login", fields)
        self.assertEqual(answer.status, 303, answer.text)
        return visitor

    async def page(self, visitor: Visitor, path: str, status: int = 200) -> str:
        """Give a page's HTML; ``path`` is below that of the pages."""
        answer = await visitor.get(f"/admin{path}")
        self.assertEqual(answer.status, status, answer.text)
        return answer.text

    async def run_command(
        self, visitor: Visitor, name: str, host: str = "localhost", status: int = 200, **fields: Any
    ) -> str:
        """Send the form of a command; gives the page that answers."""
        path = f"/admin/{host}/commands/{name.replace(' ', '-')}"
        answer: Answer = await visitor.fill_in(path, **fields)
        self.assertEqual(answer.status, status, answer.text)
        return answer.text
