"""slixmpp reads archives (XEP-0313 by its own plugin)."""

from __future__ import annotations

from typing import Any, ClassVar

from slixmpp import JID
from slixmpp.exceptions import IqError

from palaver.test.peers.case import PeerCase


class ArchiveTests(PeerCase):
    """Romeo has written to Juliet."""

    config: ClassVar[dict[str, Any]] = {"modules": {"mod_mam": {}}}

    def setUp(self) -> None:
        super().setUp()
        for local in ("romeo", "juliet"):
            self.account(local)
        self.romeo = self.enter(self.slixmpp("romeo@localhost/orchard"))
        self.juliet = self.enter(self.slixmpp("juliet@localhost/balcony"))
        self.juliet.xmpp.register_plugin("xep_0313")
        self.juliet.xmpp.register_plugin("xep_0359")
        for n in range(25):
            self.romeo.send(self.juliet.jid, str(n))
        self.last = self.juliet.expect_message(self.romeo.jid, "24")

    def read(self, **options: Any) -> list[Any]:
        """Give the results of a walk through Juliet's archive, ten messages a page."""

        async def walk() -> list[Any]:
            return [result async for result in self.juliet.xmpp["xep_0313"].iterate(**options)]

        return self.juliet.run(walk())

    def bodies(self, results: list[Any]) -> list[int]:
        """Give the numbers that Romeo has written."""
        return [int(result["mam_result"]["forwarded"]["stanza"]["body"]) for result in results]

    def test_pages(self) -> None:
        """All pages bring every message once, in order, from either end, with the ids that they came with."""
        forwards = self.read()
        self.assertEqual(self.bodies(forwards), list(range(25)))
        self.assertEqual(self.bodies(self.read(reverse=True)), list(range(25))[::-1])
        self.assertEqual(forwards[-1]["mam_result"]["id"], self.last["stanza_id"]["id"])
        self.assertEqual(self.read(with_jid=JID("tybalt@localhost")), [])
        self.assertEqual(len(self.read(with_jid=JID(self.romeo.jid))), 25)

    def test_form_and_metadata(self) -> None:
        """The form and the metadata are what the plugin expects."""
        plugin = self.juliet.xmpp["xep_0313"]
        self.assertIn("before-id", self.juliet.run(plugin.get_fields()).get_fields())
        metadata = self.juliet.call(plugin.get_archive_metadata)["mam_metadata"]
        self.assertEqual(metadata["end"]["id"], self.last["stanza_id"]["id"])
        self.assertLess(metadata["start"]["timestamp"], metadata["end"]["timestamp"])

    def test_somebody_elses(self) -> None:
        """Juliet reads no archive but her own."""
        retrieve = self.juliet.xmpp["xep_0313"].retrieve
        error = self.assertRaises(IqError, self.juliet.call, retrieve, jid=JID(self.romeo.jid))
        self.assertEqual(error.condition, "forbidden")

    def test_restart(self) -> None:
        """A server that starts again has every message."""
        self.server.restart()
        again = self.slixmpp("juliet@localhost/balcony")
        again.xmpp.register_plugin("xep_0313")
        self.juliet = self.enter(again)
        self.assertEqual(self.bodies(self.read()), list(range(25)))
