"""Tests of palaver.muclight."""
