"""Pages for people: how to connect, invitations, web chat."""
