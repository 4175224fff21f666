"""XEP-0082."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.times import read_stamp, stamp


class TimeTests(SynchronousTestCase):
    """Points in time."""

    def test_round_trip(self) -> None:
        """What is written is read back, to the microsecond."""
        for seconds in (0.0, 1763690000.0, 1763690000.123456, 4102444800.999999):
            self.assertEqual(read_stamp(stamp(seconds)), seconds)

    def test_read(self) -> None:
        """Offsets and fractions of any length are understood."""
        for text, seconds in {
            "1970-01-01T00:00:00Z": 0,
            "1970-01-01T01:00:00+01:00": 0,
            "1969-12-31T23:00:00.5-01:00": 0.5,
            "1970-01-01T00:00:01.123456789Z": 1.123456,
        }.items():
            self.assertEqual(read_stamp(text), seconds, text)

    def test_refused(self) -> None:
        """What is no DateTime is refused, whatever else Python would take for one."""
        for text in (
            "", "today", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01 00:00:00Z", "19700101T000000Z",
            "1970-13-01T00:00:00Z", "1970-01-01T25:00:00Z", "1970-W01-1T00:00:00Z", "1970-01-01T00:00:00Z\n",
            "٣970-01-01T00:00:00Z",
        ):  # fmt: skip
            self.assertRaises(ValueError, read_stamp, text)
