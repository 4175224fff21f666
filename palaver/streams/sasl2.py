"""The Extensible SASL Profile on a stream (XEP-0388): elements to and from `palaver.auth.sasl`.

What a client asks for within its ``<authenticate/>`` is done before ``<success/>`` is written, by the
handlers of modules (`palaver.modules.inline`). What is sent to its session meanwhile follows behind that.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.words.xish.domish import Element

from palaver import jid
from palaver.auth.sasl import Exchange, SaslFailure, Success
from palaver.errors import StreamError
from palaver.interfaces import IFastTokens, ILoginTasks
from palaver.log import Log
from palaver.markup import element, escape
from palaver.modules import LOGIN
from palaver.routing.failures import failed
from palaver.stanza import Stanza
from palaver.streams import features
from palaver.streams.negotiation import NS_SASL2, State
from palaver.streams.sasl import NS_SASL, Login, as_sasl, decode_base64
from palaver.waiting import settled

if TYPE_CHECKING:
    from palaver.streams.c2s import ClientStream

log = Log("c2s")

NS_FAST = "urn:xmpp:fast:0"
NS_BIND2 = "urn:xmpp:bind:0"

# That of XML 1.0 section 2.3; other languages' spaces are text.
WHITE_SPACE = " \t\r\n"

# What a client calls itself is shown to people, and stored with tokens.
MAX_AGENT_CHARS = 100
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class Request:
    """What one ``<authenticate/>`` says.

    ``initial`` is the initial response, None when there is none; ``client`` the id of the user agent in
    lower case, None when it has not said, and ``agent`` what it calls itself; ``children`` are the elements
    of other specifications, in order. ``notes`` is for modules, one key a module.
    """

    __slots__ = ("agent", "children", "client", "initial", "mechanism", "notes")

    def __init__(self, node: Element) -> None:
        """Read the element; raises SaslFailure."""
        self.mechanism: str = node.getAttribute("mechanism", "")
        initial = next(node.elements(NS_SASL2, "initial-response"), None)
        self.initial = _data(text_of(initial)) if initial is not None else None
        agent = next(node.elements(NS_SASL2, "user-agent"), None)
        self.client = _client(agent) if agent is not None else None
        self.agent = _agent(agent) if agent is not None else ""
        self.children = [child for child in node.elements() if child.uri != NS_SASL2]
        self.notes: dict[str, Any] = {}

    def child(self, ns: str, name: str) -> Element | None:
        """Give the first child of this name."""
        return next((child for child in self.children if (child.uri, child.name) == (ns, name)), None)


class ExtensibleLogin(Login):
    """The profile of XEP-0388: no stream begins anew, and more than the login may be asked for at once."""

    __slots__ = ("_outcome", "_tasks", "_under_way", "request", "resumed")

    def __init__(self, stream: ClientStream) -> None:
        super().__init__(stream)
        self.request: Request
        # True once the stream carries a session of another one; set by who has seen to that.
        self.resumed = False
        # What the mechanism has come to, while there are tasks to do: all of them, and that which has begun.
        self._outcome: Success | None = None
        self._tasks: list[Any] = []
        self._under_way: Any = None

    # -- from the client -----------------------------------------------------------------

    def _take(self, nonza: Stanza) -> None:
        if nonza.name == "authenticate":
            self._authenticate(nonza)
        elif nonza.name == "abort":
            raise SaslFailure("aborted")
        elif nonza.name == "response" and self._exchange is not None and self._outcome is None:
            self._step(self._exchange, _data(nonza.text))
        elif nonza.name == "next" and self._tasks and self._under_way is None:
            self._begin_task(nonza.element)
        elif nonza.name == "task-data" and self._under_way is not None:
            self.stream.hold()
            self._run(self._do_task(self._under_way, nonza.element))
        else:
            raise StreamError("policy-violation", f"<{nonza.name}/> does not belong here")

    def _authenticate(self, nonza: Stanza) -> None:
        """Begin an attempt (section 2.3)."""
        stream = self.stream
        stream.state = State.AUTHENTICATING
        if not stream.secure:
            raise SaslFailure("encryption-required")
        self.request = Request(nonza.element)
        exchange = self._begin()
        self._step(exchange, self.request.initial)

    def _begin(self) -> Exchange:
        authenticator, facts = self.stream.host.authenticator, self.stream.facts()
        fast = self.request.child(NS_FAST, "fast")
        exchange: Exchange
        if fast is None:
            exchange = authenticator.begin(self.request.mechanism, facts)
        else:
            tokens = self.stream.host.query(IFastTokens)
            if tokens is None:
                raise SaslFailure("invalid-mechanism")
            exchange = authenticator.start(tokens.mechanism(self.request, fast, facts))
        return exchange

    # -- to the client --------------------------------------------------------------------

    def _encode(self, name: str, inner: bytes) -> bytes:
        return element(name, NS_SASL2, inner)

    def _failure(self, failure: SaslFailure) -> bytes:
        text = element("text", None, escape(failure.text)) if failure.text else b""
        return element(failure.condition, NS_SASL) + text

    def _fail(self, failure: SaslFailure) -> None:
        if self.stream.is_open:
            self.stream.state = State.NEGOTIATING
        self._outcome = self._under_way = None
        self._tasks = []
        super()._fail(failure)

    # -- the way to success -----------------------------------------------------------------

    def _succeed(self, outcome: Success) -> None:
        self._exchange = None
        self._run(self._proceed(outcome))

    def _run(self, work: Any) -> None:
        """Do what may have to wait, while nothing is read; then read on."""
        done: Deferred[None] = Deferred.fromCoroutine(work)
        done.addErrback(self._gone_wrong)
        done.addCallback(lambda _: self.stream.go_on())

    def _gone_wrong(self, failure: Failure) -> None:
        if not self.stream.is_open:
            return
        if self.stream.authenticated_as is None:
            self._fail(as_sasl(failure))
        else:
            failed("auth", failure)
            self.stream.end(StreamError("internal-server-error"))

    async def _proceed(self, outcome: Success) -> None:
        """Do what is asked for, or first have the tasks done that are needed (section 2.6.3)."""
        self._check_claim(outcome.local)
        tasks = self.stream.host.query(ILoginTasks)
        if tasks is not None:
            self._exchange = self.stream.host.authenticator.watch(outcome.local)
            self._tasks = list(await tasks.needed(self.request, outcome))
            self._check_exchange()
        if self._tasks:
            self._outcome = outcome
            self._continue(outcome.data)
        else:
            await self._finish(outcome)

    def _check_claim(self, local: str) -> None:
        """Compare who has logged in with what the stream header said (section 2.3)."""
        try:
            claimed = jid.parse(self.stream.claimed) if self.stream.claimed else None
        except jid.InvalidJID:
            return
        if claimed is not None and claimed.local and claimed.bare != f"{local}@{self.stream.host.domain}":
            raise SaslFailure("invalid-authzid", "The stream header names somebody else")

    def _check_exchange(self) -> None:
        """Refuse an account that was locked out or deleted, or has a new password, since it was shown."""
        if self._exchange is None or self._exchange.is_over:
            raise SaslFailure("not-authorized")

    # -- tasks --------------------------------------------------------------------------------

    def _continue(self, data: bytes | None) -> None:
        task = element("task", None, escape(self._tasks[0].name))
        self.stream.write(element("continue", NS_SASL2, _additional(data) + element("tasks", None, task)))

    def _begin_task(self, node: Element) -> None:
        task = self._tasks[0]
        if node.getAttribute("task") != task.name:
            raise SaslFailure("malformed-request", "Another task is to be done")
        self._under_way = task
        self.stream.write(element("task-data", NS_SASL2, task.begin()))

    async def _do_task(self, task: Any, node: Element) -> None:
        """Take what the client makes of a task, and go on with the next one."""
        await task.finish(node)
        self._check_exchange()
        outcome = self._outcome
        assert outcome is not None
        self._under_way = None
        del self._tasks[0]
        if self._tasks:
            self._continue(None)
        else:
            # What the login read may be out of date by now.
            await self._finish(outcome._replace(data=None, documents=None))

    # -- success --------------------------------------------------------------------------------

    async def _finish(self, outcome: Success) -> None:
        """Do what was asked for with the login, and say what came of it (section 2.6.1)."""
        stream = self.stream
        if not stream.is_open:
            return
        self._exchange = None
        self._note_login(outcome)
        held = stream.connection = Held(stream.connection)
        answers = None
        try:
            answers = await self._inline(outcome)
        except StreamError as error:
            stream.end(error)
        finally:
            stream.connection = held.connection
        if answers is None:
            return
        session = stream.session
        identity = session.jid.full if session is not None else f"{outcome.local}@{stream.host.domain}"
        named = element("authorization-identifier", None, escape(identity))
        answer = _additional(outcome.data) + named + b"".join(answers)
        stream.write(element("success", NS_SASL2, answer))
        if stream.state is State.AUTHENTICATING:
            stream.state = State.AUTHENTICATED
        if not self.resumed:
            # A resumed session has negotiated all that it wants (XEP-0198 section 9.2).
            stream.write(features.encode(stream))
        held.release()

    async def _inline(self, outcome: Success) -> list[bytes] | None:
        """Do everything that was asked for within the login; gives the answers, None at the stream's end."""
        stream, host = self.stream, self.stream.host
        answers = []
        # Whether there is something to bind is known once a resumption was tried (XEP-0386 section 3.2).
        for child in sorted(self.request.children, key=lambda child: child.uri == NS_BIND2):
            handler = host.inline.get((LOGIN, child.uri, child.name))
            if handler is not None and stream.is_open:
                answers.append(await guarded(handler, child, self))
        tokens = host.query(IFastTokens)
        if tokens is not None and stream.is_open:
            answers.append(await guarded(tokens.settle, self, outcome))
        return [answer for answer in answers if answer is not None] if stream.is_open else None


class Held:
    """Stands in for a connection: what is written waits for `release`, or for the end of the stream."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._kept: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Keep an element."""
        self._kept.append(data)

    def release(self) -> None:
        """Write what was kept."""
        for data in self._kept:
            self.connection.write(data)

    def close_stream(self) -> None:
        """Write what was kept, then the end of the stream."""
        self.release()
        self.connection.close_stream()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


async def guarded(handler: Any, *arguments: Any) -> bytes | None:
    """Give a module's answer; without one when it fails, since the login is right all the same.

    Raises StreamError.
    """
    try:
        answer: bytes | None = await settled(handler(*arguments))
    except StreamError:
        raise
    except Exception:
        failed("inline", Failure())
        return None
    return answer


def text_of(node: Element) -> str:
    """Give the text right inside an element, without white space around it."""
    return "".join(child for child in node.children if isinstance(child, str)).strip(WHITE_SPACE)


def _data(text: str) -> bytes:
    """Decode base64 (section 2.2); raises SaslFailure."""
    return decode_base64(text.strip(WHITE_SPACE))


def _client(agent: Element) -> str | None:
    """Give the id of a ``<user-agent/>``; raises SaslFailure when it is not what section 2.3 demands."""
    identity: str | None = agent.getAttribute("id")
    if identity is None:
        return None
    if not _UUID.fullmatch(identity):
        raise SaslFailure("malformed-request", "The id of a user agent is a UUID")
    return identity.lower()


def _agent(agent: Element) -> str:
    """Give what a ``<user-agent/>`` says of software and device, for people (section 2.3)."""
    said = [next(agent.elements(NS_SASL2, name), None) for name in ("software", "device")]
    return ", ".join(text_of(node)[:MAX_AGENT_CHARS] for node in said if node is not None and text_of(node))


def _additional(data: bytes | None) -> bytes:
    return element("additional-data", None, base64.b64encode(data)) if data is not None else b""
