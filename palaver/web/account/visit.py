"""One request of somebody who is logged in, and what the pages about an account are made with."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

from palaver.jid import JID
from palaver.throttle import Throttle, parse_address
from palaver.web.pages.html import Html, tag
from palaver.web.pages.respond import given
from palaver.web.signin import Login, SignIn

# Tries to give the password once more, of one address: whoever finds a browser left alone guesses few.
TRIES = 10
TRIES_PERIOD_S = 600.0
MAX_ADDRESSES = 10_000

WRONG_PASSWORD = "That is not your password."


class Refusal(Exception):
    """Says why something was not done; the page is shown again with the sentence and this status."""

    def __init__(self, sentence: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


class Pages(NamedTuple):
    """What all requests to the pages of one host share; ``settings`` are those of mod_self_service."""

    host: Any
    web: Any
    settings: Any
    signin: SignIn
    tries: Throttle
    exporting: set[str]
    """The accounts whose data are on their way just now."""


class Visit(NamedTuple):
    """A request, and whose it is."""

    pages: Pages
    request: Any
    login: Login

    @property
    def host(self) -> Any:
        """The host of the account."""
        return self.pages.host

    @property
    def jid(self) -> JID:
        """The account."""
        return self.login.account

    @property
    def local(self) -> str:
        """The account's localpart."""
        return self.login.account.local

    def given(self, name: str) -> str:
        """Give a field of the form."""
        return given(self.request, name)

    def to(self, name: str) -> str:
        """Give the path of one of the pages."""
        return f"{self.pages.signin.path}/{name}"

    def form(self, action: str, *content: object) -> Html:
        """Give a form that is posted to one of the pages."""
        hidden = self.pages.signin.hidden(self.login)
        return tag("form", *content, hidden, method="post", action=self.to(action))

    async def check_password(self, name: str) -> None:
        """Raise `Refusal` unless a field has the account's password, or for too many tries.

        Raises StorageError.
        """
        address = parse_address(self.pages.web.client(self.request).address)
        if address is not None and not self.pages.tries.allow(address):
            raise Refusal("Too many tries. Wait for some minutes.", HTTPStatus.TOO_MANY_REQUESTS)
        password = self.given(name)
        if not password or not await self.host.accounts.check_password(self.local, password):
            raise Refusal(WRONG_PASSWORD, HTTPStatus.FORBIDDEN)


def make_pages(host: Any, web: Any, settings: Any) -> Pages:
    """Give what the pages of a host share."""
    signin = SignIn(host, web, "palaver-account", settings.path, f"Your account on {host.domain}")
    tries: Throttle = web.shared(
        "account-tries", lambda: Throttle(host.clock, TRIES, TRIES_PERIOD_S, MAX_ADDRESSES)
    )
    return Pages(host, web, settings, signin, tries, set())
