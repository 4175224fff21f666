"""Tests of `palaver.portable`."""
