"""mod_revproxy: its options, and where it is mounted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from palaver.mistakes import ConfigError
from palaver.test.house import House
from palaver.web.interfaces import IWeb
from palaver.web.mounts import Mounts
from palaver.xeps.revproxy import RevProxy, RevProxySettings

ROUTE = {"host": "_", "path": "/app", "upstream": "http://localhost:8080"}


class RevProxyTests(SynchronousTestCase):
    """The module on a host."""

    def setUp(self) -> None:
        """Have a host with a site."""
        self.house = House()
        # All that is asked of an IWeb here.
        self.web = Mounts({self.house.host.domain: None})
        self.house.host.provide(self.web, IWeb)

    def attach(self, *routes: dict[str, Any], **options: Any) -> RevProxy:
        """Attach it with routes that differ from `ROUTE`."""
        found: RevProxy = self.house.add(RevProxy, routes=[{**ROUTE, **route} for route in routes], **options)
        return found

    def test_mounts(self) -> None:
        """It is found where its routes begin, once for each place, and is taken back whole."""
        module = self.attach({}, {"path": "/app", "method": "GET"}, {"path": "/a/:b/c"}, {"path": "/:x"})
        domain = self.house.host.domain
        self.assertEqual(set(self.web.paths), {(domain, "app"), (domain, "a"), (domain, "")})
        found = [self.web.find(domain, path) for path in ("/app", "/a/x/c", "/any")]
        self.assertEqual(len({id(each.resource) for each in found if each is not None}), 1)
        self.assertEqual(len(found), 3)
        module.detach()
        self.assertEqual(set(self.web.paths), set())

    def test_taken(self) -> None:
        """A place that another module has is told of, and nothing stays mounted."""
        self.web.mount(self.house.host.domain, "/", object)
        self.assertRaises(ValueError, self.attach, {}, {"path": "/"})
        self.assertEqual(list(self.web.paths), [(self.house.host.domain, "")])

    def test_authorities(self) -> None:
        """A file that has no certificates stops the start."""
        empty = Path(self.mktemp())
        self.assertRaises(ConfigError, self.attach, {}, ca_file=str(empty))
        empty.write_text("")
        self.assertRaises(ConfigError, self.attach, {}, ca_file=str(empty))

    def test_without_web(self) -> None:
        """Without a site it does nothing."""
        house = House()
        house.add(RevProxy, routes=[ROUTE]).detach()

    def test_options(self) -> None:
        """What is no route is refused with the configuration."""
        for wrong in (
            {"upstream": "localhost"},
            {"upstream": "http://localhost/:x"},
            {"path": "app"},
            {"host": ""},
            {"method": "GET POST"},
            {"headers": {"X Y": "z"}},
            {"headers": {"X": "a\r\nY: b"}},
            {"colour": "red"},
        ):
            with self.assertRaises(ValidationError):
                RevProxySettings.model_validate({"routes": [{**ROUTE, **wrong}]})
        self.assertRaises(ValidationError, RevProxySettings.model_validate, {"routes": []})
