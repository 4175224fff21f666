"""XEP-0186 and XEP-0018."""

from __future__ import annotations

from typing import Any

from twisted.words.xish import domish

from palaver.routing.roster import RosterItem
from palaver.test.house import Client, stanza
from palaver.test.routing.test_presence import JULIET, REMOTE, ROMEO, PresenceCase, presences
from palaver.xeps import invisible
from palaver.xeps.blocking import Blocking
from palaver.xeps.disco import ServiceDiscovery
from palaver.xeps.invisible import Invisible
from palaver.xeps.last import LastActivity

FULL = f"{JULIET}/balcony"
HIM = f"{ROMEO}/orchard"


class InvisibleCase(PresenceCase):
    """Juliet and Romeo see each other's presence, and so do she and somebody elsewhere."""

    def setUp(self) -> None:
        """Log both in."""
        super().setUp()
        self.house.add(Invisible)
        self.befriend()
        self.hold("juliet", RosterItem(REMOTE, subscription="both"))
        self.juliet = self.house.login("juliet", "balcony", "<presence/>")
        self.romeo = self.house.login("romeo", "orchard", "<presence/>")
        self.clear()

    def clear(self) -> None:
        """Forget what came."""
        self.juliet.take()
        self.romeo.take()
        self.elsewhere.take()

    def hide(self, client: Client | None = None, probe: str = " probe='true'") -> domish.Element:
        """Become invisible; gives the answer."""
        return (client or self.juliet).ask(
            f"<iq type='set' id='i'><invisible xmlns='urn:xmpp:invisible:1'{probe}/></iq>"
        )

    def appear(self) -> domish.Element:
        """Become visible; gives the answer."""
        return self.juliet.ask("<iq type='set' id='v'><visible xmlns='urn:xmpp:invisible:1'/></iq>")

    def probe(self, to: str = JULIET) -> list[tuple[str, str]]:
        """Have Romeo's server ask for Juliet's presence."""
        self.romeo.take()
        self.host.router.route(stanza("<presence type='probe'/>").replace(from_=HIM, to=to))
        found: list[tuple[str, str]] = presences(self.romeo)
        return found


class CommandTests(InvisibleCase):
    """The command (XEP-0186)."""

    def test_vanish(self) -> None:
        """Who becomes invisible is seen to go, and later presence is shown to nobody."""
        self.assertEqual(self.hide()["type"], "result")
        self.assertEqual(presences(self.romeo), [("unavailable", FULL)])
        self.assertEqual(self.elsewhere.take(), [("unavailable", FULL, REMOTE)])
        self.juliet.send("<presence><show>dnd</show></presence>")
        self.assertEqual((presences(self.romeo), self.elsewhere.take()), ([], []))
        self.assertEqual(self.hide()["type"], "result")
        self.juliet.session.unbind()
        self.assertEqual((presences(self.romeo), self.elsewhere.take()), ([], []))

    def test_before_presence(self) -> None:
        """Who is invisible from the start is never seen, and sees the others only if it wants that."""
        for probe, seen in (
            (" probe='true'", True),
            (" probe='1'", True),
            ("", False),
            (" probe='false'", False),
            (" probe='0'", False),
        ):
            garden = self.house.login("juliet", "garden")
            self.hide(garden, probe)
            self.clear()
            garden.send("<presence/>")
            self.assertEqual((presences(self.romeo), presences(self.juliet)), ([], []))
            asked = self.elsewhere.take()
            self.assertEqual(asked, [("probe", f"{JULIET}/garden", REMOTE)] if seen else [])
            self.assertEqual((None, HIM) in presences(garden), seen, probe)
            garden.session.unbind()

    def test_still_there(self) -> None:
        """Messages, requests and presence reach and leave an invisible session."""
        self.hide()
        self.clear()
        for to in (JULIET, FULL):
            self.romeo.send(f"<message type='chat' to='{to}'><body>hi</body></message>")
            self.assertEqual([node.name for node in self.juliet.take()], ["message"])
        self.romeo.send(f"<iq type='get' id='1' to='{FULL}'><x xmlns='y'/></iq>")
        self.romeo.send("<presence><show>away</show></presence>")
        self.assertEqual([node.name for node in self.juliet.take()], ["iq", "presence"])
        self.romeo.take()
        self.juliet.send(f"<message type='chat' to='{HIM}'><body>hi</body></message>")
        self.assertEqual([node.name for node in self.romeo.take()], ["message"])

    def test_as_if_offline(self) -> None:
        """Who asks for the account is told that it is not there, since it has become invisible."""
        self.house.add(LastActivity)
        self.house.add(ServiceDiscovery)
        self.house.clock.advance(100)
        self.hide()
        self.assertEqual(self.probe(), [("unavailable", JULIET)])
        self.house.clock.advance(20)
        self.juliet.send("<presence/>")
        self.house.clock.advance(3)
        ask = f"<iq type='get' id='1' to='{JULIET}'>"
        last = self.romeo.ask(f"{ask}<query xmlns='jabber:iq:last'/></iq>").query
        self.assertEqual(last["seconds"], "23")
        items = self.romeo.ask(f"{ask}<query xmlns='http://jabber.org/protocol/disco#items'/></iq>").query
        self.assertEqual(list(items.elements()), [])
        self.juliet.session.unbind()
        last = self.romeo.ask(f"{ask}<query xmlns='jabber:iq:last'/></iq>").query
        self.assertEqual(last["seconds"], "23")

    def test_directed(self) -> None:
        """Directed presence is delivered, and its end too; what was shown before is ended with the rest."""
        self.juliet.send("<presence to='hall@muc.example/j'/>")
        self.elsewhere.take()
        self.hide()
        self.assertIn(("unavailable", FULL, "hall@muc.example/j"), self.elsewhere.take())
        self.clear()
        self.juliet.send(f"<presence to='{HIM}'/>")
        self.juliet.send("<presence to='cellar@muc.example/j'/>")
        self.assertEqual(presences(self.romeo), [(None, FULL)])
        self.elsewhere.take()
        self.juliet.send("<presence type='unavailable'/>")
        self.assertEqual(self.elsewhere.take(), [("unavailable", FULL, "cellar@muc.example/j")])

    def test_visible(self) -> None:
        """Who becomes visible is seen with its next presence; whom it had shown itself hears of its end."""
        self.hide()
        self.juliet.send("<presence to='cellar@muc.example/j'/>")
        self.clear()
        self.assertEqual(self.appear()["type"], "result")
        self.assertEqual((presences(self.romeo), self.elsewhere.take()), ([], []))
        self.assertIsNone(self.juliet.session.presence)
        self.juliet.send("<presence/>")
        self.assertEqual(presences(self.romeo), [(None, FULL)])
        self.assertIn((None, HIM), presences(self.juliet))
        self.elsewhere.take()
        self.juliet.session.unbind()
        self.assertIn(("unavailable", FULL, "cellar@muc.example/j"), self.elsewhere.take())
        self.assertEqual(presences(self.romeo), [("unavailable", FULL)])

    def test_visible_already(self) -> None:
        """Who is visible and asks for it stays as it is."""
        self.assertEqual(self.appear()["type"], "result")
        self.assertIsNotNone(self.juliet.session.presence)
        self.assertEqual(presences(self.romeo), [])

    def test_each_session(self) -> None:
        """Other sessions of the account are seen all the same."""
        self.house.login("juliet", "garden", "<presence/>")
        self.hide()
        self.assertEqual(self.probe(), [(None, f"{JULIET}/garden")])

    def test_bad_requests(self) -> None:
        """What is no boolean is refused, and nobody else may ask."""
        answer = self.hide(probe=" probe='maybe'")
        self.assertEqual(answer.error.firstChildElement().name, "bad-request")
        self.assertFalse(self.juliet.session.invisible)
        answer = self.romeo.ask(
            f"<iq type='set' id='i' to='{JULIET}'><invisible xmlns='urn:xmpp:invisible:1'/></iq>"
        )
        self.assertEqual(answer.error.firstChildElement().name, "service-unavailable")

    def test_with_a_block_list(self) -> None:
        """Blocking and unblocking show nothing of an invisible session."""
        self.house.add(Blocking)
        self.hide()
        self.clear()
        for name in ("block", "unblock"):
            self.juliet.ask(
                f"<iq type='set' id='b'><{name} xmlns='urn:xmpp:blocking'><item jid='{ROMEO}'/></{name}></iq>"
            )
            self.assertEqual(presences(self.romeo), [])

    def test_disco(self) -> None:
        """The server says that it can."""
        self.house.add(ServiceDiscovery)
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        answer = self.juliet.ask(f"<iq type='get' id='1' to='example.org'>{query}</iq>").query
        found = [node.getAttribute("var") for node in answer.elements() if node.name == "feature"]
        self.assertIn("urn:xmpp:invisible:1", found)
        self.assertIn("presence-invisible", found)


class PresenceTypeTests(InvisibleCase):
    """Presence of types of its own (XEP-0018)."""

    def test_all(self) -> None:
        """Invisible and visible for everybody; the types themselves reach nobody."""
        self.juliet.send("<presence type='invisible'><show>away</show></presence>")
        self.assertEqual(presences(self.romeo), [("unavailable", FULL)])
        self.juliet.send("<presence><show>xa</show></presence>")
        self.assertEqual(presences(self.romeo), [])
        self.juliet.send("<presence type='visible'/>")
        (shown,) = self.romeo.take()
        self.assertEqual((shown["from"], shown.getAttribute("type"), str(shown.show)), (FULL, None, "xa"))
        self.juliet.send("<presence type='visible'/>")
        self.assertEqual(self.romeo.take(), [])

    def test_initial(self) -> None:
        """Both may be the first presence of a session."""
        garden = self.house.login("juliet", "garden", "<presence type='invisible'/>")
        self.assertEqual(presences(self.romeo), [])
        self.assertIn((None, HIM), presences(garden))
        self.romeo.send(f"<message type='chat' to='{JULIET}/garden'><body>hi</body></message>")
        self.assertEqual(len(garden.take()), 1)
        self.house.login("juliet", "cellar", "<presence type='visible'/>")
        self.assertEqual(presences(self.romeo), [(None, f"{JULIET}/cellar")])

    def test_one_contact(self) -> None:
        """Invisible for one contact, until it is visible for that one or for all."""
        for back in (f" to='{ROMEO}'", ""):
            self.juliet.send(f"<presence type='invisible' to='{ROMEO}'/>")
            self.assertEqual(presences(self.romeo), [("unavailable", FULL)])
            self.juliet.send("<presence/>")
            self.assertEqual(presences(self.romeo), [])
            self.assertEqual(self.elsewhere.take(), [(None, FULL, REMOTE)])
            self.assertEqual(self.probe(), [])
            self.juliet.send(f"<presence type='visible'{back}/>")
            self.assertEqual(presences(self.romeo), [(None, FULL)])
            self.elsewhere.take()
        self.assertIs(self.juliet.session.user.pipeline, self.host.pipeline)

    def test_one_contact_alone(self) -> None:
        """Visible for one contact alone, with every presence, to the end."""
        self.juliet.send("<presence type='invisible'/>")
        self.clear()
        self.juliet.send(f"<presence type='visible' to='{ROMEO}'/>")
        self.assertEqual(presences(self.romeo), [(None, FULL)])
        self.juliet.send("<presence><show>xa</show></presence>")
        self.assertEqual([str(node.show) for node in self.romeo.take()], ["xa"])
        self.juliet.send(f"<presence type='invisible' to='{ROMEO}'/>")
        self.assertEqual(presences(self.romeo), [("unavailable", FULL)])
        self.juliet.send(f"<presence type='visible' to='{ROMEO}'/>")
        self.romeo.take()
        self.juliet.session.unbind()
        self.assertEqual(presences(self.romeo), [])
        self.assertEqual(self.elsewhere.take(), [])

    def test_strangers(self) -> None:
        """Visible for somebody who may not see the account shows nothing once it is visible for all."""
        self.house.login("nurse", "house", "<presence/>")
        nurse = self.house.login("nurse", "kitchen", "<presence/>")
        nurse.take()
        for kind in ("invisible", "visible"):
            self.juliet.send(f"<presence type='{kind}' to='nurse@example.org'/>")
        self.assertNotIn((None, FULL), presences(nurse))

    def test_wrong(self) -> None:
        """Wrong addresses and too many of them are refused; oneself means nothing."""
        self.patch(invisible, "MAX_CHOSEN", 1)
        for kind in ("invisible", "visible"):
            self.juliet.send(f"<presence type='{kind}' to='@'/>")
            self.assertEqual(self.error(), "jid-malformed")
            self.juliet.send(f"<presence type='{kind}' to='{JULIET}'/>")
            self.assertEqual(self.juliet.take(), [])
        self.juliet.send("<presence type='invisible' to='a@elsewhere.example'/>")
        self.juliet.send("<presence type='invisible' to='b@elsewhere.example'/>")
        self.assertEqual(self.error(), "policy-violation")
        self.juliet.send("<presence type='invisible'/>")
        self.juliet.send("<presence type='visible' to='a@elsewhere.example'/>")
        self.clear()
        self.juliet.send("<presence type='visible' to='b@elsewhere.example'/>")
        self.assertEqual(self.error(), "policy-violation")

    def error(self) -> Any:
        """Give the condition of the one error that came."""
        (answer,) = self.juliet.take()
        return answer.error.firstChildElement().name

    def test_from_others(self) -> None:
        """Such presence from elsewhere is refused."""
        for kind in ("invisible", "visible"):
            self.host.router.route(stanza("<presence/>").replace(type=kind, from_=REMOTE, to=JULIET))
            self.assertEqual(self.juliet.take(), [])
            self.assertEqual(self.elsewhere.take(), [("error", JULIET, REMOTE)])

    def test_unload(self) -> None:
        """Without the module the types mean nothing; whoever is invisible stays so to the end."""
        self.juliet.send("<presence type='invisible'/>")
        self.juliet.send(f"<presence type='visible' to='{ROMEO}'/>")
        self.host.modules["mod_invisible"].detach()
        self.clear()
        self.assertEqual((self.host.pipeline.rows(), self.host.presence_types), ([], {}))
        self.assertIs(self.juliet.session.user.pipeline, self.host.pipeline)
        self.juliet.send("<presence/>")
        self.assertEqual(presences(self.romeo), [])
        self.juliet.take()
        self.juliet.send("<presence type='visible'/>")
        self.assertEqual(self.error(), "bad-request")
