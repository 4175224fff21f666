"""A Palaver in this process, on real loopback sockets, for tests that speak to it by `palaver.test.wire`."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from palaver.service import Palaver
from palaver.test.wire import Wire, connect

PASSWORD = "sesame"
# The least that RFC 7677 allows: a test's passwords need no protection.
ITERATIONS = 4096

ADDRESS = re.compile(r"c2s 127\.0\.0\.1:(\d+) \((.*)\)")
NOTES = {"required": "STARTTLS", "direct": "TLS", "off": "no TLS"}


class ServedCase(TestCase):
    """Starts a server before each test, on storage in memory, with a port for each kind of TLS.

    Accounts are romeo, juliet and nurse with the password `PASSWORD`.
    """

    limits: ClassVar[dict[str, Any]] = {}
    """What the test's ``[limits]`` has beside the defaults."""
    modules: ClassVar[dict[str, Any]] = {}
    """What the test's ``[modules]`` has."""
    listen: ClassVar[dict[str, Any]] = {}
    """Other ports, as in ``[listen]``."""
    hosts: ClassVar[list[str]] = ["localhost", "verona.example"]
    accounts: ClassVar[list[str]] = ["romeo@localhost", "juliet@localhost", "nurse@localhost"]

    def setUp(self) -> Any:
        """Start the server; gives a Deferred."""
        return Deferred.fromCoroutine(self._set_up())

    async def _set_up(self) -> None:
        self.palaver = Palaver(
            {
                "general": {"hosts": self.hosts, "data_dir": self.mktemp()},
                "storage": {"url": "memory"},
                "auth": {
                    "allow_unencrypted_plain_auth": True,
                    "password": {"hash": ["SHA-1", "SHA-256"], "scram_iterations": ITERATIONS},
                },
                "listen": {
                    "c2s": [{"interface": "127.0.0.1", "port": 0, "tls": tls} for tls in NOTES],
                    **self.listen,
                },
                "limits": self.limits,
                "modules": self.modules,
            }
        )
        self.palaver.startService()
        self.addCleanup(self.palaver.stopService)
        await self.palaver.ready
        await self.create_accounts(self.accounts)

    async def create_accounts(self, accounts: list[str]) -> None:
        """Make accounts with the password `PASSWORD`; they are given as bare JIDs."""
        for account in accounts:
            local, _, host = account.partition("@")
            await self.palaver.hosts[host].accounts.create(local, PASSWORD)

    def port(self, tls: str = "off") -> int:
        """Give the port with a kind of TLS: required, direct or off."""
        matches = map(ADDRESS.fullmatch, self.palaver.addresses())
        return next(int(match[1]) for match in matches if match and match[2] == NOTES[tls])

    async def connect(self, tls: str = "off", *, encrypt: bool = True) -> Wire:
        """Give a connection on which nothing was said yet; it is dropped after the test."""
        wire = await connect(self.port(tls))
        if tls == "direct" and encrypt:
            wire.encrypt()
        self.addCleanup(self._drop, wire)
        return wire

    @staticmethod
    async def _drop(wire: Wire) -> None:
        if not wire.lost:
            wire.drop()
            await wire.closed()

    async def log_in(self, jid: str, tls: str = "off") -> Wire:
        """Give a bound session."""
        wire = await self.connect(tls)
        await wire.log_in(jid, PASSWORD)
        return wire

    async def assert_serves(self) -> None:
        """Two more clients log in, one through TLS, and a message goes from one to the other and back."""
        nurse = await self.log_in("nurse@localhost/next")
        juliet = await self.log_in("juliet@localhost/next", "required")
        nurse.send(f"<message to='{juliet.jid}' id='there'><body>Madam!</body></message>")
        there = await juliet.next()
        self.assertEqual((there["from"], str(there.body)), (nurse.jid, "Madam!"))
        juliet.send(f"<message to='{nurse.jid}' id='back'><body>Anon!</body></message>")
        back = await nurse.next()
        self.assertEqual((back["from"], str(back.body)), (juliet.jid, "Anon!"))
        await nurse.close()
        await juliet.close()
