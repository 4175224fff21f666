"""Tests of `palaver.web.account`."""
