"""The tables of modules in a configuration: which modules there are, and the options of one on a host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from twisted.plugin import getPlugins
from twisted.python.reflect import namedAny

from palaver.interfaces import IModuleMaker
from palaver.mistakes import ConfigError, Key, Mistake, dotted, mistakes_of, unknown
from palaver.settings import IqDisc

HOST = "@HOST@"
"""Stands for the domain of the host in the options of modules and in the domains of components."""

# Stands for the domains of a host type where its options are checked.
SOME_DOMAIN = "domain.invalid"

Table = Mapping[str, Any]


class ModuleChoice(NamedTuple):
    """A module that runs on a host.

    ``maker`` is its IModuleMaker, ``settings`` an instance of its class's ``Settings``,
    ``iq_policy`` what ``iqdisc`` says (such as ``queues:10``), or None.
    """

    maker: Any
    settings: Any
    iq_policy: str | None

    def load(self) -> Any:
        """Give the module's class."""
        return _load(self.maker)


def for_host(value: Any, host: str) -> Any:
    """Put a domain in the place of @HOST@ in every text and key of a TOML value."""
    if isinstance(value, str):
        return value.replace(HOST, host)
    if isinstance(value, Mapping):
        return {for_host(key, host): for_host(inner, host) for key, inner in value.items()}
    if isinstance(value, list):
        return [for_host(inner, host) for inner in value]
    return value


def all_makers(more: Iterable[Any]) -> dict[str, Any]:
    """Give every module maker by name; raises `ConfigError` when two have one name."""
    found: dict[str, Any] = {}
    for maker in (*getPlugins(IModuleMaker), *more):
        if maker.name in found:
            raise ConfigError(f"{maker.name} is both {found[maker.name].target} and {maker.target}")
        found[maker.name] = maker
    return found


def unfolded(table: Table, makers: Mapping[str, Any]) -> Table:
    """Give a config in which each module has a table of its own.

    MongooseIM's ``[modules.mod_event_pusher.push]`` is ``[modules.mod_event_pusher_push]`` here, if there is
    no such table.
    """
    found = dict(table)
    if isinstance(modules := table.get("modules"), Mapping):
        found["modules"] = _unfolded_modules(modules, makers)
    if isinstance(differing := table.get("host_config"), list):
        found["host_config"] = [
            {**entry, "modules": _unfolded_modules(entry["modules"], makers)}
            if isinstance(entry, Mapping) and isinstance(entry.get("modules"), Mapping)
            else entry
            for entry in differing
        ]
    return found


def _unfolded_modules(modules: Table, makers: Mapping[str, Any]) -> Table:
    found = dict(modules)
    for name, options in modules.items():
        for key in list(options) if isinstance(options, Mapping) else ():
            inner = f"{name}_{key}"
            if inner in makers and inner not in modules and isinstance(options[key], Mapping):
                found[inner] = options[key]
                found[name] = {other: found[name][other] for other in found[name] if other != key}
    return found


def _load(maker: Any) -> Any:
    return namedAny(maker.target)


def choose(maker: Any, table: Table, host: str, file: str, at: Key) -> ModuleChoice:
    """Read a module's table for one host; raises `ConfigError`."""
    try:
        model = _load(maker).Settings
    except (ImportError, AttributeError) as error:
        raise ConfigError([Mistake(file, dotted(at), f"{maker.target} cannot be loaded: {error}")]) from error
    mistakes: list[Mistake] = []
    options = dict(for_host(table, host))
    if not isinstance(options.pop("enabled", True), bool):
        mistakes.append(Mistake(file, dotted((*at, "enabled")), "it should be true or false"))
    policy: str | None = None
    settings: Any = None
    try:
        policy = _policy(options.pop("iqdisc", None))
    except ValidationError as error:
        mistakes += mistakes_of(error, IqDisc, file, (*at, "iqdisc"))
    try:
        settings = model.model_validate(options)
    except ValidationError as error:
        mistakes += mistakes_of(error, model, file, at)
    if mistakes:
        raise ConfigError(mistakes)
    return ModuleChoice(maker, settings, policy)


def _policy(table: Any) -> str | None:
    if table is None:
        return None
    chosen = IqDisc.model_validate(table)
    return f"queues:{chosen.workers}" if chosen.type == "queues" else chosen.type


def wrong_modules(table: Table, hosts: list[str], makers: Mapping[str, Any], file: str) -> list[Mistake]:
    """Check every module table, those of each host_config too, without a second copy of any mistake."""
    places: list[tuple[Key, Any, list[str]]] = [(("modules",), table.get("modules"), hosts)]
    differing = table.get("host_config")
    for number, entry in enumerate(differing if isinstance(differing, list) else ()):
        if isinstance(entry, Mapping):
            host = SOME_DOMAIN if "host_type" in entry else entry.get("host")
            own = [host] if isinstance(host, str) else hosts
            places.append((("host_config", number, "modules"), entry.get("modules"), own))
    found: dict[Mistake, None] = {}
    for at, modules, own in places:
        for name, options in modules.items() if isinstance(modules, Mapping) else ():
            if not isinstance(options, Mapping):
                continue  # the Root model has said so
            for host in own:
                found.update(dict.fromkeys(_wrong_module((*at, name), options, host, makers, file)))
    return list(found)


def _wrong_module(at: Key, options: Table, host: str, makers: Mapping[str, Any], file: str) -> list[Mistake]:
    name = str(at[-1])
    maker = makers.get(name)
    if maker is None:
        return [Mistake(file, dotted(at), unknown(name, makers).replace("unknown key", "unknown module"))]
    if options.get("enabled") is False:
        # What is off is not imported; its options wait unread.
        return []
    try:
        choose(maker, options, host, file, at)
    except ConfigError as error:
        return error.mistakes
    return []
