"""The pages at ``/account``: which there are, and who may use them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from twisted.web.resource import Resource

from palaver.web.account import changes, sections
from palaver.web.account.download import export
from palaver.web.account.visit import Refusal, Visit, make_pages
from palaver.web.interfaces import IWeb
from palaver.web.pages.html import document, show, tag
from palaver.web.pages.respond import MAX_FORM_BYTES, respond
from palaver.web.site import NOT_FOUND

Shown = Callable[[Visit], Awaitable[bytes]]

LOGIN, DELETE, GONE = "login", "delete", "gone"

SHOWN: Mapping[str, Shown] = {"": sections.overview, DELETE: sections.deletion}
POSTED: Mapping[str, Shown] = {
    "password": changes.password,
    "sessions": changes.sessions,
    "tokens": changes.tokens,
    "presence": changes.presence,
    "export": export,
    DELETE: changes.delete,
    "logout": changes.logout,
}


class AccountPage(Resource):
    """Lets people look after their account, once they are logged in."""

    isLeaf = True

    def __init__(self, host: Any, web: IWeb, settings: Any) -> None:
        """Show what ``settings``, those of mod_self_service, allow."""
        super().__init__()
        self._pages = make_pages(host, web, settings)

    def max_body_bytes(self, request: Any) -> int:
        """See `palaver.web.site.WebRequest`."""
        return MAX_FORM_BYTES

    def render_GET(self, request: Any) -> Any:
        """Show a page, or the form to log in."""
        name = _name(request)
        if name == GONE:
            return show(request, _gone())
        shown = SHOWN.get(name) if self._offers(name) else None
        return NOT_FOUND.render(request) if shown is None else respond(request, self._get(request, shown))

    def render_POST(self, request: Any) -> Any:
        """Do what a form says."""
        name = _name(request)
        if name == LOGIN:
            return respond(request, self._pages.signin.enter(request))
        posted = POSTED.get(name) if self._offers(name) else None
        if posted is None:
            return NOT_FOUND.render(request)
        return respond(request, self._post(request, name, posted))

    def _offers(self, name: str) -> bool:
        return name != DELETE or bool(self._pages.settings.allow_deletion)

    async def _get(self, request: Any, shown: Shown) -> bytes:
        login = await self._pages.signin.who(request)
        if login is None:
            return self._pages.signin.ask(request)
        return await shown(Visit(self._pages, request, login))

    async def _post(self, request: Any, name: str, posted: Shown) -> bytes:
        login = await self._pages.signin.who(request)
        if login is None:
            return self._pages.signin.ask(request)
        if not self._pages.signin.is_ours(request, login):
            return self._pages.signin.forged(request)
        visit = Visit(self._pages, request, login)
        try:
            return await posted(visit)
        except Refusal as refusal:
            again = sections.deletion if name == DELETE else sections.overview
            return await again(visit, refusal.sentence, refusal.status)


def _name(request: Any) -> str:
    """Give what stands behind the path of the pages; nothing of ours has a slash in it."""
    name: str = b"/".join(request.postpath).decode("ascii", "replace")
    return name


def _gone() -> bytes:
    title = "The account has been deleted"
    return document(title, tag("h1", title), tag("p", "Nothing of it is stored here any more."))
