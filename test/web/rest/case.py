"""A server that programs ask over REST."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from palaver.test.served import PASSWORD
from palaver.test.web.bosh import Answer
from palaver.test.web.pages.case import PageCase


def basic(name: str, password: str = PASSWORD) -> str:
    """Give an Authorization header."""
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


class RestCase(PageCase):
    """Also asks."""

    base = ""
    authorization = ""

    async def ask(
        self, method: str, path: str, body: Any = None, authorization: str | None = None, **headers: str
    ) -> Answer:
        """Give the answer to a request; ``body`` is sent as JSON."""
        given = self.authorization if authorization is None else authorization
        if given:
            headers["Authorization"] = given
        data = b""
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers.setdefault("Content_Type", "application/json")
        return await self.visitor().send(method, self.base + path, data, **headers)

    async def json(self, path: str, **options: Any) -> Any:
        """Give what a GET is answered."""
        answer = await self.ask("GET", path, **options)
        self.assertEqual(answer.status, 200, answer.text)
        return json.loads(answer.text)

    async def assert_status(
        self, status: int, method: str, path: str, body: Any = None, **options: Any
    ) -> Answer:
        """Ask, and expect a status; a refusal is a JSON problem with the same status."""
        answer = await self.ask(method, path, body, **options)
        self.assertEqual(answer.status, status, answer.text)
        if status >= 400:
            problem = json.loads(answer.text)
            self.assertEqual(problem["status"], status)
            self.assertTrue(problem["detail"])
        return answer
