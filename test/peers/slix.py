"""slixmpp as a peer: its event loop runs in a thread, and a test calls from outside."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Awaitable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from slixmpp import ClientXMPP

from palaver.test.peers.peer import WAIT_S, wait_for

T = TypeVar("T")
LOOPBACK = "127.0.0.1"


class LoginRefused(Exception):
    """The server did not let the client in; the text is the SASL condition."""


class AsyncioThread:
    """An asyncio event loop in a thread of its own, which ends with the process.

    There is one for all clients, since slixmpp's objects need theirs even when they are forgotten.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, name="slixmpp", daemon=True).start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, waiting: Awaitable[T]) -> T:
        """Give what a coroutine gives; raises what it raises, or TimeoutError after `WAIT_S`."""

        async def bounded() -> T:
            return await asyncio.wait_for(waiting, WAIT_S)

        return asyncio.run_coroutine_threadsafe(bounded(), self.loop).result(WAIT_S + 1)


@cache
def asyncio_thread() -> AsyncioThread:
    """Give the thread of this process."""
    # What a test wants to know it asks; the rest is noise.
    logging.getLogger("slixmpp").setLevel(logging.CRITICAL + 1)
    return AsyncioThread()


class Slixmpp:
    """One account; see `palaver.test.peers.peer.Peer`. ``xmpp`` is slixmpp's own object."""

    def __init__(
        self,
        jid: str,
        password: str,
        port: int,
        certificate: Path,
        *,
        direct_tls: bool = False,
        mechanism: str | None = None,
        register: bool = False,
        managed: bool = False,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """``certificate`` is what the server's must be; ``register`` makes the account first (XEP-0077).

        ``managed`` is for stream management (XEP-0198).
        """
        self.jid = jid.partition("/")[0]
        self.messages: list[Any] = []
        self.requests: list[str] = []
        self.stream_errors: list[str] = []
        self._thread = asyncio_thread()
        self._port = port
        self._register = register
        self._managed = managed
        self.resumed = 0
        """How often a session was resumed."""
        self.xmpp: ClientXMPP = self._thread.run(self._make(jid, password, mechanism, context))
        self.xmpp.ca_certs = certificate
        self.xmpp.enable_direct_tls = direct_tls
        self.xmpp.enable_starttls = not direct_tls

    async def _make(self, jid: str, password: str, mechanism: str | None, context: Any) -> ClientXMPP:
        xmpp = ClientXMPP(jid, password, sasl_mech=mechanism, ssl_context=context)
        # Requests are answered by the test, not by the library.
        xmpp.roster.auto_authorize = None
        xmpp.roster.auto_subscribe = False
        for plugin in ("xep_0012", "xep_0030", "xep_0049", "xep_0092", "xep_0199", "xep_0202", "xep_0203"):
            xmpp.register_plugin(plugin)
        if self._managed:
            xmpp.register_plugin("xep_0198")
        if self._register:
            xmpp.register_plugin("xep_0077")
            xmpp["xep_0077"].force_registration = True
            xmpp.add_event_handler("register", self._fill_in)
        xmpp.add_event_handler("message", self.messages.append)
        xmpp.add_event_handler("presence_subscribe", lambda got: self.requests.append(got["from"].bare))
        xmpp.add_event_handler("stream_error", lambda got: self.stream_errors.append(got["condition"]))
        return xmpp

    async def _fill_in(self, form: Any) -> None:
        iq = self.xmpp.make_iq_set()
        iq["register"]["username"] = self.xmpp.boundjid.user
        iq["register"]["password"] = self.xmpp.password
        await iq.send()

    def run(self, waiting: Awaitable[T]) -> T:
        """Run one of slixmpp's coroutines or futures to its end and give what it gives."""
        return self._thread.run(waiting)

    def call(self, function: Any, *arguments: Any, **options: Any) -> Any:
        """Call one of slixmpp's methods in its own thread; a future that it gives is waited for."""

        async def called() -> Any:
            given = function(*arguments, **options)
            return await given if asyncio.isfuture(given) or asyncio.iscoroutine(given) else given

        return self.run(called())

    # -- Peer -----------------------------------------------------------------------------

    def connect(self) -> None:
        """See Peer. Raises `LoginRefused`. After a lost connection the session is resumed, if it can be."""
        resumed = self.resumed
        self.run(self._connect())
        if self.resumed == resumed:
            self.call(self.xmpp.get_roster)
            self.call(self.xmpp.send_presence)

    async def _connect(self) -> None:
        outcome: asyncio.Future[str] = self._thread.loop.create_future()
        refused: list[str] = []

        def settle(condition: str) -> None:
            if not outcome.done():
                outcome.set_result(condition)

        xmpp = self.xmpp

        def go_on(_: object) -> None:
            self.resumed += 1
            settle("")

        handlers = {
            "session_resumed": go_on,
            "session_start": lambda _: settle(""),
            "failed_auth": lambda failure: refused.append(failure["condition"]),
            "disconnected": lambda reason: settle(refused[0] if refused else f"disconnected: {reason}"),
        }
        for name, handler in handlers.items():
            xmpp.add_event_handler(name, handler)
        try:
            xmpp.connect(LOOPBACK, self._port)
            condition = await outcome
        finally:
            for name, handler in handlers.items():
                xmpp.del_event_handler(name, handler)
        if condition:
            await self._close()
            raise LoginRefused(condition)

    def send(self, to: str, body: str) -> None:
        """See Peer."""
        self.call(self.xmpp.send_message, to, body, mtype="chat")

    def expect_message(self, sender: str, body: str) -> Any:
        """See Peer; gives the stanza."""

        def found() -> Any:
            return [got for got in self.messages if (got["from"].bare, got["body"]) == (sender, body)]

        return wait_for(
            found, lambda: f"{self.jid} has no {body!r} from {sender}: {list(map(str, self.messages))}"
        )[0]

    def add(self, contact: str) -> None:
        """See Peer."""
        self.call(self.xmpp.update_roster, contact, name=contact.partition("@")[0].title())
        self.call(self.xmpp.send_presence_subscription, contact)

    def expect_request(self, contact: str) -> None:
        """See Peer."""
        wait_for(lambda: contact in self.requests, lambda: f"{self.jid} was not asked by {contact}")

    def accept(self, contact: str) -> None:
        """See Peer."""
        self.call(self.xmpp.send_presence_subscription, contact, ptype="subscribed")

    def resources(self, contact: str) -> dict[str, Any]:
        """Give what is known of a contact's available resources."""
        found: dict[str, Any] = self.xmpp.client_roster.presence(contact)
        return found

    def expect_presence(self, contact: str, available: bool) -> None:
        """See Peer."""
        wait_for(
            lambda: bool(self.resources(contact)) is available,
            lambda: f"{self.jid} sees of {contact}: {self.resources(contact)}",
        )

    def expect_subscription(self, contact: str, subscription: str) -> None:
        """See Peer; the server is asked anew every time."""
        wait_for(
            lambda: self.roster().get(contact) == subscription,
            lambda: f"the roster of {self.jid}: {self.roster()}",
        )

    def roster(self) -> dict[str, str]:
        """Ask the server for the whole roster; gives subscriptions by bare JID."""
        iq = self.xmpp.make_iq_get()
        iq.enable("roster")
        iq = self.call(iq.send)
        return {str(jid): item["subscription"] for jid, item in iq["roster"]["items"].items()}

    def expect_disconnected(self) -> None:
        """See Peer."""
        wait_for(lambda: not self.xmpp.is_connected(), f"{self.jid} is still connected")

    def break_off(self) -> None:
        """Lose the connection without a word."""
        self.call(self.xmpp.transport.abort)
        self.expect_disconnected()

    def close(self) -> None:
        """See Peer."""
        self.run(self._close())

    async def _close(self) -> None:
        await self.xmpp.disconnect()
        # slixmpp forgets this task without ending it, and asyncio complains at some later time.
        task = self.xmpp._run_out_filters
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
