"""Clients that lose their connections are still in their rooms when they come back (XEP-0198)."""

from __future__ import annotations

from palaver.test.served import ServedCase
from palaver.test.test_resumption import Phone

ROOM = "verona@muc.localhost"


class ResumingTests(ServedCase):
    """Over real sockets."""

    async def enter(self, phone: Phone, nick: str) -> None:
        """Enter the room and wait until that is done."""
        phone.send(f"<presence to='{ROOM}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        await phone.wire.until(lambda: any(one.subject for one in phone.wire.elements), "the subject")
        for came in phone.wire.elements:
            if came.name == "message":
                # The subject has no id, which the phone keeps of every message.
                came["id"] = "subject"
        phone.read()

    async def test_resumed(self) -> None:
        """What was said meanwhile comes, and who was away speaks on without entering again."""
        romeo = await Phone(self, "romeo@localhost/orchard").log_in()
        juliet = await Phone(self, "juliet@localhost/balcony").log_in()
        await self.enter(romeo, "Romeo")
        romeo.send(
            f"<iq type='set' id='c' to='{ROOM}'><query xmlns='http://jabber.org/protocol/muc#owner'>"
            "<x xmlns='jabber:x:data' type='submit'/></query></iq>"
        )
        await romeo.settle(1)
        await self.enter(juliet, "Juliet")
        romeo.wire.drop()
        await romeo.wire.closed()
        for number in range(3):
            juliet.send(f"<message type='groupchat' id='{number}' to='{ROOM}'><body>O</body></message>")
        await juliet.settle(4)
        await romeo.resume()
        romeo.send(f"<message type='groupchat' id='3' to='{ROOM}'><body>I</body></message>")
        await romeo.settle(5)
        await juliet.settle(5)
        self.assertEqual((romeo.got[-4:], romeo.errors), (["0", "1", "2", "3"], []))
        self.assertEqual(juliet.got[-4:], ["0", "1", "2", "3"])
