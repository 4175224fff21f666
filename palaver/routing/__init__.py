"""Where a stanza goes, and what happens on the way."""
