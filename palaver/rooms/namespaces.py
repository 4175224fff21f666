"""The namespaces of XEP-0045, and what a room says with numbers."""

from __future__ import annotations

from palaver.markup import element

NS_MUC = "http://jabber.org/protocol/muc"
NS_USER = f"{NS_MUC}#user"
NS_ADMIN = f"{NS_MUC}#admin"
NS_OWNER = f"{NS_MUC}#owner"
NS_UNIQUE = f"{NS_MUC}#unique"
NS_ROOM_CONFIG = f"{NS_MUC}#roomconfig"
NS_ROOM_INFO = f"{NS_MUC}#roominfo"
NS_REQUEST = f"{NS_MUC}#request"
NS_REGISTER_FORM = f"{NS_MUC}#register"
NS_STABLE_ID = f"{NS_MUC}#stable_id"
NS_SELF_PING = f"{NS_MUC}#self-ping-optimization"
NS_ROOMS_NODE = f"{NS_MUC}#rooms"
NS_TRAFFIC_NODE = f"{NS_MUC}#traffic"
NS_ROOM_NICK = "x-roomuser-item"
NS_REGISTER = "jabber:iq:register"
NS_CONFERENCE = "jabber:x:conference"
NS_DELAY = "urn:xmpp:delay"
NS_LEGACY_DELAY = "jabber:x:delay"
NS_OCCUPANT_ID = "urn:xmpp:occupant-id:0"
NS_HATS = "urn:xmpp:hats:0"
NS_HATS_BEFORE = "xmpp:prosody.im/protocol/hats:1"
NS_PING = "urn:xmpp:ping"
NS_VCARD = "vcard-temp"

# Status codes (section 15.6.2).
SEES_JIDS = "100"
AFFILIATION_CHANGED_ABSENT = "101"
CONFIG_CHANGED = "104"
SELF = "110"
LOGGED = "170"
NOT_LOGGED = "171"
NON_ANONYMOUS = "172"
SEMI_ANONYMOUS = "173"
CREATED = "201"
NICK_ASSIGNED = "210"
BANNED = "301"
NICK_CHANGED = "303"
KICKED = "307"
NO_MEMBER_ANY_MORE = "321"
MEMBERS_ONLY_NOW = "322"
SHUT_DOWN = "332"
FAILED = "333"


def statuses(*codes: str) -> bytes:
    """Give a ``<status/>`` for each code."""
    return b"".join([element("status", None, code=code) for code in codes])
