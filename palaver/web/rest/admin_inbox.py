"""Bins of inboxes over REST (MongooseIM's mod_inbox_commands); mod_inbox has the commands."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from palaver.commands import command as commands
from palaver.commands import typed
from palaver.commands.command import Done
from palaver.web.rest.admin_accounts import call_of, host_of
from palaver.web.rest.routes import Ask, RestError, Route


async def empty_one(ask: Ask) -> int:
    """Empty the bin of an account; gives how many conversations went."""
    return await _run(ask, "inbox empty-bin", jid=f"{ask.path['user']}@{ask.path['host']}")


async def empty_all(ask: Ask) -> int:
    """Empty the bins of a host; gives how many conversations went."""
    return await _run(ask, "inbox empty-bins")


async def _run(ask: Ask, name: str, **values: str) -> int:
    host = host_of(ask, ask.path["host"])
    command = commands.named(host, name)
    if command is None or command.arguments is None:
        raise RestError(HTTPStatus.NOT_IMPLEMENTED, "This server has no inboxes; mod_inbox is off")
    given = typed.check(command.arguments, {"days": ask.path["days"], **values})
    done: Any = await command.run(call_of(ask, host), given)
    assert isinstance(done, Done) and isinstance(done.result, BaseModel)
    return int(done.result.model_dump()["num"])


INBOXES: tuple[Route, ...] = (
    Route(
        "DELETE", "/inbox/{host}/{user}/{days}/bin", empty_one, "Empty a bin", None, None, int, writes=True
    ),
    Route("DELETE", "/inbox/{host}/{days}/bin", empty_all, "Empty all bins", None, None, int, writes=True),
)
