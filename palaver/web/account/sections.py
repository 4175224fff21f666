"""What the page about an account shows."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from palaver.times import stamp
from palaver.web.account.visit import Visit
from palaver.web.interfaces import IHeldTokens, IWebPresence
from palaver.web.pages.html import Html, document, field, rows, show, tag, void

MINUTE_S, HOUR_MIN = 60, 60
# What has been done, by the word in the address that a browser is sent on to.
DONE = {
    "password": "You have a new password. Every program has to log in with it.",
    "sessions": "Ended.",
    "tokens": "Withdrawn.",
    "presence": "Stored.",
}


async def overview(visit: Visit, wrong: str = "", status: HTTPStatus = HTTPStatus.OK) -> bytes:
    """Give the page; ``wrong`` is why something was not done. Raises StorageError."""
    said = Html()
    if wrong:
        said = tag("p", wrong, class_="wrong", role="alert")
    elif done := DONE.get(visit.given("done")):
        said = tag("p", tag("strong", done), role="status")
    parts = [
        tag("h1", "Your account"),
        tag("p", tag("code", visit.jid.bare)),
        said,
        _sessions(visit),
        await _tokens(visit),
        _password(visit),
        await _presence(visit),
        _data(visit),
        _end(visit),
        visit.form("logout", tag("button", "Log out of this page")),
    ]
    return show(visit.request, document("Your account", *parts), status)


def _sessions(visit: Visit) -> Html:
    user = visit.host.users.get(visit.local)
    found = list(user.sessions.values()) if user is not None else []
    if not found:
        return tag("section", tag("h2", "Who is logged in"), tag("p", "No program is, at the moment."))
    listed: list[tuple[object, ...]] = [
        (
            session.jid.resource,
            _where(session),
            _state(session),
            _heard(visit, session),
            _end_one(visit, session.jid.resource),
        )
        for session in found
    ]
    return tag(
        "section",
        tag("h2", "Who is logged in"),
        rows(("Program", "From", "State", "Heard of", ""), listed),
        visit.form("sessions", tag("button", "End all")) if len(found) > 1 else Html(),
        tag(
            "p",
            "What knows the password may come back. If you have lost a device, change the password.",
            class_="soft",
        ),
    )


def _end_one(visit: Visit, resource: str) -> Html:
    hidden = void("input", type="hidden", name="session", value=resource)
    return visit.form("sessions", hidden, tag("button", "End", aria_label=f"End {resource}"))


def _where(session: Any) -> str:
    stream = session.stream
    if stream is None or not stream.address:
        return "waits for its connection"
    return f"{stream.address}{'' if stream.secure else ', not encrypted'}"


def _state(session: Any) -> str:
    if session.presence is None:
        return "logged in"
    show = str(session.presence.element.show or "") or "available"
    return f"{show}, invisible" if session.invisible else show


def _heard(visit: Visit, session: Any) -> str:
    if session.stream is None or not session.stream.address:
        return ""
    minutes = max(0, visit.host.clock.seconds() - session.stream.heard) // MINUTE_S
    if minutes < 1:
        return "now"
    return f"{minutes:.0f} min ago" if minutes < HOUR_MIN else f"{minutes // HOUR_MIN:.0f} h ago"


async def _tokens(visit: Visit) -> Html:
    listed: list[tuple[object, ...]] = []
    for name, module in sorted(visit.host.registry.getUtilitiesFor(IHeldTokens), key=lambda pair: pair[0]):
        for held in await module.held(visit.local):
            hidden = void("input", type="hidden", name="module", value=name)
            which = void("input", type="hidden", name="token", value=held.key)
            button = tag("button", "Withdraw", aria_label=f"Withdraw {held.name}")
            until = stamp(held.until)[:10] if held.until is not None else ""
            listed.append((held.name, until, visit.form("tokens", hidden, which, button)))
    if not listed:
        return Html()
    return tag(
        "section",
        tag("h2", "Who logs in without the password"),
        rows(("Program", "Until", ""), listed),
        tag(
            "p",
            "They have been given a token in its place. Without it they ask for the password.",
            class_="soft",
        ),
    )


def _password(visit: Visit) -> Html:
    form = visit.form(
        "password",
        field("old", "Your password now", "password", required=True, autocomplete="current-password"),
        field("new", "A new one", "password", required=True, autocomplete="new-password"),
        field("again", "The new one again", "password", required=True, autocomplete="new-password"),
        tag("div", tag("button", "Change it")),
    )
    note = "It ends every session, withdraws every token, and ends other logins to these pages."
    return tag("section", tag("h2", "Password"), tag("p", note, class_="soft"), form)


async def _presence(visit: Visit) -> Html:
    module = visit.host.query(IWebPresence)
    if module is None:
        return Html()
    shown = await module.shown(visit.local)
    path = module.path_of(visit.local)
    form = visit.form(
        "presence",
        _switch("presence", "Everybody may see on the web whether I am there", shown.presence),
        _switch("text", "and read my status text", shown.text),
        tag("div", tag("button", "Store")),
    )
    where = tag(
        "p", "It is shown at ", tag("a", path, href=f"{path}/html"), ", to everybody who knows the address."
    )
    return tag("section", tag("h2", "On the web"), where, form)


def _switch(name: str, label: str, is_on: bool) -> Html:
    box = void("input", type="checkbox", id=name, name=name, value="1", checked=is_on)
    return tag("label", box, " ", label, for_=name)


def _data(visit: Visit) -> Html:
    form = visit.form("export", tag("button", "Save a copy"))
    said = (
        "Contacts, vCard, messages that are kept here, bookmarks and what else programs have stored, as one "
        "file that other servers read (XEP-0227). It has no password in it."
    )
    return tag("section", tag("h2", "Your data"), tag("p", said), form)


def _end(visit: Visit) -> Html:
    if not visit.pages.settings.allow_deletion:
        return Html()
    return tag(
        "section",
        tag("h2", "Leave"),
        tag("p", "The account can be deleted, with everything that is stored for it."),
        tag("p", tag("a", "Delete the account", href=visit.to("delete"))),
    )


async def deletion(visit: Visit, wrong: str = "", status: HTTPStatus = HTTPStatus.OK) -> bytes:
    """Give the page that asks once more before the account is deleted."""
    form = visit.form(
        "delete",
        field(
            "address",
            f"To be sure, type the address: {visit.jid.bare}",
            required=True,
            autocomplete="off",
            autocapitalize="none",
            spellcheck="false",
        ),
        field("password", "Your password", "password", required=True, autocomplete="current-password"),
        tag("div", tag("button", "Delete it for ever", class_="harm")),
    )
    gone = (
        "Contacts, messages, vCard and everything else that is stored for it here go with it, and nobody can "
        "bring them back. What you have sent to others stays with them."
    )
    return show(
        visit.request,
        document(
            "Delete the account",
            tag("h1", "Delete the account"),
            tag("p", wrong, class_="wrong", role="alert") if wrong else Html(),
            tag("section", tag("p", gone), form),
            tag("p", tag("a", "No, back to the account", href=visit.pages.signin.path)),
        ),
        status,
    )
