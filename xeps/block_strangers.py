"""Nothing from strangers: messages and requests pass only between those who know each other."""

from __future__ import annotations

from collections import OrderedDict

from pydantic import Field
from twisted.internet.defer import Deferred

from palaver import jid
from palaver.errors import StanzaError
from palaver.interfaces import ISession
from palaver.jid import JID, InvalidJID
from palaver.modules import Module, Settings, phase
from palaver.routing.pipeline import DROP, FROM_CLIENT, TO_USER, Verdict, refusal
from palaver.routing.roster import Roster
from palaver.routing.rosters import rosters
from palaver.stanza import Stanza

# Who has written to whom lately; each takes some hundred bytes.
MAX_REMEMBERED = 50_000


class BlockStrangersSettings(Settings):
    """Options of mod_block_strangers."""

    allow_replies: bool = Field(
        True, description="Let those answer whom the account has written to since the server was started."
    )


class BlockStrangers(Module):
    """Keeps from every account what comes from somebody who is no contact of it.

    Contacts are those in the roster with a subscription in either direction, or a pending request of the
    account's. Chat rooms that a client is in, this server and its services are no strangers, and a stranger's
    subscription request arrives.
    """

    Settings = BlockStrangersSettings
    settings: BlockStrangersSettings

    def start(self) -> None:
        """Begin with nothing remembered."""
        # (localpart, bare JID) pairs, the one written to last at the end.
        self._written: OrderedDict[tuple[str, str], None] = OrderedDict()
        if self.settings.allow_replies:
            add = self.host.pipeline.add
            self.undo(add(FROM_CLIENT, "notice", ("message",), self.name, self.leaving))

    def leaving(self, message: Stanza, session: ISession) -> None:
        """Remember whom an account writes to."""
        text = message.attrs.get("to")
        if text is None or message.type == "error":
            return
        try:
            pair = session.user.local, jid.parse(text).bare
        except InvalidJID:
            return
        self._written[pair] = None
        self._written.move_to_end(pair)
        if len(self._written) > MAX_REMEMBERED:
            self._written.popitem(last=False)

    @phase(TO_USER, "guard", "message", "iq")
    def arriving(self, stanza: Stanza, to: JID) -> Verdict | Deferred[Verdict | None] | None:
        """Refuse what a stranger sends; what the server answers for an account has rules of its own."""
        sender = stanza.sender
        if sender is None or (stanza.name == "iq" and not to.resource) or self._passes(stanza, sender, to):
            return None
        user = self.host.users.get(to.local)
        if user is not None:
            return None if _knows(user.roster, sender) else _turn_away(stanza)
        waiting: Deferred[Roster] = rosters(self.host).load(to.local)
        return waiting.addCallback(lambda roster: None if _knows(roster, sender) else _turn_away(stanza))

    def _passes(self, stanza: Stanza, sender: JID, to: JID) -> bool:
        """Tell whether something passes whatever the roster says."""
        kind = stanza.type
        if sender.bare == to.bare or kind == "error" or (stanza.name == "iq" and kind == "result"):
            return True
        if (kind == "groupchat" and to.resource) or (to.local, sender.bare) in self._written:
            return True
        if not sender.local and sender.domain in self.host.router.services:
            return True
        return self._in_room(sender, to)

    def _in_room(self, sender: JID, to: JID) -> bool:
        """Tell whether a client of the account has shown itself to the sender, or in the sender's room."""
        user = self.host.users.get(to.local)
        for session in user.sessions.values() if user is not None else ():
            directed = session.directed
            if directed and any(other.partition("/")[0] == sender.bare for other in directed):
                return True
        return False


def _knows(roster: Roster, sender: JID) -> bool:
    item = roster.item(sender.bare)
    return item.subscription != "none" or item.ask


def _turn_away(stanza: Stanza) -> Verdict:
    return DROP if stanza.name == "message" else refusal(stanza, StanzaError("service-unavailable"))
