"""Looking after an account in Chromium: on a screen and on a phone."""

from __future__ import annotations

import re
from typing import Any

from palaver.test.peers.browser import DESK, PHONE, Browser
from palaver.test.peers.case import PeerCase
from palaver.test.peers.peer import PASSWORD, need
from palaver.test.web.account.case import PATH

HTTP = re.compile(r"http 127\.0\.0\.1:(\d+)")
NEW = "a rose by any other"


class AccountTests(PeerCase):
    """What people do there."""

    def setUp(self) -> None:
        """Start the server."""
        need("chromium", "chromedriver")
        self.config = {
            "listen": {"http": [{"port": 0}]},
            # What the browser has cached would not change.
            "modules": {"mod_webpresence": {"max_age": 0}},
        }
        super().setUp()
        found = HTTP.search(self.server.log())
        assert found is not None
        self.address = f"http://localhost:{found[1]}"

    def browser(self, **options: Any) -> Browser:
        """Give a window; it is closed after the test."""
        found = Browser(**options)
        self.addCleanup(found.close)
        return found

    def log_in(self, browser: Browser, password: str = PASSWORD) -> None:
        """Log in, with the keyboard alone."""
        browser.open(self.address + PATH)
        browser.type("#username", "juliet")
        browser.type("#password", password + "\n")
        browser.expect("Your data")

    def test_day(self) -> None:
        """Juliet ends a session, is seen on the web, changes the password, and leaves for ever."""
        self.account("juliet")
        program = self.enter(self.slixmpp("juliet@localhost"))
        browser = self.browser(size=DESK)
        browser.open(f"{self.address}/")
        browser.click(f"a[href='{PATH}']")
        browser.picture("account-login")
        self.log_in(browser)
        browser.expect(program.xmpp.boundjid.resource)
        browser.picture("account")

        browser.click("#presence")
        browser.click(f"form[action='{PATH}/presence'] button")
        browser.expect("Stored.")
        other = self.browser(size=PHONE)
        other.open(f"{self.address}/status/juliet@localhost/html")
        other.expect("online")
        other.picture("webpresence-phone")

        browser.click(f"form[action='{PATH}/sessions'] button")
        browser.expect("Ended.")
        browser.expect("No program is, at the moment.")
        other.open(f"{self.address}/status/juliet@localhost/html")
        other.expect("offline")

        for name, text in (("old", PASSWORD), ("new", NEW), ("again", NEW)):
            browser.type(f"#{name}", text)
        browser.click(f"form[action='{PATH}/password'] button")
        browser.expect("You have a new password.")

        browser.click(f"a[href='{PATH}/delete']")
        browser.type("#address", "juliet@localhost")
        browser.type("#password", PASSWORD)
        browser.picture("account-delete")
        browser.click("button.harm")
        browser.expect("That is not your password.")
        browser.type("#address", "juliet@localhost")
        browser.type("#password", NEW)
        browser.click("button.harm")
        browser.expect("The account has been deleted")
        self.assertEqual(browser.errors() + other.errors(), [])

    def test_phone(self) -> None:
        """On a phone nothing is wider than the screen, and every field can be reached by its label."""
        self.account("juliet")
        self.enter(self.slixmpp("juliet@localhost"))
        browser = self.browser(size=PHONE)
        self.log_in(browser)
        browser.picture("account-phone")
        for path in (PATH, f"{PATH}/delete", "/status/juliet@localhost/html"):
            browser.open(self.address + path)
            width = browser.driver.execute_script(
                "return [document.documentElement.scrollWidth, window.innerWidth]"
            )
            self.assertLessEqual(width[0], width[1], path)
            unlabelled = browser.driver.execute_script(
                "return [...document.querySelectorAll('input:not([type=hidden])')]"
                ".filter(each => !each.labels.length).length"
            )
            self.assertEqual(unlabelled, 0, path)
        self.assertEqual(browser.errors(), [])
