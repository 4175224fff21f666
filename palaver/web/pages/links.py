"""What the start page leads to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from zope.interface import Interface, implementer

from palaver.web.pages.html import Html, tag
from palaver.web.proxies import Client


class ILink(Interface):
    """Something for people at an address of a host; found by its path in the host's registry."""


@implementer(ILink)
class Link(NamedTuple):
    """Leads to a page: its path, its name, what one does there, and for whom it is (a `Client`)."""

    path: str
    name: str
    purpose: str
    concerns: Callable[[Client], bool] = lambda client: True


def add(host: Any, link: Link) -> Callable[[], object]:
    """Have the start page of a host lead somewhere; gives the function that takes it back."""
    host.registry.registerUtility(link, ILink, link.path)
    return lambda: host.registry.unregisterUtility(link, ILink, link.path)


def links_section(host: Any, client: Client) -> Html:
    """Give what of a host somebody may look at, under a heading; nothing where there is nothing."""
    found = sorted(link for _, link in host.registry.getUtilitiesFor(ILink))
    lines = [
        tag("li", tag("a", one.name, href=one.path), f": {one.purpose}")
        for one in found
        if one.concerns(client)
    ]
    return tag("section", tag("h2", "On this server"), tag("ul", *lines)) if lines else Html()


# Programs that can do what this server can, maintained and free; the platform first.
CLIENTS = (
    ("Android", "Conversations", "https://conversations.im/"),
    ("iPhone, iPad, Mac", "Monal", "https://monal-im.org/"),
    ("Windows, Linux", "Gajim", "https://gajim.org/"),
    ("Linux", "Dino", "https://dino.im/"),
    ("A terminal", "Profanity", "https://profanity-im.github.io/"),
)


def client_line(found: tuple[str, str, str]) -> tuple[str, Html]:
    """Give one of `CLIENTS` for a list of facts."""
    platform, name, address = found
    return platform, tag("a", name, href=address, rel="noopener noreferrer")
