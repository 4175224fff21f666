"""Every zope.interface of the project: all seams on one page.

Where a method is said to give a Deferred, a failure is a `palaver.errors.StorageError`
unless the docstring names another one.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface

# -- modules ------------------------------------------------------------------


class IModuleMaker(Interface):
    """A Twisted plugin that names a module without importing it."""

    name = Attribute("The module's name in the config, such as mod_ping.")
    target = Attribute("The class, as a string: package.module.Class.")
    xeps = Attribute("Tuple of palaver.plugin.Xep: number, version, status (complete or partial).")
    default = Attribute("True when the module is on without a table in the config.")
    summary = Attribute("One line for people who choose modules.")


class IModule(Interface):
    """One feature on one host; see `palaver.modules.Module` for the usual base class."""

    name = Attribute("The module's name in the config.")
    host = Attribute("The IHost it is attached to.")
    settings = Attribute("Its typed options.")

    def attach():
        """Register everything and start; may give a Deferred. Raises ConfigError to stop the start."""

    def detach():
        """Take back everything that `attach` registered; may give a Deferred."""


# -- hosts, services, sessions ----------------------------------------------------


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


class IRemoteRosters(Interface):
    """Lets services manage their contacts in accounts' rosters (XEP-0321)."""

    def handle(request):
        """Give an awaitable of the answer to somebody else's roster get or set; fails with StanzaError."""


class IPrivileges(Interface):
    """Lets services act for accounts (XEP-0356)."""

    def roster(request):
        """Give an awaitable of the answer to a service's roster request; None when it is not privileged."""


class IComponents(Interface):
    """The components of other programs, one for the server."""

    def watch(connected):
        """Call ``connected(domain)`` for each that connects; gives the function that ends it."""


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


class IKeystore(Interface):
    """Keys that the modules of a host share."""

    def key(name):
        """Give a key as bytes; None when there is none of this name."""


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


class ICommand(Interface):
    """An operation for people and programs (XEP-0050), found by its node in the host's registry.

    `palaver.commands.command.Command` provides it; ``palaver.commands.command.add`` registers one, and
    so does the mark ``@command`` of `palaver.modules`.
    """

    node = Attribute("Its node for XEP-0050.")
    name = Attribute("Its words on the command line.")
    title = Attribute("What people call it.")
    permission = Attribute("Who may run it, see palaver.commands.command.Permission.")
    arguments = Attribute("The pydantic model of what it takes first, or None.")
    form_type = Attribute("The FORM_TYPE of its forms; None: its node.")

    def begin(call):
        """Give an awaitable of the first palaver.commands.command.Step, or of Done.

        It raises StanzaError to refuse, and StorageError.
        """


class IProcess(Interface):
    """The process of the server, in the server's registry where the server has one of its own."""

    def end(restart):
        """End it as a signal would; with ``restart`` the same command is run again then."""


class ICommands(Interface):
    """Lets clients run the commands of a host; provided while a module for that is on."""


class ILastActivity(Interface):
    """Since when accounts are away (XEP-0012)."""

    def went(local):
        """Give a Deferred of when an account went away, in seconds since 1970; None when unknown."""


# -- rooms --------------------------------------------------------------------------------


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


# -- events for others, and push notifications -----------------------------------------


class IEventPusher(Interface):
    """Tells whoever wants to know what happens to accounts and their messages."""

    def add(backend):
        """Have an IEventBackend told; gives the function that takes it back."""


class IEventBackend(Interface):
    """Where events go to: devices, a web server, a message broker."""

    name = Attribute("The name of its module.")
    events = Attribute("The classes of palaver.push.events that it is told of; others cost nothing.")

    def push(event):
        """Take an event at once. No stanza waits for what this gives; a failure of it is logged."""


class IEventRequests(Interface):
    """How events become requests to a web server (mod_event_pusher_http)."""

    events = Attribute("The classes of palaver.push.events that are looked at.")

    def request(event):
        """Give (content type, body) of the POST for an event, a text and bytes; None: there is none."""


class IPushPlugin(Interface):
    """Which devices are notified of a message, and what they are told (XEP-0357)."""

    waiting = Attribute("True when devices are notified whose session waits for them to come back.")

    def should_publish(message, to, registrations):
        """Give those of the palaver.push.registrations.Registration values to notify of a message.

        ``to`` is the JID of the account that the message is for.
        """

    def prepare(message, to):
        """Give the fields of the summary form (XEP-0357 section 7) as texts by name."""


class IPushService(Interface):
    """Hands push notifications over to whoever reaches the devices."""

    def push(summary, options):
        """Hand one over; gives a Deferred.

        ``summary`` has the fields of the summary form as texts by name, ``options`` what the client gave when
        it enabled notifications, such as ``device_id``: lists of texts by name. Fails with
        palaver.push.service.DeviceGone or PushFailed.
        """


# -- accounts and what the outside world may own --------------------------------------


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


# -- storage: four kinds ----------------------------------------------------------------


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
