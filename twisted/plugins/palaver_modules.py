"""The modules that come with Palaver: one line each."""

from palaver.plugin import ModuleMaker, Xep

_XEPS = "palaver.xeps"

adhoc = ModuleMaker(
    "mod_adhoc",
    f"{_XEPS}.adhoc.AdHocCommands",
    "Commands that clients find, fill in and run",
    (Xep(50, "1.3.0"),),
)
admin_adhoc = ModuleMaker(
    "mod_admin_adhoc",
    f"{_XEPS}.admin_adhoc.ServiceAdministration",
    "Accounts, sessions, figures and the end of the server, from an administrator's client",
    (Xep(133, "1.3.1", "partial"),),
)
admin_web = ModuleMaker(
    "mod_admin_web",
    f"{_XEPS}.admin_web.AdminWeb",
    "Administration in a browser",
)
announce = ModuleMaker(
    "mod_announce",
    f"{_XEPS}.announce.Announce",
    "Announcements to everybody who is online",
)
amp = ModuleMaker(
    "mod_amp",
    f"{_XEPS}.amp.AdvancedMessageProcessing",
    "Senders' rules for what is to be done with a message",
    (Xep(79, "1.2", "partial"),),
    default=False,
)
bosh = ModuleMaker(
    "mod_bosh",
    f"{_XEPS}.bosh.Bosh",
    "Clients over HTTP requests",
    (Xep(124, "1.11.2"), Xep(206, "1.4")),
)
block_strangers = ModuleMaker(
    "mod_block_strangers",
    f"{_XEPS}.block_strangers.BlockStrangers",
    "Messages and requests pass only between those who know each other",
    default=False,
)
blocking = ModuleMaker(
    "mod_blocking",
    f"{_XEPS}.blocking.Blocking",
    "Nothing comes from whom somebody has blocked, and nothing goes there",
    (Xep(191, "1.3"),),
)
bind2 = ModuleMaker(
    "mod_bind2",
    f"{_XEPS}.bind2.Bind2",
    "A resource, and what is wanted for the session, within the login",
    (Xep(386, "1.1.0", "partial"),),
)
caps = ModuleMaker(
    "mod_caps",
    f"{_XEPS}.caps.Capabilities",
    "What each client can do, asked once for all clients of a kind",
    (Xep(115, "1.6.0"), Xep(390, "0.3.2")),
)
bookmarks = ModuleMaker(
    "mod_bookmarks",
    f"{_XEPS}.bookmarks.Bookmarks",
    "The same bookmarks for old and new clients",
    (Xep(48, "1.2"), Xep(402, "1.2.0"), Xep(411, "1.1.0")),
)
auth_token = ModuleMaker(
    "mod_auth_token",
    f"{_XEPS}.auth_token.AuthToken",
    "Tokens to log in with in the place of a password",
    default=False,
)
carboncopy = ModuleMaker(
    "mod_carboncopy",
    f"{_XEPS}.carboncopy.CarbonCopy",
    "Copies of each conversation for the account's other sessions",
    (Xep(280, "1.0.1"), Xep(297, "1.0")),
)
compression = ModuleMaker(
    "mod_compression",
    f"{_XEPS}.compression.StreamCompression",
    "Compressed streams",
    (Xep(138, "2.1"),),
    default=False,
)
conversejs = ModuleMaker(
    "mod_conversejs",
    f"{_XEPS}.conversejs.ConverseJs",
    "Web chat with Converse.js",
)
csi = ModuleMaker(
    "mod_csi",
    f"{_XEPS}.csi.ClientState",
    "Phones that nobody looks at get what matters at once, and the rest later",
    (Xep(352, "1.0.0"),),
)
disco = ModuleMaker(
    "mod_disco",
    f"{_XEPS}.disco.ServiceDiscovery",
    "What the server and its accounts can do, and whom to write to about it",
    (Xep(30, "2.5.0"), Xep(106, "1.1.1"), Xep(128, "1.0.1"), Xep(157, "1.1.1")),
)
delegation = ModuleMaker(
    "mod_delegation",
    f"{_XEPS}.delegation.Delegation",
    "Services answer requests to the host and to accounts, by namespace",
    (Xep(355, "0.5"),),
    default=False,
)
event_pusher = ModuleMaker(
    "mod_event_pusher",
    f"{_XEPS}.event_pusher.EventPusher",
    "Tells other modules what happens to accounts and their messages",
)
event_pusher_http = ModuleMaker(
    "mod_event_pusher_http",
    f"{_XEPS}.event_pusher_http.HttpEvents",
    "What is said in chats, posted to web servers",
    default=False,
)
event_pusher_push = ModuleMaker(
    "mod_event_pusher_push",
    f"{_XEPS}.event_pusher_push.Push",
    "Notifications that wake the devices of those who are away",
    (Xep(357, "0.4.1"),),
    default=False,
)
extdisco = ModuleMaker(
    "mod_extdisco",
    f"{_XEPS}.extdisco.ExternalServices",
    "Which relays for calls there are, with credentials that expire",
    (Xep(215, "1.0.0", "partial"),),
    default=False,
)
fast_auth_token = ModuleMaker(
    "mod_fast_auth_token",
    f"{_XEPS}.fast_auth_token.FastAuthToken",
    "Tokens by which clients come back in one round trip, without the password",
    (Xep(484, "0.2.0"),),
)
filter_chatstates = ModuleMaker(
    "mod_filter_chatstates",
    f"{_XEPS}.filter_chatstates.FilterChatStates",
    "No chat states for phones that nobody looks at",
)
flexible_offline = ModuleMaker(
    "mod_flexible_offline",
    f"{_XEPS}.flexible_offline.FlexibleOffline",
    "Messages that were kept, read and removed one by one",
    (Xep(13, "1.3"),),
)
groups = ModuleMaker(
    "mod_groups",
    f"{_XEPS}.groups.Groups",
    "The members of a group are each other's contacts without asking",
    default=False,
)
host_meta = ModuleMaker(
    "mod_host_meta",
    f"{_XEPS}.host_meta.HostMeta",
    "Where browsers and others find this host",
    (Xep(156, "1.4.0"), Xep(487, "0.1.0", "partial")),
)
http_upload = ModuleMaker(
    "mod_http_upload",
    f"{_XEPS}.http_upload.HttpUpload",
    "Files that are too large for messages, kept for a while",
    (Xep(363, "1.2.0"),),
)
inbox = ModuleMaker(
    "mod_inbox",
    f"{_XEPS}.inbox.Inbox",
    "Conversations with their last messages and how many are unread",
    default=False,
)
invisible = ModuleMaker(
    "mod_invisible",
    f"{_XEPS}.invisible.Invisible",
    "Being there without being seen, for everybody or for some",
    (Xep(18, "0.2"), Xep(186, "0.14.0")),
)
invites = ModuleMaker(
    "mod_invites",
    f"{_XEPS}.invites.Invites",
    "Links by which people become contacts and make accounts",
    (Xep(379, "0.3.3", "partial"), Xep(401, "0.6.0", "partial"), Xep(445, "0.2.0")),
)
invites_page = ModuleMaker(
    "mod_invites_page",
    f"{_XEPS}.invites_page.InvitesPage",
    "Invitations as pages, and accounts made in a browser",
)
keystore = ModuleMaker(
    "mod_keystore",
    f"{_XEPS}.keystore.Keystore",
    "Keys for other modules",
    default=False,
)
last = ModuleMaker(
    "mod_last",
    f"{_XEPS}.last.LastActivity",
    "Since when somebody is away, and how long the server is up",
    (Xep(12, "2.0"),),
)
mam = ModuleMaker(
    "mod_mam",
    f"{_XEPS}.mam.MessageArchive",
    "An archive of the messages of each account",
    (
        Xep(59, "1.0"),
        Xep(313, "1.1.3"),
        Xep(334, "1.0.0", "partial"),
        Xep(359, "0.7.0"),
        Xep(424, "0.4.2"),
        Xep(431, "0.2.0"),
        Xep(441, "0.2.0"),
    ),
    default=False,
)
mam_archive = ModuleMaker(
    "mod_mam_archive",
    f"{_XEPS}.mam_archive.MamArchive",
    "The archive of messages for clients of the older protocol",
    (Xep(136, "1.3.1", "partial"),),
    default=False,
)
message_events = ModuleMaker(
    "mod_message_events",
    f"{_XEPS}.message_events.MessageEvents",
    "Senders hear that a message is kept for somebody who is away",
    (Xep(22, "1.4", "partial"),),
)
muc = ModuleMaker(
    "mod_muc",
    f"{_XEPS}.muc.MultiUserChat",
    "Rooms to talk in, with archives",
    (Xep(45, "1.35.5"), Xep(249, "1.2"), Xep(307, "0.1"), Xep(410, "1.1.0")),
)
muc_light = ModuleMaker(
    "mod_muc_light",
    f"{_XEPS}.muc_light.MucLight",
    "Rooms that are lists of members, without presence, with archives",
    default=False,
)
muc_affiliation_versions = ModuleMaker(
    "mod_muc_affiliation_versions",
    f"{_XEPS}.muc_affiliation_versions.AffiliationVersions",
    "Whoever enters a room is told which affiliations have changed since",
    (Xep(463, "0.2.0"),),
)
muc_avatar = ModuleMaker(
    "mod_muc_avatar",
    f"{_XEPS}.muc_avatar.RoomAvatars",
    "A vCard with an avatar for each room",
    (Xep(486, "0.1.0"),),
)
muc_hats = ModuleMaker(
    "mod_muc_hats",
    f"{_XEPS}.muc_hats.RoomHats",
    "Hats that admins of rooms make and give to people",
    (Xep(317, "0.3.1"),),
)
muc_log = ModuleMaker(
    "mod_muc_log",
    f"{_XEPS}.muc_log.RoomLogs",
    "Pages of what is said in rooms, for rooms that are logged",
    default=False,
)
muc_members = ModuleMaker(
    "mod_muc_members",
    f"{_XEPS}.muc_members.RoomMembers",
    "Notifications for members of rooms that they are not in",
)
muc_mentions = ModuleMaker(
    "mod_muc_mentions",
    f"{_XEPS}.muc_mentions.Mentions",
    "Mentions in rooms: who may make them; members who are away get the message",
    (Xep(452, "0.2.2"), Xep(513, "0.1.0")),
)
muc_moderation = ModuleMaker(
    "mod_muc_moderation",
    f"{_XEPS}.muc_moderation.Moderation",
    "Messages in rooms are taken back by moderators and by who wrote them",
    (Xep(425, "0.3.0"),),
)
muc_occupant_id = ModuleMaker(
    "mod_muc_occupant_id",
    f"{_XEPS}.muc_occupant_id.OccupantIds",
    "Ids of occupants of rooms that stay whatever their nicks are",
    (Xep(421, "1.0.1"),),
)
muc_presence_versions = ModuleMaker(
    "mod_muc_presence_versions",
    f"{_XEPS}.muc_presence_versions.PresenceVersions",
    "Whoever enters a room again is told only whose presence has changed",
    (Xep(436, "0.2.0"),),
    default=False,
)
muc_slow_mode = ModuleMaker(
    "mod_muc_slow_mode",
    f"{_XEPS}.muc_slow_mode.SlowMode",
    "Rooms where everybody waits between two messages",
    (Xep(500, "0.1.1"),),
)
motd = ModuleMaker(
    "mod_motd",
    f"{_XEPS}.motd.MessageOfTheDay",
    "A message that everybody reads at login",
    default=False,
)
offline = ModuleMaker(
    "mod_offline",
    f"{_XEPS}.offline.Offline",
    "Messages for those who are not online",
    (Xep(23, "1.3"), Xep(160, "1.0.1"), Xep(203, "2.0")),
)
offline_stub = ModuleMaker(
    "mod_offline_stub",
    f"{_XEPS}.offline_stub.OfflineStub",
    "Messages for those who are not online vanish without an error",
    default=False,
)
pep = ModuleMaker(
    "mod_pep",
    f"{_XEPS}.pep.PersonalEventing",
    "What accounts publish about themselves: devices, avatars, moods, bookmarks",
    (Xep(163, "1.2.2"), Xep(222, "1.0"), Xep(223, "1.1.1")),
)
pep_vcard_avatar = ModuleMaker(
    "mod_pep_vcard_avatar",
    f"{_XEPS}.pep_vcard_avatar.PepVCardAvatar",
    "Old and new clients see the same avatars, in presence too",
    (Xep(153, "1.1.1"), Xep(292, "0.12.0", "partial"), Xep(398, "1.0.0")),
)
ping = ModuleMaker(
    "mod_ping",
    f"{_XEPS}.ping.Ping",
    "Pings from clients, and to clients that have been quiet",
    (Xep(199, "2.0.1"),),
)
privacy = ModuleMaker(
    "mod_privacy",
    f"{_XEPS}.privacy.Privacy",
    "Lists of rules that say whose stanzas an account takes and who sees its presence",
    (Xep(16, "1.7"), Xep(126, "1.1")),
)
private = ModuleMaker(
    "mod_private",
    f"{_XEPS}.private.Private",
    "XML that clients keep on the server",
    (Xep(49, "1.2"),),
)
privilege = ModuleMaker(
    "mod_privilege",
    f"{_XEPS}.privilege.Privilege",
    "Services that the configuration names act for accounts: rosters, messages, requests, presence",
    (Xep(356, "0.4.1"),),
    default=False,
)
pubsub = ModuleMaker(
    "mod_pubsub",
    f"{_XEPS}.pubsub.PubSub",
    "Nodes to which people publish, and whose subscribers are notified",
    (Xep(60, "1.30.0"), Xep(131, "1.2", "partial"), Xep(248, "0.5.0", "partial")),
)
push_service_mongoosepush = ModuleMaker(
    "mod_push_service_mongoosepush",
    f"{_XEPS}.push_service_mongoosepush.MongoosePush",
    "Push notifications for Apple's and Google's devices, by MongoosePush",
    default=False,
)
register = ModuleMaker(
    "mod_register",
    f"{_XEPS}.register.Register",
    "New accounts, new passwords and the end of an account, through the client",
    (Xep(77, "2.4"),),
    default=False,
)
remote_roster = ModuleMaker(
    "mod_remote_roster",
    f"{_XEPS}.remote_roster.RemoteRoster",
    "Gateways keep their contacts in users' rosters in order, when users allow it",
    (Xep(321, "0.1.1"),),
    default=False,
)
rest_admin = ModuleMaker(
    "mod_rest_admin",
    f"{_XEPS}.rest_admin.RestAdmin",
    "Administration over HTTP: accounts, sessions, messages, every command",
    default=False,
)
rest_client = ModuleMaker(
    "mod_rest_client",
    f"{_XEPS}.rest_client.RestClient",
    "Messages, contacts and rooms over HTTP, for an account's programs",
    default=False,
)
roster_exchange = ModuleMaker(
    "mod_roster_exchange",
    f"{_XEPS}.roster_exchange.RosterExchange",
    "Gateways and group services suggest contacts, which are added without asking",
    (Xep(144, "1.1.1"),),
    default=False,
)
revproxy = ModuleMaker(
    "mod_revproxy",
    f"{_XEPS}.revproxy.RevProxy",
    "Parts of the site that are other web servers, by host, path and method",
    default=False,
)
roster = ModuleMaker(
    "mod_roster",
    f"{_XEPS}.roster.Roster",
    "The contact list, with versions",
    (Xep(237, "1.3"),),
)
sasl2 = ModuleMaker(
    "mod_sasl2",
    f"{_XEPS}.sasl2.ExtensibleSasl",
    "Logins with fewer round trips, and all that is wanted with them",
    (Xep(388, "1.0.4"),),
)
scram_upgrade = ModuleMaker(
    "mod_scram_upgrade",
    f"{_XEPS}.scram_upgrade.ScramUpgrade",
    "Clients bring the keys for stronger hash functions that their account lacks",
    (Xep(480, "0.2.0"),),
)
sic = ModuleMaker(
    "mod_sic",
    f"{_XEPS}.sic.ServerIpCheck",
    "Tells clients their own address",
    (Xep(279, "0.2"),),
    default=False,
)
smart_markers = ModuleMaker(
    "mod_smart_markers",
    f"{_XEPS}.smart_markers.SmartMarkers",
    "The last chat marker of everybody, for clients that were away",
    default=False,
)
throttle_presence = ModuleMaker(
    "mod_throttle_presence",
    f"{_XEPS}.throttle_presence.ThrottlePresence",
    "Only the latest presence of each contact for phones that nobody looked at",
)
spam_reporting = ModuleMaker(
    "mod_spam_reporting",
    f"{_XEPS}.spam_reporting.SpamReporting",
    "Reports of spam and abuse, together with the block",
    (Xep(377, "0.4.1"),),
)
support_contact = ModuleMaker(
    "mod_support_contact",
    f"{_XEPS}.support_contact.SupportContact",
    "Whoever helps people is a contact of every new account",
    default=False,
)
s2s_keepalive = ModuleMaker(
    "mod_s2s_keepalive",
    f"{_XEPS}.s2s_keepalive.S2sKeepalive",
    "Pings to other servers, over the streams that are there",
    default=False,
)
self_service = ModuleMaker(
    "mod_self_service",
    f"{_XEPS}.self_service.SelfService",
    "Pages where people look after their own account",
    (Xep(227, "1.1", "partial"),),
)
start_page = ModuleMaker(
    "mod_start_page",
    f"{_XEPS}.start_page.StartPage",
    "A page that says how to connect",
)
stream_management = ModuleMaker(
    "mod_stream_management",
    f"{_XEPS}.stream_management.StreamManagement",
    "Acknowledges what is stored, and keeps sessions whose connections broke",
    (Xep(198, "1.6.3", "partial"),),
)
time = ModuleMaker(
    "mod_time",
    f"{_XEPS}.time.Time",
    "The server's clock",
    (Xep(90, "1.2"), Xep(202, "2.0")),
)
vcard = ModuleMaker(
    "mod_vcard",
    f"{_XEPS}.vcard.VCard",
    "A vCard for each account, and a search for people",
    (Xep(54, "1.3.0"), Xep(55, "1.3", "partial")),
)
version = ModuleMaker(
    "mod_version",
    f"{_XEPS}.version.Version",
    "Which software this is",
    (Xep(92, "1.1"), Xep(232, "0.3")),
)
watch = ModuleMaker(
    "mod_watch",
    f"{_XEPS}.watch.Watch",
    "Counts for Prometheus, and whether the server lives and is ready",
)
watch_registrations = ModuleMaker(
    "mod_watch_registrations",
    f"{_XEPS}.watch_registrations.WatchRegistrations",
    "Administrators are told of each account that somebody registers",
    default=False,
)
webpresence = ModuleMaker(
    "mod_webpresence",
    f"{_XEPS}.webpresence.WebPresence",
    "Pages that say who is there, of accounts that want that",
)
websockets = ModuleMaker(
    "mod_websockets",
    f"{_XEPS}.websockets.WebSockets",
    "Clients over WebSocket (RFC 7395)",
)
welcome = ModuleMaker(
    "mod_welcome",
    f"{_XEPS}.welcome.Welcome",
    "A message that each new account finds",
    default=False,
)
