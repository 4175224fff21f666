"""Landing pages of invitations (XEP-0401 section 3), and the forms that make an account in the browser."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from twisted.web.resource import Resource

from palaver.auth.registration import Stranger
from palaver.errors import StanzaError
from palaver.interfaces import IInvites, IRegistration
from palaver.invites import Invite
from palaver.jid import MAX_PART_BYTES
from palaver.throttle import Throttle, parse_address
from palaver.web.interfaces import IWeb
from palaver.web.pages.html import Html, document, facts, field, refusal, show, tag, void
from palaver.web.pages.links import CLIENTS, client_line, links_section
from palaver.web.pages.respond import MAX_FORM_BYTES, Forms, given, respond
from palaver.web.site import NOT_FOUND

# A token has 24 characters; what is much longer is none, and is not looked up.
MAX_TOKEN_CHARS = 64
# Looks at invitations: a person needs a few, who guesses needs 2^143.
LOOKS = 60
LOOKS_PERIOD_S = 600.0
MAX_ADDRESSES = 10_000

STATUS = {
    "not-allowed": HTTPStatus.FORBIDDEN,
    "forbidden": HTTPStatus.FORBIDDEN,
    "policy-violation": HTTPStatus.FORBIDDEN,
    "item-not-found": HTTPStatus.NOT_FOUND,
    "conflict": HTTPStatus.CONFLICT,
    "resource-constraint": HTTPStatus.TOO_MANY_REQUESTS,
}


class _TokenPage(Resource):
    """A page below which the tokens are."""

    def __init__(self, host: Any, web: IWeb) -> None:
        super().__init__()
        self.host = host
        self.web: Any = web
        self._looks = Throttle(host.clock, LOOKS, LOOKS_PERIOD_S, MAX_ADDRESSES)

    def getChild(self, path: bytes, request: Any) -> Any:
        """Be found with one segment behind the own path."""
        return NOT_FOUND if request.postpath else self

    def max_body_bytes(self, request: Any) -> int:
        """See `palaver.web.site.WebRequest`."""
        return MAX_FORM_BYTES

    def render_GET(self, request: Any) -> int:
        """Show it."""
        return respond(request, self._get(request))

    async def _get(self, request: Any) -> bytes:
        raise NotImplementedError

    async def invite(self, request: Any) -> Invite | None:
        """Give the invitation that a request is about. Raises StanzaError for too many looks."""
        address = parse_address(self.web.client(request).address)
        if address is not None and not self._looks.allow(address):
            raise StanzaError("resource-constraint", "Too many requests. Try again in some minutes.")
        invites, token = self.host.query(IInvites), token_of(request)
        if invites is None or not token:
            return None
        found: Invite | None = await invites.look(token)
        return found


class InvitePage(_TokenPage):
    """Says who invites, and what to do with the invitation."""

    def __init__(self, host: Any, web: IWeb, register_path: str) -> None:
        """``register_path`` is where accounts are made."""
        super().__init__(host, web)
        self._register_path = register_path

    async def _get(self, request: Any) -> bytes:
        try:
            invite = await self.invite(request)
        except StanzaError as error:
            return _refused(request, error)
        if invite is None:
            return _gone(request)
        return show(request, self._page(token_of(request), invite))

    def _page(self, token: str, invite: Invite) -> bytes:
        domain, uri = self.host.domain, invite.uri(self.host.domain, token)
        parts = _greeting(invite, domain)
        steps = [tag("li", "Install a program from the list below.")]
        steps.append(tag("li", "Open the invitation in it: ", tag("a", uri, href=uri), "."))
        parts.append(tag("section", tag("h2", "With a program"), tag("ol", *steps)))
        if invite.register and self.host.query(IRegistration) is not None:
            address = f"{self._register_path}/{quote(token)}"
            link = tag("a", "Make an account", href=address, class_="button")
            parts.append(tag("section", tag("h2", "In this browser"), link))
        parts.append(tag("section", tag("h2", "Programs"), _clients()))
        parts.append(tag("p", f"The invitation counts until {_day(invite.expires)}.", class_="soft"))
        return document(f"Invitation to {domain}", *parts)


class RegisterPage(_TokenPage):
    """A form that makes an account; with a token, or without one where registration is open to all."""

    def __init__(self, host: Any, web: IWeb, path: str) -> None:
        super().__init__(host, web)
        self._path = path
        self._forms = Forms("palaver-register")

    async def _get(self, request: Any) -> bytes:
        try:
            invite = await self._admitted(request)
        except StanzaError as error:
            return _refused(request, error)
        return self._form(request, invite)

    def render_POST(self, request: Any) -> int:
        """Make the account."""
        return respond(request, self._post(request))

    async def _post(self, request: Any) -> bytes:
        if not self._forms.is_ours(request):
            return refusal(
                request,
                HTTPStatus.FORBIDDEN,
                "This form has expired",
                "Go back, load the page again, and allow cookies for it.",
            )
        try:
            invite = await self._admitted(request)
        except StanzaError as error:
            return _refused(request, error)
        if given(request, "password") != given(request, "again"):
            return self._form(request, invite, HTTPStatus.BAD_REQUEST, "The two passwords differ.")
        if not (given(request, "username") and given(request, "password")):
            return self._form(request, invite, HTTPStatus.BAD_REQUEST, "A name and a password are needed.")
        client = self.web.client(request)
        stranger = Stranger(client.address, client.secure, token_of(request))
        registration = self.host.query(IRegistration)
        try:
            name, password = given(request, "username"), given(request, "password")
            account = await registration.register(stranger, name, password)
        except StanzaError as error:
            status = STATUS.get(error.condition, HTTPStatus.BAD_REQUEST)
            return self._form(request, invite, status, error.text or "That is not possible.")
        return show(request, self._welcome(request, account), HTTPStatus.CREATED)

    async def _admitted(self, request: Any) -> Invite | None:
        """Give the invitation, None where none is needed. Raises StanzaError for who has none that counts."""
        registration, client = self.host.query(IRegistration), self.web.client(request)
        if registration is None:
            raise StanzaError("not-allowed", "Accounts are not made on this page.")
        if not token_of(request) and not registration.admits(Stranger(client.address, client.secure)):
            raise StanzaError("not-allowed", "An account is made with an invitation here. Ask for one.")
        invite = await self.invite(request)
        if token_of(request) and (invite is None or not invite.register):
            raise StanzaError("item-not-found", "This invitation is not valid any more. Ask for another.")
        return invite

    def _form(
        self, request: Any, invite: Invite | None, status: HTTPStatus = HTTPStatus.OK, wrong: str = ""
    ) -> bytes:
        domain = self.host.domain
        name = invite.username if invite is not None and invite.username else ""
        key = self._forms.key(request, self.web.client(request).secure, self._path)
        form = tag(
            "form",
            field(
                "username",
                f"Name (in front of @{domain})",
                value=name or given(request, "username"),
                readonly=bool(name),
                required=True,
                maxlength=MAX_PART_BYTES,
                autocomplete="username",
                autocapitalize="none",
                spellcheck="false",
            ),
            field("password", "Password", "password", required=True, autocomplete="new-password"),
            field("again", "Password again", "password", required=True, autocomplete="new-password"),
            void("input", type="hidden", name="key", value=key),
            tag("div", tag("button", "Make the account")),
            method="post",
        )
        said = tag("p", wrong, class_="wrong", role="alert") if wrong else Html()
        title = f"An account on {domain}"
        return show(request, document(title, tag("h1", title), said, tag("section", form)), status)

    def _welcome(self, request: Any, account: str) -> bytes:
        domain = self.host.domain
        told = facts(("Address", tag("code", account)), ("Server", tag("code", domain)))
        return document(
            "Welcome",
            tag("h1", "Welcome"),
            tag("section", tag("h2", "Your account is there"), told),
            tag("section", tag("h2", "Log in with one of these"), _clients()),
            links_section(self.host, self.web.client(request)),
        )


def token_of(request: Any) -> str:
    """Give the token that stands behind the path of a page; "" when there is none that could be one."""
    segments = request.prepath[request.found.depth :]
    text: str = segments[0].decode("ascii", "replace") if segments else ""
    return text if len(text) <= MAX_TOKEN_CHARS else ""


def _greeting(invite: Invite, domain: str) -> list[Html]:
    """Say who invites, and to what; invitations of the operator name nobody."""
    if not invite.inviter:
        return [
            tag("h1", f"You are invited to {domain}"),
            tag("p", "Have an account there, and chat with anybody."),
        ]
    purpose = f"to be a contact of theirs on {domain}" if invite.subscribe else f"to {domain}"
    return [tag("h1", f"{invite.inviter} invites you"), tag("p", f"{invite.inviter} invites you {purpose}.")]


def _day(at: float) -> str:
    """Give a time as people read it."""
    return f"{datetime.fromtimestamp(at, UTC):%d %B %Y, %H:%M} UTC"


def _clients() -> Html:
    return facts(*map(client_line, CLIENTS))


def _gone(request: Any) -> bytes:
    return refusal(
        request,
        HTTPStatus.NOT_FOUND,
        "This invitation is not valid",
        "It has been used or has expired. Ask whoever sent it for another.",
    )


def _refused(request: Any, error: StanzaError) -> bytes:
    status = STATUS.get(error.condition, HTTPStatus.BAD_REQUEST)
    return refusal(request, status, "That is not possible", error.text or status.phrase)
