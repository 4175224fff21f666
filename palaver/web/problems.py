"""Refusals over HTTP: a JSON problem body (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any


def problem(request: Any, status: HTTPStatus, detail: str, **headers: str) -> bytes:
    """Refuse a request; gives the body. ``detail`` is one sentence that says what to do."""
    request.setResponseCode(status.value, status.phrase.encode())
    request.setHeader(b"content-type", b"application/problem+json")
    for name, value in headers.items():
        request.setHeader(name.replace("_", "-").encode(), value.encode())
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    return json.dumps(body).encode()
