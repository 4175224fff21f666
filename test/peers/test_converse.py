"""Converse.js in Chromium: made by invitation, chatting with a TCP client, through reloads and cuts."""

from __future__ import annotations

import re
import socket
import threading
import time
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from palaver.test.peers.browser import PHONE, Browser, Relay
from palaver.test.peers.case import PeerCase
from palaver.test.peers.npm import installed
from palaver.test.peers.peer import PASSWORD, need, wait_for
from palaver.test.peers.server import LOOPBACK
from palaver.web.status.icons import draw

ROOM = "verona@muc.localhost"
# Tells whether a text stands in a database of the page.
STORED = """
const [text, done] = arguments;
const settled = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
const holds = async (name) => {
  const database = await settled(indexedDB.open(name));
  try {
    for (const store of database.objectStoreNames) {
      const values = await settled(database.transaction(store).objectStore(store).getAll());
      if (JSON.stringify(values).includes(text)) return true;
    }
    return false;
  } finally {
    database.close();
  }
};
indexedDB.databases().then((all) => Promise.all(all.map(({name}) => holds(name)))).then(
  (found) => done(found.includes(true)));
"""
# Beyond the pings and the first tries to reconnect of Converse.js.
CUT_S = 10


class ConverseCase(PeerCase):
    """A server with web chat, and a browser whose connections can be cut."""

    chat_options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        """Start the server, the wire and the browser."""
        need("npm", "chromium", "chromedriver")
        folder = installed(Path(__file__).with_name("converse"))
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            self.http_port: int = probe.getsockname()[1]
        self.config = {
            "listen": {"http": [{"interface": LOOPBACK, "port": self.http_port}]},
            "modules": {
                "mod_http_upload": {"base_url": f"http://localhost:{self.http_port}"},
                "mod_conversejs": {
                    **self.place(folder / "node_modules/converse.js/dist"),
                    "options": {"loglevel": "warn", **self.chat_options},
                },
                "mod_register": {"allow_registration": False},
                "mod_invites": {"allow_user_invites": True},
            },
        }
        super().setUp()
        self.relay = Relay(self.http_port)
        self.addCleanup(self.relay.close)
        self.address = f"http://localhost:{self.relay.port}"

    def place(self, folder: Path) -> dict[str, str]:
        """Give the option that says where Converse.js is."""
        return {"folder": str(folder)}

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
        landing = re.search(r"http://localhost:\d+(/invite/\S+)", link)
        assert landing is not None, link
        browser = self.browser()
        browser.open(f"{self.address}/")
        browser.expect("you@localhost")
        browser.picture("start")
        browser.open(self.address + landing[1])
        browser.expect("You are invited")
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
        # Converse.js acknowledges what it has not stored yet, and would not be sent it again.
        browser.wait(
            lambda: browser.driver.execute_async_script(STORED, "before the reload"), "a stored text"
        )
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


class RoomTests(ConverseCase):
    """Rooms and files."""

    chat_options: ClassVar[dict[str, Any]] = {"muc_nickname_from_jid": True}

    def test_room(self) -> None:
        """In a room messages go both ways."""
        romeo = self.enter(self.slixmpp(self.account("romeo")))
        romeo.xmpp.register_plugin("xep_0045")
        said: list[str] = []
        romeo.xmpp.add_event_handler("groupchat_message", lambda message: said.append(message["body"]))
        romeo.call(romeo.xmpp["xep_0045"].join_muc_wait, ROOM, "Romeo", timeout=10)
        form = romeo.call(romeo.xmpp["xep_0045"].get_room_config, ROOM)
        form["type"] = "submit"
        romeo.call(romeo.xmpp["xep_0045"].set_room_config, ROOM, form)
        browser = self.browser()
        self.log_in(browser, self.account("juliet"))
        browser.driver.execute_script(f"location.hash = '#converse/room?jid={ROOM}'")
        browser.expect("juliet")
        self.say(browser, "Ay me")
        wait_for(lambda: "Ay me" in said, "what Juliet said")
        romeo.call(romeo.xmpp.send_message, ROOM, "She speaks", mtype="groupchat")
        browser.expect("She speaks")
        browser.picture("room")

    def test_picture(self) -> None:
        """A picture that somebody sends is shown to the sender, and the other one gets it whole."""
        romeo = self.enter(self.slixmpp(self.account("romeo")))
        juliet = self.account("juliet")
        browser = self.browser()
        self.log_in(browser, juliet)
        self.talk_to(browser, romeo.jid)
        path = Path(self.mktemp()).with_suffix(".png").resolve()
        path.write_bytes(draw("online"))
        bodies: list[str] = []
        romeo.xmpp.add_event_handler("message", lambda message: bodies.append(message["body"]))
        browser.find("converse-chat-toolbar .fileupload").send_keys(str(path))
        wait_for(lambda: next((body for body in bodies if "/upload/" in body), None), "the address")
        address = next(body for body in bodies if "/upload/" in body)
        with urllib.request.urlopen(address, timeout=10) as answer:
            self.assertEqual(answer.read(), draw("online"))
        picture = browser.find(f"converse-chat-message img[src*='{address.rpartition('/')[2]}']")
        width = "return arguments[0].naturalWidth"
        browser.wait(lambda: browser.driver.execute_script(width, picture) > 0, "the picture")
        browser.picture("chat-picture")
        self.assertEqual(browser.errors(), [])

    def test_nothing_from_elsewhere(self) -> None:
        """The page loads nothing from any other server by itself."""
        browser = self.browser()
        browser.open(f"{self.address}/chat")
        browser.find("converse-login-form")
        browser.picture("chat-login")
        self.log_in(browser, self.account("juliet"))
        loaded = browser.driver.execute_script(
            "return performance.getEntriesByType('resource').map(each => each.name)"
        )
        self.assertTrue(loaded)
        self.assertEqual(
            [name for name in loaded if not name.startswith((self.address, "data:", "blob:"))], []
        )


class FromElsewhere(SimpleHTTPRequestHandler):
    """Files for the pages of any site."""

    def end_headers(self) -> None:
        """Let them load modules from here."""
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class ElsewhereTests(ConverseCase):
    """Converse.js from another site."""

    def place(self, folder: Path) -> dict[str, str]:
        """Serve it there."""
        server = ThreadingHTTPServer((LOOPBACK, 0), partial(FromElsewhere, directory=str(folder)))
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, name="elsewhere", daemon=True).start()
        return {"url": f"http://{LOOPBACK}:{server.server_port}"}

    def test_messages(self) -> None:
        """The policy of the page lets in what the program needs."""
        romeo = self.enter(self.slixmpp(self.account("romeo")))
        juliet = self.account("juliet")
        browser = self.browser()
        self.log_in(browser, juliet)
        self.talk_to(browser, romeo.jid)
        self.say(browser, "from afar")
        romeo.expect_message(juliet, "from afar")
        self.assertEqual(browser.errors(), [])


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
