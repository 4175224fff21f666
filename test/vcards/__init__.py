"""Tests of `palaver.vcards`."""
