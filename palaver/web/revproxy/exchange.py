"""One request on its way to another web server, and its answer on the way back."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.python.failure import Failure
from twisted.web.client import RequestGenerationFailed, RequestTransmissionFailed
from twisted.web.iweb import IAgent

from palaver.log import Log
from palaver.push.http import FAILURES
from palaver.web.problems import problem
from palaver.web.revproxy.bodies import Answer, Body, Unwanted
from palaver.web.revproxy.headers import answer_headers

log = Log("revproxy")

NOT_ASKED = (*FAILURES, RequestGenerationFailed, RequestTransmissionFailed)


class Exchange:
    """A request and its answer. It is given up when nothing moves for ``timeout_s`` in either direction."""

    def __init__(self, request: Any, length: int | None, clock: Any, timeout_s: float) -> None:
        self._request = request
        self._clock = clock
        self._timeout_s = timeout_s
        self._moved_s = clock.seconds()
        self._timer: Any = clock.callLater(timeout_s, self._look)
        self._ready: Deferred[None] = Deferred()
        self._answer: Answer | None = None
        self._asked: Deferred[Any] | None = None
        self._is_over = False
        self._timed_out = False
        self.body = Body(request.channel.transport, length, self._moved, self._left)
        self.done: Deferred[None] = Deferred()
        """Fires when it is over, however."""

    def start(self, agent: IAgent, method: bytes, url: str, headers: Any) -> None:
        """Begin."""
        body = self.body if self.body.length else None
        Deferred.fromCoroutine(self._run(agent, method, url, headers, body)).addErrback(self._broken)

    def ready(self) -> None:
        """Note that the request has come whole, so that it may be answered."""
        self.body.end()
        self._ready.callback(None)

    async def _run(self, agent: Any, method: bytes, url: str, headers: Any, body: Body | None) -> None:
        try:
            self._asked = agent.request(method, url.encode("ascii"), headers, body)
            response = await self._asked
        except NOT_ASKED as error:
            await self._ready
            self._refuse(url, error)
            return
        # What is still to come of the request is read and forgotten before its answer begins.
        await self._ready
        await self._pass_on(response, method == b"HEAD")

    async def _pass_on(self, response: Any, is_head: bool) -> None:
        request = self._request
        if self._is_over:
            response.deliverBody(Unwanted())
            return
        request.setResponseCode(response.code, response.phrase)
        # What the upstream does not say is not said.
        request.defaultContentType = None
        for name, values in answer_headers(response, is_head).getAllRawHeaders():
            request.responseHeaders.setRawHeaders(name, values)
        self._answer = Answer(request, self._moved)
        response.deliverBody(self._answer)
        is_whole = await self._answer.finished
        if self.done.called:
            return
        request.unregisterProducer()
        self._end()
        if is_whole:
            request.finish()
        else:
            # Its head is out, and has promised more.
            self._cut_off()

    def _refuse(self, url: str, error: Exception) -> None:
        if self._is_over:
            return
        is_late = self._timed_out or isinstance(error, TimeoutError)
        status = HTTPStatus.GATEWAY_TIMEOUT if is_late else HTTPStatus.BAD_GATEWAY
        detail = "The server behind this one does not answer" + (" in time" if is_late else "")
        # Nothing of the path, which may have secrets in it.
        log.warn("not-forwarded", upstream="/".join(url.split("/")[:3]), reason=type(error).__name__)
        body = problem(self._request, status, detail)
        self._end()
        self._request.write(b"" if self._request.method == b"HEAD" else body)
        self._request.finish()

    def _moved(self) -> None:
        self._moved_s = self._clock.seconds()

    def _look(self) -> None:
        """Give it up when nothing has moved for too long."""
        left = self._moved_s + self._timeout_s - self._clock.seconds()
        if left > 0:
            self._timer = self._clock.callLater(left, self._look)
            return
        self._timer = None
        self._timed_out = True
        if self._answer is not None or not self._ready.called:
            self._cut_off()
        elif self._asked is not None:
            self._asked.cancel()

    def _cut_off(self) -> None:
        request = self._request
        if request.channel is not None:
            request.channel.forceAbortClient()

    def _left(self) -> None:
        """Give it up: the client is gone. Does nothing once it is over."""
        if self._is_over:
            return
        self._end()
        self.body.drop()
        if self._answer is not None:
            self._answer.stopProducing()
        elif self._asked is not None:
            self._asked.cancel()
        if not self._ready.called:
            self._ready.callback(None)

    def _end(self) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.done.callback(None)

    def _broken(self, failure: Failure) -> None:
        log.failure("exchange-failed", failure)
        if not self._is_over:
            self._end()
            self._cut_off()
