"""Pages as HTML: escaped texts, one frame, and headers that allow nothing that a page does not need."""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from typing import Any

from palaver.web.pages.style import DIGEST, STYLE

POLICY = (
    f"default-src 'none'; style-src 'sha256-{DIGEST}'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Addresses may have tokens in them.
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Html(str):
    """A text that is HTML already; every other one is escaped."""


def text(value: object) -> Html:
    """Give a value as HTML."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def tag(name: str, /, *content: object, **attributes: object) -> Html:
    """Give an element; ``class_`` loses its ``_``, True stands without a value, None is left out."""
    opening = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        opening.append(attribute if value is True else f'{attribute}="{escape(str(value))}"')
    inner = "".join(map(text, content))
    return Html(f"<{' '.join(opening)}>{inner}</{name}>")


def void(name: str, /, **attributes: object) -> Html:
    """Give an element that has no end tag, such as an input."""
    return Html(tag(name, **attributes).removesuffix(f"</{name}>"))


def facts(*pairs: tuple[object, object]) -> Html:
    """Give a list of names and values."""
    return tag("dl", *(Html(tag("dt", name) + tag("dd", value)) for name, value in pairs))


def rows(head: tuple[str, ...], found: list[tuple[object, ...]]) -> Html:
    """Give a table."""
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", name, scope="col") for name in head))),
        tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in found)),
    )


def field(name: str, label: str, kind: str = "text", **attributes: object) -> Html:
    """Give an input and its label."""
    given = {"id": name, "name": name, "type": kind, **attributes}
    return Html(tag("label", label, for_=name) + void("input", **given))


def document(title: str, *content: object, wide: bool = False) -> bytes:
    """Give a whole page."""
    style = Html(f"<style>{STYLE}</style>")
    head = tag(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        style,
    )
    body = tag("body", tag("main", *content, class_="wide" if wide else None))
    return f'<!doctype html><html lang="en">{head}{body}</html>'.encode()


def show(request: Any, body: bytes, status: HTTPStatus = HTTPStatus.OK) -> bytes:
    """Set the status and the headers of a page; gives the page."""
    request.setResponseCode(status.value, status.phrase.encode())
    for name, value in HEADERS.items():
        request.setHeader(name, value)
    return body


def refusal(request: Any, status: HTTPStatus, title: str, sentence: str) -> bytes:
    """Give a page that says why there is none."""
    return show(request, document(title, tag("h1", title), tag("p", sentence)), status)
