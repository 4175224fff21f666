"""Services that a test configures, starts and stops itself, on loopback sockets."""

from __future__ import annotations

import re
from typing import Any

from twisted.application.service import MultiService
from twisted.trial.unittest import TestCase

from palaver.service import Palaver
from palaver.test.wire import Wire, connect

PASSWORD = "sesame"
# The least that RFC 7677 allows: a test's passwords need no protection.
ITERATIONS = 4096
LOOPBACK = "127.0.0.1"

ADDRESS = re.compile(r"c2s 127\.0\.0\.1:(\d+) \((.*)\)")
NOTES = {"required": "STARTTLS", "optional": "STARTTLS optional", "direct": "TLS", "off": "no TLS"}


def ports(*kinds: str) -> list[dict[str, Any]]:
    """Give ``[[listen.c2s]]`` tables on free ports, one for each kind of TLS."""
    return [{"interface": LOOPBACK, "port": 0, "tls": kind} for kind in kinds]


def port_of(palaver: Palaver, tls: str = "off") -> int:
    """Give the port with a kind of TLS; raises StopIteration when there is none."""
    matches = map(ADDRESS.fullmatch, palaver.addresses())
    return next(int(match[1]) for match in matches if match and match[2] == NOTES[tls])


class ServiceCase(TestCase):
    """Helps with starting services, and stops what is left after each test."""

    palaver: Palaver

    def config(self, **more: Any) -> dict[str, Any]:
        """Give a config with storage in memory and one port without TLS; ``more`` replaces tables."""
        return {
            "general": {"hosts": ["localhost"], "data_dir": self.folder()},
            "storage": {"url": "memory"},
            "auth": {
                "allow_unencrypted_plain_auth": True,
                "password": {"hash": ["SHA-1"], "scram_iterations": ITERATIONS},
            },
            "listen": {"c2s": ports("off")},
            **more,
        }

    def folder(self) -> str:
        """Give the data folder of this test's services, not made yet."""
        if not hasattr(self, "_folder"):
            self._folder: str = self.mktemp()
        return self._folder

    def begin(self, palaver: Palaver) -> Palaver:
        """Start a service as the child of an application; the application stops after the test."""
        self.palaver = palaver
        application = MultiService()
        palaver.setServiceParent(application)
        application.startService()
        self.addCleanup(application.stopService)
        return palaver

    async def run_service(self, palaver: Palaver, *accounts: str) -> Palaver:
        """Start a service and wait until it is up, then make accounts, given as bare JIDs."""
        await self.begin(palaver).ready
        for account in accounts:
            local, _, host = account.partition("@")
            await palaver.hosts[host].accounts.create(local, PASSWORD)
        return palaver

    async def connect(self, tls: str = "off", palaver: Palaver | None = None) -> Wire:
        """Give a connection on which nothing was said yet; it is dropped after the test."""
        wire = await connect(port_of(palaver or self.palaver, tls))
        self.addCleanup(self._drop, wire)
        return wire

    @staticmethod
    async def _drop(wire: Wire) -> None:
        if not wire.lost:
            wire.drop()
            await wire.closed()

    async def log_in(
        self, jid: str, tls: str = "off", *, password: str = PASSWORD, palaver: Palaver | None = None
    ) -> Wire:
        """Give a bound session."""
        wire = await self.connect(tls, palaver)
        await wire.log_in(jid, password)
        return wire
