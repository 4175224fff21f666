"""Multi-User Chat: rooms, through their module."""
