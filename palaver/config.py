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
from typing import Any

from pydantic import ValidationError

from palaver import jid
from palaver.choices import (
    HOST,
    SOME_DOMAIN,
    ModuleChoice,
    Table,
    all_makers,
    choose,
    for_host,
    unfolded,
    wrong_modules,
)
from palaver.mistakes import ConfigError, Mistake, dotted, mistakes_of
from palaver.settings import (
    Auth,
    C2sListener,
    Component,
    HostConfig,
    HttpListener,
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

LOOPBACK = "127.0.0.1"
CONFIG_FILE = "palaver.toml"
CONFIG_VARIABLE = "PALAVER_CONFIG"


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
        known = all_makers(makers)
        table = unfolded(table, known)
        mistakes: list[Mistake] = []
        root = Root()
        try:
            root = Root.model_validate(table, context={"base": base})
        except ValidationError as error:
            mistakes += mistakes_of(error, Root, file)
        if not mistakes:
            mistakes += _wrong_hosts(root, file)
        # Module tables are looked at in any case, so that nobody mends one half to be shown the other.
        mistakes += wrong_modules(table, root.general.hosts, known, file)
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
                chosen.append(choose(maker, tables.get(name, {}), host, self.file, ("modules", name)))
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
