"""Clients over BOSH (XEP-0124, XEP-0206), on real sockets."""

from __future__ import annotations

import hashlib
from typing import Any

from palaver.test.web.bosh import NS_BODY
from palaver.test.web.case import WebCase
from palaver.test.wire import plain

MESSAGE = "<message xmlns='jabber:client' type='chat' to='{}'><body>{}</body></message>"
PING = "<iq xmlns='jabber:client' type='get' id='{}'><ping xmlns='urn:xmpp:ping'/></iq>"


class SessionTests(WebCase):
    """What a client does all day."""

    async def test_opening(self) -> None:
        """The first answer says what holds for the session, and has the features."""
        bosh = self.bosh()
        answer = await bosh.open()
        self.assertEqual(answer.status, 200)
        self.assertIn("content-type: text/xml; charset=utf-8", answer.head)
        shown = {name: answer[name] for name in ("wait", "hold", "requests", "ver", "from", "maxpause")}
        self.assertEqual(
            shown,
            {
                "wait": "60",
                "hold": "1",
                "requests": "2",
                "ver": "1.6",
                "from": "localhost",
                "maxpause": "120",
            },
        )
        self.assertGreaterEqual(len(answer["sid"] or ""), 20)
        self.assertIn("xmpp:restartlogic='true'", answer.text)
        self.assertIn("<stream:features", answer.text)
        self.assertNotIn("starttls", answer.text)

    async def test_messages(self) -> None:
        """A client over BOSH and one over TCP write to each other."""
        juliet = await self.log_in("juliet@localhost/balcony")
        romeo = await self.log_in_by_bosh("romeo")
        held = await romeo.send(MESSAGE.format("juliet@localhost/balcony", "from the web"))
        self.assertEqual(str((await juliet.next()).body), "from the web")
        juliet.send("<message type='chat' to='romeo@localhost/web'><body>to the web</body></message>")
        answer = await romeo.until("to the web", held)
        self.assertIn("<message xmlns='jabber:client' ", answer.text)

    async def test_together(self) -> None:
        """What comes in one go leaves in one answer, in its order."""
        romeo = await self.log_in_by_bosh("romeo")
        both = PING.format("one") + PING.format("two")
        answer = await romeo.ask(both)
        self.assertEqual([iq["id"] for iq in answer.body.elements()], ["one", "two"])

    async def test_inherited(self) -> None:
        """A stanza without a namespace of its own is one of a client's (XEP-0206 section 2)."""
        romeo = await self.log_in_by_bosh("romeo")
        for ping in (
            "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>",
            f"<iq xmlns='{NS_BODY}' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>",
            "<iq type='get' id='p'><x:ping xmlns:x='urn:xmpp:ping'/></iq>",
        ):
            answer = await romeo.ask(ping)
            self.assertEqual(answer.body.firstChildElement()["type"], "result")

    async def test_prefixes(self) -> None:
        """A stanza may lean on what its wrapper declares."""
        romeo = await self.log_in_by_bosh("romeo")
        romeo.rid += 1
        request = await romeo.post(
            f"<?xml version='1.0'?><b:body xmlns:b='{NS_BODY}' xmlns='jabber:client' xmlns:p='urn:xmpp:ping' "
            f"sid='{romeo.sid}' rid='{romeo.rid}'><iq type='get' id='p'><p:ping/></iq></b:body>"
        )
        self.assertEqual((await request.answer()).body.firstChildElement()["type"], "result")

    async def test_hold(self) -> None:
        """With another request there the older one is answered, with nothing."""
        romeo = await self.log_in_by_bosh("romeo")
        first = await romeo.send(MESSAGE.format("juliet@localhost", "nobody is there"))
        await romeo.send(MESSAGE.format("juliet@localhost", "nobody is there either"))
        self.assertEqual((await first.answer()).text, f"<body xmlns='{NS_BODY}'/>")

    async def test_end(self) -> None:
        """Who says good-bye may say something with it; all requests are answered."""
        juliet = await self.log_in("juliet@localhost/balcony")
        romeo = await self.log_in_by_bosh("romeo")
        held = await romeo.send(MESSAGE.format("juliet@localhost/balcony", "one"))
        last = await romeo.send(MESSAGE.format("juliet@localhost/balcony", "two"), type="terminate")
        self.assertEqual((await held.answer())["type"], "terminate")
        self.assertEqual((await last.answer()).text, f"<body xmlns='{NS_BODY}'/>")
        self.assertEqual([str((await juliet.next()).body) for _ in range(2)], ["one", "two"])
        self.assertEqual((await romeo.ask())["condition"], "item-not-found")
        self.assertEqual(self.palaver.server.sessions(), 1)

    async def test_content(self) -> None:
        """A client may ask for another type of content, but for none that runs."""
        for content, given in (
            ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
            ("application/javascript", "text/xml; charset=utf-8"),
        ):
            answer = await self.bosh().open(f"content='{content}'")
            self.assertIn(f"content-type: {given}", answer.head)
        answer = await self.bosh().open("content='text/html'")
        self.assertIn("content-security-policy: sandbox", answer.head)

    async def test_other_host(self) -> None:
        """A session is with the host that it names."""
        answer = await self.bosh().open(to="verona.example")
        self.assertEqual(answer["from"], "verona.example")

    async def test_page(self) -> None:
        """Who looks at the address with a browser is told what it is for."""
        answer = await (await self.bosh().post("", method="GET")).answer()
        self.assertEqual(answer.status, 200)
        self.assertIn("BOSH", answer.text)

    async def test_scripts(self) -> None:
        """Scripts of other sites may connect."""
        answer = await (await self.bosh().post("", "Origin: https://a.example\r\n", "OPTIONS")).answer()
        self.assertEqual(answer.status, 204)
        self.assertIn("access-control-allow-headers: content-type", answer.head.lower())
        answer = await self.bosh().open()
        self.assertIn("access-control-allow-origin: *", answer.head)

    async def test_shutdown(self) -> None:
        """When the server goes down, held requests say so."""
        romeo = await self.log_in_by_bosh("romeo")
        held = await romeo.send()
        await self.palaver.stopService()
        answer = await held.answer()
        self.assertEqual((answer["type"], answer["condition"]), ("terminate", "system-shutdown"))

    async def test_stream_error(self) -> None:
        """An error of the stream comes with its condition, and the session is over."""
        romeo = await self.log_in_by_bosh("romeo")
        answer = await romeo.ask("<unknown xmlns='urn:example:unknown'/>")
        self.assertEqual((answer["type"], answer["condition"]), ("terminate", "remote-stream-error"))
        self.assertIn("<unsupported-stanza-type", answer.text)
        self.assertEqual(self.palaver.server.sessions(), 0)


class NetworkTests(WebCase):
    """Requests that are lost, late, early or doubled."""

    async def test_early(self) -> None:
        """A request that comes before its turn waits, and both are taken in their order."""
        romeo = await self.log_in_by_bosh("romeo")
        rid = romeo.rid
        early = await romeo.send(PING.format("two"), rid=rid + 2)
        await (await self.connect()).features()
        self.assertEqual(early.came, b"")
        first = await romeo.send(PING.format("one"), rid=rid + 1)
        self.assertIn("id='one'", (await first.answer()).text)
        self.assertIn("id='two'", (await early.answer()).text)

    async def test_replay(self) -> None:
        """An answer that was lost is given again, and what the request held is not done again."""
        juliet = await self.log_in("juliet@localhost/balcony")
        romeo = await self.log_in_by_bosh("romeo")
        text = MESSAGE.format("juliet@localhost/balcony", "once") + PING.format("p")
        first = await romeo.ask(text)
        again = await romeo.ask(text, rid=romeo.rid)
        self.assertEqual(again.text, first.text)
        await romeo.ask(MESSAGE.format("juliet@localhost/balcony", "twice") + PING.format("q"))
        self.assertEqual([str((await juliet.next()).body) for _ in range(2)], ["once", "twice"])

    async def test_dropped(self) -> None:
        """What comes while the held request's socket is gone waits for the same request again."""
        juliet = await self.log_in("juliet@localhost/balcony")
        romeo = await self.log_in_by_bosh("romeo")
        held = await romeo.send()
        await (await self.connect()).features()
        held.drop()
        await held.gone()
        juliet.send(MESSAGE.format("romeo@localhost/web", "meanwhile"))
        await juliet.ask()
        self.assertIn("meanwhile", (await romeo.ask(rid=romeo.rid)).text)

    async def test_doubled(self) -> None:
        """A held request that comes again takes the place of the first one, which is told to go."""
        romeo = await self.log_in_by_bosh("romeo")
        held = await romeo.send()
        again = await romeo.send(rid=romeo.rid)
        self.assertEqual((await held.answer())["type"], "error")
        await romeo.send(PING.format("p"))
        self.assertIn("id='p'", (await again.answer()).text)

    async def test_doubled_for_ever(self) -> None:
        """Who repeats a held request again and again is sent away."""
        romeo = await self.log_in_by_bosh("romeo")
        request = await romeo.send()
        for _ in range(11):
            request = await romeo.send(rid=romeo.rid)
        self.assertEqual((await request.answer())["condition"], "policy-violation")

    async def test_window(self) -> None:
        """A request far from its turn ends the session, whether too high or too low."""
        for step in (4, -10):
            romeo = await self.log_in_by_bosh("romeo")
            answer = await romeo.ask(rid=romeo.rid + step)
            self.assertEqual((answer["type"], answer["condition"]), ("terminate", "item-not-found"))
            self.assertEqual((await romeo.ask())["condition"], "item-not-found")

    async def test_pause(self) -> None:
        """A client that pauses gets its held requests back, without a payload."""
        romeo = await self.log_in_by_bosh("romeo")
        held = await romeo.send()
        paused = await romeo.ask(pause="60")
        self.assertEqual((await held.answer()).text, f"<body xmlns='{NS_BODY}'/>")
        self.assertEqual(paused.text, f"<body xmlns='{NS_BODY}'/>")
        self.assertIn("id='p'", (await romeo.ask(PING.format("p"))).text)

    async def test_too_long_pause(self) -> None:
        """Nobody may pause for longer than was agreed."""
        romeo = await self.log_in_by_bosh("romeo")
        self.assertEqual((await romeo.ask(pause="121"))["condition"], "policy-violation")

    async def test_keys(self) -> None:
        """With keys each request proves that it is of the same client (section 15)."""
        keys = ["seed"]
        for _ in range(5):
            keys.append(hashlib.sha1(keys[-1].encode()).hexdigest())
        romeo = self.bosh()
        await romeo.open(f"newkey='{keys[5]}'")
        held = await romeo.send(key=keys[4].upper())
        self.assertEqual((await romeo.ask(pause="10", key=keys[3], newkey=keys[5])).status, 200)
        await held.answer()
        stolen = await romeo.ask(key=keys[2])
        self.assertEqual((stolen["type"], stolen["condition"]), ("terminate", "item-not-found"))

    async def test_no_key(self) -> None:
        """Without its key a request of such a session is nobody's."""
        romeo = self.bosh()
        await romeo.open(f"newkey='{hashlib.sha1(b'seed').hexdigest()}'")
        self.assertEqual((await romeo.ask())["condition"], "item-not-found")

    async def test_resumption(self) -> None:
        """A session that began over TCP goes on over BOSH, and back again (XEP-0198)."""
        juliet = await self.log_in("juliet@localhost/balcony")
        romeo = await self.log_in("romeo@localhost/orchard")
        romeo.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
        token = (await romeo.next())["id"]
        romeo.drop()
        await romeo.closed()
        juliet.send(MESSAGE.format("romeo@localhost/orchard", "meanwhile"))
        await juliet.ask()
        bosh = self.bosh()
        await bosh.open()
        await bosh.until("<success", await bosh.send(plain("romeo", "sesame")))
        await bosh.ask(xmpp__restart="true", to="localhost")
        resume = f"<resume xmlns='urn:xmpp:sm:3' previd='{token}' h='0'/>"
        answer = await bosh.until("<resumed", await bosh.send(resume))
        self.assertIn("meanwhile", answer.text)
        held = await bosh.send()
        again = await self.connect()
        await again.features()
        await again.authenticate("romeo", "sesame")
        await again.features()
        again.send(resume.replace("h='0'", "h='1'"))
        self.assertEqual((await again.next()).name, "resumed")
        self.assertEqual((await held.answer())["type"], "terminate")
        self.assertEqual(self.palaver.server.sessions(), 2)


class BadInputTests(WebCase):
    """Whatever comes, the right condition follows, and the next client is served."""

    async def refused(self, text: str | bytes, condition: str) -> None:
        """Send something as a first request; expect a condition."""
        answer = await (await self.bosh().post(text)).answer()
        self.assertEqual((answer.status, answer["type"], answer["condition"]), (200, "terminate", condition))
        await self.log_in_by_bosh("juliet")

    async def test_no_xml(self) -> None:
        """A request is XML."""
        for text in ("", "hello", f"<body xmlns='{NS_BODY}'", b"\xff\xfe<body/>"):
            await self.refused(text, "bad-request")

    async def test_other_root(self) -> None:
        """A request is a body of BOSH."""
        await self.refused("<body rid='1' wait='1' to='localhost'/>", "bad-request")

    async def test_entities(self) -> None:
        """What XMPP forbids is forbidden here as well."""
        await self.refused(
            f"<!DOCTYPE b [<!ENTITY e 'x'>]><body xmlns='{NS_BODY}' rid='1' to='localhost' wait='1'/>",
            "bad-request",
        )

    async def test_rid(self) -> None:
        """A rid is a number that every language can count on from."""
        for rid in ("", "rid='x'", "rid='-1'", f"rid='{1 << 53}'", f"rid='{'9' * 5000}'"):
            await self.refused(
                f"<body xmlns='{NS_BODY}' {rid} to='localhost' wait='1' hold='1'/>", "bad-request"
            )

    async def test_wait(self) -> None:
        """So is the time to wait, which has to be there."""
        for wait in ("", "wait='x'", "wait='-1'", "wait='1.5'"):
            await self.refused(f"<body xmlns='{NS_BODY}' rid='1' to='localhost' {wait}/>", "bad-request")

    async def test_host(self) -> None:
        """A session is with a host that is here."""
        for to, condition in (
            ("", "improper-addressing"),
            ("to=''", "improper-addressing"),
            ("to='a@b/c'", "improper-addressing"),
            ("to='elsewhere.example'", "host-unknown"),
        ):
            await self.refused(f"<body xmlns='{NS_BODY}' rid='1' wait='1' {to}/>", condition)

    async def test_sid(self) -> None:
        """A session that does not exist cannot be guessed."""
        await self.refused(f"<body xmlns='{NS_BODY}' rid='1' sid='guess'/>", "item-not-found")

    async def test_closing_tags(self) -> None:
        """Elements that end what they have not begun reach no stream."""
        romeo = await self.log_in_by_bosh("romeo")
        answer = await romeo.ask("</body><body>")
        self.assertEqual(answer["condition"], "bad-request")

    async def test_deep(self) -> None:
        """Depth costs nobody else anything."""
        romeo = await self.log_in_by_bosh("romeo")
        answer = await romeo.ask(f"<message xmlns='{NS_BODY}'>" + "<a>" * 9000 + "</a>" * 9000 + "</message>")
        self.assertEqual(answer["condition"], "bad-request")
        answer = await romeo.ask("<message>" + "<a>" * 200 + "</a>" * 200 + "</message>", rid=romeo.rid)
        self.assertEqual(answer["condition"], "remote-stream-error")

    async def test_large(self) -> None:
        """A stranger may send less than somebody who has logged in, and nobody without an end."""
        stranger = self.bosh()
        await stranger.open()
        answer = await stranger.ask(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{'x' * 70_000}</auth>")
        self.assertIn("stanza-too-big", answer.text)
        romeo = await self.log_in_by_bosh("romeo")
        answer = await romeo.ask(MESSAGE.format("romeo@localhost/web", "x" * 200_000))
        self.assertIn("x" * 200_000, answer.text)
        answer = await romeo.ask("x" * 300_000)
        self.assertEqual(answer.status, 413)

    async def test_polling(self) -> None:
        """Who polls without a pause is sent away (sections 11 and 12)."""
        romeo = self.bosh()
        opened = await romeo.open(wait=0)
        self.assertEqual((opened["hold"], opened["requests"]), ("0", "1"))
        self.assertEqual((await romeo.ask()).text, f"<body xmlns='{NS_BODY}'/>")
        self.assertEqual((await romeo.ask())["condition"], "policy-violation")

    async def test_two_polls(self) -> None:
        """So is who has two empty requests open at once."""
        romeo = await self.log_in_by_bosh("romeo")
        held = await romeo.send()
        self.assertEqual((await romeo.ask())["condition"], "policy-violation")
        self.assertEqual((await held.answer())["condition"], "policy-violation")

    async def test_strangers(self) -> None:
        """Sessions of those who have not logged in are counted, as sockets are."""
        self.palaver._admission.max_per_address = 2
        sessions = [await self.bosh().open() for _ in range(3)]
        self.assertEqual([answer["condition"] for answer in sessions], [None, None, "policy-violation"])


class ClockTests(WebCase):
    """What time does, with a session's own deadlines moved."""

    def session(self) -> Any:
        """Give the only session."""
        (session,) = self.palaver._door.connections()
        return session

    async def past(self, seconds: float) -> None:
        """Have the server's clock go on."""
        wheel, before = self.palaver._wheel, self.palaver._wheel.now
        self.patch(wheel, "now", lambda: before() + seconds)
        session = self.session()
        if session.deadline <= wheel.now():
            session.deadline_passed()

    async def test_wait(self) -> None:
        """A held request is answered with nothing when its time is over."""
        romeo = await self.log_in_by_bosh("romeo", wait=10)
        held = await romeo.send()
        await (await self.connect()).features()
        await self.past(8)
        self.assertEqual(held.came, b"")
        await self.past(2)
        self.assertEqual((await held.answer()).text, f"<body xmlns='{NS_BODY}'/>")

    async def test_inactivity(self) -> None:
        """A client that asks no more is gone, after a while."""
        romeo = await self.log_in_by_bosh("romeo")
        await self.past(29)
        self.assertEqual(self.palaver.server.sessions(), 1)
        await self.past(2)
        self.assertEqual(self.palaver.server.sessions(), 0)
        self.assertEqual((await romeo.ask())["condition"], "item-not-found")

    async def test_paused(self) -> None:
        """A client that has said so is away for longer."""
        romeo = await self.log_in_by_bosh("romeo")
        await romeo.ask(pause="100")
        await self.past(90)
        self.assertEqual(self.palaver.server.sessions(), 1)
        self.assertIn("id='p'", (await romeo.ask(PING.format("p"))).text)

    async def test_login(self) -> None:
        """A login has its time."""
        romeo = self.bosh()
        await romeo.open()
        held = await romeo.send()
        await (await self.connect()).features()
        await self.past(301)
        answer = await held.answer()
        self.assertEqual(answer["condition"], "remote-stream-error")
        self.assertIn("connection-timeout", answer.text)

    async def test_acks(self) -> None:
        """A client that acknowledges answers is told of one that it has not got (section 9.2)."""
        romeo = await self.log_in_by_bosh("romeo", rest="ack='1'")
        await romeo.ask(PING.format("p"))
        missed = romeo.rid
        await self.past(6)
        answer = await romeo.ask(ack=str(missed - 1))
        self.assertEqual(answer["report"], str(missed))
        self.assertGreaterEqual(int(answer["time"] or 0), 6000)
