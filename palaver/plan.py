"""What a config asks for, worked out and checked before anything of a running server is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import palaver.upstream  # noqa: F401  handlers of components import wokkel
from palaver.config import SOME_DOMAIN, Config, ConfigError, ModuleChoice
from palaver.interfaces import IRegistry, IRosters
from palaver.mistakes import Mistake
from palaver.routing.host import Host
from palaver.settings import Component

# What every host provides without any module.
BUILT_IN = frozenset((IRegistry, IRosters))


class HostPlan:
    """The modules of one host, in the order of attaching; ``host_type`` is that of an added domain."""

    def __init__(self, config: Config, domain: str, host_type: str = "") -> None:
        """Work it out; raises `ConfigError` with every mistake."""
        self.host_type = host_type
        self._choices = _in_order(domain, config.modules_for(domain, host_type))

    def missing(self, host: Host) -> list[ModuleChoice]:
        """Give what has to be attached, those first that others need."""
        return [choice for name, choice in self._choices.items() if name not in host.modules]

    def outdated(self, host: Host) -> list[str]:
        """Give what has to be detached, in order: what is gone, has other options, or needs one of these."""
        found = {name for name, module in host.modules.items() if not _is(module, self._choices.get(name))}
        lost = {interface for name in found for interface in host.modules[name].provides}
        names = reversed(list(host.modules))
        for name in host.modules:
            if name not in found and not lost.isdisjoint(host.modules[name].requires):
                found.add(name)
                lost.update(host.modules[name].provides)
        return [name for name in names if name in found]


class Plan:
    """What is to be on each host, and the components that come and go.

    ``gone_components`` are domains, ``new_components`` maps domains to (table, handlers).
    """

    def __init__(self, config: Config, components: Mapping[str, Component], added: Mapping[str, str]) -> None:
        """``components`` are those that run, ``added`` the host types of added domains that are hosts now.

        Raises `ConfigError` with every mistake.
        """
        mistakes: list[Mistake] = []
        self.hosts: dict[str, HostPlan] = {}
        named = {**dict.fromkeys(config.hosts, ""), **added}
        # The domains of a type may all be asleep: what is wrong is better known before they wake.
        types = [(SOME_DOMAIN, host_type) for host_type in config.general.host_types]
        for domain, host_type in (*named.items(), *types):
            try:
                plan = HostPlan(config, domain, host_type)
            except ConfigError as error:
                mistakes += [mistake for mistake in error.mistakes if mistake not in mistakes]
            else:
                if domain in named:
                    self.hosts[domain] = plan
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
