"""REST for accounts: messages, contacts, MUC Light rooms and events, with MongooseIM's routes and JSON.

Whoever asks names their address and password (HTTP Basic). ``openapi.json`` below the path describes all.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from palaver.modules import Module, Settings
from palaver.web.interfaces import IWeb


class RestClientSettings(Settings):
    """Options of mod_rest_client."""

    path: str = Field(default="/api", pattern=r"^/[^?#]+$", description="Where it is.")
    origins: list[str] = Field(
        [], description="The pages whose scripts may ask, such as https://chat.example.org; * for all."
    )


class RestClient(Module):
    """Lets programs act for accounts."""

    Settings = RestClientSettings

    settings: RestClientSettings

    def start(self) -> None:
        """Mount the routes."""
        web = self.host.query(IWeb)
        if web is not None:
            self.undo(web.mount(self.host.domain, self.settings.path, lambda: self._resource(web)))

    def _resource(self, web: Any) -> Any:
        # Loaded with the first request.
        from palaver.web.rest.client import ROUTES
        from palaver.web.rest.identity import Doorkeeper, Identity, account
        from palaver.web.rest.resource import RestResource

        door = Doorkeeper(self.host, web)

        async def basic(name: str, password: str) -> Identity | None:
            found = await account(self.host, name, password)
            return Identity(found) if found is not None else None

        async def bearer(secret: str) -> Identity | None:
            return None

        title = f"Palaver on {self.host.domain}: client interface"
        return RestResource(
            self.host,
            lambda: ROUTES,
            lambda asked: door.who(asked, basic, bearer),
            title,
            self.settings.origins,
        )
