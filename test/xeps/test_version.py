"""XEP-0092."""

from __future__ import annotations

import platform

from twisted.trial.unittest import SynchronousTestCase

from palaver import __version__
from palaver.test.house import House
from palaver.xeps.disco import ServiceDiscovery
from palaver.xeps.version import Version

ASK = "<iq type='get' id='1' to='example.org'><query xmlns='jabber:iq:version'/></iq>"


class VersionTests(SynchronousTestCase):
    """A client asks which software this is."""

    def test_version(self) -> None:
        """Name and version are told, the operating system is not."""
        query = House(Version).login("romeo").ask(ASK).query
        told = {child.name: str(child) for child in query.elements()}
        self.assertEqual(told, {"name": "Palaver", "version": __version__})

    def test_os(self) -> None:
        """The operating system is told when the administrator wants it."""
        house = House(Version, Version={"os_info": True})
        self.assertIn(platform.system(), str(house.login("romeo").ask(ASK).query.os))

    def test_form(self) -> None:
        """Service discovery says the same in a form (XEP-0232)."""
        expected = {"FORM_TYPE": "urn:xmpp:dataforms:softwareinfo", "software": "Palaver"}
        expected["software_version"] = __version__
        hidden: dict[str, str] = {}
        shown = {"os": platform.system(), "os_version": platform.release()}
        for os_info, more in ((False, hidden), (True, shown)):
            house = House(ServiceDiscovery, Version, Version={"os_info": os_info})
            ask = "<iq type='get' id='1' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
            form = house.login("romeo").ask(ask).query.x
            self.assertEqual({field["var"]: str(field.value) for field in form.elements()}, expected | more)

    def test_set(self) -> None:
        """It cannot be set."""
        answer = House(Version).login("romeo").ask(ASK.replace("get", "set"))
        self.assertEqual(answer.error.firstChildElement().name, "not-allowed")

    def test_unloaded(self) -> None:
        """Without the module nobody answers."""
        house = House(Version)
        house.modules["Version"].detach()
        self.assertEqual(house.login("romeo").ask(ASK)["type"], "error")
