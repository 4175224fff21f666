"""Seams of accounts and of what an application may own in the place of the storage."""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IRegistration(Interface):
    """Answers XEP-0077 on streams where nobody has logged in."""

    def handle(stream, iq):
        """Take a get or set whose payload is in jabber:iq:register; gives the answer, or a Deferred of it.

        The answer is a Stanza. Nothing is raised, and no Deferred fails: refusals are error stanzas.
        """

    def admits(stranger):
        """Tell whether a palaver.auth.registration.Stranger may try without an invitation."""

    def register(stranger, username, password):
        """Make an account for a palaver.auth.registration.Stranger, by the rules for those on streams.

        Gives a Deferred of the bare JID; fails with StanzaError that has a sentence, and StorageError.
        """

    def check_password(password):
        """Raise StanzaError, with a sentence, for a new password that is too easy to guess."""


class ILogins(Interface):
    """Logs clients in by XEP-0388; provided while a module for that is on."""

    def begin(stream):
        """Give the palaver.streams.sasl.Login that takes the elements of one attempt."""


class ILoginTasks(Interface):
    """What else a client has to do, or wants to, before its login by XEP-0388 counts."""

    def feature(stream):
        """Give what to announce inside of ``<authentication/>`` as bytes."""

    def needed(request, outcome):
        """Give an awaitable of the tasks that follow a palaver.auth.exchange.Success, in order.

        ``request`` is a palaver.streams.sasl2.Request. A task has a ``name``; ``begin()`` gives what is in
        the ``<task-data/>`` that the client works on; ``finish(node)`` takes the client's ``<task-data/>``
        and gives an awaitable, which fails with SaslFailure or StorageError.
        """


class IFastTokens(Interface):
    """Tokens in the place of passwords (XEP-0484), for logins by XEP-0388."""

    def mechanism(request, fast, facts):
        """Give the palaver.auth.exchange.Mechanism for a login with a token; raises SaslFailure.

        ``request`` is a palaver.streams.sasl2.Request, ``fast`` its ``<fast/>``, ``facts`` what is known of
        the stream.
        """

    def settle(login, outcome):
        """Give an awaitable of the ``<token/>`` for a login that has succeeded, as bytes, or None."""


class IKeystore(Interface):
    """Keys that the modules of a host share."""

    def key(name):
        """Give a key as bytes; None when there is none of this name."""


class IAccounts(Interface):
    """The accounts of a host. Every method gives a Deferred."""

    hashes = Attribute("Names of palaver.auth.keys.HASHES for which accounts have keys; none: no SCRAM.")
    deletes = Attribute("False when `delete` always fails with NotSupported.")

    def credentials(local):
        """Give palaver.auth.accounts.Credentials (SCRAM keys, flags); None when there is no such account."""

    def check_password(local, password):
        """Give True when the password is right; takes the same time when there is no such account."""

    def exists(local):
        """Give True when there is such an account."""

    def create(local, password):
        """Make an account. Fails with AccountExists, InvalidPassword or NotSupported."""

    def set_password(local, password):
        """Change the password. Fails with NoSuchAccount, InvalidPassword or NotSupported."""

    def delete(local):
        """Remove the account and everything stored for it. Fails with NoSuchAccount, or NotSupported."""

    def set_disabled(local, disabled):
        """Lock an account out, or let it in again. Fails with NoSuchAccount or NotSupported."""

    def disabled():
        """Give the localparts of those that are locked out, sorted."""

    def list():
        """Give the localparts, sorted."""


class IUpgradableAccounts(IAccounts):
    """Accounts that take keys for one more hash function (XEP-0480)."""

    iterations = Attribute("How many times new keys hash.")

    def add_keys(local, name, keys, known):
        """Add palaver.auth.keys.Keys for a hash function; gives a Deferred of True.

        Of False, when there is no such account, it is locked out, or its keys are not ``known`` any more.
        """


class IRosters(Interface):
    """The rosters of a host; the default keeps them as documents."""

    max_items = Attribute("How many contacts one roster may hold.")

    def load(local, documents=None):
        """Give a Deferred of palaver.routing.roster.Roster.

        ``documents`` is what the login has read already, when it has. As long as a Roster that
        this gave is in use, it gives the same object again.
        """

    def save(local, roster, changed, removed=()):
        """Commit changed items and removed bare JIDs; gives a Deferred of the new version.

        Leaves the Roster as it is: whoever asked changes it once this has fired.
        """

    def forget(local):
        """End the Roster of an account that is gone, if it is in use, and give it to nobody any more."""


class ISharedContacts(Interface):
    """What an IRosters provides too when contacts can be put into rosters without being stored there."""

    sharing = Attribute("A palaver.routing.sharing.Sharing; rosters that are given from now on have it.")

    def in_use():
        """Give the localparts of the accounts whose rosters somebody works with."""
