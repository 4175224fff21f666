"""What mod_event_pusher tells its backends. Messages of the type error are no events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from palaver.interfaces import ISession
from palaver.jid import JID
from palaver.stanza import NS_CLIENT, Stanza, reread

_CONTEXT = f"<stream xmlns='{NS_CLIENT}'>".encode()


class UserOnline(NamedTuple):
    """A session has sent its first available presence; ``jid`` is its full JID."""

    jid: JID


class UserOffline(NamedTuple):
    """A session that was available is not any more; ``jid`` is its full JID."""

    jid: JID


class MessageSent(NamedTuple):
    """A client has sent a message; ``sender`` is its full JID."""

    message: Stanza
    sender: JID
    to: JID


class MessageReceived(NamedTuple):
    """A message for an account of this host is about to be delivered."""

    message: Stanza
    to: JID


class MessageMissed(NamedTuple):
    """A message that no client of an account took is stored until one comes."""

    message: Stanza
    to: JID


class MessagesWaiting(NamedTuple):
    """Messages went to a session whose client is not there and may resume it (XEP-0198).

    ``data`` are their bytes, oldest first: there may be thousands, and few are looked at.
    """

    session: ISession
    data: tuple[bytes, ...]

    def newest_first(self) -> Iterator[Stanza]:
        """Give the messages, each read when it is asked for."""
        for data in reversed(self.data):
            yield reread(data, _CONTEXT, NS_CLIENT)


class MessageUnseen(NamedTuple):
    """A message went to a client that has said that nobody looks at it (XEP-0352)."""

    session: ISession
    message: Stanza


Event = (
    UserOnline | UserOffline | MessageSent | MessageReceived | MessageMissed | MessagesWaiting | MessageUnseen
)
