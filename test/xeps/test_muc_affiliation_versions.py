"""Versions of a room's affiliations (XEP-0463)."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.words.xish import domish

from palaver.rooms.namespaces import NS_USER
from palaver.test.house import Client
from palaver.test.rooms.cases import ROOM, RoomCase, codes, item, refusal, x_of
from palaver.test.storage.faulty import FaultyStorage
from palaver.xeps import muc_affiliation_versions
from palaver.xeps.muc_affiliation_versions import NS_VERSIONS, AffiliationVersions

ROMEO = ("romeo@example.org", "owner")


def versions(stanza: domish.Element) -> tuple[str | None, str | None]:
    """Give the versions before and after that a stanza tells of."""
    (mav,) = x_of(stanza).elements(NS_VERSIONS, "mav")
    return mav.getAttribute("since"), mav.getAttribute("until")


def items(message: domish.Element) -> list[tuple[str, str]]:
    """Give the affiliations in a message."""
    return [(one["jid"], one["affiliation"]) for one in x_of(message).elements(NS_USER, "item")]


def mav(since: str | None = None) -> str:
    """Give what asks for what is new."""
    return f"<mav xmlns='{NS_VERSIONS}'{f' since={since!r}' if since is not None else ''}/>"


class VersionsCase(RoomCase):
    """Romeo owns a room for members where everybody sees real JIDs; Juliet is a member."""

    settings: ClassVar[dict[str, Any]] = {}
    config: ClassVar[dict[str, str]] = {"membersonly": "1", "whois": "anyone", "persistentroom": "1"}

    def setUp(self) -> None:
        """Make the room."""
        super().setUp()
        self.house.add(AffiliationVersions, **self.settings)
        self.make(**self.config)
        self.affiliate("juliet", "member")
        self.quiet()

    def join(self, client: Client, nick: str, since: str | None = None) -> tuple[list[domish.Element], str]:
        """Enter and ask what is new; give the messages before the presence, and the version told."""
        came = self.enter(client, nick, mav(since))
        first = next(number for number, one in enumerate(came) if one.name == "presence")
        (own,) = [one for one in came if one.name == "presence" and "110" in codes(one)]
        since_now, until = versions(own)
        self.assertIsNone(since_now)
        self.leave(client, nick)
        self.quiet()
        return came[:first], str(until)


class EnteringTests(VersionsCase):
    """What whoever enters is told."""

    def test_everything(self) -> None:
        """The first time a client gets all affiliations, before anybody's presence."""
        (told,), version = self.join(self.juliet, "Juliet")
        self.assertEqual(told["from"], ROOM)
        self.assertEqual(versions(told), (None, version))
        self.assertEqual(sorted(items(told)), [("juliet@example.org", "member"), ROMEO])

    def test_nothing_new(self) -> None:
        """Who knows the current version is told that it is current, and nothing else."""
        _, version = self.join(self.juliet, "Juliet")
        self.assertEqual(self.join(self.juliet, "Juliet", version), ([], version))

    def test_changes(self) -> None:
        """Afterwards it gets those that have changed since, each once, as they are now."""
        _, version = self.join(self.juliet, "Juliet")
        self.affiliate("nurse", "member")
        self.affiliate("mercutio", "member")
        self.affiliate("nurse", "none")
        (told,), after = self.join(self.juliet, "Juliet", version)
        self.assertEqual(versions(told), (version, after))
        self.assertEqual(
            sorted(items(told)), [("mercutio@example.org", "member"), ("nurse@example.org", "none")]
        )

    def test_unknown(self) -> None:
        """A version that the room does not know is answered with everything."""
        _, version = self.join(self.juliet, "Juliet")
        number = version.partition("-")[0]
        for wrong in ("", "x", "99-abc", f"{number}-0000000000000000", "0-0", "9" * 1000, "-1", "²-x"):
            (told,), after = self.join(self.juliet, "Juliet", wrong)
            self.assertEqual((versions(told), len(items(told))), ((None, version), 2), wrong)
            self.assertEqual(after, version)

    def test_not_asked(self) -> None:
        """Clients that do not ask get no list, and nobody sees what others have asked."""
        self.enter(self.juliet, "Juliet")
        self.assertEqual(next(one.name for one in self.enter(self.juliet, "Juliet")), "presence")
        self.leave(self.juliet, "Juliet")
        self.quiet()
        self.enter(self.juliet, "Juliet", mav("x"))
        self.assertNotIn(NS_VERSIONS, self.romeo.take()[0].toXml())

    def test_outcasts(self) -> None:
        """Who is banned is shown to admins; to members he is nobody any more."""
        _, version = self.join(self.juliet, "Juliet")
        self.affiliate("nurse", "member")
        self.affiliate("nurse", "outcast")
        (told,), _ = self.join(self.juliet, "Juliet", version)
        self.assertEqual(items(told), [("nurse@example.org", "none")])
        (told,), _ = self.join(self.juliet, "Juliet")
        self.assertEqual(len(items(told)), 2)
        (told,) = [one for one in self.enter(self.romeo, "Romeo", mav()) if one.name == "message"][:1]
        self.assertIn(("nurse@example.org", "outcast"), items(told))

    def test_parts(self) -> None:
        """A long list comes in parts, each from where the one before ends."""
        self.patch(muc_affiliation_versions, "MAX_ITEMS", 1)
        (first, second), version = self.join(self.juliet, "Juliet")
        since, until = versions(first)
        self.assertIsNone(since)
        self.assertEqual(versions(second), (until, version))
        self.assertEqual(sorted(items(first) + items(second)), [("juliet@example.org", "member"), ROMEO])

    def test_disco(self) -> None:
        """The room says that it has versions."""
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        self.assertIn(NS_VERSIONS, self.nurse.ask(f"<iq type='get' id='i' to='{ROOM}'>{query}</iq>").toXml())


class ForbiddenTests(VersionsCase):
    """A room where participants do not see who people are."""

    config: ClassVar[dict[str, str]] = {"persistentroom": "1"}

    def test_forbidden(self) -> None:
        """Who may not see affiliations is told so, and enters all the same."""
        came = self.enter(self.juliet, "Juliet", mav())
        self.assertEqual((came[0].name, refusal(came[0])), ("message", ("auth", "forbidden")))
        (own,) = [one for one in came if one.name == "presence" and "110" in codes(one)]
        self.assertNotIn(NS_VERSIONS, own.toXml())
        self.assertIn("Juliet", self.room.occupants)
        (told,) = [one for one in self.enter(self.romeo, "Romeo", mav()) if one.name == "message"][:1]
        self.assertEqual(len(items(told)), 2)


class ChangeTests(VersionsCase):
    """What those hear who are in the room."""

    def test_told(self) -> None:
        """Each change goes from the version before to the next one, for those who are there or not."""
        self.enter(self.juliet, "Juliet")
        self.quiet()
        self.affiliate("nurse", "member")
        self.affiliate("juliet", "admin")
        self.affiliate("nurse", "outcast")
        message, presence, banned = self.juliet.take()
        self.assertEqual((message.name, presence.name, banned.name), ("message", "presence", "message"))
        self.assertEqual(item(message)["jid"], "nurse@example.org")
        for before, after in ((message, presence), (presence, banned)):
            self.assertEqual(versions(before)[1], versions(after)[0])
        self.assertNotIn(None, versions(banned))

    def test_same(self) -> None:
        """What changes nothing has no version."""
        _, version = self.join(self.juliet, "Juliet")
        self.affiliate("juliet", "member", reason="Because")
        self.assertEqual(self.join(self.juliet, "Juliet", version), ([], version))

    def test_domain(self) -> None:
        """A domain has an affiliation too, which is told by itself."""
        self.enter(self.juliet, "Juliet")
        self.quiet()
        self.do(self.romeo, "<item jid='example.net' affiliation='member'/>")
        (told,) = self.juliet.take()
        self.assertEqual((item(told)["jid"], item(told)["affiliation"]), ("example.net", "member"))
        self.assertNotIn(None, versions(told))

    def test_storage_fails(self) -> None:
        """A change that is not stored has no version."""
        _, version = self.join(self.juliet, "Juliet")
        store = self.service.store
        store.storage = faulty = FaultyStorage(self.house.storage)
        faulty.writes.fail()
        self.admin(self.romeo, "set", "<item jid='nurse@example.org' affiliation='member'/>")
        store.storage = self.house.storage
        self.assertEqual(self.join(self.juliet, "Juliet", version), ([], version))


class StoredTests(VersionsCase):
    """What is kept."""

    settings: ClassVar[dict[str, Any]] = {"max_changes": 2}

    def test_restart(self) -> None:
        """Versions are good after a restart."""
        _, version = self.join(self.juliet, "Juliet")
        self.affiliate("nurse", "member")
        self.restart()
        (told,), after = self.join(self.juliet, "Juliet", version)
        self.assertEqual((versions(told), items(told)), ((version, after), [("nurse@example.org", "member")]))

    def test_bound(self) -> None:
        """Only so many changes are kept: who knows less than these gets everything, after a restart too."""
        _, first = self.join(self.juliet, "Juliet")
        self.affiliate("nurse", "member")
        _, second = self.join(self.juliet, "Juliet")
        self.affiliate("mercutio", "member")
        self.do(self.romeo, "<item jid='tybalt@example.org' affiliation='member'/>")
        for _ in range(2):
            (told,), _ = self.join(self.juliet, "Juliet", second)
            self.assertEqual((versions(told)[0], len(items(told))), (second, 2))
            (told,), _ = self.join(self.juliet, "Juliet", first)
            self.assertEqual((versions(told)[0], len(items(told))), (None, 5))
            self.restart()

    def test_destroyed(self) -> None:
        """A new room of the same name does not know the old one's versions."""
        _, version = self.join(self.juliet, "Juliet")
        self.owner(self.romeo, "set", "<destroy/>")
        self.make(**self.config)
        self.affiliate("juliet", "member")
        (told,), after = self.join(self.juliet, "Juliet", version)
        self.assertEqual(versions(told), (None, after))


class TemporaryTests(VersionsCase):
    """A room that does not stay, and then does."""

    config: ClassVar[dict[str, str]] = {"membersonly": "1", "whois": "anyone"}

    def test_made_to_stay(self) -> None:
        """What was not stored is not told as if it were: everything is."""
        _, version = self.join(self.juliet, "Juliet")
        self.affiliate("nurse", "member")
        (told,), _ = self.join(self.juliet, "Juliet", version)
        self.assertEqual(len(items(told)), 1)
        self.configure(persistentroom="1")
        self.affiliate("mercutio", "member")
        self.restart()
        (told,), _ = self.join(self.juliet, "Juliet", version)
        self.assertEqual((versions(told)[0], len(items(told))), (None, 4))
