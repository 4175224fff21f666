"""The judge of the crash tests sees what it is there for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.test.crash.history import History, Name, Seen, check

MESSAGES = [Name("romeo", number, "juliet") for number in range(4)]


class HistoryTests(SynchronousTestCase):
    """Romeo sends Juliet four messages; each test breaks one thing of a history in which all is well."""

    def setUp(self) -> None:
        self.history = History()
        self.history.sent = set(MESSAGES)
        self.history.acknowledged = set(MESSAGES)
        for owner in ("romeo", "juliet"):
            self.history.archives[owner] = [Seen(name, f"{owner}-{name.number}") for name in MESSAGES]
        self.history.received["juliet"] = list(self.history.archives["juliet"])

    def assert_wrong(self, *wrong: str) -> None:
        self.assertEqual(check(self.history), list(wrong))

    def test_well(self) -> None:
        """A history in which nothing is wrong passes."""
        self.assert_wrong()

    def test_again(self) -> None:
        """A message may come again, with its own id, when it was sent again or the server has crashed."""
        first = self.history.received["juliet"][1]
        self.history.received["juliet"].append(first)
        self.assert_wrong("romeo.1.juliet came 2 times to juliet")
        self.history.sent_again.add(first.name)
        self.assert_wrong()
        self.history.sent_again.clear()
        self.history.received["juliet"][-1] = first._replace(life=1)
        self.assert_wrong()

    def test_not_delivered(self) -> None:
        """What is in the archive need not have come by itself to somebody who was there at the crash."""
        del self.history.received["juliet"][1:]
        self.assert_wrong()

    def test_lost(self) -> None:
        """An acknowledged message that is missing is found, in either archive."""
        for owner in ("romeo", "juliet"):
            lost = self.history.archives[owner].pop(2)
            self.history.received["juliet"] = []
            self.assert_wrong(f"romeo.2.juliet is acknowledged and not in the archive of {owner}")
            self.history.archives[owner].insert(2, lost)

    def test_never_acknowledged(self) -> None:
        """What was not acknowledged, or refused, may be missing."""
        self.history.acknowledged.remove(MESSAGES[3])
        self.history.refused.add(MESSAGES[2])
        for owner in ("romeo", "juliet"):
            del self.history.archives[owner][2:]
        del self.history.received["juliet"][2:]
        self.assert_wrong()

    def test_doubled(self) -> None:
        """A message with two entries in one archive is found, acknowledged or not."""
        self.history.acknowledged.clear()
        self.history.archives["juliet"].append(Seen(MESSAGES[3], "another"))
        self.assert_wrong("romeo.3.juliet is 2 times in the archive of juliet")

    def test_swapped(self) -> None:
        """Two messages in the wrong order are found, in an archive and on the way."""
        for found, where in (
            (self.history.archives["romeo"], "the archive of romeo"),
            (self.history.archives["juliet"], "the archive of juliet"),
            (self.history.received["juliet"], "what came to juliet"),
        ):
            found[1], found[2] = found[2], found[1]
            self.assert_wrong(f"romeo.1.juliet is behind romeo.2.juliet in {where}")
            found[1], found[2] = found[2], found[1]

    def test_delivered_twice(self) -> None:
        """A message that comes again as if it were another one is found."""
        self.history.received["juliet"].append(Seen(MESSAGES[3], "another", 1))
        self.assert_wrong("romeo.3.juliet came to juliet with the id 'another' of None")

    def test_not_kept(self) -> None:
        """A message for somebody who was away, and who does not get it afterwards, is found."""
        self.history.due = {MESSAGES[3]}
        self.assert_wrong()
        self.history.received["juliet"].pop()
        self.assert_wrong("romeo.3.juliet was kept for juliet and never came")

    def test_strange(self) -> None:
        """Messages that nobody sent, or that others get, are found."""
        forged = Name("nurse", 0, "romeo")
        self.history.archives["juliet"].append(Seen(forged, "forged"))
        self.history.received["juliet"].append(Seen(forged, "forged"))
        self.assert_wrong(
            "nurse.0.romeo is in the archive of juliet and was never sent",
            "nurse.0.romeo is in the archive of juliet, who has nothing to do with it",
            "nurse.0.romeo came to juliet",
        )
