"""Seams of storage: documents, logs, the registry of sessions, and blobs."""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IDocuments(Interface):
    """Small JSON values by (host, owner, kind, key), with a rank to list by and tags to find by."""

    def get(host, owner, kind, key=""):
        """Give a Deferred of the Document, or None."""

    def list(host, owner, kinds, *, descending=False, limit=None, after=None):
        """Give a Deferred of the list of Documents of these kinds, ordered by (kind, rank, key).

        One query, whatever the number of kinds. The Documents are shared: nobody changes them.

        ``kinds`` is a sequence of kind names. ``after`` is the (rank, key) of the last Document of the page
        before, and needs a single kind.
        """

    def find(host, kind, tag, *, limit=None, after=None):
        """Give a Deferred of the Documents of any owner that bear a tag, ordered by (owner, key).

        ``after`` is the (owner, key) of the last Document of the page before.
        """

    def owners(host, kind, *, limit=None, after=None):
        """Give a Deferred of the sorted distinct owners that have a Document of this kind; None: of any."""

    def count(host, owner, kind):
        """Give a Deferred of how many Documents of this kind the owner has."""


class ILogs(Interface):
    """Entries in time order, by (host, owner, kind)."""

    def get(host, owner, kind, ids):
        """Give a Deferred of the Entries with these ids, in the order of ids, absent ones left out."""

    def range(host, owner, kind, query):
        """Give a Deferred of a Page for a palaver.storage.LogQuery."""

    def count(host, owner, kind, query=None):
        """Give a Deferred of how many entries match (its page limits do not count)."""


class IStorage(Interface):
    """One backend: documents and logs, written together."""

    documents = Attribute("IDocuments")
    logs = Attribute("ILogs")

    def start():
        """Open, migrate when needed; gives a Deferred."""

    def stop():
        """Commit what was handed over, close; gives a Deferred."""

    def write(batch):
        """Commit a palaver.storage.Batch atomically; the Deferred fires when it is durable.

        It fires with None; or, when entries were there already (see palaver.storage.AppendEntry), with
        a dictionary from the id of each of them to the id that it was stored with before.

        Fails with StorageError, or with Conflict when a condition of the batch does not hold;
        nothing is written then. A read sees every write whose Deferred has fired.
        """


class IRegistry(Interface):
    """What vanishes with the process: keys with values and leases. Every method gives a Deferred."""

    def set(key, value, *, ttl=None):
        """Set a key to bytes, for ``ttl`` seconds or until it is deleted."""

    def add(key, value, *, ttl=None):
        """Set a key only when it is absent; gives True when it was."""

    def get(key):
        """Give the bytes, or None."""

    def delete(key, value=None):
        """Delete a key (only when it has this value, if one is given); gives True when it was there."""

    def watch(prefix, callback):
        """Call ``callback(key, value_or_None)`` for changes below a prefix; gives a function that ends it."""


class IBlobs(Interface):
    """Large values by reference. Every method gives a Deferred."""

    def put(data):
        """Store bytes; gives the reference, a text that names the content."""

    def get(reference):
        """Give the bytes, or None."""

    def delete(reference):
        """Delete; gives True when it was there."""
