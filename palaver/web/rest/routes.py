"""What can be asked over REST: each route is one value, which routing and OpenAPI are made from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from palaver.errors import StanzaError

# One request does not ask for more; see `palaver.web.site.WebRequest`.
MAX_BODY_BYTES = 256 * 1024

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Given(BaseModel):
    """What a request brings: closed and typed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class RestError(Exception):
    """A request is refused: with a status, and a sentence."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Created(NamedTuple):
    """Something was made: it is called ``name``, which the answer and its Location say."""

    name: str
    text: str


class Ask(NamedTuple):
    """One request.

    ``host``  the host whose page it is; ``caller`` the account that asks, or None for whoever administers
    ``path``  the variable segments by name; ``body`` and ``query`` instances of the route's models, or None
    """

    host: Any
    caller: Any
    path: Mapping[str, str]
    body: Any
    query: Any
    request: Any
    identity: Any


class Route(NamedTuple):
    """One thing to ask.

    ``pattern``  segments; one in braces is variable
    ``status``   of success; 204 answers without a body
    ``result``   the type of what is answered, for OpenAPI
    ``writes``   False when a token that may only read is enough
    """

    method: Method
    pattern: str
    run: Callable[[Ask], Awaitable[Any]]
    summary: str
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    result: Any = None
    status: HTTPStatus = HTTPStatus.OK
    writes: bool = False

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """Give the variable segments of a path, None for another path."""
        own = self.pattern.strip("/").split("/")
        if len(own) != len(segments):
            return None
        found = {}
        for name, segment in zip(own, segments, strict=True):
            if name.startswith("{"):
                if not segment:
                    return None
                found[name[1:-1]] = segment
            elif name != segment:
                return None
        return found


class Matched(NamedTuple):
    """The route of a request."""

    route: Route
    path: dict[str, str]


def find(routes: Iterable[Route], method: str, segments: list[str]) -> Matched:
    """Give the route for a path. Raises RestError: 404, or 405 for a path that takes other methods."""
    methods = []
    for route in routes:
        path = route.match(segments)
        if path is not None:
            if route.method == method:
                return Matched(route, path)
            methods.append(route.method)
    if methods:
        raise WrongMethod(methods)
    raise RestError(HTTPStatus.NOT_FOUND, "There is nothing at this address")


class WrongMethod(RestError):
    """A path that takes other methods."""

    def __init__(self, methods: list[Method]) -> None:
        super().__init__(
            HTTPStatus.METHOD_NOT_ALLOWED, "This address takes: " + ", ".join(sorted(set(methods)))
        )
        self.methods = methods


STATUS = {
    "item-not-found": HTTPStatus.NOT_FOUND,
    "conflict": HTTPStatus.FORBIDDEN,
    "forbidden": HTTPStatus.FORBIDDEN,
    "not-allowed": HTTPStatus.FORBIDDEN,
    "not-authorized": HTTPStatus.FORBIDDEN,
    "registration-required": HTTPStatus.FORBIDDEN,
    "policy-violation": HTTPStatus.FORBIDDEN,
    "feature-not-implemented": HTTPStatus.NOT_IMPLEMENTED,
    "service-unavailable": HTTPStatus.NOT_IMPLEMENTED,
    "resource-constraint": HTTPStatus.TOO_MANY_REQUESTS,
    "remote-server-not-found": HTTPStatus.NOT_FOUND,
    "internal-server-error": HTTPStatus.SERVICE_UNAVAILABLE,
    "remote-server-timeout": HTTPStatus.SERVICE_UNAVAILABLE,
}


def refused(error: StanzaError) -> RestError:
    """Give the answer for what the house has refused."""
    status = STATUS.get(error.condition, HTTPStatus.BAD_REQUEST)
    return RestError(status, error.text or f"That cannot be done: {error.condition}.")
