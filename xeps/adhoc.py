"""XEP-0050: Ad-Hoc Commands: operations of the server that clients find, fill in and run.

Which commands there are is up to other modules; each says who may run it, and nobody else sees it.
"""

from __future__ import annotations

from pydantic import Field

from palaver import forms
from palaver.commands import command as commands
from palaver.commands import typed
from palaver.commands.command import Answer, Call, Command, Done, Step
from palaver.commands.sessions import CommandSessions, Running
from palaver.commands.typed import NS_COMMANDS
from palaver.errors import StanzaError
from palaver.events import SessionUnbound
from palaver.interfaces import ICommands
from palaver.markup import element, escape
from palaver.modules import HOST, Module, Settings, command, every, iq, on
from palaver.routing.disco import NS_INFO, NS_ITEMS, info
from palaver.stanza import Stanza

ACTIONS = ("execute", "next", "prev", "complete", "cancel")
EXPIRE_EVERY_S = 60.0
# The id of what was over at once: nobody can go on with it.
COMPLETED = "completed"


class AdHocSettings(Settings):
    """Options of mod_adhoc."""

    report_commands_node: bool = Field(
        False, description="List the node of the commands among the services of the host."
    )
    session_expiry: float = Field(
        600, ge=10, le=86400, description="Seconds for which a command waits for its next step."
    )
    max_sessions: int = Field(
        1000, ge=1, le=100000, description="How many commands may wait for a step at a time."
    )
    max_sessions_per_client: int = Field(
        10, ge=1, le=1000, description="The same for one client; one more ends its oldest."
    )


class AdHocCommands(Module):
    """Lists the commands that somebody may run, and takes people through their steps."""

    Settings = AdHocSettings
    features = (NS_COMMANDS,)
    provides = (ICommands,)

    settings: AdHocSettings

    def start(self) -> None:
        """Answer for the commands' nodes."""
        chosen = self.settings
        self._sessions = CommandSessions(
            self.host.clock, chosen.session_expiry, chosen.max_sessions, chosen.max_sessions_per_client
        )
        disco = self.host.disco
        self.undo(disco.add_node(HOST, NS_ITEMS, NS_COMMANDS, self._list))
        self.undo(disco.add_node(HOST, NS_INFO, NS_COMMANDS, self._describe_list))
        self.undo(disco.add_nodes(self._describe))
        if chosen.report_commands_node:
            self.undo(disco.add_item(NS_COMMANDS, "Commands"))

    # -- finding them (section 2) -----------------------------------------------------------

    async def _list(self, request: Stanza) -> bytes:
        """List what the asker may run."""
        items = [
            element("item", jid=self.host.domain, node=found.node, name_=found.title)
            for found in await commands.runnable(self._call(request))
        ]
        return element("query", NS_ITEMS, b"".join(items), node=NS_COMMANDS)

    def _describe_list(self, request: Stanza) -> bytes:
        identity = ("automation", "command-list", "Commands")
        return info((identity,), (NS_INFO, NS_ITEMS), node=NS_COMMANDS)

    async def _describe(self, ns: str, node: str, request: Stanza) -> bytes | None:
        """Say what one command is, to who may run it; None when there is no such command for the asker."""
        found = commands.find(self.host, node)
        if found is None or not await commands.may_run(found, self._call(request)):
            return None
        if ns == NS_ITEMS:
            return element("query", NS_ITEMS, node=node)
        identity = ("automation", "command-node", found.title)
        return info((identity,), (NS_COMMANDS, forms.NS_DATA), node=node)

    # -- running them (section 3) --------------------------------------------------------------

    @iq("set", NS_COMMANDS, "command")
    async def run(self, request: Stanza) -> bytes:
        """Begin a command, or go on with one: who asks is checked at every step."""
        node = request.child(NS_COMMANDS, "command")
        call = self._call(request)
        assert node is not None and call.by is not None
        found = commands.find(self.host, node.getAttribute("node", ""))
        if found is None:
            raise StanzaError("item-not-found", "There is no such command")
        await commands.check(found, call)
        action = node.getAttribute("action", "execute")
        if action not in ACTIONS:
            raise StanzaError("bad-request", extra=element("malformed-action", NS_COMMANDS))
        key = node.getAttribute("sessionid")
        if not key:
            if action != "execute":
                raise _bad_action()
            return self._answer(found, await found.begin(call), call.by.full, None, None)
        running = self._sessions.take(key, found, call.by.full)
        if action == "cancel":
            return _command(found, key, "canceled")
        return await self._go_on(key, running, action, call, request)

    async def _go_on(self, key: str, running: Running, action: str, call: Call, request: Stanza) -> bytes:
        """Do a step of a session; what is wrong with the form leaves the session where it is."""
        if action == "prev":
            if len(running.steps) == 1:
                self._sessions.put(key, running)
                raise _bad_action()
            running = running._replace(steps=running.steps[:-1])
            self._sessions.put(key, running)
            return self._show(running, key)
        step = running.steps[-1]
        try:
            given = typed.read(step.arguments, _submitted(request, running.command))
            answer = await step.proceed(call, given)
        except Exception:
            self._sessions.put(key, running)
            raise
        return self._answer(running.command, answer, running.owner, key, running)

    def _answer(
        self, found: Command, answer: Answer, owner: str, key: str | None, running: Running | None
    ) -> bytes:
        """Give the next form, or the outcome."""
        if isinstance(answer, Done):
            return _command(found, key or COMPLETED, "completed", _outcome(found, answer))
        if running is None or key is None:
            key = self._sessions.open(found, owner, answer)
            return self._show(Running(found, owner, (answer,), 0), key)
        running = running._replace(steps=(*running.steps, answer))
        self._sessions.put(key, running)
        return self._show(running, key)

    def _show(self, running: Running, key: str) -> bytes:
        return _command(running.command, key, "executing", _asked(running.command, running.steps))

    @on(SessionUnbound)
    def gone(self, event: SessionUnbound) -> None:
        """Forget what a client has left open."""
        self._sessions.forget(event.session.jid.full)

    @every(EXPIRE_EVERY_S)
    def expire(self) -> None:
        """Forget what nobody goes on with."""
        self._sessions.expire()

    def _call(self, request: Stanza) -> Call:
        return Call(self.host, request.sender)

    # -- the one of its own ----------------------------------------------------------------------

    @command("ping", "server ping", "Ping", permission="anyone")
    async def ping(self, call: Call, given: None) -> Done:
        """Answer."""
        return Done("Pong")


def _submitted(request: Stanza, found: Command) -> dict[str, list[str]]:
    """Give the fields of the form of a request. Raises StanzaError ``bad-payload``."""
    node = request.child(NS_COMMANDS, "command")
    assert node is not None
    fields = forms.read(node, found.form_type or found.node)
    if fields is None:
        raise typed.bad_payload("The command's form is wanted, submitted")
    return fields


def _asked(found: Command, steps: tuple[Step, ...]) -> bytes:
    """Give the actions that make sense now and the form of the last step (section 3.4)."""
    step = steps[-1]
    form = typed.asking(step.arguments, found.form_type or found.node, found.title, step.values)
    back = element("prev") if len(steps) > 1 else b""
    actions = element("actions", None, back + element("next") + element("complete"), execute="complete")
    return actions + forms.encode(form)


def _outcome(found: Command, done: Done) -> bytes:
    note = element("note", None, escape(done.said), type="info") if done.said else b""
    if done.result is None:
        return note
    form_type = done.form_type or found.form_type or found.node
    return note + forms.encode(typed.told(done.result, form_type))


def _command(found: Command, key: str, status: str, inner: bytes = b"") -> bytes:
    return element("command", NS_COMMANDS, inner, node=found.node, sessionid=key, status=status)


def _bad_action() -> StanzaError:
    return StanzaError("bad-request", extra=element("bad-action", NS_COMMANDS))
