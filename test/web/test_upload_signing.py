"""Signatures of AWS, against what Amazon has published and what its own library makes."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest import mock
from urllib.parse import parse_qs, quote, urlsplit

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from twisted.trial.unittest import SynchronousTestCase

from palaver.web.uploads.signing import Keys, presigned

# Those of Amazon's manual.
KEYS = Keys("us-east-1", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
WHEN = datetime(2013, 5, 24, tzinfo=UTC)


def signature(url: str) -> str:
    """Give the signature in a URL."""
    return parse_qs(urlsplit(url).query)["X-Amz-Signature"][0]


def reference(keys: Keys, method: str, url: str, headers: dict[str, str], expires_s: int) -> str:
    """Give the signature that botocore makes at `WHEN`."""
    signer = auth.S3SigV4QueryAuth(
        Credentials(keys.access_key_id, keys.secret_access_key), "s3", keys.region, expires=expires_s
    )
    request = AWSRequest(method=method, url=url, headers=headers)

    with mock.patch.object(auth, "get_current_datetime", lambda: WHEN):
        signer.add_auth(request)
    return signature(request.url)


class SigningTests(SynchronousTestCase):
    """URLs that carry a signature."""

    def sign(self, method: str, url: str, headers: dict[str, str], expires_s: int = 60) -> str:
        """Sign at `WHEN`."""
        return presigned(KEYS, method, url, headers, expires_s, WHEN.timestamp())

    def test_published(self) -> None:
        """The example in Amazon's manual comes out as it stands there, every character of it."""
        self.assertEqual(
            self.sign("GET", "https://examplebucket.s3.amazonaws.com/test.txt", {}, 86400),
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
            "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
            "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
            "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        )

    def test_botocore(self) -> None:
        """Methods, headers, ports and names of every kind are signed as Amazon's own library signs them."""
        for method, url, headers in (
            ("PUT", "https://b.s3.eu-west-1.amazonaws.com/k/moon.png", {"content-length": "5"}),
            (
                "PUT",
                "https://s3.amazonaws.com/bucket/k/a.png",
                {"content-length": "5", "content-type": "image/png", "x-amz-acl": "public-read"},
            ),
            ("PUT", "http://localhost:9000/b/k/x", {"content-type": "text/plain;  charset=utf-8"}),
            ("DELETE", "https://s3.amazonaws.com:443/bucket/k/x", {}),
            ("HEAD", "http://minio.example.org:80/bucket/k/x", {}),
            *(
                ("PUT", f"https://s3.amazonaws.com/b/k/{quote(name, safe='')}", {"content-length": "1"})
                for name in (
                    "a b.png",
                    "a+b&c=d?e#f",
                    "a%20b",
                    "Über/größe.txt",
                    "~-_.",
                    "月",
                    "a'(b)*!.txt",
                    "%",
                )
            ),
        ):
            self.assertEqual(
                signature(self.sign(method, url, headers)), reference(KEYS, method, url, headers, 60), url
            )

    def test_bound(self) -> None:
        """Whatever is changed, the signature is another one."""
        url, headers = "https://s3.amazonaws.com/b/k/x", {"content-length": "5"}
        one = signature(self.sign("PUT", url, headers))
        others = (
            self.sign("GET", url, headers),
            self.sign("PUT", f"{url}y", headers),
            self.sign("PUT", url, {"content-length": "6"}),
            self.sign("PUT", url, {}),
            self.sign("PUT", url, headers, 61),
            presigned(KEYS, "PUT", url, headers, 60, WHEN.timestamp() + 1),
            presigned(Keys("eu-west-1", "a", "b"), "PUT", url, headers, 60, WHEN.timestamp()),
        )
        self.assertEqual(len({one, *map(signature, others)}), len(others) + 1)

    def test_secret(self) -> None:
        """The key that signs stands nowhere."""
        self.assertNotIn("wJalr", repr(KEYS) + self.sign("PUT", "https://s3.amazonaws.com/b/x", {}))
