"""Chromium without a screen as a peer, and a wire to it that can be cut."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from palaver.test.peers.peer import WAIT_S, absent, need, wait_for

BUFFER_BYTES = 65536
# For people to look at after a run.
PICTURES = Path(os.environ.get("PALAVER_TEST_OUTPUT") or "pictures")
PHONE = (390, 844)
DESK = (1280, 900)


class Relay:
    """A TCP port that leads to another one, until it is cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.is_cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                # Closed.
                return
            if self.is_cut:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target), WAIT_S)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._ends |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), name="relay", daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(BUFFER_BYTES):
                sink.sendall(data)
        except OSError:
            # Cut, or one end is gone.
            pass
        with self._lock:
            self._ends -= {source, sink}
        for end in (source, sink):
            _end(end)

    def cut(self) -> None:
        """Break every connection and let none through, until `mend`."""
        self.is_cut = True
        with self._lock:
            ends = list(self._ends)
        for end in ends:
            _end(end)

    def mend(self) -> None:
        """Let connections through again."""
        self.is_cut = False

    def close(self) -> None:
        """End it all."""
        self._listener.close()
        self.cut()


def _end(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        # It has ended already.
        pass
    end.close()


class Browser:
    """One window; every wait has an end."""

    def __init__(self, size: tuple[int, int] = DESK) -> None:
        need("chromium", "chromedriver")
        try:
            from selenium import webdriver
        except ImportError:
            absent("selenium is not installed")
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(option)
        options.add_argument(f"--window-size={size[0]},{size[1]}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(executable_path="/usr/bin/chromedriver")
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(WAIT_S)
        self.driver.set_script_timeout(WAIT_S)

    def open(self, address: str) -> None:
        """Load a page."""
        self.driver.get(address)

    def find(self, selector: str) -> Any:
        """Wait for an element by a CSS selector."""
        return wait_for(lambda: next(iter(self.all(selector)), None), lambda: self.complaint(selector))

    def all(self, selector: str) -> list[Any]:
        """Give the elements that are there now."""
        return list(self.driver.find_elements("css selector", selector))

    def type(self, selector: str, text: str) -> None:
        """Fill in a field."""
        found = self.find(selector)
        found.clear()
        found.send_keys(text)

    def click(self, selector: str) -> None:
        """Press something."""
        self.find(selector).click()

    def text(self) -> str:
        """Give what is to be read on the page."""
        return str(self.driver.execute_script("return document.body ? document.body.innerText : ''"))

    def expect(self, text: str) -> None:
        """Wait until a text is on the page."""
        wait_for(lambda: text in self.text(), lambda: self.complaint(text))

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait for anything."""
        wait_for(condition, lambda: self.complaint(what))

    def complaint(self, what: str) -> str:
        """Give what there was instead of something."""
        self.picture("failed")
        lines = [entry["message"] for entry in self.driver.get_log("browser")][-10:]
        return f"no {what!r} on {self.driver.current_url}: {self.text()[:500]!r}; console: {lines}"

    def errors(self) -> list[str]:
        """Give what pages were refused by their policies since the last look."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if "Content Security Policy" in entry["message"]
        ]

    def picture(self, name: str) -> None:
        """Keep what the window shows."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(PICTURES / f"{name}.png"))

    def close(self) -> None:
        """End it."""
        self.driver.quit()
