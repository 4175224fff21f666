"""One definition of each operation: command line, clients, REST and pages offer the same ones."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from palaver.admin import run
from palaver.commands import command as commands
from palaver.test.web.admin.case import JULIET, AdminCase
from palaver.test.web.rest.case import basic

ITEMS = (
    "<iq type='get' id='list' to='localhost' xmlns='jabber:client'><query "
    "xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/></iq>"
)
LINK = re.compile(r'href="/admin/localhost/commands/([^"?]+)"')
NODE = re.compile(r"<item [^>]*node='([^']*)'")
# Lists every account, for scripts; the others have lists that say how many they want.
ONLY_COMMAND_LINE = {"account-list"}


def slug(words: str) -> str:
    """Give the words of a command as they stand in addresses."""
    return words.replace(" ", "-").replace("/", "-")


class FourListsTests(AdminCase):
    """What an administrator of the whole server finds, wherever they look."""

    modules: ClassVar[dict[str, Any]] = {
        "mod_register": {},
        "mod_rest_admin": {},
        "mod_muc_light": {},
        "mod_mam": {},
        "mod_inbox": {},
    }

    async def on_the_command_line(self) -> set[str]:
        """Give what ``palaver run localhost`` lists: words, then what is taken."""
        said = await run(self.palaver.server, {"command": "", "host": "localhost"})
        return {slug(re.split(r" \[?[\w-]+=", line)[0]) for line in said.splitlines()}

    async def over_rest(self) -> set[str]:
        """Give what GET /commands lists."""
        answer = await self.visitor().get("/api/admin/commands", Authorization=basic(JULIET))
        return {each["path"].rpartition("/")[2] for each in json.loads(answer.text)}

    async def on_pages(self) -> set[str]:
        """Give what the page of commands leads to."""
        return set(LINK.findall(await self.page(await self.entered(), "/localhost/commands")))

    async def for_clients(self) -> set[str]:
        """Give the words of what a client finds; it sees nodes."""
        client = await self.log_in_by_socket("juliet")
        client.send(ITEMS)
        while "id='list'" not in (answer := await client.take()):
            pass
        found = {each.node: each.name for each in commands.commands(self.host)}
        return {slug(found[node]) for node in NODE.findall(answer)}

    async def test_same(self) -> None:
        """All four offer the same, but for the one list that scripts read."""
        line = await self.on_the_command_line()
        self.assertLess({"account-create", "room-create", "invite-create", "domain-add"}, line)
        self.assertEqual(await self.over_rest(), line - ONLY_COMMAND_LINE)
        self.assertEqual(await self.on_pages(), line - ONLY_COMMAND_LINE)
        self.assertEqual(await self.for_clients(), line - ONLY_COMMAND_LINE)


class NoClientTests(FourListsTests):
    """Where no client administers."""

    modules: ClassVar[dict[str, Any]] = {**FourListsTests.modules, "mod_admin_adhoc": {"enabled": False}}

    async def test_same(self) -> None:
        """The other three still offer what is about accounts and domains, and do it."""
        line = await self.on_the_command_line()
        self.assertLess({"account-create", "count-online", "domain-add"}, line)
        self.assertEqual(await self.over_rest(), line - ONLY_COMMAND_LINE)
        self.assertEqual(await self.on_pages(), line - ONLY_COMMAND_LINE)
        self.assertNotIn("account-create", await self.for_clients())
        answer = await self.visitor().send(
            "POST",
            "/api/admin/commands/localhost/count-online",
            b"{}",
            Authorization=basic(JULIET),
            Content_Type="application/json",
        )
        self.assertEqual(json.loads(answer.text)["result"], {"onlineusersnum": 1})
