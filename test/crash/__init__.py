"""A server that is killed, or whose disk fails, while clients write: nothing acknowledged is lost."""
