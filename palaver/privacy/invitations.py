"""Who is behind a message that a chat room passes on (XEP-0045 section 7.8)."""

from __future__ import annotations

from palaver import jid
from palaver.jid import JID, InvalidJID
from palaver.stanza import Stanza

NS_MUC_USER = "http://jabber.org/protocol/muc#user"


def is_of_room(stanza: Stanza) -> bool:
    """Tell whether a room says that it passes the stanza on."""
    return (NS_MUC_USER, "x") in stanza.children


def inviter(stanza: Stanza) -> JID | None:
    """Give who invites through a room; None when it is no such invitation."""
    node = stanza.child(NS_MUC_USER, "x")
    invite = next(node.elements(NS_MUC_USER, "invite"), None) if node is not None else None
    text = invite.getAttribute("from") if invite is not None else None
    try:
        return jid.parse(text) if text else None
    except InvalidJID:
        return None
