"""Where browsers find a host (XEP-0156, XEP-0487)."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from palaver.test.web.case import WebCase
from palaver.test.wire import parsed

BOSH, WEBSOCKET = "urn:xmpp:alt-connections:xbosh", "urn:xmpp:alt-connections:websocket"
BY_HTTPS = "X-Forwarded-Proto: https\r\n"


class DiscoveryTests(WebCase):
    """A server without options, behind a proxy."""

    async def get(self, name: str, head: str = BY_HTTPS) -> Any:
        """Give the answer for a page of metadata."""
        client = self.bosh()
        client.path = f"/.well-known/{name}"
        return await (await client.post("", head, "GET")).answer()

    async def links(self, head: str = BY_HTTPS) -> dict[str, str]:
        """Give addresses by what they are for."""
        answer = await self.get("host-meta.json", head)
        return {link["rel"]: link["href"] for link in json.loads(answer.text)["links"]}

    async def test_json(self) -> None:
        """Both ways over HTTP are named, by the name that the client used."""
        self.assertEqual(
            await self.links(),
            {WEBSOCKET: "wss://localhost/xmpp-websocket", BOSH: "https://localhost/http-bind"},
        )

    async def test_xml(self) -> None:
        """The same in XML, for scripts of any site."""
        answer = await self.get("host-meta")
        self.assertIn("application/xrd+xml", answer.head)
        self.assertIn("access-control-allow-origin: *", answer.head.lower())
        root = parsed(answer.text.partition("?>")[2])
        found = {link["rel"]: link["href"] for link in root.elements()}
        self.assertEqual(found, await self.links())

    async def test_clear(self) -> None:
        """Who asks without TLS, where nothing public is configured, is sent nowhere without TLS."""
        self.assertEqual(await self.links(""), {})


class PublicTests(DiscoveryTests):
    """A server that knows its public addresses."""

    modules: ClassVar[dict[str, Any]] = {
        "mod_host_meta": {
            "public_url": "https://chat.example.org:444",
            "advertise_bosh": False,
            "ips": ["192.0.2.1", "2001:db8::1"],
            "tls_port": 5223,
        }
    }

    async def test_json(self) -> None:
        """Only what is to be told is told, with all that XEP-0487 wants to know."""
        found = json.loads((await self.get("host-meta.json")).text)
        self.assertEqual(found["xmpp"], {"ttl": 3600})
        websocket, tls = found["links"]
        self.assertEqual(websocket["href"], "wss://chat.example.org:444/xmpp-websocket")
        self.assertEqual(websocket["sni"], "chat.example.org")
        self.assertEqual((tls["rel"], tls["port"]), ("urn:xmpp:alt-connections:tls", 5223))
        for link in (websocket, tls):
            self.assertEqual(link["ips"], ["192.0.2.1", "2001:db8::1"])
            self.assertEqual((link["priority"], link["weight"]), (10, 50))

    async def links(self, head: str = BY_HTTPS) -> dict[str, str]:
        """Leave out what is no address."""
        answer = await self.get("host-meta.json", head)
        return {link["rel"]: link["href"] for link in json.loads(answer.text)["links"] if "href" in link}

    async def test_clear(self) -> None:
        """A public address is told to everybody."""
        self.assertEqual(await self.links(""), {WEBSOCKET: "wss://chat.example.org:444/xmpp-websocket"})
