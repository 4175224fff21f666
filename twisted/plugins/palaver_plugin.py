"""``twistd palaver``: named by string, so that listing plugins imports nothing of the server."""

from twisted.application.service import ServiceMaker

palaver = ServiceMaker("Palaver", "palaver.tap", "An XMPP server.", "palaver")
