"""XEP-0059."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver import rsm
from palaver.errors import StanzaError
from palaver.rsm import PageRequest
from palaver.tree import parse_element


def asked(inner: str) -> PageRequest:
    """Read a page request from inside a query."""
    return rsm.read(parse_element(f"<query xmlns='q'>{inner}</query>".encode()))


def with_set(inner: str) -> PageRequest:
    """Read what a ``<set/>`` says."""
    return asked(f"<set xmlns='{rsm.NS_RSM}'>{inner}</set>")


class ReadTests(SynchronousTestCase):
    """Which page is asked for."""

    def test_rows(self) -> None:
        """Every way to ask for a page."""
        rows = {
            "": PageRequest(),
            "<max>10</max>": PageRequest(10),
            "<max> 0 </max>": PageRequest(0),
            "<max>99999999999999999999</max>": PageRequest(10**9),
            "<after>a</after>": PageRequest(after="a"),
            "<after/>": PageRequest(),
            "<before/>": PageRequest(backwards=True),
            "<before>b</before>": PageRequest(before="b", backwards=True),
            "<after>a</after><before/>": PageRequest(after="a", backwards=True),
            "<max xmlns='other'>x</max>": PageRequest(),
        }
        for inner, page in rows.items():
            self.assertEqual(with_set(inner), page, inner)

    def test_nothing_asked(self) -> None:
        """Without a set any page will do; that of another namespace is none."""
        self.assertEqual(asked(""), rsm.ANY_PAGE)
        self.assertEqual(asked("<set xmlns='other'><max>1</max></set>"), rsm.ANY_PAGE)

    def test_bad_numbers(self) -> None:
        """What is no number of items is refused."""
        for text in ("", "x", "-1", "1.5", "1e3", "٣", "0x10"):
            error = self.assertRaises(StanzaError, with_set, f"<max>{text}</max>")
            self.assertEqual(error.condition, "bad-request", text)

    def test_index(self) -> None:
        """Pages are not found by their number."""
        error = self.assertRaises(StanzaError, with_set, "<index>3</index>")
        self.assertEqual(error.condition, "feature-not-implemented")


class WriteTests(SynchronousTestCase):
    """Where a page lies."""

    def test_rows(self) -> None:
        """Only what is known is said."""
        ns = f"<set xmlns='{rsm.NS_RSM}'"
        self.assertEqual(rsm.encode(), f"{ns}/>".encode())
        self.assertEqual(rsm.encode(count=0), f"{ns}><count>0</count></set>".encode())
        self.assertEqual(
            rsm.encode("a<", "b", 2, 0),
            f"{ns}><first index='0'>a&lt;</first><last>b</last><count>2</count></set>".encode(),
        )
