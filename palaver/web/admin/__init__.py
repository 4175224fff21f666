"""Pages for administrators: what the server does, accounts, sessions, rooms, invitations, every command."""
