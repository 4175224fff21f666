"""Domains of a running server as commands, for those who administer all of it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from palaver import jid
from palaver.commands.command import Arguments, Call, Command, Done
from palaver.errors import StanzaError
from palaver.interfaces import IDomains


class OneDomain(Arguments):
    """Which domain."""

    domain: str = Field(description="The domain.")


class NewDomain(OneDomain):
    """A domain and how it is served."""

    host_type: str = Field(
        "", description="One of general.host_types, whose settings it has; without, those of any host."
    )


class Listed(BaseModel):
    """Domains."""

    domains: tuple[str, ...] = Field(description="domain, state and host type, a line each.")


async def add(call: Call, given: NewDomain) -> Done:
    """Serve another domain."""
    domain = _prepared(given)
    await _domains(call).add(domain, given.host_type)
    return Done(f"{domain} has been added.")


async def remove(call: Call, given: OneDomain) -> Done:
    """Serve an added domain no longer, and delete what is stored for it."""
    domain = _prepared(given)
    await _domains(call).remove(domain)
    return Done(f"{domain} has been removed; what is stored for it is being deleted.")


async def disable(call: Call, given: OneDomain) -> Done:
    """Serve an added domain no longer, and keep what is stored for it."""
    domain = _prepared(given)
    await _domains(call).disable(domain)
    return Done(f"{domain} has been disabled.")


async def enable(call: Call, given: OneDomain) -> Done:
    """Serve a disabled domain again."""
    domain = _prepared(given)
    await _domains(call).enable(domain)
    return Done(f"{domain} has been enabled.")


async def list_domains(call: Call, given: None) -> Done:
    """Give the domains that were added."""
    found = [(domain, added.state, added.host_type) for domain, added in _domains(call).list()]
    return Done("", Listed(domains=tuple(" ".join(filter(None, words)) for words in found)))


def _domains(call: Call) -> Any:
    found = call.host.query(IDomains)
    if found is None:
        raise StanzaError("service-unavailable", "This server has no domains but those of its configuration.")
    return found


def _prepared(given: OneDomain) -> str:
    try:
        return jid.prepare_domain(given.domain)
    except jid.InvalidJID as error:
        raise StanzaError("bad-request", f"{given.domain!r} is no domain: {error}.") from None


def _command(name: str, title: str, run: Any, arguments: type[Arguments] | None, harm: str = "") -> Command:
    return Command(f"palaver#domain-{name}", f"domain {name}", title, run, arguments, "server", harm=harm)


_REMOVED = "All accounts of the domain go, with everything that is stored for them; its sessions end."
_DISABLED = "The domain's sessions end, and nobody reaches it until it is enabled again."

DOMAINS = (
    _command("add", "Add a domain", add, NewDomain),
    _command("remove", "Remove a domain", remove, OneDomain, _REMOVED),
    _command("disable", "Disable a domain", disable, OneDomain, _DISABLED),
    _command("enable", "Enable a domain", enable, OneDomain),
    _command("list", "List the domains that were added", list_domains, None),
)
