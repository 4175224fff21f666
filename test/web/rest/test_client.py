"""REST for accounts, over real sockets."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol

from palaver.test.web.bosh import Request, reactor
from palaver.test.web.rest.case import RestCase, basic

JULIET = basic("juliet@localhost")


class ClientCase(RestCase):
    """Asks as romeo."""

    base = "/api"
    authorization = basic("romeo@localhost")
    modules: ClassVar[dict[str, Any]] = {"mod_rest_client": {}, "mod_muc_light": {}, "mod_mam": {}}


class OriginTests(ClientCase):
    """Scripts of other sites."""

    modules: ClassVar[dict[str, Any]] = {"mod_rest_client": {"origins": ["https://chat.example.org"]}}

    async def test_origins(self) -> None:
        """Pages that are configured may ask and read what is answered, refusals too; others may not."""
        asks = {"Access_Control_Request_Method": "PUT", "Access_Control_Request_Headers": "authorization"}
        for origin, allowed in (("https://chat.example.org", True), ("https://evil.example", False)):
            for method, path, more, given, status in (
                ("OPTIONS", "/contacts/x", asks, "", 200),
                ("GET", "/contacts", {}, self.authorization, 200),
                ("GET", "/contacts", {}, basic("romeo@localhost", "wrong"), 401),
            ):
                answer = await self.ask(method, path, None, given, Origin=origin, **more)
                self.assertEqual(answer.status, status, answer.text)
                head = answer.head.lower()
                self.assertEqual(f"access-control-allow-origin: {origin}" in head, allowed)
                self.assertEqual("access-control-allow-headers: authorization, content-type" in head, allowed)
                self.assertIn("vary: origin", head)
                self.assertNotIn("allow-credentials", head)

    async def test_preflight(self) -> None:
        """What a browser asks before the request needs no password."""
        answer = await self.ask("OPTIONS", "/contacts", authorization="", Origin="https://chat.example.org")
        self.assertEqual(answer.status, 200)
        self.assertIn(
            "access-control-allow-methods: get, post, put, patch, delete, options", answer.head.lower()
        )


class MessageTests(ClientCase):
    """Messages and contacts."""

    async def test_strangers(self) -> None:
        """Only an account's own password opens its messages."""
        for given in ("", basic("romeo@localhost", "wrong"), basic("romeo"), basic("romeo@verona.example")):
            await self.assert_status(401, "GET", "/messages", authorization=given)

    async def test_messages(self) -> None:
        """What is sent arrives, and is in both archives with its id."""
        juliet = await self.log_in("juliet@localhost/balcony")
        juliet.send("<presence/>")
        body = {"to": "juliet@localhost", "body": "È l'allodola & ☼"}
        id = json.loads((await self.assert_status(200, "POST", "/messages", body)).text)["id"]
        while (got := await juliet.next()).name != "message":
            pass
        self.assertEqual((got["id"], str(got.body)), (id, body["body"]))
        for given in (self.authorization, JULIET):
            (found,) = await self.json("/messages", authorization=given)
            self.assertEqual(
                (found["id"], found["body"], found["to"]), (id, body["body"], "juliet@localhost")
            )
            self.assertGreater(found["timestamp"], 1_600_000_000_000)
        self.assertEqual(len(await self.json("/messages/juliet@localhost?limit=1")), 1)
        self.assertEqual(await self.json("/messages/nurse@localhost"), [])
        self.assertEqual(await self.json("/messages?before=1000"), [])

    async def test_wrong(self) -> None:
        """What is missing or wrong is refused with a sentence."""
        for body in ({}, {"to": "juliet@localhost"}, {"to": 1, "body": "x"}, {"to": "@", "body": "x"}):
            await self.assert_status(400, "POST", "/messages", body)
        await self.assert_status(404, "GET", "/messages/@")
        await self.assert_status(400, "GET", "/messages?before=soon")

    async def test_contacts(self) -> None:
        """Two accounts become contacts by invitation and acceptance."""
        await self.assert_status(204, "POST", "/contacts", {"jid": "juliet@localhost"})
        await self.assert_status(204, "PUT", "/contacts/juliet@localhost", {"action": "invite"})
        (asked,) = await self.json("/contacts", authorization=JULIET)
        self.assertEqual(asked["ask"], "in")
        await self.assert_status(
            204, "PUT", "/contacts/romeo@localhost", {"action": "accept"}, authorization=JULIET
        )
        (found,) = await self.json("/contacts")
        self.assertEqual(found, {"jid": "juliet@localhost", "subscription": "to", "ask": "none"})
        await self.assert_status(404, "PUT", "/contacts/nurse@localhost", {"action": "invite"})
        gone = {"to_delete": ["juliet@localhost", "nurse@localhost", "@"]}
        answer = await self.assert_status(200, "DELETE", "/contacts", gone)
        self.assertEqual(json.loads(answer.text), {"not_deleted": ["nurse@localhost", "@"]})
        await self.assert_status(404, "DELETE", "/contacts/juliet@localhost")


class RoomTests(ClientCase):
    """MUC Light rooms."""

    ROOM: ClassVar[dict[str, str]] = {"name": "Orchard", "subject": "Night"}

    async def test_room(self) -> None:
        """A room is made, named, filled, spoken in and left."""
        made = await self.assert_status(200, "POST", "/rooms", self.ROOM)
        id = json.loads(made.text)["id"]
        self.assertEqual(await self.json("/rooms"), [{"id": id, **self.ROOM}])
        await self.assert_status(204, "POST", f"/rooms/{id}/users", {"user": "juliet@localhost"})
        found = await self.json(f"/rooms/{id}", authorization=JULIET)
        self.assertEqual(
            found["participants"],
            [
                {"user": "juliet@localhost", "role": "member"},
                {"user": "romeo@localhost", "role": "owner"},
            ],
        )
        await self.assert_status(204, "PUT", f"/rooms/{id}/config", {"name": "Tomb", "subject": "Day"})
        said = {"body": "Here", "markable": True}
        await self.assert_status(200, "POST", f"/rooms/{id}/messages", said, authorization=JULIET)
        history = await self.json(f"/rooms/{id}/messages")
        words = [entry for entry in history if entry.get("body")]
        self.assertEqual(
            [(e["from"], e["body"], e["markable"]) for e in words], [("juliet@localhost", "Here", True)]
        )
        await self.assert_status(204, "DELETE", f"/rooms/{id}/users/juliet@localhost", authorization=JULIET)
        await self.assert_status(403, "GET", f"/rooms/{id}", authorization=JULIET)

    async def test_refused(self) -> None:
        """Outsiders and members may do what they may, and rooms that are not there are not there."""
        await self.assert_status(201, "PUT", "/rooms/orchard", self.ROOM)
        await self.assert_status(400, "PUT", "/rooms/orchard", self.ROOM)
        tried: tuple[tuple[str, str, Any], ...] = (
            ("GET", "/rooms/orchard", None),
            ("GET", "/rooms/orchard/messages", None),
            ("POST", "/rooms/orchard/messages", {"body": "x"}),
            ("POST", "/rooms/orchard/users", {"user": "juliet@localhost"}),
            ("DELETE", "/rooms/orchard/users/romeo@localhost", None),
        )
        for method, path, body in tried:
            await self.assert_status(403, method, path, body, authorization=JULIET)
        await self.assert_status(404, "GET", "/rooms/nowhere")
        await self.assert_status(400, "GET", "/rooms/orchard@elsewhere.example")
        wrong: tuple[Any, ...] = ({}, {"body": 1}, {"chat_marker": {"type": "seen", "id": "x"}}, [])
        for body in wrong:
            await self.assert_status(400, "POST", "/rooms/orchard/messages", body)


class EventTests(ClientCase):
    """Server-sent events."""

    async def test_events(self) -> None:
        """A message comes as an event; the session ends with the connection."""
        request = Request(
            b"GET /api/sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: %b\r\n\r\n"
            % self.authorization.encode()
        )
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.http_port), request)
        await self.until(lambda: b": here" in request.came and self.palaver.server.sessions() == 1)
        self.assertIn(b"text/event-stream", request.came.lower())
        body = {"to": "romeo@localhost", "body": "Hi"}
        await self.assert_status(200, "POST", "/messages", body, authorization=JULIET)
        await self.until(lambda: b"id: 1\nevent: message\ndata: " in request.came)
        self.assertIn(b'"body": "Hi"', request.came)
        request.drop()
        await self.until(lambda: self.palaver.server.sessions() == 0)

    async def until(self, condition: Any) -> None:
        """Wait for something."""
        from twisted.internet.task import deferLater

        for _ in range(500):
            if condition():
                return
            await deferLater(reactor, 0.01)
        self.fail("it did not happen")
