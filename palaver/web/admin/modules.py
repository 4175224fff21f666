"""What the host is made of: its modules, the services below it; for the whole server its domains."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from twisted.plugin import getPlugins

from palaver.commands.admins import all_admins
from palaver.interfaces import IDomains, IModuleMaker
from palaver.routing.domains import Added
from palaver.web.admin.frame import Visit, address, button, framed, link, section, table
from palaver.web.pages.html import Html, facts, tag

MAX_ADDED = 200


async def show(visit: Visit) -> bytes:
    """Show it; nothing is changed here, that is what the configuration is for."""
    host = visit.host
    rows = [(tag("code", name), _summaries().get(name, "")) for name in sorted(host.modules)]
    told = facts(
        ("Domain", tag("code", host.domain)),
        ("Administrators", ", ".join(await all_admins(host)) or "none"),
    )
    parts = [section("Host", told), section("Modules", table(("Module", "What it does"), rows, "None."))]
    if visit.everywhere:
        parts.append(section("Domains of the server", _domains(visit)))
    return framed(visit, "Modules", *parts)


@cache
def _summaries() -> dict[str, str]:
    """Give what each module does, by name; those of an embedding application have nothing to say."""
    return {maker.name: maker.summary for maker in getPlugins(IModuleMaker)}


def _domains(visit: Visit) -> Html:
    domains = visit.host.query(IDomains)
    added = dict(domains.list()) if domains is not None else {}
    names = sorted({*visit.hosts, *added})[:MAX_ADDED]
    rows = [_domain(visit, name, added) for name in names]
    add = button("Add a domain", visit.to("commands", "domain-add"))
    return Html(table(("Domain", "State", "Host type"), rows, "None.") + tag("div", add, class_="actions"))


def _domain(visit: Visit, name: str, added: Mapping[str, Added]) -> tuple[object, str, str]:
    if name not in added:
        return _link(visit, name), "of the configuration", ""
    state, host_type = str(added[name].state), added[name].host_type
    if state != "enabled":
        return name, state, host_type
    asleep = ", sleeps until somebody uses it" if name not in visit.hosts else ""
    return _link(visit, name), f"{state}{asleep}", host_type


def _link(visit: Visit, name: str) -> Html:
    return link(name, address(visit.pages.path, name, "modules"))
