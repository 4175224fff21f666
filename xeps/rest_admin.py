"""REST for administrators: accounts, sessions, messages, contacts and every command, in MongooseIM's JSON.

Whoever asks is an administrator's account or has the configured name and password (HTTP Basic), or a token.
Nobody else gets in. ``openapi.json`` below the path describes all.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, SecretStr, model_validator

from palaver.commands import command as commands
from palaver.commands.command import Arguments, Call, Command, Done
from palaver.errors import StanzaError
from palaver.modules import Module, Settings
from palaver.times import stamp
from palaver.web.interfaces import IWeb
from palaver.web.rest.tokens import Scope, TokenStore

NAME = r"^[A-Za-z0-9._-]{1,64}$"


class RestAdminSettings(Settings):
    """Options of mod_rest_admin."""

    path: str = Field(default="/api/admin", pattern=r"^/[^?#]+$", description="Where it is.")
    origins: list[str] = Field(
        [], description="The pages whose scripts may ask, such as https://chat.example.org; * for all."
    )
    username: str | None = Field(None, pattern="^[^:@]+$", description="A name beside those of accounts.")
    password: SecretStr | None = Field(None, min_length=8, description="Its password; both or neither.")

    @model_validator(mode="after")
    def _both(self) -> RestAdminSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password come together")
        return self


class NewToken(Arguments):
    """A token."""

    name: str = Field(pattern=NAME, description="What it is for.")
    scope: Scope = Field("read", description="What it may do: read, or also write.")


class OneToken(Arguments):
    """Which token."""

    name: str = Field(pattern=NAME, description="Its name.")


class Secret(BaseModel):
    """A new token."""

    token: str = Field(description="The token; it is shown this once.")


class Listed(BaseModel):
    """Tokens."""

    lines: tuple[str, ...] = Field(description="One each.")


class RestAdmin(Module):
    """Lets programs administer the host."""

    Settings = RestAdminSettings

    settings: RestAdminSettings

    def start(self) -> None:
        """Mount the routes, and register the commands about tokens."""
        self._tokens = TokenStore(self.host.domain, self.host.storage)
        for command in (
            Command("palaver#rest-token-add", "rest-token add", "Make a token", self._add, NewToken),
            Command("palaver#rest-token-list", "rest-token list", "List the tokens", self._list),
            Command(
                "palaver#rest-token-remove", "rest-token remove", "Remove a token", self._remove, OneToken
            ),
        ):
            self.undo(commands.add(self.host, command))
        web = self.host.query(IWeb)
        if web is not None:
            self.undo(web.mount(self.host.domain, self.settings.path, lambda: self._resource(web)))

    async def _add(self, call: Call, given: NewToken) -> Done:
        if any(token.name == given.name for token in await self._tokens.all()):
            raise StanzaError("conflict", f"There is a token {given.name} already.")
        made = int(self.host.clock.seconds())
        return Done("", Secret(token=await self._tokens.add(given.name, given.scope, made)))

    async def _list(self, call: Call, given: None) -> Done:
        found = await self._tokens.all()
        lines = tuple(f"{token.name} may {token.scope}, made {stamp(token.made)}" for token in found)
        return Done("", Listed(lines=lines))

    async def _remove(self, call: Call, given: OneToken) -> Done:
        if not await self._tokens.remove(given.name):
            raise StanzaError("item-not-found", f"There is no token {given.name}.")
        return Done(f"The token {given.name} has been removed.")

    def _resource(self, web: Any) -> Any:
        # Loaded with the first request.
        from palaver.web.rest.admin import ROUTES, command_routes
        from palaver.web.rest.identity import Doorkeeper, Identity, administrator, by_token, same
        from palaver.web.rest.resource import RestResource

        door, host, chosen = Doorkeeper(self.host, web), self.host, self.settings

        async def basic(name: str, password: str) -> Identity | None:
            if chosen.username is not None and chosen.password is not None and "@" not in name:
                right = same(password, chosen.password.get_secret_value())
                return Identity(None, everywhere=True) if same(name, chosen.username) and right else None
            return await administrator(host, name, password)

        async def bearer(secret: str) -> Identity | None:
            return await by_token(self._tokens, secret)

        return RestResource(
            host,
            lambda: [*ROUTES, *command_routes(host)],
            lambda request: door.who(request, basic, bearer),
            f"Palaver on {host.domain}: administrators' interface",
            chosen.origins,
        )
