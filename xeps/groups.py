"""Shared groups: accounts that the administrator makes each other's contacts."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from palaver import jid
from palaver.events import SubscriptionChanged
from palaver.interfaces import ISharedContacts
from palaver.mistakes import ConfigError
from palaver.modules import Module, Settings
from palaver.routing import announce
from palaver.routing.roster import SEEN_BY_US, SEES_US, Roster, RosterItem
from palaver.routing.rosters import changing, push_all, rosters
from palaver.routing.sharing import NOTHING_SHARED, Share, Sharing, share
from palaver.settings import ExistingFile

# Before the name of a group that everybody is shown; mod_groups of Prosody writes it so.
PUBLIC = "+"


def _bare(text: str) -> str:
    found = jid.parse(text)
    if not found.local or found.resource:
        raise ValueError(f"{text!r} is no account; allowed: user@host")
    return found.bare


Members = dict[str, dict[Annotated[str, AfterValidator(_bare)], str]]


class GroupsSettings(Settings):
    """Options of mod_groups."""

    groups_file: ExistingFile | None = Field(
        None,
        description="A file with further groups: a line `[name]`, then a line `user@host=name` for each "
        "member. It is read again at a reload.",
    )
    groups: Members = Field(
        {},
        validate_default=True,
        description="By group: its members' addresses, each with a name, which may be empty. A group whose "
        "name begins with + is listed in the roster of everybody on the host.",
    )

    @field_validator("groups", mode="before")
    @classmethod
    def _with_file(cls, groups: Any, info: ValidationInfo) -> Any:
        """Put the groups of the file beside those of the table: a changed file makes other options."""
        path = info.data.get("groups_file")
        if path is None or not isinstance(groups, dict):
            return groups
        try:
            found = _read(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        for group, members in groups.items():
            found[group] = {**found.get(group, {}), **members} if isinstance(members, dict) else members
        return found


class Groups(Module):
    """Shows the members of a group to each other, as contacts with the subscription both.

    A member may give another one a name and groups of its own, but neither remove it nor end the
    subscription. What a member's own roster holds about another one counts again when they share no group any
    more. Who is not in a public group (its name begins with +) has its members in the roster too, and asks
    them for their presence as anybody does.
    """

    Settings = GroupsSettings
    settings: GroupsSettings

    def start(self) -> None:
        """Show the groups, in rosters in use as well; raises ConfigError where nothing can be shown."""
        store = rosters(self.host)
        if not ISharedContacts.providedBy(store):
            raise ConfigError(f"{self.name}: the rosters of {self.host.domain} take no shared contacts")
        if store.sharing is not NOTHING_SHARED:
            raise ConfigError(f"{self.name}: another module shares contacts on {self.host.domain} already")
        self._apply(_sharing(self.settings.groups, self.host.domain))

    def stop(self) -> None:
        """Show nobody any more; a module that takes the place of this one at once is shown alone."""
        self._apply(NOTHING_SHARED)

    def _apply(self, sharing: Sharing) -> None:
        store = rosters(self.host)
        before, store.sharing = store.sharing, sharing
        for local in store.in_use():
            if before.of(local) != sharing.of(local):
                self.host.clock.callLater(0, self.host.guard, self.name, partial(self._show, local))

    async def _show(self, local: str) -> None:
        """Change a roster in use, and tell clients and contacts of it."""

        async def work(roster: Roster) -> list[tuple[RosterItem, RosterItem]]:
            shares = rosters(self.host).sharing.of(local)
            if roster.shares == shares:
                return []
            before, version = roster.items, roster.version
            roster.items = dict(before)
            share(roster, shares)
            changes = [
                (_held(before, contact), roster.item(contact)) for contact in {**before, **roster.items}
            ]
            changes = [(old, new) for old, new in changes if not new.looks_like(old)]
            push_all(self.host, local, roster, [new for _, new in changes], version)
            return changes

        for old, new in await changing(self.host, local, work):
            if new.subscription != old.subscription:
                await self._tell(local, old, new)

    async def _tell(self, local: str, old: RosterItem, new: RosterItem) -> None:
        """Show presence to who may see it now, hide it from who may not, and ask for the contact's."""
        user, contact, stanzas = self.host.users.get(local), new.jid, []
        if user is not None and user.available():
            if new.subscription in SEES_US and old.subscription not in SEES_US:
                stanzas = announce.shown(user, contact)
            elif old.subscription in SEES_US and new.subscription not in SEES_US:
                stanzas = announce.hidden(user, contact)
            gained = new.subscription in SEEN_BY_US and old.subscription not in SEEN_BY_US
            if gained and announce.remote(self.host, contact):
                # Members of this host show themselves.
                stanzas.append(announce.probe(user.bare, contact))
        for waiting in announce.route_all(self.host, stanzas):
            await waiting
        subscription = new.subscription if new.listed else "remove"
        told = self.host.events.fire(SubscriptionChanged(local, contact, subscription))
        if told is not None:
            await told


def _held(items: dict[str, RosterItem], contact: str) -> RosterItem:
    return items.get(contact) or RosterItem(contact, listed=False)


def _read(text: str) -> dict[str, dict[str, str]]:
    """Read a file of groups; raises ValueError with the line that is wrong."""
    groups: dict[str, dict[str, str]] = {}
    members: dict[str, str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("[") and line.endswith("]"):
            members = groups.setdefault(line[1:-1].strip(), {})
            continue
        address, _, name = line.partition("=")
        if members is None:
            raise ValueError(f"line {number}: a member stands below the [name] of a group")
        try:
            members[_bare(address.strip())] = name.strip()
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return groups


def _sharing(groups: dict[str, dict[str, str]], domain: str) -> Sharing:
    """Give what each account of the host is shown: members each other, and everybody the public groups."""
    accounts: dict[str, dict[str, Share]] = {}
    rest: dict[str, Share] = {}
    for key, members in sorted(groups.items()):
        group = key.removeprefix(PUBLIC)
        for member in members:
            local, _, at = member.partition("@")
            if at == domain:
                others = {contact: name for contact, name in members.items() if contact != member}
                _add(accounts.setdefault(local, {}), group, others, mutual=True)
        if key.startswith(PUBLIC):
            _add(rest, group, members, mutual=False)
    for local, shown in accounts.items():
        for contact, listed in rest.items():
            if contact not in shown and contact != f"{local}@{domain}":
                shown[contact] = listed
    return Sharing(accounts, rest)


def _add(shown: dict[str, Share], group: str, members: dict[str, str], mutual: bool) -> None:
    """Put the members of one more group among those that are shown."""
    for contact, name in members.items():
        held = shown.get(contact, Share("", (), mutual))
        shown[contact] = Share(held.name or name, tuple(sorted({*held.groups, group})), mutual)
