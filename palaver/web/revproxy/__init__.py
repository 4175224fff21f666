"""Requests that go on to other web servers: routes, and what passes in both directions."""
