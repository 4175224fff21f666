"""Palaver: an XMPP server on Twisted, Wokkel and Twisted Words.

``from palaver.service import Palaver`` embeds a server in another Twisted
application; ``palaver start`` runs one by itself.
"""

__version__ = "0.1.0"
