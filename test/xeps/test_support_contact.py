"""The support contact, and those who watch registrations."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from palaver.errors import StorageError
from palaver.routing.lifecycle import create_account
from palaver.routing.rosters import rosters
from palaver.test.house import House, now
from palaver.xeps.support_contact import SupportContact
from palaver.xeps.watch_registrations import WatchRegistrations


def contacts(house: House, local: str) -> dict[str, tuple[Any, ...]]:
    """Give name, groups, subscription and request of each contact."""
    roster = now(rosters(house.host).load(local))
    return {
        item.jid: (item.name, item.groups, item.subscription, item.ask)
        for item in roster.items.values()
        if item.listed
    }


class SupportTests(SynchronousTestCase):
    """A new account knows whom to ask."""

    def test_here(self) -> None:
        """Who helps on this host and a new account are contacts of each other at once."""
        house = House(SupportContact, SupportContact={"support_contact": "nurse@example.org"})
        nurse = house.login("nurse", presence="<presence/>")
        now(create_account(house.host, "bill", "Globe"))
        self.assertEqual(contacts(house, "bill"), {"nurse@example.org": ("Support", (), "both", False)})
        self.assertEqual(contacts(house, "nurse"), {"bill@example.org": ("", ("Users",), "both", False)})
        nurse.take()
        bill = house.login("bill", presence="<presence/>")
        self.assertIn("bill@example.org/orchard", [node.getAttribute("from") for node in nurse.take()])
        self.assertIn("nurse@example.org/orchard", [node.getAttribute("from") for node in bill.take()])

    def test_elsewhere(self) -> None:
        """Who helps from another server is asked, and may see the new account."""
        house = House(SupportContact, SupportContact={"support_contact": "help@example.com"})
        now(create_account(house.host, "bill", "Globe"))
        item = contacts(house, "bill")["help@example.com"]
        self.assertEqual(item[0], "Support")

    def test_nobody(self) -> None:
        """Without the account of who helps, nothing is added."""
        house = House(SupportContact)
        now(create_account(house.host, "bill", "Globe"))
        self.assertEqual(contacts(house, "bill"), {})

    def test_itself(self) -> None:
        """Who helps is no contact of itself."""
        house = House(SupportContact)
        now(create_account(house.host, "support", "Globe"))
        self.assertEqual(contacts(house, "support"), {})

    def test_storage_fails(self) -> None:
        """An account is made even when the contact cannot be stored."""
        house = House(SupportContact, SupportContact={"support_contact": "nurse@example.org"})
        self.patch(house.storage, "write", lambda batch: fail(StorageError("down")))
        now(create_account(house.host, "bill", "Globe"))
        self.assertIn("bill", house.accounts.names)
        self.flushLoggedErrors(StorageError)


class WatchTests(SynchronousTestCase):
    """Somebody hears of new accounts."""

    def told(self, house: House, local: str, address: str | None) -> list[str]:
        """Give what an account hears when another one is made."""
        client = house.login(local, presence="<presence/>")
        client.take()
        now(create_account(house.host, "bill", "Globe", address))
        return [str(node.body) for node in client.take() if node.name == "message"]

    def test_admins(self) -> None:
        """Without anybody named the administrators are told."""
        house = House(WatchRegistrations)
        house.host.admins = frozenset(["juliet@example.org"])
        self.assertEqual(
            self.told(house, "juliet", "192.0.2.1"),
            ["User bill just registered on example.org from 192.0.2.1"],
        )

    def test_named(self) -> None:
        """Who is named is told in the words of the configuration."""
        house = House(
            WatchRegistrations,
            WatchRegistrations={
                "registration_watchers": ["romeo@example.org"],
                "registration_notification": "$username!",
            },
        )
        self.assertEqual(self.told(house, "romeo", "192.0.2.1"), ["bill!"])

    def test_made_by_an_administrator(self) -> None:
        """An account that nobody registered is no news."""
        house = House(WatchRegistrations)
        house.host.admins = frozenset(["juliet@example.org"])
        self.assertEqual(self.told(house, "juliet", None), [])
