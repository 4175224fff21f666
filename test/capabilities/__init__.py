"""Tests of `palaver.capabilities`."""
