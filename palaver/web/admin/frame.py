"""One visit of an administrator to one page, and what all pages have: their frame, tables, forms, steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import nsmallest
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from palaver.commands.command import Call
from palaver.routing.host import Host
from palaver.web.admin.files import VERSION
from palaver.web.pages.html import Html, field, show, tag, void
from palaver.web.pages.respond import given
from palaver.web.signin import Login

if TYPE_CHECKING:
    from palaver.web.admin.site import AdminPages

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# What stands where there is no value.
NOTHING = "-"
# Rows of one page.
PAGE_ROWS = 50

SECTIONS = (
    ("accounts", "Accounts"),
    ("sessions", "Sessions"),
    ("rooms", "Rooms"),
    ("invitations", "Invitations"),
    ("modules", "Modules"),
    ("commands", "Commands"),
)


class PageError(Exception):
    """There is no such page, or not for this administrator: a status and a sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Visit(NamedTuple):
    """One request for a page.

    ``host`` is the host that the page is about, ``hosts`` all that the administrator may see, by domain;
    ``section`` is the part of the pages that it is in, and ``rest`` the segments of the path behind that.
    ``everywhere`` says that the whole server is theirs.
    """

    request: Any
    pages: AdminPages
    login: Login
    host: Host
    hosts: dict[str, Host]
    everywhere: bool
    section: str = ""
    rest: tuple[str, ...] = ()

    @property
    def call(self) -> Call:
        """A use of a command by this administrator."""
        return Call(self.host, self.login.account)

    def to(self, *segments: str, **query: str) -> str:
        """Give the address of a page of this host."""
        return address(self.pages.path, self.host.domain, *segments, **query)

    def asked(self, name: str) -> str:
        """Give a parameter of the request."""
        return given(self.request, name).strip()


def address(base: str, *segments: str, **query: str) -> str:
    """Give an address below a path; names come as they are."""
    path = "/".join([base, *(quote(segment, safe="@") for segment in segments)])
    return f"{path}?{urlencode(query)}" if query else path


# -- the frame ----------------------------------------------------------------------------------


def framed(visit: Visit, title: str, *content: object, status: HTTPStatus = HTTPStatus.OK) -> bytes:
    """Give a whole page."""
    base = visit.pages.path
    head = tag(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} - {visit.host.domain}"),
        void("link", rel="stylesheet", href=f"{base}/style.css?{VERSION}"),
        tag("script", src=f"{base}/live.js?{VERSION}", defer=True),
    )
    main = tag("main", tag("h1", title), *content, id="main", class_="wide", tabindex="-1")
    body = tag("body", tag("a", "To the content", href="#main", class_="skip"), _header(visit), main)
    page = show(visit.request, f'<!doctype html><html lang="en">{head}{body}</html>'.encode(), status)
    visit.request.setHeader("content-security-policy", POLICY)
    return page


def _header(visit: Visit) -> Html:
    items = [_item(visit, "", "Overview", visit.pages.path)]
    items += [_item(visit, name, title, visit.to(name)) for name, title in SECTIONS]
    leave = tag(
        "form",
        visit.pages.signin.hidden(visit.login),
        tag("button", f"Log out {visit.login.account.bare}"),
        method="post",
        action=f"{visit.pages.path}/logout",
    )
    return tag(
        "header",
        tag("strong", visit.host.domain),
        tag("nav", tag("ul", *items), aria_label="Pages"),
        leave,
        class_="wide",
    )


def _item(visit: Visit, name: str, title: str, href: str) -> Html:
    current = "page" if name == visit.section else None
    return tag("li", tag("a", title, href=href, aria_current=current))


# -- parts of pages -----------------------------------------------------------------------------


def section(title: str, *content: object) -> Html:
    """Give a part of a page under a heading."""
    return tag("section", tag("h2", title), *content)


def table(head: Sequence[str], found: Iterable[Sequence[object]], nothing: str) -> Html:
    """Give a table that folds on small screens; ``nothing`` is said when it is empty."""
    lines = [
        tag("tr", *(tag("td", cell, data_label=name or None) for name, cell in zip(head, row, strict=True)))
        for row in found
    ]
    if not lines:
        return tag("p", nothing, class_="soft")
    top = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in head)))
    return tag("table", top, tag("tbody", *lines))


def link(name: object, href: str) -> Html:
    """Give a link."""
    return tag("a", name, href=href)


def button(name: str, href: str, harm: bool = False) -> Html:
    """Give a link that leads to a form."""
    return tag("a", name, href=href, class_="button harm" if harm else "button")


def do(visit: Visit, command: str, name: str, **values: str) -> Html:
    """Give a form of one button that runs a command with these values of its fields."""
    hidden = [void("input", type="hidden", name=key, value=value) for key, value in values.items()]
    return tag(
        "form",
        visit.pages.signin.hidden(visit.login),
        *hidden,
        tag("button", name),
        method="post",
        action=visit.to("commands", slug(command)),
        class_="inline",
    )


def slug(command: str) -> str:
    """Give the name of a command as a segment of a path."""
    return command.replace(" ", "-").replace("/", "-")


def search(visit: Visit, label: str) -> Html:
    """Give the form that finds something in the list of a page."""
    return tag(
        "form",
        field("find", label, "search", value=visit.asked("find"), autocapitalize="none", spellcheck="false"),
        tag("button", "Find"),
        method="get",
        class_="line",
        role="search",
    )


def onward(visit: Visit, **query: str) -> Html:
    """Give the link to the next part of a list; ``query`` says where that begins."""
    find = {"find": visit.asked("find")} if visit.asked("find") else {}
    href = visit.to(visit.section, *visit.rest, **find, **query)
    return tag("p", tag("a", "More", href=href, rel="next"))


def sliced(visit: Visit, names: Iterable[str]) -> tuple[list[str], Html]:
    """Give those of some names that the page shows, in order, and the link to the next ones."""
    after, find = visit.asked("after"), visit.asked("find").lower()
    behind = nsmallest(PAGE_ROWS + 1, (name for name in names if name > after and find in name.lower()))
    shown = behind[:PAGE_ROWS]
    return shown, onward(visit, after=shown[-1]) if len(behind) > PAGE_ROWS else Html()
