"""XMPP over BOSH (XEP-0124, XEP-0206): client streams in requests and their answers."""
