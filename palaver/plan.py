"""What a config asks for, worked out and checked before anything of a running server is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import palaver.upstream  # noqa: F401  handlers of components import wokkel
from palaver.config import Config, ConfigError, ModuleChoice
from palaver.interfaces import IRegistry, IRosters
from palaver.mistakes import Mistake
from palaver.routing.host import Host
from palaver.settings import Component

# What every host provides without any module.
BUILT_IN = frozenset((IRegistry, IRosters))


class Plan:
    """The modules of each host in the order of attaching, and the components that come and go.

    ``gone_components`` are domains, ``new_components`` maps domains to (table, handlers).
    """

    def __init__(self, config: Config, components: Mapping[str, Component]) -> None:
        """``components`` are those that run. Raises `ConfigError` with every mistake."""
        mistakes: list[Mistake] = []
        self._choices: dict[str, dict[str, ModuleChoice]] = {}
        for domain in config.general.hosts:
            try:
                self._choices[domain] = _in_order(domain, config.modules_for(domain))
            except ConfigError as error:
                mistakes += [mistake for mistake in error.mistakes if mistake not in mistakes]
        wanted = {d: table for d, table in config.components().items() if table.handler is not None}
        self.gone_components = [d for d, table in components.items() if wanted.get(d) != table]
        self.new_components: dict[str, tuple[Component, Any]] = {}
        for domain, table in wanted.items():
            if components.get(domain) == table:
                continue
            try:
                self.new_components[domain] = (table, _handlers(domain, table))
            except ConfigError as error:
                mistakes += error.mistakes
        if mistakes:
            raise ConfigError(mistakes)

    def missing(self, host: Host) -> list[ModuleChoice]:
        """Give what has to be attached, those first that others need."""
        return [choice for name, choice in self._choices[host.domain].items() if name not in host.modules]

    def outdated(self, host: Host) -> list[str]:
        """Give what has to be detached, in order: what is gone, has other options, or needs one of these."""
        wanted = self._choices[host.domain]
        found = {name for name, module in host.modules.items() if not _is(module, wanted.get(name))}
        lost = {interface for name in found for interface in host.modules[name].provides}
        names = reversed(list(host.modules))
        for name in host.modules:
            if name not in found and not lost.isdisjoint(host.modules[name].requires):
                found.add(name)
                lost.update(host.modules[name].provides)
        return [name for name in names if name in found]


def _is(module: Any, choice: ModuleChoice | None) -> bool:
    """Tell whether an attached module is what was chosen."""
    if choice is None or type(module) is not choice.load():
        return False
    policy = choice.iq_policy or module.iq_policy
    return bool(module.settings == choice.settings and module.policy == policy)


def _in_order(domain: str, choices: list[ModuleChoice]) -> dict[str, ModuleChoice]:
    """Give modules by name so that each follows what provides what it needs; raises `ConfigError`.

    A module of the daily set comes with what it needs: where that was taken away, it is left out.
    """
    waiting = list(choices)
    ordered: dict[str, ModuleChoice] = {}
    provided = set(BUILT_IN)
    while waiting:
        ready = [choice for choice in waiting if provided.issuperset(choice.load().requires)]
        if not ready:
            if asked := [choice for choice in waiting if not choice.maker.default]:
                raise ConfigError([_lacking(domain, choice, provided) for choice in asked])
            break
        for choice in ready:
            waiting.remove(choice)
            ordered[choice.maker.name] = choice
            provided.update(choice.load().provides)
    return ordered


def _lacking(domain: str, choice: ModuleChoice, provided: set[Any]) -> Mistake:
    names = ", ".join(i.__name__ for i in choice.load().requires if i not in provided)
    return Mistake("", domain, f"nothing provides what {choice.maker.name} needs: {names}")


def _handlers(domain: str, table: Component) -> Any:
    """Have a component's callable make its handlers; raises `ConfigError`."""
    try:
        return table.make()
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{domain}: {table.handler} cannot make its handlers: {error!r}") from error
