"""The seams of the web: where pages are mounted, and where streams over HTTP come from."""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IWeb(Interface):
    """What is served over HTTP, found in the server's registry."""

    def mount(domain, path, make):
        """Serve what ``make()`` gives, an IResource, at a path of a host and below it.

        It is made when it is first asked for, so that a server without web clients holds nothing of
        it. Gives a function that takes it back; raises `ValueError` when the path has an owner there.
        """

    def advertise(domain, rel, path):
        """Say that clients of a host may connect at a path; ``rel`` is that of XEP-0156 section 3.

        Gives a function that takes it back.
        """

    def advertised(domain):
        """Give the paths where clients of a host may connect, by their ``rel``."""

    def listener(name):
        """Give the `palaver.streams.listener.Listener` for client streams over another transport than TCP.

        ``name`` stands in metrics. There is one for each name, and it makes `ClientStream`s for every host.
        """

    def component_listener(domain, table):
        """Give the `palaver.streams.listener.Listener` for streams of components that come to a host's page.

        ``table`` is a `palaver.settings.ComponentListener`, for what it says of components. It takes the
        place of the one before.
        """

    def shared(name, make):
        """Give what all pages of a name share, in every host and beyond every reload; made at first."""

    addresses = Attribute(
        "Gives a text for every listener of the server: kind, address, port, what it does about TLS."
    )

    def client(request):
        """Give a `palaver.web.proxies.Client`: who sent a request, behind proxies that are trusted."""


class IInvitePages(Interface):
    """The landing pages of a host's invitations (XEP-0401), found in the host's registry."""

    def address(token):
        """Give the address of a token's page; None when it is not known where browsers reach this server."""


class IWebPresence(Interface):
    """Shows accounts of a host to everybody who asks over HTTP; found in the host's registry."""

    def path_of(local):
        """Give the path of an account's page."""

    def shown(local):
        """Give an awaitable of a `palaver.web.status.shown.Shown`; fails with StorageError."""

    def show(local, shown):
        """Store what an account lets be seen; an awaitable, fails with StorageError."""

    def status(local):
        """Give an awaitable of the `palaver.web.status.shown.Status` for everybody; fails with StorageError.

        It does the same work for every name: nobody learns which accounts there are.
        """


class IHeldTokens(Interface):
    """Tokens that programs of an account log in with; found in the host's registry by the module's name."""

    def held(local):
        """Give an awaitable of a list of `palaver.auth.held.Held`; fails with StorageError."""

    def take_back(local, key):
        """Have one log nobody in any more; an awaitable, fails with StorageError."""


class IDataFolder(Interface):
    """Where the server keeps files, as a pathlib.Path; found in the server's registry."""
