"""What somebody may do with an account: every one is a form that is posted."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from palaver.auth.accounts import NoSuchAccount, NotSupported
from palaver.auth.keys import InvalidPassword
from palaver.errors import StanzaError, StreamError
from palaver.interfaces import IRegistration
from palaver.jid import InvalidJID, parse
from palaver.log import Log
from palaver.routing.lifecycle import delete_account, end_sessions, set_password
from palaver.web.account.visit import Refusal, Visit
from palaver.web.interfaces import IHeldTokens, IWebPresence
from palaver.web.signin import sent_to
from palaver.web.status.shown import Shown

log = Log("accounts")

ENDED = StreamError("reset", "The account's owner has ended the session")
ELSEWHERE = "This account is kept by another program, which has to do that."


def _done(visit: Visit, what: str) -> bytes:
    return sent_to(visit.request, f"{visit.pages.signin.path}?done={what}")


async def password(visit: Visit) -> bytes:
    """Change the password, and end every session and every other login. Raises Refusal, StorageError."""
    new = visit.given("new")
    if not new:
        raise Refusal("The new password cannot be empty.")
    if new != visit.given("again"):
        raise Refusal("The two new passwords differ.")
    await visit.check_password("old")
    registration: Any = visit.host.query(IRegistration)
    try:
        if registration is not None:
            registration.check_password(new)
        await set_password(visit.host, visit.local, new)
    except StanzaError as error:
        raise Refusal(f"{error.text}.") from None
    except InvalidPassword as error:
        raise Refusal(f"That cannot be a password: {error}.") from None
    except (NotSupported, NoSuchAccount):
        raise Refusal(ELSEWHERE, HTTPStatus.FORBIDDEN) from None
    await visit.pages.signin.renewed(visit.request, visit.login)
    return _done(visit, "password")


async def sessions(visit: Visit) -> bytes:
    """End a session, or all of them; one that has ended already is fine."""
    resource = visit.given("session")
    if not resource:
        await end_sessions(visit.host, visit.local, ENDED)
        return _done(visit, "sessions")
    user = visit.host.users.get(visit.local)
    session = user.sessions.get(resource) if user is not None else None
    if session is not None:
        session.end(ENDED)
    return _done(visit, "sessions")


async def tokens(visit: Visit) -> bytes:
    """Take back a token. Raises Refusal, StorageError."""
    module: Any = visit.host.registry.queryUtility(IHeldTokens, visit.given("module"))
    if module is None:
        raise Refusal("There are no such tokens.", HTTPStatus.NOT_FOUND)
    key = visit.given("token")
    if key not in [held.key for held in await module.held(visit.local)]:
        # It has expired, or somebody was faster.
        return _done(visit, "tokens")
    await module.take_back(visit.local, key)
    log.info("token-withdrawn", user=visit.local, host=visit.host.domain)
    return _done(visit, "tokens")


async def presence(visit: Visit) -> bytes:
    """Store what everybody may see. Raises Refusal, StorageError."""
    module: Any = visit.host.query(IWebPresence)
    if module is None:
        raise Refusal("This server does not show that.", HTTPStatus.NOT_FOUND)
    is_shown = visit.given("presence") == "1"
    await module.show(visit.local, Shown(is_shown, is_shown and visit.given("text") == "1"))
    return _done(visit, "presence")


async def delete(visit: Visit) -> bytes:
    """Delete the account. Raises Refusal, StorageError."""
    try:
        typed = parse(visit.given("address").strip())
    except InvalidJID:
        typed = None
    if typed != visit.jid:
        raise Refusal("That is not the address of this account.")
    await visit.check_password("password")
    try:
        await delete_account(visit.host, visit.local)
    except (NotSupported, NoSuchAccount):
        raise Refusal(ELSEWHERE, HTTPStatus.FORBIDDEN) from None
    visit.pages.signin.leave(visit.request)
    return sent_to(visit.request, visit.to("gone"))


async def logout(visit: Visit) -> bytes:
    """End the login to the pages."""
    return visit.pages.signin.leave(visit.request)
