"""Palaver as a process, driven by clients and servers that nobody here wrote."""
