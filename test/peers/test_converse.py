"""Converse.js in Chromium: made by invitation, chatting with a TCP client, through reloads and cuts."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, ClassVar

from palaver.test.peers.browser import PHONE, Browser, Relay
from palaver.test.peers.case import PeerCase
from palaver.test.peers.npm import installed
from palaver.test.peers.peer import PASSWORD, need

HTTP = re.compile(r"http 127\.0\.0\.1:(\d+)")
# Beyond the pings and the first tries to reconnect of Converse.js.
CUT_S = 10


class ConverseCase(PeerCase):
    """A server with web chat, and a browser whose connections can be cut."""

    chat_options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Start the server, the wire and the browser."""
        need("npm", "chromium", "chromedriver")
        folder = installed(Path(__file__).with_name("converse"))
        self.config = {
            "listen": {"http": [{"port": 0}]},
            "modules": {
                "mod_conversejs": {
                    "folder": str(folder / "node_modules/converse.js/dist"),
                    "options": {"loglevel": "warn", **self.chat_options},
                },
                "mod_register": {"allow_registration": False},
                "mod_invites": {"allow_user_invites": True},
            },
        }
        super().setUp()
        found = HTTP.search(self.server.log())
        assert found is not None
        self.relay = Relay(int(found[1]))
        self.addCleanup(self.relay.close)
        self.address = f"http://localhost:{self.relay.port}"

    def browser(self, **options: Any) -> Browser:
        """Give a window; it is closed after the test."""
        found = Browser(**options)
        self.addCleanup(found.close)
        return found

    def log_in(self, browser: Browser, jid: str) -> None:
        """Log in on the page of the chat."""
        browser.open(f"{self.address}/chat")
        browser.type("input[name=jid]", jid)
        browser.type("input[name=password]", PASSWORD)
        browser.click("converse-login-form input[type=submit], converse-login-form button[type=submit]")
        browser.find("converse-user-profile")

    def talk_to(self, browser: Browser, jid: str) -> None:
        """Open a chat."""
        browser.driver.execute_script(f"location.hash = '#converse/chat?jid={jid}'")
        browser.find("textarea.chat-textarea")

    def say(self, browser: Browser, text: str) -> None:
        """Send a message in the chat that is open."""
        browser.type("textarea.chat-textarea", text + "\n")


class WebSocketTests(ConverseCase):
    """Over WebSocket, as it is without options."""

    def test_day(self) -> None:
        """An invitation makes the account; messages go both ways, after 10 s without a wire and a reload."""
        romeo = self.enter(self.slixmpp(self.account("romeo")))
        link = self.server.command("invite", "create", "localhost")
        landing = re.search(r"http://localhost:5280(/invite/\S+)", link)
        assert landing is not None, link
        browser = self.browser()
        browser.open(f"{self.address}/")
        browser.expect("you@localhost")
        browser.picture("start")
        browser.open(self.address + landing[1])
        browser.expect("invites you")
        browser.picture("invitation")
        browser.click("a.button")
        browser.type("#username", "juliet")
        browser.type("#password", PASSWORD)
        browser.type("#again", PASSWORD)
        browser.picture("registration")
        browser.click("button")
        browser.expect("juliet@localhost")
        self.assertEqual(browser.errors(), [])

        self.log_in(browser, "juliet@localhost")
        self.talk_to(browser, romeo.jid)
        self.say(browser, "Wherefore art thou?")
        romeo.expect_message("juliet@localhost", "Wherefore art thou?")
        romeo.send("juliet@localhost", "By yonder moon")
        browser.expect("By yonder moon")
        browser.picture("chat")

        self.relay.cut()
        romeo.send("juliet@localhost", "into the dark")
        time.sleep(CUT_S)
        self.relay.mend()
        browser.expect("into the dark")
        self.say(browser, "here again")
        romeo.expect_message("juliet@localhost", "here again")
        browser.picture("chat-after-cut")

        browser.driver.refresh()
        browser.find("converse-user-profile")
        browser.expect("By yonder moon")
        romeo.send("juliet@localhost", "after the reload")
        browser.expect("after the reload")

    def test_cuts_after_a_reload(self) -> None:
        """What was sent during a cut is there soon after it, also when the page was loaded anew before."""
        romeo = self.enter(self.slixmpp(self.account("romeo")))
        juliet = self.account("juliet")
        browser = self.browser()
        self.log_in(browser, juliet)
        self.talk_to(browser, romeo.jid)
        romeo.send(juliet, "before the reload")
        browser.expect("before the reload")
        browser.driver.refresh()
        browser.find("converse-user-profile")
        browser.expect("before the reload")
        for number, seconds in enumerate((CUT_S, 1)):
            self.relay.cut()
            romeo.send(juliet, f"into the dark {number}")
            time.sleep(seconds)
            self.relay.mend()
            browser.expect(f"into the dark {number}")
            self.say(browser, f"here again {number}")
            romeo.expect_message(juliet, f"here again {number}")
        browser.picture("chat-after-reload-and-cuts")


class BoshTests(ConverseCase):
    """Over BOSH."""

    chat_options: ClassVar[dict[str, Any]] = {"websocket_url": ""}

    def test_messages(self) -> None:
        """Messages go both ways, on a phone's screen."""
        romeo = self.enter(self.slixmpp(self.account("romeo")))
        juliet = self.account("juliet")
        browser = self.browser(size=PHONE)
        self.log_in(browser, juliet)
        self.talk_to(browser, romeo.jid)
        self.say(browser, "by long polls")
        romeo.expect_message(juliet, "by long polls")
        romeo.send(juliet, "and back")
        browser.expect("and back")
        browser.picture("chat-bosh-phone")
