"""Tests of palaver.auth."""
