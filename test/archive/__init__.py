"""Tests of palaver.archive."""
