"""Tests of palaver.inbox and mod_inbox."""
