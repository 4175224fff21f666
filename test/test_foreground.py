"""What the server says when it is up."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.foreground import administration
from palaver.web.addresses import pages


class PagesTests(SynchronousTestCase):
    """The addresses for a browser."""

    def test_loopback(self):
        """A port for this machine alone is at localhost; ports for other things are no pages."""
        addresses = ["c2s 127.0.0.1:5222 (STARTTLS)", "http 127.0.0.1:5280 (no TLS)", "http [::1]:1 (TLS)"]
        self.assertEqual(pages(addresses, "example.org"), ["http://localhost:5280/", "https://localhost:1/"])

    def test_public(self):
        """A port for everybody is at the name of the host."""
        self.assertEqual(pages(["http [::]:443 (TLS)"], "example.org"), ["https://example.org:443/"])


class AdministrationTests(SynchronousTestCase):
    """Where the server is administered."""

    ADDRESS = "http://localhost:5280/admin"

    def test_somebody(self):
        """Those who may are named, but not all of many."""
        said = administration(self.ADDRESS, "localhost", ["romeo@localhost"], "palaver.toml")
        self.assertEqual(said, f"{self.ADDRESS} for romeo@localhost")
        many = administration(self.ADDRESS, "localhost", ["romeo@localhost"] * 100, "palaver.toml")
        self.assertLess(len(many), 200)

    def test_nobody(self):
        """When nobody may, it says what to do."""
        said = administration(self.ADDRESS, "localhost", [], "palaver.toml")
        for part in ("account create you@localhost", 'admins = ["you@localhost"]', "palaver.toml", "reload"):
            self.assertIn(part, said)
