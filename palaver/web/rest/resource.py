"""The resource behind a set of routes: who asks, what, and the answer as JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

from pydantic import BaseModel, TypeAdapter, ValidationError
from twisted.web.resource import Resource

from palaver.errors import StanzaError
from palaver.jid import InvalidJID
from palaver.web.pages.respond import respond
from palaver.web.problems import problem
from palaver.web.rest.identity import Identity
from palaver.web.rest.openapi import describe
from palaver.web.rest.routes import MAX_BODY_BYTES, Ask, Created, RestError, Route, WrongMethod, find, refused

JSON = b"application/json"
METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


class RestResource(Resource):
    """Routes below one path."""

    isLeaf = True

    def __init__(
        self,
        host: Any,
        routes: Callable[[], Sequence[Route]],
        who: Callable[[Any], Awaitable[Identity]],
        title: str,
        origins: Sequence[str] = (),
    ) -> None:
        """``routes`` gives those of now; ``who`` raises RestError for strangers; ``title`` is of OpenAPI.

        ``origins`` are the pages whose scripts may ask; they bring names and passwords by themselves.
        """
        super().__init__()
        self._host = host
        self._routes = routes
        self._who = who
        self._title = title
        self._origins = origins

    def max_body_bytes(self, request: Any) -> int:
        """See `palaver.web.site.WebRequest`."""
        return MAX_BODY_BYTES

    def render(self, request: Any) -> Any:
        """Answer."""
        for name, value in HEADERS.items():
            request.setHeader(name, value)
        request.setHeader(b"content-type", JSON)
        self._allow_scripts(request)
        method = request.method.decode("latin-1")
        if method == "OPTIONS":
            request.setHeader("allow", METHODS)
            return b""
        segments = [unquote(part.decode("latin-1"), errors="replace") for part in request.postpath]
        return respond(request, self._answer(request, "GET" if method == "HEAD" else method, segments))

    def _allow_scripts(self, request: Any) -> None:
        """Let scripts of the pages that are configured ask, and read what is answered."""
        if not self._origins:
            return
        request.setHeader("vary", "origin")
        origin = request.getHeader("origin")
        if origin is not None and (origin in self._origins or "*" in self._origins):
            request.setHeader("access-control-allow-origin", origin)
            request.setHeader("access-control-allow-methods", METHODS)
            request.setHeader("access-control-allow-headers", "authorization, content-type")

    async def _answer(self, request: Any, method: str, segments: list[str]) -> bytes:
        try:
            return await self._answered(request, method, segments)
        except WrongMethod as error:
            return problem(request, error.status, error.detail, allow=", ".join(error.methods))
        except StanzaError as error:
            refusal = refused(error)
            return problem(request, refusal.status, refusal.detail)
        except InvalidJID as error:
            return problem(request, HTTPStatus.BAD_REQUEST, f"That is no address: {error}.")
        except RestError as error:
            if error.status == HTTPStatus.UNAUTHORIZED:
                request.setHeader("www-authenticate", 'Basic realm="palaver", charset="UTF-8"')
            return problem(request, error.status, error.detail)

    async def _answered(self, request: Any, method: str, segments: list[str]) -> bytes:
        routes = self._routes()
        if segments == ["openapi.json"] and method == "GET":
            base = "/" + b"/".join(request.prepath).decode("latin-1")
            return json.dumps(describe(routes, self._title, base)).encode()
        identity = await self._who(request)
        route, path = find(routes, method, segments)
        if route.writes and not identity.writes:
            raise RestError(HTTPStatus.FORBIDDEN, "This token may only read")
        body = _body(request, route.body) if route.body is not None else None
        query = _query(request, route.query) if route.query is not None else None
        ask = Ask(self._host, identity.account, path, body, query, request, identity)
        return _encode(request, route, await route.run(ask))


def _body(request: Any, model: type[BaseModel]) -> BaseModel:
    kind = (request.getHeader("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json")
    request.content.seek(0)
    try:
        return model.model_validate_json(request.content.read())
    except ValidationError as error:
        raise RestError(HTTPStatus.BAD_REQUEST, _wrong(error)) from None


def _query(request: Any, model: type[BaseModel]) -> BaseModel:
    given = {}
    for name, values in request.args.items():
        if len(values) > 1:
            raise RestError(HTTPStatus.BAD_REQUEST, "A parameter is there twice")
        given[name.decode("utf-8", "replace")] = values[0].decode("utf-8", "replace")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise RestError(HTTPStatus.BAD_REQUEST, _wrong(error)) from None


def _wrong(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors())


def _encode(request: Any, route: Route, value: Any) -> bytes:
    if isinstance(value, Created):
        request.setResponseCode(HTTPStatus.CREATED.value)
        place = request.uri.partition(b"?")[0].rstrip(b"/") + b"/" + _segment(value.name)
        request.setHeader(b"location", place)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return value.text.encode()
    request.setResponseCode(route.status.value)
    if route.status == HTTPStatus.NO_CONTENT:
        request.responseHeaders.removeHeader(b"content-type")
        return b""
    if isinstance(value, bytes):
        return value
    return TypeAdapter(route.result).dump_json(value, by_alias=True, exclude_none=True)


def _segment(name: str) -> bytes:
    return quote(name, safe="@").encode()
