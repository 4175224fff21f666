"""How hard a password is to guess."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from palaver.auth.strength import entropy


class EntropyTests(SynchronousTestCase):
    """Length times the bits of the alphabet."""

    def test_rows(self) -> None:
        """Each kind of character counts once, however often it occurs."""
        for password, alphabet in (
            ("a", 26),
            ("aaaa", 26),
            ("Z", 26),
            ("7", 10),
            ("aZ", 52),
            ("aZ7", 62),
            ("~ [", 33),
            ("aZ7!", 95),
            ("\u00e9", 128),
        ):
            self.assertAlmostEqual(entropy(password), len(password) * math.log2(alphabet), msg=password)

    def test_empty(self) -> None:
        """No password is worth nothing."""
        self.assertEqual(entropy(""), 0)
