"""OpenAPI 3.1 from the routes and the models that check what is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, TypeAdapter

from palaver import __version__
from palaver.web.rest.routes import Route

REF = "#/components/schemas/{model}"
PROBLEM = {
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


def describe(routes: Sequence[Route], title: str, base: str) -> dict[str, Any]:
    """Give the document for the routes below the path ``base``."""
    schemas: dict[str, Any] = {"Problem": PROBLEM}
    paths: dict[str, Any] = {}
    for route in routes:
        operation = _operation(route, schemas)
        paths.setdefault(route.pattern, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "servers": [{"url": base}],
        "security": [{"basic": []}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}{re.sub('[^A-Za-z0-9]+', '_', route.pattern)}",
        "parameters": [*_path(route), *_query(route.query, schemas)],
        "responses": _responses(route, schemas),
    }
    if route.body is not None:
        content = {"application/json": {"schema": _schema(route.body, schemas)}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _path(route: Route) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", route.pattern)
    text = {"type": "string", "minLength": 1}
    return [{"name": name, "in": "path", "required": True, "schema": text} for name in names]


def _query(model: type[BaseModel] | None, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if model is None:
        return []
    whole = model.model_json_schema()
    required = whole.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in whole.get("properties", {}).items()
    ]


def _responses(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": route.status.phrase}
    if route.status == HTTPStatus.CREATED and route.result is None:
        success["content"] = {"text/plain": {"schema": {"type": "string"}}}
    elif route.status != HTTPStatus.NO_CONTENT and route.result is not None:
        success["content"] = {"application/json": {"schema": _schema(route.result, schemas)}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(route.status.value): success,
        "4XX": {"description": "Refused", "content": problem},
        "5XX": {"description": "Not possible here, or not now", "content": problem},
    }


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    found = TypeAdapter(kind).json_schema(ref_template=REF, by_alias=True)
    schemas.update(found.pop("$defs", {}))
    return found
