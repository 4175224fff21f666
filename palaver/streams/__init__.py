"""Streams: from bytes to sessions and back."""
