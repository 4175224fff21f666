"""Clients that nobody here wrote, on connections that break all the time: nothing is lost or doubled."""
