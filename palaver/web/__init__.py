"""The web door: what reaches the server over HTTP."""
