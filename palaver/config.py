"""TOML to typed settings, with every mistake at once.

    config = Config.from_file("palaver.toml")

gives the sections of `palaver.settings` as attributes, and `Config.modules_for` what
runs on a host. `ConfigError` lists what is wrong: file, key and what is allowed.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from twisted.plugin import getPlugins
from twisted.python.reflect import namedAny

from palaver import jid
from palaver.interfaces import IModuleMaker
from palaver.mistakes import ConfigError, Key, Mistake, dotted, mistakes_of, unknown
from palaver.settings import (
    Auth,
    C2sListener,
    Component,
    HostConfig,
    HttpListener,
    IqDisc,
    Listen,
    Root,
    Storage,
)

__all__ = (
    "HOST",
    "SOME_DOMAIN",
    "Config",
    "ConfigError",
    "Mistake",
    "ModuleChoice",
    "for_host",
    "load_config",
)

HOST = "@HOST@"
"""Stands for the domain of the host in the options of modules and in the domains of components."""

# Stands for the domains of a host type where its options are checked.
SOME_DOMAIN = "domain.invalid"

LOOPBACK = "127.0.0.1"
CONFIG_FILE = "palaver.toml"
CONFIG_VARIABLE = "PALAVER_CONFIG"

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


class Config:
    """A configuration without mistakes. Nothing in it changes; a reload makes another one."""

    def __init__(self, root: Root, file: str, makers: Mapping[str, Any]) -> None:
        self.general = root.general
        self.listen = root.listen
        self.tls = root.tls
        self.storage = root.storage
        self.limits = root.limits
        self.s2s = root.s2s
        self.file = file
        self._root = root
        self._makers = makers
        self._differing = {each.host: each for each in root.host_config if each.host is not None}
        self._of_types = {each.host_type: each for each in root.host_config if each.host_type is not None}

    @classmethod
    def default(cls) -> Config:
        """Give what serves localhost without a file."""
        return cls.from_dict({})

    @classmethod
    def from_file(cls, path: str | Path) -> Config:
        """Read a TOML file; raises `ConfigError`. Relative paths in it start at its folder."""
        name = str(path)
        try:
            table = tomllib.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise ConfigError([Mistake(name, "", f"cannot be read: {error.strerror}")]) from None
        except UnicodeDecodeError:
            raise ConfigError([Mistake(name, "", "is not UTF-8 text")]) from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError([Mistake(name, "", f"is not TOML: {error}")]) from None
        return cls.from_dict(table, file=name, base=Path(path).resolve().parent)

    @classmethod
    def from_dict(
        cls, table: Table, *, file: str = "", base: Path | None = None, makers: Iterable[Any] = ()
    ) -> Config:
        """Take the same as a file holds; raises `ConfigError`.

        ``base`` is the folder for relative paths (the working directory without it);
        ``makers`` are module makers beside the installed ones, for an embedding application.
        """
        known = _makers(makers)
        table = _unfolded(table, known)
        mistakes: list[Mistake] = []
        root = Root()
        try:
            root = Root.model_validate(table, context={"base": base})
        except ValidationError as error:
            mistakes += mistakes_of(error, Root, file)
        if not mistakes:
            mistakes += _wrong_hosts(root, file)
        # Module tables are looked at in any case, so that nobody mends one half to be shown the other.
        mistakes += _wrong_modules(table, root.general.hosts, known, file)
        if mistakes:
            raise ConfigError(mistakes)
        return cls(root.model_copy(update={"listen": _usual_ports(root)}), file, known)

    @property
    def hosts(self) -> list[str]:
        """The domains that have accounts, prepared."""
        return self.general.hosts

    def _differences(self, host: str, host_type: str) -> HostConfig | None:
        if host in self.hosts:
            return self._differing.get(host)
        return self._of_types.get(host_type)

    def auth_for(self, host: str, host_type: str = "") -> Auth:
        """Give the section ``auth`` of a host; ``host_type`` is that of one that was added."""
        differing = self._differences(host, host_type)
        return self._root.auth if differing is None or differing.auth is None else differing.auth

    def admins_of(self, host: str, host_type: str = "") -> frozenset[str]:
        """Give the bare JIDs of those who administer a host."""
        differing = self._differences(host, host_type)
        return frozenset((*self.general.admins, *(differing.admins if differing is not None else ())))

    def modules_for(self, host: str, host_type: str = "") -> list[ModuleChoice]:
        """Give the modules that run on a host, in the order of their names; imports their classes.

        Raises `ConfigError` when a class cannot be imported or needs an option that is not there.
        """
        tables = self._tables(host, host_type)
        chosen = []
        mistakes: list[Mistake] = []
        for name, maker in sorted(self._makers.items()):
            if not tables.get(name, {}).get("enabled", maker.default or name in tables):
                continue
            try:
                chosen.append(_choose(maker, tables.get(name, {}), host, self.file, ("modules", name)))
            except ConfigError as error:
                mistakes += error.mistakes
        if mistakes:
            raise ConfigError(mistakes)
        return chosen

    def _tables(self, host: str, host_type: str) -> dict[str, Table]:
        differing = self._differences(host, host_type)
        return {**self._root.modules, **(differing.modules if differing is not None else {})}

    def make_data_dir(self) -> None:
        """Make the data folder, for its owner only; raises `ConfigError` when that cannot be done."""
        folder = self.general.data_dir
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            message = f"the folder {folder} cannot be made: {error.strerror}"
            raise ConfigError([Mistake(self.file, "general.data_dir", message)]) from error

    def aside(self, folder: Path) -> Config:
        """Give the same with empty storage in memory and files in another folder, to look at it."""
        general = self.general.model_copy(update={"data_dir": folder})
        root = self._root.model_copy(update={"general": general, "storage": Storage(url="memory")})
        return Config(root, self.file, self._makers)

    def components(self) -> dict[str, Component]:
        """Give the in-process components by domain, prepared, @HOST@ taken for each host in turn."""
        return {
            jid.prepare_domain(for_host(domain, host)): component.model_copy(
                update={"options": for_host(component.options, host)}
            )
            for domain, component in self._root.components.items()
            for host in _hosts_of(domain, self.hosts)
        }


def load_config(path: str | None = None) -> Config:
    """Read a config file: the one named, else $PALAVER_CONFIG, else ./palaver.toml, else the defaults.

    Raises `ConfigError`.
    """
    path = path or os.environ.get(CONFIG_VARIABLE)
    if path is None and Path(CONFIG_FILE).exists():
        path = CONFIG_FILE
    return Config.default() if path is None else Config.from_file(path)


def for_host(value: Any, host: str) -> Any:
    """Put a domain in the place of @HOST@ in every text and key of a TOML value."""
    if isinstance(value, str):
        return value.replace(HOST, host)
    if isinstance(value, Mapping):
        return {for_host(key, host): for_host(inner, host) for key, inner in value.items()}
    if isinstance(value, list):
        return [for_host(inner, host) for inner in value]
    return value


def _usual_ports(root: Root) -> Listen:
    """Give the ports; where nothing is said of them, for this machine alone."""
    listen, said = root.listen, root.model_fields_set
    if "c2s" not in listen.model_fields_set and root.general.hosts == ["localhost"]:
        listen = listen.model_copy(update={"c2s": [C2sListener(interface=LOOPBACK)]})
    if "listen" not in said:
        listen = listen.model_copy(update={"http": [HttpListener()]})
    return listen


def _hosts_of(domain: str, hosts: list[str]) -> list[str]:
    """Give the hosts that a component's domain is made for: one when it does not name them."""
    return hosts if HOST in domain else hosts[:1]


def _makers(more: Iterable[Any]) -> dict[str, Any]:
    """Give every module maker by name; raises `ConfigError` when two have one name."""
    found: dict[str, Any] = {}
    for maker in (*getPlugins(IModuleMaker), *more):
        if maker.name in found:
            raise ConfigError(f"{maker.name} is both {found[maker.name].target} and {maker.target}")
        found[maker.name] = maker
    return found


def _unfolded(table: Table, makers: Mapping[str, Any]) -> Table:
    """Give a config in which each module has a table of its own.

    MongooseIM's ``[modules.mod_event_pusher.push]`` is ``[modules.mod_event_pusher_push]`` here, if there is
    no such table.
    """
    unfolded = dict(table)
    if isinstance(modules := table.get("modules"), Mapping):
        unfolded["modules"] = _unfolded_modules(modules, makers)
    if isinstance(differing := table.get("host_config"), list):
        unfolded["host_config"] = [
            {**entry, "modules": _unfolded_modules(entry["modules"], makers)}
            if isinstance(entry, Mapping) and isinstance(entry.get("modules"), Mapping)
            else entry
            for entry in differing
        ]
    return unfolded


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


def _choose(maker: Any, table: Table, host: str, file: str, at: Key) -> ModuleChoice:
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


def _wrong_hosts(root: Root, file: str) -> Iterator[Mistake]:
    """Find domains that are not served or not well-formed."""
    hosts = root.general.hosts
    types = root.general.host_types
    for number, differing in enumerate(root.host_config):
        if differing.host_type is not None:
            if differing.host_type not in types:
                allowed = f"allowed: {', '.join(types)}" if types else "general.host_types names none"
                message = f"{differing.host_type!r} is no host type; {allowed}"
                yield Mistake(file, dotted(("host_config", number, "host_type")), message)
        elif differing.host not in hosts:
            message = f"{differing.host!r} is not served; allowed: {', '.join(hosts)}"
            yield Mistake(file, dotted(("host_config", number, "host")), message)
    taken = set(hosts)
    for domain in root.components:
        for host in _hosts_of(domain, hosts):
            try:
                prepared = jid.prepare_domain(for_host(domain, host))
                message = f"the domain {prepared} is taken already" if prepared in taken else ""
                taken.add(prepared)
            except jid.InvalidJID as error:
                message = str(error)
            if message:
                yield Mistake(file, dotted(("components", domain)), message)


def _wrong_modules(table: Table, hosts: list[str], makers: Mapping[str, Any], file: str) -> list[Mistake]:
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
        _choose(maker, options, host, file, at)
    except ConfigError as error:
        return error.mistakes
    return []
