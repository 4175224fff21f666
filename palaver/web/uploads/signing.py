"""AWS Signature Version 4 in the query of a URL: its bearer may do one thing in a bucket, for a while.

See "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" in the manual of Amazon S3.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import SplitResult, quote, urlencode, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
# The content is not known when the URL is made; its length is signed.
ANY_CONTENT = "UNSIGNED-PAYLOAD"
SERVICE, END = "s3", "aws4_request"
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Keys:
    """Who signs, and in which region."""

    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


def presigned(
    keys: Keys, method: str, url: str, headers: Mapping[str, str], expires_s: int, now_s: float
) -> str:
    """Give a URL with a signature that holds from ``now_s`` (seconds since 1970) on.

    ``url`` is percent-encoded and has no query. ``headers``, by names in small letters, are those that the
    request must have as they are, beside Host.
    """
    parts = urlsplit(url)
    signed = {"host": _host(parts), **headers}
    stamp = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    day = stamp[:8]
    scope = f"{day}/{keys.region}/{SERVICE}/{END}"
    query = _query(
        {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{keys.access_key_id}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(expires_s),
            "X-Amz-SignedHeaders": ";".join(sorted(signed)),
        }
    )
    request = _canonical(method, parts.path or "/", query, signed)
    text = "\n".join((ALGORITHM, stamp, scope, sha256(request.encode()).hexdigest()))
    signature = hmac.digest(_signing_key(keys, day), text.encode(), "sha256").hex()
    return f"{url}?{query}&X-Amz-Signature={signature}"


def _host(parts: SplitResult) -> str:
    """Give what the Host header of a request will be: without a port that goes without saying."""
    return parts.netloc.removesuffix(f":{DEFAULT_PORTS[parts.scheme]}")


def _query(values: Mapping[str, str]) -> str:
    return urlencode(sorted(values.items()), safe="-_.~", quote_via=quote)


def _canonical(method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """Give what is signed. S3 takes the path as it stands in the URL, encoded once."""
    names = sorted(headers)
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in names]
    return "\n".join((method, path, query, *lines, "", ";".join(names), ANY_CONTENT))


def _signing_key(keys: Keys, day: str) -> bytes:
    key = f"AWS4{keys.secret_access_key}".encode()
    for part in (day, keys.region, SERVICE, END):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
