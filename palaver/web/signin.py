"""Logging in to pages: a form for name and password, a cookie that stands for a login, keys of its forms.

A page that wants a login makes one `SignIn` for its path and uses it so, in coroutines for
`palaver.web.pages.respond.respond`:

    login = await signin.who(request)        # a Login, or None: nobody, expired, locked out, other password
    if login is None: return signin.ask(request)      # the page with the form, 401
    return await signin.enter(request)       # for POST of that form, at signin.path_in: in, or refused
    if not signin.is_ours(request, login): return signin.forged(request)   # for every other POST, 403
    form = tag("form", ..., signin.hidden(login))     # what makes a form one of ours
    return await signin.renewed(request, login)       # after the account's password was changed
    return signin.leave(request)             # the login ends, its cookie goes; answers with a redirect
    return sent_to(request, "/path")         # 303, after each POST that changed something

Logins are in the memory of the process: by the hash of what the cookie has, bounded, and shared by all
hosts. They end with the browser, by `leave`, after `idle_s` without a request (one with ``touch=False`` does
not count), after `life_s` whatever happens, and when the account has another password or is locked out.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from palaver import metrics
from palaver.auth.accounts import Credentials
from palaver.jid import JID
from palaver.log import Log
from palaver.throttle import Throttle, parse_address
from palaver.web.logins import Login, Logins
from palaver.web.pages.html import Html, document, field, refusal, show, tag, void
from palaver.web.pages.respond import Forms, given
from palaver.web.rest.identity import account

# Somebody reads a page that long; OWASP names 15 to 30 minutes for what is not worth the most.
IDLE_S = 1800.0
# A working day.
LIFE_S = 12 * 3600.0
# Tries of one address, right or wrong, at all pages of the server together.
TRIES = 20
TRIES_PERIOD_S = 300.0
MAX_ADDRESSES = 10_000

__all__ = ("Login", "SignIn", "sent_to")

WRONG = "This name and password do not go together, or may not come in here."

log = Log("web")


async def _anybody(found: JID) -> bool:
    return True


class SignIn:
    """Lets accounts log in to what is below one path of one host."""

    idle_s = IDLE_S
    life_s = LIFE_S

    def __init__(
        self,
        host: Any,
        web: Any,
        cookie: str,
        path: str,
        title: str,
        may: Callable[[JID], Awaitable[bool]] = _anybody,
        host_of: Callable[[str], Any] | None = None,
    ) -> None:
        """Take the cookie's name, the path where the page is mounted, and what the form is headed with.

        ``may`` tells whether an account may be here; it is asked for each request. ``host_of`` gives the
        host of a domain, or None, where accounts of other hosts may log in too.
        """
        self.path = path.rstrip("/")
        self.path_in = f"{self.path}/login"
        self._host = host
        self._web = web
        self._cookie = cookie
        self._title = title
        self._may = may
        self._host_of = host_of or (lambda domain: host if domain == host.domain else None)
        self._forms = Forms(f"{cookie}-form")
        self._logins: Logins = web.shared("logins", lambda: Logins(host.clock))
        self._tries: Throttle = web.shared(
            "login-tries", lambda: Throttle(host.clock, TRIES, TRIES_PERIOD_S, MAX_ADDRESSES)
        )

    # -- who it is ----------------------------------------------------------------------------------

    async def who(self, request: Any, touch: bool = True) -> Login | None:
        """Give who is logged in; None for nobody. Raises StorageError."""
        token = self._token(request)
        held = self._logins.get(self._cookie, token, self.idle_s, self.life_s) if token else None
        if held is None:
            return None
        found = held.login.account
        credentials = await self._credentials(found)
        if credentials is None or not _same_password(held.keys, credentials) or not await self._may(found):
            self._logins.remove(token)
            return None
        if touch:
            self._logins.touch(token)
        return held.login

    def is_ours(self, request: Any, login: Login) -> bool:
        """Tell whether what was posted is a form that this login was shown."""
        if request.getHeader("sec-fetch-site") not in (None, "same-origin", "none"):
            return False
        return hmac.compare_digest(login.key.encode(), given(request, "key").encode())

    def hidden(self, login: Login) -> Html:
        """Give what makes a form one of ours."""
        return void("input", type="hidden", name="key", value=login.key)

    def forged(self, request: Any) -> bytes:
        """Refuse a form that is not ours."""
        return refusal(
            request,
            HTTPStatus.FORBIDDEN,
            "This form has expired",
            "Go back, load the page again, and send it once more.",
        )

    # -- in and out ---------------------------------------------------------------------------------

    def ask(self, request: Any, status: HTTPStatus = HTTPStatus.UNAUTHORIZED, wrong: str = "") -> bytes:
        """Give the page with the form."""
        if self._is_overheard(request):
            sentence = "Passwords are taken by HTTPS only. Open this page at its https:// address."
            return refusal(request, HTTPStatus.FORBIDDEN, self._title, sentence)
        name = given(request, "username") if wrong else ""
        form = tag(
            "form",
            field(
                "username",
                f"Name (in front of @{self._host.domain}) or whole address",
                value=name,
                required=True,
                autofocus=True,
                autocomplete="username",
                autocapitalize="none",
                spellcheck="false",
            ),
            field("password", "Password", "password", required=True, autocomplete="current-password"),
            void("input", type="hidden", name="key", value=self._forms.key(request, *self._scope(request))),
            tag("div", tag("button", "Log in")),
            method="post",
            action=self.path_in,
        )
        said = tag("p", wrong, class_="wrong", role="alert") if wrong else Html()
        page = document(self._title, tag("h1", self._title), said, tag("section", form))
        return show(request, page, status)

    async def enter(self, request: Any) -> bytes:
        """Take the posted form: whoever is right is sent to the page, others see the form again.

        Raises StorageError.
        """
        if self._is_overheard(request):
            return self.ask(request)
        if not self._forms.is_ours(request):
            wrong = "This form has expired. Send it once more, and allow cookies for this page."
            return self.ask(request, HTTPStatus.FORBIDDEN, wrong)
        client = self._web.client(request)
        address = parse_address(client.address)
        if address is not None and not self._tries.allow(address):
            log.warn("web-login-throttled", page=self._cookie, address=client.address)
            request.setHeader("retry-after", f"{TRIES_PERIOD_S / TRIES:.0f}")
            return self.ask(request, HTTPStatus.TOO_MANY_REQUESTS, "Too many tries. Wait for a minute.")
        found = await self._checked(given(request, "username"), given(request, "password"))
        credentials = await self._credentials(found) if found is not None else None
        if found is None or credentials is None:
            metrics.login_failures["not-authorized"] += 1
            log.info("web-login-failed", page=self._cookie, address=client.address)
            return self.ask(request, HTTPStatus.FORBIDDEN, WRONG)
        metrics.logins["web"] += 1
        log.info("web-login", page=self._cookie, user=found.bare, address=client.address)
        self._begin(request, found, credentials)
        return sent_to(request, self.path)

    async def renewed(self, request: Any, login: Login) -> Login:
        """Go on with a login whose account has another password now, which ends all others of the account.

        Gives the login that takes its place. Raises StorageError.
        """
        credentials = await self._credentials(login.account)
        return self._begin(request, login.account, credentials or Credentials({}))

    def leave(self, request: Any) -> bytes:
        """End the login of a request; gives a redirect to the form."""
        self._logins.remove(self._token(request))
        self._set_cookie(request, "", max_age=b"0")
        return sent_to(request, self.path)

    # -- how ----------------------------------------------------------------------------------------

    async def _checked(self, name: str, password: str) -> JID | None:
        """Give the account of a name and a password that may be here."""
        name = name.strip()
        address = name if "@" in name else f"{name}@{self._host.domain}"
        host = self._host_of(address.rpartition("@")[2].lower()) or self._host
        found = await account(host, address, password)
        return found if found is not None and await self._may(found) else None

    async def _credentials(self, found: JID) -> Credentials | None:
        host = self._host_of(found.domain)
        credentials = await host.accounts.credentials(found.local) if host is not None else None
        return credentials if credentials is not None and not credentials.disabled else None

    def _begin(self, request: Any, found: JID, credentials: Credentials) -> Login:
        """Begin a login under a token that nobody has seen, whatever the browser had before."""
        self._logins.remove(self._token(request))
        token, login = self._logins.add(self._cookie, found, credentials.keys)
        self._set_cookie(request, token)
        return login

    def _is_overheard(self, request: Any) -> bool:
        client = self._web.client(request)
        address = parse_address(client.address)
        return not client.secure and address is not None and not address.is_loopback

    def _scope(self, request: Any) -> tuple[bool, str]:
        return self._web.client(request).secure, self.path or "/"

    def _token(self, request: Any) -> str:
        value = request.getCookie(self._name(request)) or b""
        text: str = value.decode("ascii", "replace")
        return text

    def _name(self, request: Any) -> bytes:
        # Browsers take a name like that by HTTPS only, so that nothing unencrypted can put another there.
        prefix = "__Secure-" if self._web.client(request).secure else ""
        return f"{prefix}{self._cookie}".encode()

    def _set_cookie(self, request: Any, value: str, max_age: bytes | None = None) -> None:
        secure, path = self._scope(request)
        request.addCookie(
            self._name(request),
            value.encode(),
            path=path.encode(),
            httpOnly=True,
            secure=secure,
            sameSite="strict",
            max_age=max_age,
        )


def _same_password(keys: Mapping[str, Any], credentials: Credentials) -> bool:
    """Tell whether an account has the password that it was logged in with, as far as its keys can tell.

    Another password has other salts; a stronger hash function that is added leaves the others.
    """
    now = credentials.keys
    return any(now.get(name) == each for name, each in keys.items()) if keys else not now


def sent_to(request: Any, path: str) -> bytes:
    """Send a browser on to a page, which it gets instead of sending a form twice; gives the body."""
    body = show(request, document("Done", tag("p", tag("a", "Go on", href=path))), HTTPStatus.SEE_OTHER)
    request.setHeader("location", path)
    return body
