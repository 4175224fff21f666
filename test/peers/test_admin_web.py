"""The pages for administrators in Chromium: with mouse, keyboard and a phone's screen, and without script."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from palaver.test.peers.browser import PHONE, Browser
from palaver.test.peers.case import PeerCase
from palaver.test.peers.peer import PASSWORD, need, wait_for

HTTP = re.compile(r"http 127\.0\.0\.1:(\d+)")
TAB, RETURN = "\ue004", "\ue007"


class AdminCase(PeerCase):
    """A server that Juliet administers."""

    config: ClassVar[dict[str, Any]] = {
        "general": {"admins": ["juliet@localhost"]},
        "listen": {"http": [{"port": 0}]},
        "modules": {"mod_register": {"allow_registration": False}},
    }

    def setUp(self) -> None:
        """Start the server, and make her account."""
        need("chromium", "chromedriver")
        super().setUp()
        found = HTTP.search(self.server.log())
        assert found is not None
        self.address = f"http://localhost:{found[1]}/admin"
        self.account("juliet")

    def browser(self, **options: Any) -> Browser:
        """Give a window; it is closed after the test."""
        found = Browser(**options)
        self.addCleanup(found.close)
        return found

    def log_in(self, browser: Browser, password: str = PASSWORD) -> None:
        """Fill in the form."""
        browser.open(self.address)
        browser.type("#username", "juliet")
        browser.type("#password", password)
        browser.click("main button")

    def go(self, browser: Browser, name: str) -> None:
        """Follow a link of the head."""
        browser.click(f"nav a[href$='/{name}']")


class DayTests(AdminCase):
    """What an administrator does."""

    def test_day(self) -> None:
        """Look around, make an account, end a session, invite, make a room and destroy it once sure."""
        browser = self.browser()
        self.log_in(browser, "wrong")
        browser.expect("do not go together")
        browser.picture("admin-login")
        self.log_in(browser)
        browser.expect("Stanzas received")
        self.assertIn("Sessions\n0", browser.text())

        romeo = self.enter(self.slixmpp(self.account("romeo")))
        browser.expect("Sessions\n1")
        browser.picture("admin-overview")

        self.go(browser, "accounts")
        browser.click("main .actions a[href*='account-create']")
        browser.type("#accountjid", "nurse@localhost")
        browser.type("#password", PASSWORD)
        browser.picture("admin-new-account")
        browser.click("main button")
        browser.expect("nurse@localhost has been created")
        self.assertIn("nurse@localhost", self.server.command("account", "list"))

        self.go(browser, "sessions")
        browser.expect(romeo.jid)
        browser.picture("admin-sessions")
        browser.click("td form button")
        browser.expect("1 session has been ended")

        self.go(browser, "invitations")
        browser.click("main .actions a")
        browser.click("main button")
        browser.expect("preauth=")
        browser.picture("admin-invitation")

        self.go(browser, "rooms")
        browser.click("main .actions a")
        browser.type("#room", "hall")
        browser.type("#owner", "juliet@localhost")
        browser.type("#title", "Great <hall>")
        browser.click("main button")
        browser.expect("has been created")
        self.go(browser, "rooms")
        browser.expect("Great <hall>")
        browser.click("td a")
        browser.expect("Configuration")
        browser.picture("admin-room")
        browser.click("a.harm")
        browser.expect("everything that was said")
        # Nothing is sent before the box is ticked.
        browser.click("main button.harm")
        self.assertTrue(browser.all("main button.harm"))
        browser.click("input[name=sure]")
        browser.picture("admin-sure")
        browser.click("main button.harm")
        browser.expect("has been destroyed")
        browser.click("main a.button")
        browser.expect("There is no such room")

        self.assertEqual(browser.errors(), [])
        browser.click("header form button")
        browser.find("#password")
        browser.open(f"{self.address}/localhost/accounts")
        browser.find("#password")

    def test_phone(self) -> None:
        """On a phone nothing is wider than the screen, and an account is deleted once somebody is sure."""
        self.account("romeo")
        browser = self.browser(size=PHONE)
        # A window without a screen is never as narrow as a phone by itself.
        metrics = {"width": PHONE[0], "height": PHONE[1], "deviceScaleFactor": 2, "mobile": True}
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.log_in(browser)
        browser.expect("Stanzas received")
        for name in ("accounts", "sessions", "rooms", "invitations", "modules", "commands"):
            self.go(browser, name)
            browser.find(f"nav a[aria-current][href$='/{name}']")
            script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
            self.assertEqual(browser.driver.execute_script(script), 0, name)
        self.go(browser, "accounts")
        browser.picture("admin-accounts-phone")
        browser.click("td a[href$='/romeo']")
        browser.expect("may log in")
        browser.picture("admin-account-phone")
        browser.click("a.harm")
        browser.click("input[name=sure]")
        browser.click("main button.harm")
        browser.expect("romeo@localhost has been deleted")

    def test_keyboard(self) -> None:
        """With the keyboard alone: in, past the head to the content, and to a command that is run."""
        browser = self.browser()
        browser.open(self.address)
        browser.find("#username")
        self.press(browser, "juliet", TAB, PASSWORD, RETURN)
        browser.expect("Stanzas received")
        self.press(browser, TAB)
        focused = browser.driver.switch_to.active_element
        self.assertEqual(focused.text, "To the content")
        browser.picture("admin-skip")
        self.press(browser, RETURN, TAB)
        self.assertEqual(browser.driver.switch_to.active_element.text, "localhost")
        self.press(browser, RETURN)
        browser.expect("1 in all")

    def press(self, browser: Browser, *keys: str) -> None:
        """Type wherever the focus is."""
        for key in keys:
            browser.driver.switch_to.active_element.send_keys(key)

    def test_no_script(self) -> None:
        """Everything works where scripts are forbidden."""
        browser = self.browser()
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        self.log_in(browser)
        browser.find("dl.figures")
        self.go(browser, "accounts")
        browser.click("main .actions a[href*='account-create']")
        browser.type("#accountjid", "nurse@localhost")
        browser.type("#password", PASSWORD)
        browser.click("main button")
        browser.find("p[role=status]")
        wait_for(
            lambda: "nurse@localhost" in self.server.command("account", "list"), lambda: "no account was made"
        )
