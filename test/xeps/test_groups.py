"""mod_groups."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase
from twisted.words.xish import domish

from palaver.events import SubscriptionChanged
from palaver.interfaces import IRosters
from palaver.mistakes import ConfigError
from palaver.stanza import Stanza
from palaver.test.house import Client, House, now
from palaver.xeps.groups import Groups, GroupsSettings
from palaver.xeps.roster import Roster

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
NURSE, LAWRENCE = "nurse@example.org", "lawrence@verona.example"
CREW = {"Crew": {ROMEO: "Romeo M.", JULIET: "Juliet C."}}


class Elsewhere:
    """Keeps what is sent to other servers."""

    def __init__(self, sent: list[Stanza]) -> None:
        self.deliver = lambda stanza, to: sent.append(stanza)


class GroupsTests(SynchronousTestCase):
    """Romeo and Juliet are in a group, the nurse is not."""

    def setUp(self) -> None:
        """Log in."""
        self.house = House(Roster)
        self.house.add(Groups, groups=CREW)
        self.romeo = self.house.login("romeo", "orchard", "<presence/>")
        self.juliet = self.house.login("juliet", "balcony", "<presence/>")

    def roster(self, client: Client) -> domish.Element:
        """Give the query that a client gets."""
        answer = client.ask("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        query: domish.Element = answer.query
        return query

    def contact(self, client: Client) -> tuple[str, str, str, list[str]]:
        """Give the one contact: its address, name, subscription and groups."""
        (item,) = self.roster(client).elements()
        groups = [str(group) for group in item.elements()]
        return item["jid"], item.getAttribute("name", ""), item["subscription"], groups

    def change(self, client: Client, item: str) -> domish.Element:
        """Send a roster set; gives the answer."""
        return client.ask(f"<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{item}</query></iq>")

    def test_shown(self) -> None:
        """Members find each other in their rosters, and who is in no group finds nobody."""
        self.assertEqual(self.contact(self.romeo), (JULIET, "Juliet C.", "both", ["Crew"]))
        self.assertEqual(self.contact(self.juliet), (ROMEO, "Romeo M.", "both", ["Crew"]))
        self.assertEqual(list(self.roster(self.house.login("nurse")).elements()), [])

    def test_presence(self) -> None:
        """Members see each other come."""
        self.assertIn(f"{JULIET}/balcony", [got["from"] for got in self.romeo.take()])
        self.assertIn(f"{ROMEO}/orchard", [got["from"] for got in self.juliet.take()])

    def test_renamed(self) -> None:
        """A member gives another a name and a group of its own, which a new login finds."""
        self.change(self.romeo, f"<item jid='{JULIET}' name='Love'><group>Mine</group></item>")
        expected = (JULIET, "Love", "both", ["Crew", "Mine"])
        self.assertEqual(self.contact(self.romeo), expected)
        self.romeo.session.unbind()
        self.assertEqual(self.contact(self.house.login("romeo")), expected)

    def test_kept(self) -> None:
        """A member is neither removed nor is the subscription ended."""
        answer = self.change(self.romeo, f"<item jid='{JULIET}' subscription='remove'/>")
        self.assertEqual(answer.error.firstChildElement().name, "not-allowed")
        for kind in ("unsubscribe", "unsubscribed"):
            self.romeo.send(f"<presence type='{kind}' to='{JULIET}'/>")
        self.assertEqual(self.contact(self.romeo)[2], "both")
        self.assertEqual(self.contact(self.juliet)[2], "both")

    def test_reloaded(self) -> None:
        """Without the group the contact goes at once, in another version; its presence ends."""
        version = self.roster(self.romeo)["ver"]
        self.romeo.take()
        self.house.modules["Groups"].detach()
        self.house.clock.advance(0)
        got = self.romeo.take()
        pushes = [node for node in got if node.name == "iq"]
        self.assertEqual([node.query.item["subscription"] for node in pushes], ["remove"])
        self.assertIn("unavailable", [node.getAttribute("type") for node in got if node.name == "presence"])
        after = self.roster(self.romeo)
        self.assertEqual(list(after.elements()), [])
        self.assertNotEqual(after["ver"], version)

    def reload(self, **options: object) -> None:
        """Put a module with other options into the place of this one, as a reload does."""
        self.house.modules["Groups"].detach()
        self.house.add(Groups, **options)
        self.house.clock.advance(0)

    def test_joined(self) -> None:
        """Who joins a group while online has the members at once, and their presence, and they have his."""
        nurse = self.house.login("nurse", "kitchen", "<presence/>")
        self.roster(nurse)
        for client in (self.romeo, self.juliet):
            self.roster(client)
            client.take()
        told: list[SubscriptionChanged] = []
        self.house.host.events.add(SubscriptionChanged, "test", told.append)
        self.reload(groups={"Crew": {**CREW["Crew"], NURSE: ""}})
        got = nurse.take()
        pushed = [node.query for node in got if node.name == "iq"]
        self.assertEqual({query.item["jid"] for query in pushed}, {ROMEO, JULIET})
        seen = {node["from"] for node in got if node.name == "presence"}
        self.assertEqual(seen, {f"{ROMEO}/orchard", f"{JULIET}/balcony"})
        (push,) = [node for node in self.romeo.take() if node.name == "iq"]
        self.assertEqual((push.query.item["jid"], push.query.item["subscription"]), (NURSE, "both"))
        self.assertIn(SubscriptionChanged("nurse", ROMEO, "both"), told)

    def test_versions(self) -> None:
        """Of several pushes only the last has the new version: who misses that one asks for everything."""
        nurse = self.house.login("nurse", "kitchen", "<presence/>")
        before = self.roster(nurse)["ver"]
        nurse.take()
        self.reload(groups={"Crew": {**CREW["Crew"], NURSE: ""}})
        first, last = [node for node in nurse.take() if node.name == "iq"]
        self.assertNotEqual(first["id"], last["id"])
        self.assertEqual(first.query["ver"], before)
        self.assertEqual(last.query["ver"], self.roster(nurse)["ver"])

    def test_same(self) -> None:
        """A reload that changes nothing for an account sends nothing, and the version stays."""
        version = self.roster(self.romeo)["ver"]
        self.romeo.take()
        self.reload(groups={**CREW, "Others": {NURSE: ""}})
        self.assertEqual(self.romeo.take(), [])
        query = f"<iq type='get' id='v'><query xmlns='jabber:iq:roster' ver='{version}'/></iq>"
        self.assertEqual(list(self.romeo.ask(query).elements()), [])

    def test_own_counts_again(self) -> None:
        """What was agreed on before there was a group holds after it, and so do names given meanwhile."""
        self.reload()
        self.romeo.send(f"<presence type='subscribe' to='{JULIET}'/>")
        self.juliet.send(f"<presence type='subscribed' to='{ROMEO}'/>")
        self.reload(groups=CREW)
        self.assertEqual(self.contact(self.romeo)[2], "both")
        self.change(self.romeo, f"<item jid='{JULIET}' name='Love'/>")
        self.reload()
        self.assertEqual(self.contact(self.romeo), (JULIET, "Love", "to", []))
        self.assertEqual(self.contact(self.juliet)[2], "from")

    def test_stored(self) -> None:
        """Nothing of a group is stored for its members."""
        kept = now(self.house.storage.documents.list("example.org", "romeo", ["roster"]))
        self.assertEqual(kept, [])

    def test_public(self) -> None:
        """Who is outside of a public group is shown its members, and asks them as anybody does."""
        self.reload(groups={"+Crew": CREW["Crew"]})
        self.assertEqual(self.contact(self.romeo)[2:], ("both", ["Crew"]))
        nurse = self.house.login("nurse", "kitchen", "<presence/>")
        items = {item["jid"]: item for item in self.roster(nurse).elements()}
        self.assertEqual(set(items), {ROMEO, JULIET})
        self.assertEqual(items[ROMEO]["subscription"], "none")
        nurse.send(f"<presence type='subscribe' to='{ROMEO}'/>")
        self.romeo.send(f"<presence type='subscribed' to='{NURSE}'/>")
        self.reload()
        self.assertEqual([item["jid"] for item in self.roster(nurse).elements()], [ROMEO])
        self.assertEqual(self.roster(nurse).item["subscription"], "to")

    def test_public_not_asked(self) -> None:
        """A listed contact stays where it is when the account takes back its request."""
        self.reload(groups={"+Crew": {ROMEO: ""}})
        nurse = self.house.login("nurse", "kitchen", "<presence/>")
        for kind in ("subscribe", "unsubscribe"):
            nurse.send(f"<presence type='{kind}' to='{ROMEO}'/>")
        self.assertEqual(self.contact(nurse)[2], "none")

    def test_several(self) -> None:
        """Who shares two groups stands in both."""
        self.reload(groups={**CREW, "Cast": {ROMEO: "", JULIET: ""}})
        self.assertEqual(self.contact(self.romeo), (JULIET, "Juliet C.", "both", ["Cast", "Crew"]))

    def test_remote(self) -> None:
        """A member elsewhere is asked for its presence, and its refusal changes nothing here."""
        sent: list[Stanza] = []
        self.house.router.remote = Elsewhere(sent)
        self.reload(groups={"Crew": {ROMEO: "", LAWRENCE: "Friar"}})
        self.assertIn(("probe", ROMEO, LAWRENCE), [(s.type, s.attrs["from"], s.attrs["to"]) for s in sent])
        attrs = {"type": "unsubscribed", "from": LAWRENCE, "to": ROMEO}
        self.house.router.route(Stanza("presence", attrs))
        self.assertEqual(self.contact(self.romeo), (LAWRENCE, "Friar", "both", ["Crew"]))

    def test_limit(self) -> None:
        """Members of a group do not take the place of an account's own contacts."""
        self.house.host.query(IRosters).max_items = 1
        answer = self.change(self.romeo, f"<item jid='{NURSE}'/>")
        self.assertEqual(answer["type"], "result")

    def test_rosters_elsewhere(self) -> None:
        """Where rosters are kept by somebody else who cannot show groups, the start stops."""
        house = House()
        house.host.registry.unregisterUtility(house.host.query(IRosters), IRosters)
        house.host.registry.registerUtility(object(), IRosters)
        self.assertRaises(ConfigError, house.add, Groups, groups=CREW)

    def test_twice(self) -> None:
        """Two modules do not put contacts into one host's rosters."""
        self.assertRaises(ConfigError, self.house.add, Groups, groups=CREW)


class OptionsTests(SynchronousTestCase):
    """What the configuration says."""

    def file(self, text: str) -> Path:
        """Give the path of a file with a text."""
        path = Path(self.mktemp()).resolve()
        path.write_text(text, "utf-8")
        return path

    def test_file(self) -> None:
        """A file of groups is read, beside those of the table."""
        path = self.file(f"# people\n[Crew]\n{ROMEO}=Romeo M.\n{JULIET}\n\n[+Help]\n{NURSE} = Angelica\n")
        settings = GroupsSettings(groups_file=path, groups={"Crew": {NURSE: ""}})
        expected = {"Crew": {ROMEO: "Romeo M.", JULIET: "", NURSE: ""}, "+Help": {NURSE: "Angelica"}}
        self.assertEqual(settings.groups, expected)
        self.assertEqual(GroupsSettings(groups_file=path, groups={}).groups["+Help"], {NURSE: "Angelica"})

    def test_wrong_file(self) -> None:
        """What is wrong in a file is named with its line."""
        for text, message in (
            (f"{ROMEO}\n", "line 1: a member stands below"),
            ("[Crew]\nexample.org=Nobody\n", "line 2: 'example.org' is no account"),
            (f"[Crew]\n{ROMEO}/orchard\n", "line 2:"),
        ):
            error = self.assertRaises(ValidationError, GroupsSettings, groups_file=self.file(text))
            self.assertIn(message, str(error))

    def test_wrong(self) -> None:
        """A missing file, and members without an address, are refused."""
        for options in (
            {"groups_file": "/nowhere/groups.txt"},
            {"groups": {"Crew": {"example.org": ""}}},
            {"groups": {"Crew": [ROMEO]}},
            {"groups": "Crew"},
        ):
            self.assertRaises(ValidationError, GroupsSettings, **options)
