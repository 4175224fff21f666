"""What modules offer each other: one interface for each thing that another module may ask for."""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IRemoteRosters(Interface):
    """Lets services manage their contacts in accounts' rosters (XEP-0321)."""

    def handle(request):
        """Give an awaitable of the answer to somebody else's roster get or set; fails with StanzaError."""


class IRosterAdditions(Interface):
    """Adds to the rosters of a host's accounts what is not kept in them; see palaver.routing.additions."""

    def of(local):
        """Give an awaitable of the palaver.routing.additions.Addition values to an account's roster.

        Fails with StorageError.
        """


class IListElsewhere(Interface):
    """A privacy list (XEP-0016) that is none: clients edit it like others, and somebody else keeps it.

    It is never active and never the default.
    """

    name = Attribute("Its name, which no account can give to a list of its own.")

    def get(owner):
        """Give an awaitable of the list's serialised ``<item/>`` elements.

        ``owner`` is an account's JID. Fails with StanzaError and StorageError.
        """

    def set(owner, items):
        """Change it by ``<item/>`` elements; what they do not name stays. An awaitable, as `get`."""


class IInvites(Interface):
    """Links that bring people in (XEP-0401, 0379, 0445). Every method gives a Deferred."""

    def check(token):
        """Give the key of a token by which an account may be made now; None when there is no such token."""

    def look(token):
        """Give the palaver.invites.Invite of a token while it counts, else None."""

    def reserved(local, key):
        """Tell whether a name is kept for the bearer of another token than that with ``key`` (or of any)."""

    def register(key, local, create):
        """Have ``create`` make an account and count one use of a token; its age does not matter any more.

        Inviter and invitee become contacts when that was wanted. Fails with what ``create`` raises, and
        StanzaError when the token is used up or is for another name; nothing is used then.
        """

    def approve(local, contact, token):
        """Use a token that a subscription request of a contact brings; gives True when it counts."""


class IOfflineStore(Interface):
    """The messages kept for accounts until somebody comes. Every method but the last gives a Deferred."""

    def count(local):
        """Give how many messages are kept for an account."""

    def page(local, after=None):
        """Give the oldest messages behind an id as (id, Stanza) pairs; an empty list when there are no more.

        None stands for a message that is of no use any more.
        """

    def get(local, ids):
        """Give the messages with these ids as `page` does; absent ones are left out."""

    def remove(local, ids=None):
        """Delete the messages with these ids, or all of the account."""

    def withhold(session):
        """Hand nothing over to the session's account by itself as long as the session lasts."""


class IMessageArchives(Interface):
    """The archives of a host's accounts (XEP-0313), and what they want archived (XEP-0441)."""

    def archive(local):
        """Give an account's archive, a palaver.archive.pages.Archive."""

    def default():
        """Give the palaver.archive.preferences.Preferences of accounts that have set nothing."""

    def preferences(local):
        """Give an awaitable of an account's Preferences."""

    def put_preferences(local, wanted, batch=None):
        """Store an account's Preferences, together with a Batch if there is one; gives an awaitable."""

    def is_on(session):
        """Tell whether what a session sends is archived if its account wants that."""

    def switch(session, on):
        """Switch archiving on or off for a session, until it ends."""


class IClientState(Interface):
    """Holds back what an inactive client need not see at once (XEP-0352)."""

    def is_important(stanza):
        """Tell whether a stanza is worth waking an inactive client for."""

    def is_flushing(session):
        """Tell whether what was held back for a session is on its way to it at this moment."""


class ICarbons(Interface):
    """Copies of an account's messages for its other sessions (XEP-0280)."""

    def enable(session):
        """Switch copies on for a session; a session that has ended, or has them already, is left as it is."""

    def copies(session, message, to):
        """Tell whether a session gets a copy of a message for another session; ``to`` is that one's JID."""


class IPrivacy(Interface):
    """Whom accounts have shut out (XEP-0016, 0191); provided while a module for that is on."""

    def hidden_from(local, other):
        """Tell whether an account shows nothing of itself to somebody, a JID.

        For what is sent for an account without a client having asked, such as notifications (XEP-0163).
        Gives a bool, or a Deferred of one that fails with StorageError.
        """

    def hides_nobody(local):
        """Tell whether it is known at once that `hidden_from` says no to everybody."""


class IPersonalEventing(Interface):
    """What accounts publish about themselves (XEP-0163), for modules. Every method gives a Deferred.

    ``owner`` is a localpart. What is done here is done as the owner, with the owner's rights. A failure is
    a StanzaError with the condition that a client would get, or a StorageError.
    """

    def publish(owner, node, item_id, payload, options=None):
        """Publish an item, commit it and notify; gives its id.

        ``payload`` is one serialised element; None for ``item_id`` makes an id. ``options`` maps names such
        as ``access_model`` to lists of texts: the configuration of a node that this makes, and what a node
        that is there must be like, or the publishing fails with ``conflict`` (XEP-0060 section 7.1.5).
        """

    def items(owner, node, ids=None, limit=None):
        """Give palaver.pubsub.store.Item values, the newest last; an empty list when there is no such node.

        Those with these ids, or the newest ``limit`` ones.
        """

    def retract(owner, node, item_id, notify=True):
        """Delete an item; gives False when there was none."""

    def purge(owner, node):
        """Delete all items; gives False when there is no such node."""

    def configuration(owner, node):
        """Give a node's configuration by names without ``pubsub#``; None when there is no such node."""


class IPrivateElement(Interface):
    """Keeps one element of private XML (XEP-0049) in the place of mod_private.

    Registered in the host's registry under the element's name as ``{namespace}name``.
    """

    def get(local):
        """Give an awaitable of the element of an account, serialised; None: what mod_private keeps counts."""

    def put(local, node):
        """Take a new one, a domish.Element; gives an awaitable of False when mod_private is to keep it.

        Fails with StanzaError when it is refused.
        """


class ICapabilities(Interface):
    """What clients have said that they can do (XEP-0115, 0390)."""

    def features(full):
        """Give the features of a full JID, given as text, as a frozenset; None when they are not known."""


class IVCards(Interface):
    """The vCards of a host's accounts (XEP-0054). Every method gives a Deferred."""

    def get(local):
        """Give an account's vCard as a serialised element, or None."""

    def put(local, card):
        """Store a vCard, a serialised element that was parsed before. Fails with NotSupported."""

    def search(criteria, limit):
        """Find accounts; gives at most ``limit`` pairs of a localpart and a dictionary.

        ``criteria`` and the dictionaries map names of palaver.vcards.fields.FIELDS to texts; all criteria
        have to match, and a text that ends in ``*`` asks for a beginning. No criteria find nobody.
        """


class INodeTree(Interface):
    """How the names of a PubSub service's nodes hang together (palaver.pubsub.trees has the usual ones)."""

    def check_name(name, creator, owners):
        """Refuse a name for a new node with a StanzaError; gives a Deferred, or None when it is in order.

        ``creator`` is a bare JID as text. ``owners(name)`` gives a Deferred of the bare JIDs that own a node,
        or None when there is none.
        """

    def new_name(creator):
        """Give a name for a node that nobody has named."""


class INodeType(Interface):
    """A kind of PubSub nodes, asked for as ``<create type='…'/>`` (see palaver.pubsub.kinds)."""

    name = Attribute("Its name in the request and in the option plugins.")
    defaults = Attribute(
        "Mapping from names of configuration fields to values that differ from the usual ones."
    )
    tree = Attribute("The INodeTree that its nodes' names keep to; None: the service's.")
    own_options = Attribute("True when publish options are for `check_item`, and no preconditions.")

    def check_item(payload, options, config):
        """Refuse an item with a StanzaError.

        ``payload`` is its element, or None; ``options`` the publish options, as `IPersonalEventing.publish`
        takes them; ``config`` the node's configuration by names without ``pubsub#``.
        """

    def published(host, payload, options):
        """Hear that an item is published; gives None, or an awaitable that may fail with a StanzaError."""


class ILastActivity(Interface):
    """Since when accounts are away (XEP-0012)."""

    def went(local):
        """Give a Deferred of when an account went away, in seconds since 1970; None when unknown."""


class IUnreadCounts(Interface):
    """How many messages of a conversation an account has not read; provided while mod_inbox is on."""

    def unread(local, peer):
        """Give an awaitable of the number for a conversation with ``peer``, a bare JID.

        Fails with StorageError.
        """


class IRooms(Interface):
    """The rooms of a host's Multi-User Chat service (XEP-0045), provided while mod_muc is on."""

    domain = Attribute("The service's domain.")

    def get(name):
        """Give the palaver.rooms.room.Room that is in memory under a localpart; None: ask `load`."""

    def load(name):
        """Give a Deferred of a room; None when there is none. Fails with StorageError."""

    def create(name, owner, config=None):
        """Make a room; gives a Deferred of it. ``owner`` is a bare JID; ``config`` has values by field names.

        Fails with StanzaError(conflict) when it is there, or is not free; and with StorageError.
        """

    def destroy(name, reason="", alternate=None, password=""):
        """Destroy a room; gives a Deferred of False when there is none. Fails with StorageError."""

    def affiliated(bare):
        """Give a Deferred of the stored rooms where an account is affiliated: (name, affiliation) pairs."""

    def online():
        """Give the rooms in memory that somebody is in."""
