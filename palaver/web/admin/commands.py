"""Every command as a page: its form is made from its arguments, as for clients and the command line."""

from __future__ import annotations

from http import HTTPStatus

from palaver.commands import command as commands
from palaver.commands import typed
from palaver.commands.always import named_commands
from palaver.commands.command import Call, Command, Done
from palaver.errors import StanzaError
from palaver.forms import Form
from palaver.log import Log
from palaver.web.admin import forms
from palaver.web.admin.frame import PageError, Visit, button, framed, link, section, slug
from palaver.web.pages.html import Html, tag, void
from palaver.web.rest.routes import refused

# Which page shows what commands of these first words change.
PAGES = {
    "account": "accounts",
    "session": "sessions",
    "room": "rooms",
    "light": "light",
    "invite": "invitations",
    "domain": "modules",
}
GROUPS = "Others"

log = Log("administration")


async def offered(call: Call) -> list[Command]:
    """Give the commands that an administrator may run, by name. Raises StorageError."""
    found = named_commands(call.host)
    held = {kind: await commands.has(kind, call) for kind in {each.permission for each in found.values()}}
    return sorted((each for each in found.values() if held[each.permission]), key=lambda each: each.name)


async def listing(visit: Visit) -> bytes:
    """List the commands in groups."""
    groups: dict[str, list[Command]] = {}
    for command in await offered(visit.call):
        group, space, _ = command.name.partition(" ")
        groups.setdefault(group if space else GROUPS, []).append(command)
    parts = [
        section(group.capitalize(), tag("ul", *(_line(visit, command) for command in found)))
        for group, found in groups.items()
    ]
    return framed(visit, "Commands", *parts)


def _line(visit: Visit, command: Command) -> Html:
    href = visit.to("commands", slug(command.name))
    return tag("li", link(command.title, href), " ", tag("code", command.name, class_="soft"))


async def form(visit: Visit) -> bytes:
    """Show the form of a command; what the address brings along is filled in."""
    command = await _found(visit)
    asked = await _asked(command, visit)
    # What the address says nothing of stays as the command has it.
    given = {name: texts for name, texts in forms.submitted(visit.request, asked).items() if texts != ["0"]}
    return framed(visit, command.title, _form(visit, command, asked, given))


async def run(visit: Visit) -> bytes:
    """Run a command with a posted form: tells what it did, or shows the form again and what is wrong."""
    command = await _found(visit)
    asked = await _asked(command, visit)
    given = forms.submitted(visit.request, asked)
    if command.harm and visit.asked("sure") != "yes":
        return _again(visit, command, asked, given, "Tick the box to say that you are sure.")
    model = command.arguments
    try:
        answer = await command.run(visit.call, typed.read(model, given) if model is not None else None)
    except StanzaError as error:
        refusal = refused(error)
        return _again(visit, command, asked, given, refusal.detail, refusal.status)
    # What it was given is not logged: passwords may be among that.
    log.info("web-command", command=command.name, by=visit.login.account.bare, host=visit.host.domain)
    if not isinstance(answer, Done):
        sentence = "This command asks in several steps; run it with a client."
        raise PageError(HTTPStatus.NOT_IMPLEMENTED, sentence)
    return framed(visit, command.title, *_outcome(visit, command, answer))


async def _found(visit: Visit) -> Command:
    for command in await offered(visit.call):
        if slug(command.name) == visit.rest[0]:
            return command
    raise PageError(HTTPStatus.NOT_FOUND, "There is no such command here, or it is not for you.")


async def _asked(command: Command, visit: Visit) -> Form:
    """Give the form of a command."""
    if command.arguments is None:
        return Form("form", command.title)
    values = await command.prefill(visit.call) if command.prefill is not None else {}
    return typed.asking(command.arguments, command.form_type or command.node, command.title, values)


def _again(
    visit: Visit,
    command: Command,
    asked: Form,
    given: forms.Given,
    wrong: str,
    status: HTTPStatus = HTTPStatus.BAD_REQUEST,
) -> bytes:
    said = tag("p", wrong, class_="wrong", role="alert")
    return framed(visit, command.title, said, _form(visit, command, asked, given), status=status)


def _form(visit: Visit, command: Command, asked: Form, given: forms.Given) -> Html:
    sure: list[Html] = []
    if command.harm:
        box = void("input", type="checkbox", name="sure", value="yes", required=True)
        sure = [tag("p", command.harm, class_="harm"), tag("label", box, "I am sure", class_="check")]
    return tag(
        "section",
        tag(
            "form",
            visit.pages.signin.hidden(visit.login),
            *forms.inputs(asked, given),
            *sure,
            tag(
                "div",
                tag("button", command.title, class_="harm" if command.harm else None),
                button("Cancel", _back(visit, command)),
            ),
            method="post",
            action=visit.to("commands", slug(command.name)),
        ),
    )


def _outcome(visit: Visit, command: Command, done: Done) -> list[Html]:
    parts = [tag("p", done.said, role="status")] if done.said else []
    if done.result is not None:
        told = typed.told(done.result, done.form_type or command.form_type or command.node)
        parts.append(tag("section", forms.results(told)))
    return [*parts, button("Go on", _back(visit, command))]


def _back(visit: Visit, command: Command) -> str:
    return visit.to(PAGES.get(command.name.partition(" ")[0], "commands"))


async def about(visit: Visit, account: str) -> Html:
    """Give links to the commands about one account."""
    found = []
    for command in await offered(visit.call):
        names = command.arguments.model_fields if command.arguments is not None else {}
        name = next((name for name in ("accountjid", "accountjids") if name in names), None)
        if name is not None:
            href = visit.to("commands", slug(command.name), **{name: account})
            found.append(tag("li", link(command.title, href)))
    return tag("ul", *found)
