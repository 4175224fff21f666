"""Two servers and more in one process, each on a loopback address of its own, and clients on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.words.xish import domish

from palaver.service import Palaver
from palaver.test.federation.authority import Authority
from palaver.test.federation.zone import Zone
from palaver.test.served import ITERATIONS, PASSWORD
from palaver.test.wire import Wire, connect

reactor: Any = _reactor

ADDRESS = re.compile(r"(c2s|s2s) (127\.0\.0\.\d+):(\d+) \((.*)\)")
JOIN = "<presence to='{}/{}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
WAIT_S = 15.0
LOOK_S = 0.01


class FederatedCase(TestCase):
    """`serve` starts a server for a domain; they find each other by ``zone`` and trust ``authority``."""

    # See Zone.serves.
    named = True

    def setUp(self) -> Any:
        """Start the DNS server."""
        self.folder = Path(self.mktemp())
        self.authority = Authority(self.folder / "ca")
        self.zone = Zone()
        self.dns = self.zone.start()
        self.addCleanup(self.zone.stop)
        # What each domain's server was started with.
        self.tables: dict[str, dict[str, Any]] = {}
        self._next = 2

    async def serve(
        self,
        domain: str,
        *,
        certificate: str | None = "",
        accounts: tuple[str, ...] = ("romeo",),
        direct: bool = False,
        more: dict[str, Any] | None = None,
        **s2s: Any,
    ) -> Palaver:
        """Start a server; ``s2s`` is its table, ``certificate`` a file of its own (None: self-signed).

        ``direct``: DNS names a port with TLS from the first byte alone.
        """
        address = f"127.0.0.{self._next}"
        self._next += 1
        listeners = [{"interface": address, "port": 0, "tls": "direct" if direct else "starttls"}]
        config: dict[str, Any] = {
            "general": {"hosts": [domain], "data_dir": str(self.folder / domain)},
            "storage": {"url": "memory"},
            "auth": {
                "allow_unencrypted_plain_auth": True,
                "password": {"hash": ["SHA-1"], "scram_iterations": ITERATIONS},
            },
            "listen": {"c2s": [{"interface": address, "port": 0, "tls": "off"}], "s2s": listeners},
            "s2s": {"dns_servers": [self.dns], "cacertfile": str(self.authority.path), **s2s},
            **(more or {}),
        }
        if certificate is not None:
            file = certificate or self.authority.for_domain(domain)
            config["tls"] = {"certificate": file, "key": file}
        self.tables[domain] = config
        palaver = Palaver(config)
        palaver.startService()
        self.addCleanup(palaver.stopService)
        await palaver.ready
        host, port = self.place(palaver, "s2s")
        self.zone.serves(domain, host, port, named=self.named)
        if direct:
            self.zone.serves(domain, host, 1, direct=port)
            del self.zone.records[f"_xmpp-server._tcp.{domain}"]
        for local in accounts:
            await palaver.hosts[domain].accounts.create(local, PASSWORD)
        return palaver

    @staticmethod
    def place(palaver: Palaver, kind: str) -> tuple[str, int]:
        """Give address and port of a listener."""
        matches = map(ADDRESS.fullmatch, palaver.addresses())
        return next((match[2], int(match[3])) for match in matches if match and match[1] == kind)

    async def log_in(self, palaver: Palaver, jid: str) -> Wire:
        """Give a client."""
        host, port = self.place(palaver, "c2s")
        wire = await connect(port, host)
        self.addCleanup(self._drop, wire)
        await wire.log_in(jid, PASSWORD)
        return wire

    @staticmethod
    async def _drop(wire: Wire) -> None:
        if not wire.lost:
            wire.drop()
            await wire.closed()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something holds; fails when it does not for `WAIT_S`."""
        deadline = reactor.seconds() + WAIT_S
        while not condition():
            if reactor.seconds() > deadline:
                self.fail(f"it did not come to this: {what}")
            await deferLater(reactor, LOOK_S)

    async def wanted(self, wire: Wire, name: str, sender: str, kind: str | None = None) -> domish.Element:
        """Wait for a stanza; what else comes meanwhile is dropped."""
        while True:
            element = await wire.next()
            found = (element.name, element.getAttribute("from"), element.getAttribute("type"))
            if found == (name, sender, kind):
                return element

    async def say(self, sender: Wire, to: Wire, text: str) -> None:
        """Send a message and see it arrive."""
        sender.send(f"<message to='{to.jid}' type='chat' id='{text}'><body>{text}</body></message>")
        came = await to.next()
        self.assertEqual((came.name, came["from"], str(came.body)), ("message", sender.jid, text))


def run(test: Callable[[Any], Any]) -> Callable[[Any], Deferred[None]]:
    """Make a test of a coroutine."""

    def started(case: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(test(case))

    started.__name__ = test.__name__
    started.__doc__ = test.__doc__
    return started
