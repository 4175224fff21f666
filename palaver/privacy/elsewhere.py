"""A privacy list that is none: clients edit it like others, and somebody else keeps it and goes by it."""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IListElsewhere(Interface):
    """The one list of a host that is kept elsewhere; it is never active and never the default."""

    name = Attribute("Its name, which no account can give to a list of its own.")

    def get(owner):
        """Give a Deferred, or a coroutine, of the list's serialised ``<item/>`` elements.

        ``owner`` is an account's JID. Raises StanzaError, StorageError.
        """

    def set(owner, items):
        """Change it by ``<item/>`` elements; what they do not name stays as it is. Raises as `get`."""
