"""Domains of a running server over REST (MongooseIM's dynamic domains)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import Field

from palaver.interfaces import IDomains
from palaver.jid import prepare_domain
from palaver.web.rest.routes import Ask, Given, RestError, Route

ENABLED = "enabled"


class HostType(Given):
    """How a domain is served."""

    host_type: str = Field(max_length=256, description="One of general.host_types, or empty.")


class Enabled(Given):
    """Whether a domain is served."""

    enabled: bool


class Served(Given):
    """A domain."""

    host_type: str
    enabled: bool


def _domains(ask: Ask) -> Any:
    if not ask.identity.everywhere:
        raise RestError(HTTPStatus.FORBIDDEN, "This is for those who administer the whole server")
    found = ask.host.query(IDomains)
    if found is None:
        raise RestError(HTTPStatus.NOT_IMPLEMENTED, "This server has no domains but the configured ones")
    return found


def _found(ask: Ask) -> tuple[Any, str, Any]:
    """Give the domains, the one of the path, and what is known of it. Raises RestError."""
    domains, domain = _domains(ask), prepare_domain(ask.path["domain"])
    added = dict(domains.list()).get(domain)
    if added is None:
        raise RestError(HTTPStatus.NOT_FOUND, "domain not found")
    return domains, domain, added


async def add(ask: Ask) -> None:
    """Add a domain; the same one again changes nothing."""
    domains, domain = _domains(ask), prepare_domain(ask.path["domain"])
    there = dict(domains.list()).get(domain)
    if there is None:
        await domains.add(domain, ask.body.host_type)
    elif there.host_type != ask.body.host_type:
        raise RestError(HTTPStatus.CONFLICT, "duplicate")


async def change(ask: Ask) -> None:
    """Enable or disable a domain."""
    domains, domain, added = _found(ask)
    if (added.state == ENABLED) != ask.body.enabled:
        await (domains.enable(domain) if ask.body.enabled else domains.disable(domain))


async def show(ask: Ask) -> Served:
    """Give a domain."""
    _, _, added = _found(ask)
    return Served(host_type=added.host_type, enabled=added.state == ENABLED)


async def remove(ask: Ask) -> None:
    """Remove a domain; one that is not there is gone already."""
    domains, domain = _domains(ask), prepare_domain(ask.path["domain"])
    added = dict(domains.list()).get(domain)
    if added is None:
        return
    if added.host_type != ask.body.host_type:
        raise RestError(HTTPStatus.FORBIDDEN, "wrong host type")
    await domains.remove(domain)


_ONE, NO_CONTENT = "/domains/{domain}", HTTPStatus.NO_CONTENT

DOMAINS: tuple[Route, ...] = (
    Route("PUT", _ONE, add, "Add a domain", HostType, status=NO_CONTENT, writes=True),
    Route("PATCH", _ONE, change, "Enable or disable", Enabled, status=NO_CONTENT, writes=True),
    Route("GET", _ONE, show, "A domain", None, None, Served),
    Route("DELETE", _ONE, remove, "Remove a domain", HostType, status=NO_CONTENT, writes=True),
)
