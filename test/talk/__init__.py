"""Conversations between clients and the server, as files; see `palaver.test.talk.script` for their form."""
