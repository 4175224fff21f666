"""Seams of hosts, services, sessions and streams."""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IService(Interface):
    """Whatever answers for a domain of this server: a host, a MUC service, a wokkel handler."""

    domain = Attribute("The domain, prepared.")
    name = Attribute("What people call it, for disco#items.")

    def deliver(stanza, to):
        """Take a stanza whose addressee ``to``, a JID, has this domain.

        Gives None when all is done, or a Deferred that fires when everything that the
        stanza needed stored is committed. Refusals are sent as error stanzas, not raised.
        """


class IFederation(IService):
    """Speaks to other servers: the router's last resort, while it is on."""

    def streams(domain):
        """Give (domain, palaver.streams.s2s.stream.ServerStream) for every stream over which a host sends."""

    def is_ours(domain):
        """Let nobody elsewhere speak for a domain that is served here from now on."""


class IHost(IService):
    """A virtual host: accounts, modules and their routes."""

    registry = Attribute("zope.interface.registry.Components with the server's as its base.")
    users = Attribute("Mapping from localpart to the IUser objects in memory.")
    storage = Attribute("The IStorage of this host.")

    def query(interface):
        """Give the component that provides `interface`, or None."""


class ISession(Interface):
    """One bound resource of a local account, connected or waiting to be resumed."""

    jid = Attribute("Its full JID.")
    user = Attribute("The IUser.")
    host = Attribute("The IHost.")
    stream = Attribute(
        "The IStream, which outlives its connection when that may be resumed; None at the end."
    )
    managed = Attribute("palaver.streams.managed.Managed with stream management (XEP-0198); else None.")
    presence = Attribute("Its last available presence as a Stanza; None while unavailable.")
    priority = Attribute("Of the last available presence, -128 to 127.")
    invisible = Attribute("True when nobody is shown its presence (XEP-0186).")
    roster_interested = Attribute("True once the client has asked for its roster (RFC 6121 section 2.1.6).")
    ahead = Attribute("While a stanza is begun behind others that wait: Deferred, fires once those are done.")
    state = Attribute("Dictionary for modules: one key a module; None until used, see `remember`.")

    def receive(stanza):
        """Take a stanza as from the client, ``from`` its full JID.

        Gives None, or a Deferred that never fails.
        """

    def send(stanza):
        """Put a stanza on its way to the client through the TO_SESSION phases.

        Gives True when it was taken, False when the session is gone.
        """

    def unbind(status=None):
        """Take the session off the account, its stream left as it is; gives None, or a Deferred."""

    def end(error):
        """End the session and its stream with a StreamError."""


class IUser(Interface):
    """An account that is in memory because somebody is online or something is under way."""

    local = Attribute("The localpart.")
    bare = Attribute("The bare JID as text.")
    sessions = Attribute("Mapping from resource to ISession.")
    roster = Attribute("The account's palaver.routing.roster.Roster.")
    pipeline = Attribute("The palaver.routing.pipeline.Track that its stanzas go through.")

    def guard(module):
        """Have its stanzas meet the handlers for guarded accounts, until `unguard`."""

    def unguard(module):
        """End what the module's `guard` has begun; does nothing twice."""


class IStream(Interface):
    """The connection below a session, whatever its transport."""

    secure = Attribute("True when the transport is encrypted.")
    address = Attribute("The peer's IP address as text.")
    port = Attribute("The peer's port; None when it is not known.")
    heard = Attribute("When something last came from the peer, in seconds of the host's clock.")
    authenticated_as = Attribute("The localpart that has logged in; None before the login.")
    session = Attribute("The ISession, once bound; else None.")
    host = Attribute("The IHost of the stream header, once known; else None.")

    def write(data):
        """Queue one element for the client; it leaves with the other writes of this reactor turn."""

    def end(error=None):
        """Close the stream, with a StreamError when one is given."""


class IStreamFeature(Interface):
    """Something to announce in stream features (found as subscribers in the host's registry)."""

    def feature(stream):
        """Give the feature's XML as bytes for this stream now, or None."""


class IPrivileges(Interface):
    """Lets services act for accounts (XEP-0356)."""

    def roster(request):
        """Give an awaitable of the answer to a service's roster request; None when it is not privileged."""

    def speaker(request):
        """Give the domain of the service that sends a request in an account's name; None when none does."""


class IComponents(Interface):
    """The components of a server: other programs', and handlers in this process."""

    def watch(connected, gone=None):
        """Call ``connected(domain)`` for each that connects or starts, ``gone(domain)`` at its end.

        Gives the function that ends it.
        """

    def is_away(domain):
        """Tell whether a domain is that of another program which is not connected."""


class IDomains(Interface):
    """Domains that are added to a running server, stored instead of written into its configuration.

    All take a prepared domain. What changes one gives a coroutine, which raises StanzaError with a sentence,
    or StorageError.
    """

    def list():
        """Give (domain, palaver.routing.domains.Added), sorted."""

    def add(domain, host_type=""):
        """Serve a domain, with the settings of a host type, or those of any host without one."""

    def disable(domain):
        """Serve a domain no longer and end its sessions; what is stored for it is kept."""

    def enable(domain):
        """Serve a disabled domain again."""

    def remove(domain):
        """Serve a domain no longer, and begin to delete all that is stored for it."""

    def wake(domain):
        """Have the host of an enabled domain made if it sleeps; gives a coroutine of None.

        A host that cannot be made is logged, and is not there afterwards.
        """
