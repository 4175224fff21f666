"""XEP-0016: Privacy Lists; XEP-0126: Invisibility."""

from __future__ import annotations

import re
import secrets
from typing import Any

from pydantic import Field
from twisted.words.xish import domish

from palaver import jid
from palaver.errors import StanzaError
from palaver.events import SessionUnbound
from palaver.interfaces import IListElsewhere, ISession
from palaver.jid import InvalidJID
from palaver.markup import element
from palaver.modules import SELF, Module, Settings, iq, on
from palaver.privacy.changes import ListsChanged, change
from palaver.privacy.guards import Guards
from palaver.privacy.judging import Account
from palaver.privacy.lists import Lists
from palaver.privacy.rules import KINDS, SUBSCRIPTIONS, TYPES, PrivacyList, Rule
from palaver.routing.roster import Roster
from palaver.stanza import Stanza, make
from palaver.waiting import settled

NS_PRIVACY = "jabber:iq:privacy"

# As long as one part of an address may be; the specification leaves the limit to us.
MAX_NAME_BYTES = 1023
# xs:unsignedInt of the schema.
MAX_ORDER = 2**32 - 1
_ORDER = re.compile(r"[0-9]{1,10}\Z")


class PrivacySettings(Settings):
    """Options of mod_privacy."""

    max_lists: int = Field(50, ge=1, le=1000, description="How many lists one account may have.")
    max_items: int = Field(1000, ge=1, le=100000, description="How many items one list may have.")


class Privacy(Module):
    """Lets accounts say in lists of rules whose stanzas they take, and who sees their presence."""

    Settings = PrivacySettings
    features = (NS_PRIVACY,)

    settings: PrivacySettings

    def start(self) -> None:
        """Join whoever applies the lists."""
        self._guards = Guards.join(self.host, self.name)
        # Sessions that speak this protocol: of changes made by blocking only they hear.
        self._speakers: set[ISession] = set()

    def stop(self) -> None:
        """Leave it; nobody can choose an active list any more, so none applies."""
        for account in self._guards.accounts.values():
            account.active.clear()
        self._guards.leave(self.name)

    @on(SessionUnbound)
    def gone(self, event: SessionUnbound) -> None:
        """Forget a session."""
        self._speakers.discard(event.session)

    # -- questions -----------------------------------------------------------------------------

    @iq("get", NS_PRIVACY, "query", to=(SELF,))
    async def get(self, request: Stanza) -> bytes:
        """Give the names of the lists, or the one list asked for (section 2.3)."""
        session = self._speaker(request)
        nodes = _children(request)
        account: Account = await settled(self._guards.account(session.user.local))
        if not nodes:
            return element("query", NS_PRIVACY, _names(account, session))
        if len(nodes) > 1 or nodes[0].name != "list":
            raise StanzaError("bad-request", "One list at a time")
        name = _name(nodes[0])
        if (elsewhere := self._elsewhere(name)) is not None:
            items = await elsewhere.get(session.user.jid)
            return element("query", NS_PRIVACY, element("list", None, items, name_=name))
        held = _list(account.lists, name)
        rules = b"".join([rule.encode() for rule in held.rules])
        return element("query", NS_PRIVACY, element("list", None, rules, name_=held.name))

    # -- changes -------------------------------------------------------------------------------

    @iq("set", NS_PRIVACY, "query", to=(SELF,))
    async def set(self, request: Stanza) -> None:
        """Choose the active or the default list, or store or remove one (sections 2.4 to 2.8)."""
        session = self._speaker(request)
        nodes = _children(request)
        if len(nodes) != 1 or nodes[0].name not in ("active", "default", "list"):
            raise StanzaError("bad-request", "A set holds one of active, default and list")
        node = nodes[0]
        name = node.getAttribute("name")
        if node.name == "active":
            await change(self._guards, session, self.name, lambda held: _activate(held, session, name))
        elif node.name == "default":
            await change(self._guards, session, self.name, lambda held: _make_default(held, session, name))
        else:
            await self._set_list(session, node)

    async def _set_list(self, session: ISession, node: domish.Element) -> None:
        name = _name(node)
        items = list(node.elements())
        if (elsewhere := self._elsewhere(name)) is not None:
            await elsewhere.set(session.user.jid, items)
            return
        if not items:
            await change(self._guards, session, self.name, lambda held: _remove(held, session, name))
            return
        if len(items) > self.settings.max_items:
            raise StanzaError("policy-violation", f"A list has at most {self.settings.max_items} items")
        rules = [_rule(item, session.user.roster) for item in items]
        if len({rule.order for rule in rules}) != len(rules):
            raise StanzaError("bad-request", "Two items have the same order")

        def work(account: Account) -> Lists:
            lists = account.lists
            if name not in lists.lists and len(lists.lists) >= self.settings.max_lists:
                raise StanzaError(
                    "policy-violation", f"An account has at most {self.settings.max_lists} lists"
                )
            return lists.with_list(PrivacyList(name, rules))

        await change(self._guards, session, self.name, work)

    def _elsewhere(self, name: str) -> Any:
        """Give who keeps the list of this name, if it is none of ours."""
        found = self.host.query(IListElsewhere)
        return found if found is not None and found.name == name else None

    @on(ListsChanged)
    def changed(self, event: ListsChanged) -> None:
        """Tell the account's sessions which lists are others (section 2.2, rule 10)."""
        old, new = event.old.lists, event.new.lists
        names = [name for name in {**old, **new} if old.get(name) is not new.get(name)]
        for session in list(event.user.sessions.values()):
            if event.module == self.name or session in self._speakers:
                for name in names:
                    payload = element("query", NS_PRIVACY, element("list", name_=name))
                    attrs = {"type": "set", "id": f"push-{secrets.token_hex(4)}", "to": session.jid.full}
                    session.send(make("iq", attrs, payload))

    def _speaker(self, request: Stanza) -> ISession:
        session = request.origin
        if session is None:
            raise StanzaError("forbidden")
        if session.stream is not None:
            self._speakers.add(session)
        return session


# -- what changes make of the lists -----------------------------------------------------------


def _activate(account: Account, session: ISession, name: str | None) -> Lists:
    """Choose a session's active list, or decline it (section 2.4)."""
    if name is None:
        account.active.pop(session, None)
    else:
        account.active[session] = _list(account.lists, name).name
    return account.lists


def _make_default(account: Account, session: ISession, name: str | None) -> Lists:
    """Choose the default list, or decline it (section 2.5)."""
    lists = account.lists
    if name is not None:
        _list(lists, name)
    if name == lists.default:
        return lists
    standing = lists.standing
    if standing is not None and any(
        other is not session and other not in account.active for other in session.user.sessions.values()
    ):
        raise StanzaError("conflict", "The default list is in use by another resource")
    return lists._replace(default=name)


def _remove(account: Account, session: ISession, name: str) -> Lists:
    """Remove a list that applies to nobody else (section 2.8)."""
    held = _list(account.lists, name)
    others = [other for other in session.user.sessions.values() if other is not session]
    if any(account.in_force(other) is held for other in others):
        raise StanzaError("conflict", "The list is in use by another resource")
    return account.lists.without_list(name)


def _list(lists: Lists, name: str) -> PrivacyList:
    if name not in lists.lists:
        raise StanzaError("item-not-found", "There is no such list")
    return lists.lists[name]


# -- what is read and written ------------------------------------------------------------------


def _children(request: Stanza) -> list[domish.Element]:
    query = request.child(NS_PRIVACY, "query")
    nodes = list(query.elements()) if query is not None else []
    if any(node.uri != NS_PRIVACY for node in nodes):
        raise StanzaError("bad-request")
    return nodes


def _name(node: domish.Element) -> str:
    name: str = node.getAttribute("name", "")
    if not name or len(name.encode()) > MAX_NAME_BYTES:
        raise StanzaError("bad-request", f"A list has a name of 1 to {MAX_NAME_BYTES} bytes")
    return name


def _rule(item: domish.Element, roster: Roster) -> Rule:
    """Read an item; raises StanzaError for what section 2.1 does not allow."""
    order, action, type = (item.getAttribute(key) for key in ("order", "action", "type"))
    kinds = tuple([kind.name for kind in item.elements()])
    if (item.uri, item.name) != (NS_PRIVACY, "item"):
        raise StanzaError("bad-request", "A list holds items")
    if order is None or _ORDER.match(order) is None or int(order) > MAX_ORDER:
        raise StanzaError("bad-request", "An item's order is a number that is not negative")
    if action not in ("allow", "deny"):
        raise StanzaError("bad-request", "An item's action is allow or deny")
    if type is not None and type not in TYPES:
        raise StanzaError("bad-request", f"An item's type is one of {', '.join(TYPES)}")
    if any(kind not in KINDS for kind in kinds):
        raise StanzaError("bad-request", f"An item holds some of {', '.join(KINDS)}")
    value = _value(type, item.getAttribute("value", ""), roster) if type is not None else ""
    # Each kind counts once, and an item for all of them is still not one for everything.
    return Rule(int(order), action == "allow", type, value, tuple(dict.fromkeys(kinds)))


def _value(type: str, text: str, roster: Roster) -> str:
    if type == "jid":
        try:
            return jid.parse(text).full
        except InvalidJID as error:
            raise StanzaError("jid-malformed", str(error)) from None
    if type == "subscription":
        if text not in SUBSCRIPTIONS:
            raise StanzaError("bad-request", f"A subscription is one of {', '.join(SUBSCRIPTIONS)}")
    elif not any(text in held.groups for held in roster.items.values()):
        raise StanzaError("item-not-found", "There is no such group in the roster")
    return text


def _names(account: Account, session: ISession) -> bytes:
    """Give the names of the active list, the default list, and all lists."""
    lists = account.lists
    first = {"active": account.active.get(session), "default": lists.default}
    chosen = [element(kind, name_=name) for kind, name in first.items() if name is not None]
    return b"".join([*chosen, *[element("list", name_=name) for name in lists.lists]])
