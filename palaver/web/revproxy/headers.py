"""Headers on their way through: what is for one connection only stays behind (RFC 9110 section 7.6.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.web.http_headers import Headers

HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection",
        b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
# Of requests; their body is framed anew, and what says who has sent them is said by us.
REPLACED = HOP_BY_HOP | {
    b"content-length", b"expect", b"forwarded", b"host", b"via", b"x-forwarded-for", b"x-forwarded-host",
    b"x-forwarded-proto", b"x-real-ip",
}  # fmt: skip
VIA = b"1.1 palaver"


def upstream_headers(request: Any, client: Any, more: Iterable[tuple[str, str]]) -> Headers:
    """Give the headers for the upstream; ``client`` is who sent the request, ``more`` is set above all."""
    headers = _without(request.requestHeaders, REPLACED)
    headers.setRawHeaders(b"x-forwarded-for", [client.address.encode()])
    headers.setRawHeaders(b"x-forwarded-proto", [b"https" if client.secure else b"http"])
    named = request.getHeader(b"host")
    if named:
        headers.setRawHeaders(b"x-forwarded-host", [named])
    headers.setRawHeaders(b"via", [*request.requestHeaders.getRawHeaders(b"via", ()), VIA])
    for name, value in more:
        headers.setRawHeaders(name.encode(), [value.encode()])
    return headers


def answer_headers(response: Any, is_head: bool) -> Headers:
    """Give the headers for the client; the length too, where there is a body of a known length."""
    headers = _without(response.headers, HOP_BY_HOP)
    if isinstance(response.length, int) and not is_head and response.code not in (204, 304):
        headers.setRawHeaders(b"content-length", [b"%d" % response.length])
    return headers


def _without(headers: Headers, names: frozenset[bytes]) -> Headers:
    """Give a copy without some headers, and without those that ``Connection`` names."""
    lines = headers.getRawHeaders(b"connection", ())
    named = {token.strip().lower() for line in lines for token in line.split(b",")}
    copy = Headers()
    for name, values in headers.getAllRawHeaders():
        if name.lower() not in names and name.lower() not in named:
            copy.setRawHeaders(name, values)
    return copy
