"""Modules: one a file; ``xeps/ping.py`` is ``mod_ping`` in the config."""
