"""The pages for administrators: who asks, about which host, and which page answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from twisted.web.resource import Resource

from palaver.commands.admins import is_admin
from palaver.errors import StanzaError, StorageError
from palaver.interfaces import IDomains
from palaver.jid import JID
from palaver.log import Log
from palaver.routing.host import Host
from palaver.web.admin import accounts, commands, invitations, modules, overview, rooms, sessions
from palaver.web.admin.figures import Figures
from palaver.web.admin.files import FILES, file
from palaver.web.admin.frame import PageError, Visit, framed
from palaver.web.pages.html import refusal, tag
from palaver.web.pages.respond import MAX_FORM_BYTES, respond
from palaver.web.problems import problem
from palaver.web.rest.routes import refused
from palaver.web.signin import Login, SignIn, sent_to

Page = Callable[[Visit], Awaitable[bytes]]

PAGES: dict[tuple[str, str, int], Page] = {
    ("GET", "accounts", 0): accounts.listing,
    ("GET", "accounts", 1): accounts.show,
    ("GET", "sessions", 0): sessions.listing,
    ("GET", "sessions", 2): sessions.show,
    ("GET", "rooms", 0): rooms.listing,
    ("GET", "rooms", 1): rooms.show,
    ("GET", "light", 0): rooms.light_listing,
    ("GET", "light", 1): rooms.light_show,
    ("GET", "invitations", 0): invitations.listing,
    ("GET", "modules", 0): modules.show,
    ("GET", "commands", 0): commands.listing,
    ("GET", "commands", 1): commands.form,
    ("POST", "commands", 1): commands.run,
}
"""By method, section, and number of segments behind that."""

log = Log("web")


class AdminPages(Resource):
    """All of them, below one path of one host; other hosts' pages are below it too, by their domains."""

    isLeaf = True

    def __init__(self, host: Any, web: Any, path: str) -> None:
        super().__init__()
        self.path = path.rstrip("/")
        self.host = host
        self.signin = SignIn(
            host, web, "palaver-admin", path, f"Administration of {host.domain}", self._may, self._host_of
        )
        self.figures: Figures = web.shared("admin-figures", lambda: Figures(host.clock))

    def max_body_bytes(self, request: Any) -> int:
        """See `palaver.web.site.WebRequest`."""
        return MAX_FORM_BYTES

    def render(self, request: Any) -> Any:
        """Answer."""
        method = {b"GET": "GET", b"HEAD": "GET", b"POST": "POST"}.get(request.method)
        if method is None:
            return problem(request, HTTPStatus.METHOD_NOT_ALLOWED, "Use GET or POST", allow="GET, HEAD, POST")
        segments = tuple(part.decode("utf-8", "replace") for part in request.postpath if part)
        if method == "GET" and len(segments) == 1 and segments[0] in FILES:
            return file(request, segments[0])
        return respond(request, self._answer(request, method, segments))

    async def _answer(self, request: Any, method: str, segments: tuple[str, ...]) -> bytes:
        try:
            if method == "POST" and segments == ("login",):
                return await self.signin.enter(request)
            # What a page fetches by itself does not count as somebody being there.
            login = await self.signin.who(request, touch=b"live" not in request.args)
            if login is None:
                return self.signin.ask(request)
            if method == "POST" and not self.signin.is_ours(request, login):
                return self.signin.forged(request)
            if segments == ("logout",) and method == "POST":
                return self.signin.leave(request)
            if segments == ("login",):
                return sent_to(request, self.path)
            return await self._page(await self._visit(request, login), method, segments)
        except StorageError as error:
            log.warn("page-failed", path=self.path, reason=error)
            request.setHeader("retry-after", "5")
            sentence = "The storage does not answer. Try again in a moment."
            return refusal(request, HTTPStatus.SERVICE_UNAVAILABLE, "Not now", sentence)

    async def _page(self, visit: Visit, method: str, segments: tuple[str, ...]) -> bytes:
        if not segments and method == "GET":
            return await overview.show(visit)
        if visit.everywhere and segments and segments[0] not in visit.hosts:
            visit = await self._woken(visit, segments[0])
        if len(segments) == 1 and segments[0] in visit.hosts:
            segments = (segments[0], "accounts")
        try:
            domain, name, *rest = segments if len(segments) > 1 else ("", "")
            host = visit.hosts.get(domain)
            page = PAGES.get((method, name, len(rest)))
            if host is None or page is None:
                raise PageError(HTTPStatus.NOT_FOUND, "There is no such page, or it is not for you.")
            visit = visit._replace(host=host, section=name, rest=tuple(rest))
            return await page(visit)
        except PageError as error:
            return _refused(visit, error.status, error.sentence)
        except StanzaError as error:
            answer = refused(error)
            return _refused(visit, answer.status, answer.detail)

    # -- who may see what ---------------------------------------------------------------------------

    async def _visit(self, request: Any, login: Login) -> Visit:
        everywhere = login.account.bare in self.host.server_admins
        hosts = await self._hosts(login.account)
        host = hosts.get(self.host.domain) or next(iter(hosts.values()))
        return Visit(request, self, login, host, hosts, everywhere)

    async def _woken(self, visit: Visit, domain: str) -> Visit:
        """Have the host of an added domain made, if that is what somebody looks at."""
        domains = self.host.query(IDomains)
        if domains is None:
            return visit
        await domains.wake(domain)
        return visit._replace(hosts=await self._hosts(visit.login.account))

    async def _hosts(self, who: JID) -> dict[str, Host]:
        """Give the hosts that somebody administers, by domain. Raises StorageError.

        Those who were added as administrators find their host on its own pages, or as accounts of it.
        """
        everything = {
            domain: host for domain, host in self.host.router.services.items() if isinstance(host, Host)
        }
        if who.bare in self.host.server_admins:
            return everything
        found = {domain: host for domain, host in everything.items() if who.bare in host.admins}
        for domain in {self.host.domain, who.domain} & everything.keys() - found.keys():
            if await is_admin(everything[domain], who):
                found[domain] = everything[domain]
        return found

    async def _may(self, who: JID) -> bool:
        return bool(await self._hosts(who))

    def _host_of(self, domain: str) -> Host | None:
        found = self.host.router.services.get(domain)
        return found if isinstance(found, Host) else None


def _refused(visit: Visit, status: HTTPStatus, sentence: str) -> bytes:
    return framed(visit, "That is not possible", tag("p", sentence, role="alert"), status=status)
