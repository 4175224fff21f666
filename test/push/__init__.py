"""Tests of `palaver.push`."""
