"""The interfaces against their own OpenAPI documents, with whatever schemathesis makes of them."""

from __future__ import annotations

import json
from typing import Any, ClassVar
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, given, settings
from twisted.internet.threads import deferToThread

from palaver.test.web.rest.test_admin import AdminCase
from palaver.test.web.rest.test_client import ClientCase

# Of each operation; schemathesis makes some that the schema allows and some that it does not.
EXAMPLES = 15
REQUEST_S = 20


class SchemaTests:
    """Mix in to a `RestCase`."""

    async def test_whole_schema(self: Any) -> None:
        """Nothing that fits the document, and nothing that does not, is answered other than it says."""
        try:
            import schemathesis
            from schemathesis.specs.openapi import checks
        except ImportError:
            raise SkipTest("schemathesis is not installed") from None
        # A schema cannot say what an address may hold; and many wrong passwords bring 429, see test_admin.
        self.excluded = [checks.positive_data_acceptance, checks.ignored_auth]
        document = json.loads((await self.ask("GET", "/openapi.json", authorization="")).text)
        document["paths"].pop("/sse", None)
        schema = schemathesis.openapi.from_dict(document)
        url = f"http://127.0.0.1:{self.http_port}{self.base}"
        count = 0
        for found in schema.get_all_operations():
            operation: Any = found.ok()  # type: ignore[union-attr]
            # What ends the server or our own account would end the test.
            if not self.concerns(operation.path):
                continue
            count += 1
            await deferToThread(self.try_operation, operation, url)
        self.assertGreater(count, 8)
        await self.assert_serves()

    def concerns(self, path: str) -> bool:
        """Tell whether a path is tried."""
        return True

    def try_operation(self: Any, operation: Any, url: str) -> None:
        """Ask one operation in many ways; in a thread."""
        headers = {"Authorization": self.authorization, "Host": "localhost"}

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            response = case.call(base_url=url, headers=headers, timeout=REQUEST_S)
            case.validate_response(response, excluded_checks=self.excluded)

        ask()


class ClientSchemaTests(SchemaTests, ClientCase):
    """The client interface."""


class AdminSchemaTests(SchemaTests, AdminCase):
    """The administrators' interface."""

    def concerns(self, path: str) -> bool:
        """Leave the commands out that end the server."""
        return not any(word in path for word in ("shutdown", "restart"))


class DocumentTests(AdminCase):
    """The document itself."""

    modules: ClassVar[dict[str, Any]] = {**AdminCase.modules, "mod_rest_client": {}}

    async def test_document(self) -> None:
        """It names every route and needs no login; the other interface lies beside it."""
        document = json.loads((await self.ask("GET", "/openapi.json", authorization="")).text)
        self.assertEqual(document["openapi"], "3.1.0")
        self.assertEqual(document["servers"], [{"url": "/api/admin"}])
        body = document["paths"]["/users/{host}"]["post"]["requestBody"]["content"]["application/json"]
        self.assertEqual(body["schema"]["required"], ["username", "password"])
        self.assertFalse(body["schema"]["additionalProperties"])
        answer = await self.visitor().get("/api/openapi.json")
        self.assertIn("/rooms/{id}", json.loads(answer.text)["paths"])
