"""Debian's Prosody and ejabberd, started for a test on private ports and folders, and stopped with it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater

reactor: Any = _reactor

PROSODY, EJABBERD = "prosody", "ejabberdctl"

START_S = 60.0
STOP_S = 20.0
LOOK_S = 0.2

_PROSODY = """
pidfile = "{dir}/prosody.pid"
run_as_root = true
daemonize = false
data_path = "{dir}/data"
network_backend = "epoll"
modules_enabled = {{ "roster"; "saslauth"; "disco"; "ping"; "register"; "tls"; "dialback"; "smacks"; "pep" }}
allow_registration = true
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
interfaces = {{ "{address}" }}
c2s_ports = {{ {c2s} }}
component_interfaces = {{ "{address}" }}
component_ports = {{ {component} }}
s2s_ports = {{ {s2s} }}
http_ports = {{}}
https_ports = {{}}
s2s_require_encryption = true
s2s_secure_auth = {trusting}
unbound = {{ resolvconf = false; hoststxt = false; forward = {{ "{dns}" }};
  options = {{ ["do-not-query-localhost:"] = "no" }} }}
limits = {{}}
storage = "internal"
log = {{ {level} = "{dir}/prosody.log" }}
ssl = {{ certificate = "{dir}/cert.pem", key = "{dir}/key.pem", cafile = "{ca}" }}
VirtualHost "{domain}"
Component "rooms.{domain}" "muc"
Component "relay.{domain}"
  component_secret = "load-secret"
"""

_EJABBERD = """
loglevel: {level}
hosts: ["{domain}"]
certfiles: ["{dir}/both.pem"]
ca_file: "{ca}"
s2s_use_starttls: required
s2s_cafile: "{ca}"
outgoing_s2s_families: [ipv4]
listen:
  -
    port: {c2s}
    ip: "{address}"
    module: ejabberd_c2s
    access: c2s
    starttls: true
    backlog: 4096
  -
    port: {s2s}
    ip: "{address}"
    module: ejabberd_s2s_in
  -
    port: {component}
    ip: "{address}"
    module: ejabberd_service
    tls: true
    certfile: "{dir}/both.pem"
    hosts:
      relay.{domain}:
        password: load-secret
auth_password_format: plain
registration_timeout: infinity
access_rules:
  c2s: [allow]
  register: [allow]
modules:
  mod_disco: {{}}
  mod_muc: {{host: rooms.{domain}}}
  mod_ping: {{}}
  mod_register: {{access: register, ip_access: [allow]}}
  mod_roster: {{}}
  {dialback}
"""


class Foreign:
    """A server of another kind for ``domain`` at ``address``.

    ``c2s``, ``s2s`` and ``component`` are its ports.
    """

    def __init__(self, kind: str, folder: Path, domain: str, address: str, *, quiet: bool = False) -> None:
        """``quiet``: its log is kept for warnings, and not for whoever looks why a test fails."""
        self.kind = kind
        self.domain = domain
        self.address = address
        self.c2s, self.s2s, self.component = free_ports(address, 3)
        self._level = {PROSODY: "warn", EJABBERD: "warning"}[kind] if quiet else "debug"
        self._folder = folder
        self._process: Any = None
        (folder / "data").mkdir(parents=True)

    async def start(self, pem: str, authority: Path, dns: str, *, trusted: bool) -> None:
        """Start it; ``trusted``: it demands certificates of the authority, and else believes by dialback."""
        folder = self._folder
        text = Path(pem).read_text()
        cut = text.index("-----BEGIN CERTIFICATE")
        (folder / "key.pem").write_text(text[:cut])
        (folder / "cert.pem").write_text(text[cut:])
        (folder / "both.pem").write_text(text)
        shutil.copy(authority, folder / "ca.pem")
        values = {
            "dir": folder.resolve(), "ca": folder.resolve() / "ca.pem", "address": self.address,
            "c2s": self.c2s, "s2s": self.s2s, "domain": self.domain, "dns": dns.replace(":", "@"),
            "component": self.component, "level": self._level,
        }  # fmt: skip
        if self.kind == PROSODY:
            command = self._prosody(values, trusted)
        else:
            command = self._ejabberd(values, trusted, dns)
        with (folder / "out").open("wb") as out:
            self._process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        await self._listens()

    @property
    def pid(self) -> int:
        """The process, whose descendants may do the work."""
        pid: int = self._process.pid
        return pid

    def _prosody(self, values: dict[str, Any], trusted: bool) -> list[str]:
        file = self._folder / "prosody.cfg.lua"
        file.write_text(_PROSODY.format(**values, trusting=str(trusted).lower()))
        return [PROSODY, "--config", str(file), "-F"]

    def _ejabberd(self, values: dict[str, Any], trusted: bool, dns: str) -> list[str]:
        file = self._folder / "ejabberd.yml"
        dialback = "" if trusted else "mod_s2s_dialback: {}"
        file.write_text(_EJABBERD.format(**values, dialback=dialback))
        inet = self._folder / "inetrc"
        name_server, _, port = dns.partition(":")
        place = "{" + name_server.replace(".", ",") + "}"
        lines = ["{lookup, [file, dns]}.", '{resolv_conf, ""}.', '{hosts_file, ""}.', "{edns, 0}."]
        lines += [f"{{nameserver, {place}, {port}}}.", '{host, {127,0,0,1}, ["localhost"]}.']
        inet.write_text("\n".join(lines) + "\n")
        user = pwd.getpwnam("ejabberd")
        for path in _files(self._folder):
            os.chown(path, user.pw_uid, user.pw_gid)
        (self._folder / "ejabberdctl.cfg").write_text(
            f"ERL_INETRC={inet.resolve()}\nERL_EPMD_ADDRESS=127.0.0.1\n"
        )
        control = [
            EJABBERD, "--config-dir", str(self._folder.resolve()), "--config", str(file.resolve()),
            "--logs", str(self._folder.resolve()), "--spool", str((self._folder / "data").resolve()),
            "--node", f"federated{self.c2s}@localhost",
        ]  # fmt: skip
        return [*control, "foreground"]

    async def _listens(self) -> None:
        deadline = reactor.seconds() + START_S
        while not all(_open(self.address, port) for port in (self.c2s, self.s2s)):
            if reactor.seconds() > deadline or self._process.poll() is not None:
                raise AssertionError(
                    f"{self.kind} does not start: {(self._folder / 'out').read_text()[-500:]}"
                )
            await deferLater(reactor, LOOK_S)

    async def stop(self) -> None:
        """Stop it, and wait until it is gone."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        deadline = reactor.seconds() + STOP_S
        while (self._process.poll() is None or self._below()) and reactor.seconds() < deadline:
            await deferLater(reactor, LOOK_S)
        if self._process.poll() is None or self._below():
            self._signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _signal(self, number: int) -> None:
        """Tell the process, and what it has started in a session of its own."""
        for pid in (self._process.pid, *self._below()):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                # It has ended meanwhile.
                continue

    def _below(self) -> list[int]:
        """Give what ``ejabberdctl`` has started as another user, known by the node's name."""
        name = f"federated{self.c2s}@localhost".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if name in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                # It has ended meanwhile.
                continue
        return [pid for pid in found if pid != self._process.pid]


def free_ports(address: str, count: int) -> list[int]:
    """Give ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((address, 0))
        return [each.getsockname()[1] for each in sockets]


def _open(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


def _files(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.rglob("*")
