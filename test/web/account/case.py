"""A server where people look after their accounts."""

from __future__ import annotations

from typing import Any, ClassVar

from palaver.test.served import PASSWORD
from palaver.test.web.bosh import Answer
from palaver.test.web.pages.case import PageCase
from palaver.test.web.pages.visitor import Visitor, key_of

PATH = "/account"
FORM = "application/x-www-form-urlencoded"


class AccountCase(PageCase):
    """Also logs in on the pages."""

    modules: ClassVar[dict[str, Any]] = {
        "mod_mam": {},
        "mod_register": {"allow_registration": False, "password_strength": 20},
    }

    @property
    def host(self) -> Any:
        """The host localhost."""
        return self.palaver.hosts["localhost"]

    async def enter(self, name: str = "romeo", password: str = PASSWORD, **headers: str) -> Visitor:
        """Give somebody whose browser has logged in."""
        visitor = self.visitor()
        answer = await self.try_to_enter(visitor, name, password, **headers)
        self.assertEqual((answer.status, location(answer)), (303, PATH))
        return visitor

    async def try_to_enter(
        self, visitor: Visitor, name: str = "romeo", password: str = PASSWORD, **headers: str
    ) -> Answer:
        """Fill in the form to log in."""
        page = await visitor.get(PATH, **headers)
        fields = {"key": key_of(page), "username": name, "password": password}
        return await visitor.post(f"{PATH}/login", fields, **headers)

    async def do(self, visitor: Visitor, name: str, **fields: str) -> Answer:
        """Send one of the forms that are on the page."""
        key = key_of(await visitor.get(PATH))
        return await visitor.post(f"{PATH}/{name}", {"key": key, **fields})

    async def assert_done(self, visitor: Visitor, answer: Answer, said: str) -> None:
        """Check that something was done, and that the browser is told so."""
        self.assertEqual(answer.status, 303, answer.text)
        page = await visitor.get(location(answer))
        self.assertEqual(page.status, 200)
        self.assertIn(said, page.text)

    def assert_refused(self, answer: Answer, status: int, said: str) -> None:
        """Check that something was not done, and that the page says why."""
        self.assertEqual(answer.status, status, answer.text)
        self.assertIn(f'role="alert">{said}', answer.text)


def location(answer: Answer) -> str:
    """Give where a browser is sent on to."""
    lines = [line.partition(": ") for line in answer.head.split("\r\n")]
    return next((value for name, _, value in lines if name.lower() == "location"), "")
