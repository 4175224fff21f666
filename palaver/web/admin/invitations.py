"""Invitations: those that count, and who came by whom; making and revoking them are commands."""

from __future__ import annotations

from palaver.interfaces import IInvites
from palaver.invites import InviteStore
from palaver.times import stamp
from palaver.web.admin.frame import PAGE_ROWS, Visit, button, do, framed, section, table
from palaver.web.pages.html import tag

OPERATOR = "the operator"


async def listing(visit: Visit) -> bytes:
    """List the invitations of the host, the first to expire first, and the last who came by one."""
    host = visit.host
    if host.query(IInvites) is None:
        return framed(visit, "Invitations", tag("p", "mod_invites is off on this host."))
    store, now = InviteStore(host.domain, host.storage), host.clock.seconds()
    found = [invite for invite in (await store.all()).values() if invite.uses > 0 and invite.expires > now]
    rows = [
        (
            tag("code", invite.id),
            invite.inviter or OPERATOR,
            invite.username or "anybody",
            "account" if invite.register else "contact",
            invite.uses,
            stamp(invite.expires),
            do(visit, "invite delete", "Revoke", invite=invite.id),
        )
        for invite in found[:PAGE_ROWS]
    ]
    head = ("Id", "By", "For", "Makes", "Left", "Until", "")
    came = list((await store.inviters()).items())[-PAGE_ROWS:]
    brought = [
        (invitee, value["inviter"] or OPERATOR, stamp(value["time"])) for invitee, value in reversed(came)
    ]
    return framed(
        visit,
        "Invitations",
        tag("div", button("New invitation", visit.to("commands", "invite-create")), class_="actions"),
        section(f"{len(found):,} that can be used", table(head, rows, "There is none.")),
        section("Who came last", table(("Who", "By", "When"), brought, "Nobody yet.")),
    )
