"""REST for administrators, over real sockets."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, gatherResults

from palaver.test.web.rest.case import RestCase, basic
from palaver.waiting import settled
from palaver.web.rest.identity import FAILURES

KEEPER = basic("keeper", "open sesame")
PASSWD = {"accountjid": "juliet@localhost", "password": "mine now"}
SHUTDOWN = (
    "<iq type='set' from='juliet@localhost' to='localhost' id='x'><command xmlns="
    "'http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#shutdown'/></iq>"
)


class AdminCase(RestCase):
    """Asks as the administrator of the configuration."""

    base = "/api/admin"
    authorization = KEEPER
    modules: ClassVar[dict[str, Any]] = {
        "mod_rest_admin": {"username": "keeper", "password": "open sesame"},
        "mod_rest_client": {},
        "mod_inbox": {},
        "mod_register": {},
        "mod_mam": {},
    }


class WhoTests(AdminCase):
    """Who gets in."""

    async def test_strangers(self) -> None:
        """Nobody gets in without a name and the right password, nor an account that is no administrator."""
        for given in (
            "",
            "Basic",
            "Basic !",
            "Basic Zm9v",
            "Bearer x",
            "Digest x",
            basic("keeper", "wrong!!!!"),
        ):
            answer = await self.assert_status(401, "GET", "/users/localhost", authorization=given)
            self.assertIn("www-authenticate: basic", answer.head.lower())
        await self.assert_status(401, "GET", "/users/localhost", authorization=basic("romeo@localhost"))

    async def test_administrator(self) -> None:
        """An account that administers the host gets in, and administers no other host."""
        self.palaver.hosts["localhost"].admins |= {"juliet@localhost"}
        juliet = basic("juliet@localhost")
        found = await self.json("/users/localhost", authorization=juliet)
        self.assertIn("romeo@localhost", found)
        await self.assert_status(403, "GET", "/users/verona.example", authorization=juliet)
        await self.command("account disable", accountjids=["juliet@localhost"])
        await self.assert_status(401, "GET", "/users/localhost", authorization=juliet)

    async def test_tokens(self) -> None:
        """A token may read or write, is listed without its secret, and is gone once it is removed."""
        secrets = {}
        for scope in ("read", "write"):
            done = await self.command("rest-token add", name=scope, scope=scope)
            assert done.result is not None
            secrets[scope] = "Bearer " + done.result.model_dump()["token"]
        for secret in secrets.values():
            await self.assert_status(200, "GET", "/users/localhost", authorization=secret)
        romeo = "/users/localhost/romeo"
        await self.assert_status(403, "DELETE", romeo, authorization=secrets["read"])
        await self.assert_status(204, "DELETE", romeo, authorization=secrets["write"])
        await self.assert_status(403, "GET", "/users/verona.example", authorization=secrets["write"])
        listed = str((await self.command("rest-token list")).result)
        self.assertIn("write may write", listed)
        stored = await self.palaver.hosts["localhost"].storage.documents.list(
            "localhost", "", ("rest-token",)
        )
        for secret in secrets.values():
            self.assertNotIn(secret[7:], listed + str(stored))
        await self.command("rest-token remove", name="write")
        await self.assert_status(401, "GET", "/users/localhost", authorization=secrets["write"])

    async def test_higher(self) -> None:
        """A token of one host is no way to what administers the whole server, nor is its administrator."""
        for host in self.palaver.hosts.values():
            host.admins = host.server_admins = frozenset(["juliet@localhost"])
        self.palaver.hosts["localhost"].admins |= {"romeo@localhost"}
        done = await self.command("rest-token add", name="all", scope="write")
        assert done.result is not None
        stop = {"stanza": SHUTDOWN}
        chat = {"caller": "juliet@localhost", "to": "nurse@localhost", "body": "Obey"}
        for mine in ("Bearer " + done.result.model_dump()["token"], basic("romeo@localhost")):
            for method, path, body in (
                ("PUT", "/users/localhost/juliet", {"newpass": "mine now"}),
                ("DELETE", "/users/localhost/juliet", None),
                ("POST", "/commands/localhost/account-passwd", PASSWD),
                ("PUT", "/domains/mantua.example", {"host_type": ""}),
                ("POST", "/stanzas", stop),
                ("POST", "/messages", chat),
            ):
                await self.assert_status(403, method, path, body, authorization=mine)
        await self.assert_status(204, "POST", "/messages", chat)
        await self.assert_status(204, "PUT", "/users/localhost/juliet", {"newpass": "another one"})

    async def test_encryption(self) -> None:
        """Who comes through a proxy is heard by HTTPS only, however right the password is."""
        far = {"X_Forwarded_For": "198.51.100.7"}
        await self.assert_status(403, "GET", "/users/localhost", **far)
        await self.assert_status(200, "GET", "/users/localhost", **far, X_Forwarded_Proto="https")

    async def test_guesses(self) -> None:
        """Whoever tries one password after the other has to wait."""
        statuses = set()
        for number in range(25):
            wrong = basic("keeper", f"password{number}")
            statuses.add((await self.ask("GET", "/commands", authorization=wrong)).status)
        self.assertEqual(statuses, {401, 429})
        right = await self.ask("GET", "/commands")
        self.assertEqual(right.status, 429)

    async def test_guesses_at_once(self) -> None:
        """Who tries many passwords at the same moment learns of no more of them than one who takes turns."""
        wrong = [basic("juliet@localhost", f"password{number}") for number in range(60)]
        found = await gatherResults(
            [Deferred.fromCoroutine(self.ask("GET", "/commands", authorization=each)) for each in wrong]
        )
        statuses = [answer.status for answer in found]
        self.assertEqual(set(statuses), {401, 429})
        self.assertLessEqual(statuses.count(401), FAILURES)

    async def test_guesses_of_a_network(self) -> None:
        """All addresses of one IPv6 customer are one guesser, at both interfaces of every host."""
        statuses = []
        for number in range(FAILURES + 5):
            far = {"X_Forwarded_For": f"2001:db8::{number:x}", "X_Forwarded_Proto": "https"}
            path = "/users/localhost" if number % 2 else "/contacts"
            self.base = "/api/admin" if number % 2 else "/api"
            wrong = basic("keeper", "wrong")
            statuses.append((await self.ask("GET", path, authorization=wrong, **far)).status)
        self.assertEqual(statuses, [401] * FAILURES + [429] * 5)
        far["X_Forwarded_For"] = "2001:db8:0:1::1"
        self.assertEqual((await self.ask("GET", "/contacts", authorization=wrong, **far)).status, 401)


class RouteTests(AdminCase):
    """What can be asked."""

    async def test_accounts(self) -> None:
        """Accounts are made, listed, given other passwords and deleted."""
        given = {"username": "tybalt", "password": "prince of cats"}
        made = await self.assert_status(201, "POST", "/users/localhost", given)
        self.assertIn("location: /api/admin/users/localhost/tybalt@localhost", made.head.lower())
        self.assertIn("tybalt@localhost", await self.json("/users/localhost"))
        await self.assert_status(403, "POST", "/users/localhost", given)
        await self.assert_status(204, "PUT", "/users/localhost/tybalt", {"newpass": "rat-catcher"})
        accounts = self.palaver.hosts["localhost"].accounts
        self.assertTrue(await accounts.check_password("tybalt", "rat-catcher"))
        await self.assert_status(204, "DELETE", "/users/localhost/tybalt")
        await self.assert_status(404, "DELETE", "/users/localhost/tybalt")
        await self.assert_status(404, "GET", "/users/elsewhere.example")
        self.assertEqual(await self.json("/users/verona.example"), [])

    async def test_sessions(self) -> None:
        """Sessions are listed and ended."""
        romeo = await self.log_in("romeo@localhost/orchard")
        self.assertEqual(await self.json("/sessions/localhost"), ["romeo@localhost/orchard"])
        await self.assert_status(204, "DELETE", "/sessions/localhost/romeo/orchard")
        self.assertIn("reset", (await romeo.next()).toXml())
        await self.assert_status(404, "DELETE", "/sessions/localhost/romeo/orchard")

    async def test_messages(self) -> None:
        """A message is sent for an account, arrives, and is in its archive."""
        juliet = await self.log_in("juliet@localhost/balcony")
        juliet.send("<presence/>")
        given = {"caller": "romeo@localhost", "to": "juliet@localhost", "body": "It is <my> lady"}
        await self.assert_status(204, "POST", "/messages", given)
        while (got := await juliet.next()).name != "message":
            pass
        self.assertEqual(str(got.body), "It is <my> lady")
        for path in ("/messages/romeo@localhost", "/messages/romeo@localhost/juliet@localhost?limit=5"):
            (found,) = await self.json(path)
            self.assertEqual((found["sender"], found["body"]), ("romeo@localhost", "It is <my> lady"))
        self.assertEqual(await self.json("/messages/romeo@localhost?before=1000"), [])
        await self.assert_status(404, "POST", "/messages", {**given, "caller": "nobody@localhost"})

    async def test_stanzas(self) -> None:
        """Any stanza is sent for an account; what is none is refused."""
        juliet = await self.log_in("juliet@localhost/balcony")
        whole = "<message from='romeo@localhost' to='juliet@localhost/balcony'><x xmlns='a:b'/></message>"
        await self.assert_status(204, "POST", "/stanzas", {"stanza": whole})
        self.assertIn("a:b", (await juliet.next()).toXml())
        for wrong in (
            "<message",
            "",
            "hello",
            "<message/>",
            "<iq from='a@' to='b'/>",
            "<a from='x' to='y'/>",
        ):
            await self.assert_status(400, "POST", "/stanzas", {"stanza": wrong})

    async def test_contacts(self) -> None:
        """Contacts are added, connected and deleted."""
        await self.assert_status(204, "POST", "/contacts/romeo@localhost", {"jid": "nurse@localhost"})
        await self.assert_status(
            204, "PUT", "/contacts/romeo@localhost/juliet@localhost/manage", {"action": "connect"}
        )
        found = {each["jid"]: each["subscription"] for each in await self.json("/contacts/romeo@localhost")}
        self.assertEqual(found, {"nurse@localhost": "none", "juliet@localhost": "both"})
        (juliets,) = await self.json("/contacts/juliet@localhost")
        self.assertEqual((juliets["jid"], juliets["subscription"]), ("romeo@localhost", "both"))
        await self.assert_status(
            204, "PUT", "/contacts/romeo@localhost/juliet@localhost/manage", {"action": "disconnect"}
        )
        self.assertEqual(await self.json("/contacts/juliet@localhost"), [])
        await self.assert_status(204, "DELETE", "/contacts/romeo@localhost/nurse@localhost")
        self.assertEqual(await self.json("/contacts/romeo@localhost"), [])
        await self.assert_status(400, "PUT", "/contacts/romeo@localhost/nurse@localhost", {"action": "marry"})

    async def test_commands(self) -> None:
        """Every command of the host is listed, and does over REST what it does elsewhere."""
        paths = {line["name"]: line["path"] for line in await self.json("/commands")}
        self.assertIn("invite_create", paths)
        path = paths["invite_create"].replace("{host}", "localhost")
        answer = await self.assert_status(200, "POST", path, {"uses": 2})
        self.assertRegex(json.loads(answer.text)["result"]["uri"], "^xmpp:localhost[?]register;preauth=")
        await self.assert_status(400, "POST", path, {"uses": -1})

    async def test_named_in_the_body(self) -> None:
        """Whose account it is may stand in the body instead of the path."""
        given = {"host": "localhost", "username": "tybalt", "password": "prince of cats"}
        await self.assert_status(201, "POST", "/users", given)
        await self.assert_status(403, "POST", "/users", given)
        await self.assert_status(404, "POST", "/users", given | {"host": "mantua.example"})
        await self.assert_status(400, "POST", "/users", {"username": "x", "password": "y"})
        contact = {"caller": "tybalt@localhost", "jid": "juliet@localhost"}
        await self.assert_status(204, "POST", "/contacts", contact)
        (found,) = await self.json("/contacts/tybalt@localhost")
        self.assertEqual(found["jid"], "juliet@localhost")
        await self.assert_status(404, "POST", "/contacts", contact | {"caller": "nobody@localhost"})

    async def test_inboxes(self) -> None:
        """The bin of one account or of all is emptied, and says how many conversations went."""
        for path in ("/inbox/localhost/romeo/0/bin", "/inbox/localhost/30/bin"):
            answer = await self.assert_status(200, "DELETE", path)
            self.assertEqual(json.loads(answer.text), 0)
        await self.assert_status(404, "DELETE", "/inbox/localhost/nobody/0/bin")
        await self.assert_status(404, "DELETE", "/inbox/mantua.example/0/bin")
        await self.assert_status(400, "DELETE", "/inbox/localhost/soon/bin")
        await settled(self.palaver.hosts["localhost"].modules["mod_inbox"].detach())
        await self.assert_status(501, "DELETE", "/inbox/localhost/0/bin")

    async def test_wrong_requests(self) -> None:
        """What is not JSON, is too much or is unknown is refused, and the next one is served."""
        path = "/users/localhost"
        for body in (
            b"{",
            b"[]",
            b'"x"',
            b"\xff",
            b"{}",
            b'{"username": 1, "password": "x"}',
            b'{"host":"x"}',
        ):
            await self.assert_status(400, "POST", path, body)
        known = {"username": "a", "password": "b"}
        await self.assert_status(400, "POST", path, {**known, "extra": 1})
        await self.assert_status(415, "POST", path, known, Content_Type="text/plain")
        await self.assert_status(413, "POST", path, b" " * 1_000_000)
        await self.assert_status(405, "PATCH", path)
        await self.assert_status(404, "GET", "/nothing")
        await self.assert_status(400, "GET", "/messages/romeo@localhost?limit=501")
        await self.assert_status(400, "GET", "/messages/romeo@localhost?before=x")
        await self.assert_status(400, "GET", "/messages/@")
        await self.assert_serves()


class RoomTests(AdminCase):
    """Rooms of both kinds."""

    modules: ClassVar[dict[str, Any]] = {**AdminCase.modules, "mod_muc_light": {}}

    async def test_light(self) -> None:
        """A MUC Light room is made, named, filled, spoken in and destroyed."""
        room = {"id": "orchard", "name": "Orchard", "owner": "romeo@localhost", "subject": "Night"}
        path = "/muc-lights/localhost"
        made = await self.assert_status(201, "PUT", path, room)
        self.assertEqual(made.text, "orchard@muclight.localhost")
        await self.assert_status(403, "PUT", path, room)
        juliet = await self.log_in("juliet@localhost/balcony")
        juliet.send("<presence/>")
        taking = {"sender": "romeo@localhost", "recipient": "juliet@localhost"}
        await self.assert_status(204, "POST", f"{path}/Orchard/participants", taking)
        said = {"from": "romeo@localhost", "body": "It is my lady"}
        await self.assert_status(204, "POST", f"{path}/Orchard/messages", said)
        while not str((got := await juliet.next()).body or ""):
            pass
        self.assertEqual(str(got.body), "It is my lady")
        config = {"id": "orchard", "name": "Tomb", "user": "romeo@localhost", "subject": "Day"}
        await self.assert_status(204, "PUT", f"{path}/config", config)
        await self.assert_status(404, "POST", f"{path}/Orchard/messages", said)
        await self.assert_status(403, "DELETE", f"{path}/Tomb/juliet@localhost/management")
        await self.assert_status(204, "DELETE", f"{path}/Tomb/romeo@localhost/management")
        await self.assert_status(403, "POST", f"{path}/Tomb/messages", said)
        del room["id"]
        await self.assert_status(201, "POST", path, room)

    async def test_rooms(self) -> None:
        """A room is made for an owner; somebody is invited, speaks and is removed."""
        path = "/mucs/localhost"
        room = {"name": "ball", "owner": "nurse@localhost", "nick": "nurse"}
        await self.assert_status(201, "POST", path, room)
        await self.assert_status(403, "POST", path, room)
        juliet = await self.log_in("juliet@localhost/balcony")
        juliet.send("<presence/>")
        inviting = {"sender": "romeo@localhost", "recipient": "juliet@localhost", "reason": "Dance"}
        await self.assert_status(204, "POST", f"{path}/ball/participants", inviting)
        while (got := await juliet.next()).name != "message":
            pass
        self.assertIn("reason='Dance'", got.toXml())
        said = {"from": "juliet@localhost", "body": "Good pilgrim"}
        await self.assert_status(403, "POST", f"{path}/ball/messages", said)
        juliet.send(
            "<presence to='ball@muc.localhost/j'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        )
        while (got := await juliet.next()).name != "message":
            pass
        await self.assert_status(204, "POST", f"{path}/ball/messages", said)
        self.assertEqual(str((await juliet.next()).body), "Good pilgrim")
        await self.assert_status(204, "DELETE", f"{path}/ball/j")
        self.assertIn("307", (await juliet.next()).toXml())
        await self.assert_status(404, "DELETE", f"{path}/ball/j")
        await self.assert_status(404, "DELETE", f"{path}/nowhere/j")


class DomainTests(AdminCase):
    """Domains of a running server."""

    async def test_domains(self) -> None:
        """A domain is added, shown, disabled and removed; a configured one stays."""
        path = "/domains/mantua.example"
        await self.assert_status(404, "GET", path)
        await self.assert_status(204, "PUT", path, {"host_type": ""})
        await self.assert_status(204, "PUT", path, {"host_type": ""})
        await self.assert_status(409, "PUT", path, {"host_type": "other"})
        self.assertEqual(await self.json(path), {"host_type": "", "enabled": True})
        await self.assert_status(204, "PATCH", path, {"enabled": False})
        self.assertEqual(await self.json(path), {"host_type": "", "enabled": False})
        await self.assert_status(403, "DELETE", path, {"host_type": "other"})
        await self.assert_status(204, "DELETE", path, {"host_type": ""})
        answer = await self.ask("PUT", "/domains/localhost", {"host_type": ""})
        self.assertGreaterEqual(answer.status, 400)
        await self.assert_status(400, "PUT", "/domains/a%20b", {"host_type": ""})
