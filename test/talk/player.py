"""Plays a conversation file: does what its clients do, and checks what they see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.words.xish import domish

from palaver.test.talk.match import Words, fill, match
from palaver.test.talk.script import PASSWORD, Script, Step
from palaver.test.wire import parsed_all


class Mismatch(AssertionError):
    """The server did something else than the file says."""


class Player:
    """Plays one file.

    ``connect`` gives a new connection: a `palaver.test.wire.Wire`, or something with its methods
    that speaks to the server in another way.
    """

    def __init__(self, script: Script, connect: Callable[[], Awaitable[Any]]) -> None:
        self._script = script
        self._new_connection = connect
        self._clients: dict[str, Any] = {}
        self._words: Words = {}

    async def play(self) -> None:
        """Take the steps one after the other. Raises `Mismatch`, which names the line."""
        try:
            for step in self._script.steps:
                await self._take(step)
            for name, client in self._clients.items():
                if client.jid and not client.lost:
                    await self._take(Step(0, name, "receive_nothing"))
        finally:
            for client in self._clients.values():
                client.drop()

    async def _take(self, step: Step) -> None:
        try:
            await getattr(self, f"_{step.action}")(step)
        except (AssertionError, KeyError) as error:
            where = f"line {step.line}" if step.line else "at the end"
            raise Mismatch(f"{where}, {step.client} {step.action}: {error}") from error

    # -- what a client does ---------------------------------------------------------------

    async def _connect(self, step: Step) -> Any:
        client = self._clients[step.client] = await self._new_connection()
        return client

    async def _log_in(self, step: Step) -> None:
        client = await self._connect(step)
        await client.log_in(step.argument, PASSWORD)
        self._words[step.client] = client.jid

    async def _encrypt(self, step: Step) -> None:
        self._clients[step.client].encrypt()

    async def _send(self, step: Step) -> None:
        client = self._clients[step.client]
        client.send(fill(step.argument, self._words))
        if client.jid and not step.argument.endswith("</stream:stream>"):
            # What was sent is done, and stored, before anybody takes the next step.
            await client.ask()

    async def _close(self, step: Step) -> None:
        await self._clients[step.client].close()

    async def _drop(self, step: Step) -> None:
        client = self._clients[step.client]
        client.drop()
        await client.closed()

    # -- what a client sees --------------------------------------------------------------------

    async def _receive(self, step: Step) -> None:
        client = self._clients[step.client]
        for template in parsed_all(step.argument):
            element = await client.next()
            found = match(template, element, self._words)
            if found is None:
                raise Mismatch(f"not what came\n  wanted {template.toXml()}\n  came   {element.toXml()}")
            self._words = found

    async def _receive_any(self, step: Step) -> None:
        client = self._clients[step.client]
        wanted = parsed_all(step.argument)
        while wanted:
            element = await client.next()
            self._words = self._match_one(wanted, element)

    def _match_one(self, wanted: list[domish.Element], element: domish.Element) -> Words:
        """Take the first template that fits out of the list; gives the words after it."""
        for template in wanted:
            found = match(template, element, self._words)
            if found is not None:
                wanted.remove(template)
                return found
        raise Mismatch(f"nothing of that sort is wanted: {element.toXml()}")

    async def _receive_nothing(self, step: Step) -> None:
        client = self._clients[step.client]
        if client.jid:
            await client.ask()
        if client.elements:
            raise Mismatch(f"something came: {client.elements[0].toXml()}")

    async def _closed(self, step: Step) -> None:
        client = self._clients[step.client]
        await client.closed()
        if client.elements:
            raise Mismatch(f"something came before the end: {client.elements[0].toXml()}")
        if not client.ended:
            raise Mismatch("the connection ended without the end of the stream")
