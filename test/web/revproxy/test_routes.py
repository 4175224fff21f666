"""Routes of the reverse proxy: which requests go where."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from palaver.web.revproxy.routes import Route, UnsafePath, query_of, segments_of

LOCAL = "http://localhost:8080"


class RouteTests(SynchronousTestCase):
    """Patterns and URLs."""

    def test_found(self) -> None:
        """Each request goes where MongooseIM's documentation has it go, or nowhere."""
        for route, request, url in (
            # Its examples.
            (
                ("www.x.com", "/admin", "_", "https://www.x.com/"),
                ("www.x.com", "/admin"),
                "https://www.x.com/",
            ),
            (
                ("www.x.com", "/admin", "_", "https://y.com/"),
                ("www.x.com", "/admin/a/b"),
                "https://y.com/a/b",
            ),
            ((":var.com", "/:var", "_", f"{LOCAL}/"), ("static.com", "/static/i.png"), f"{LOCAL}/i.png"),
            ((":var.com", "/:var", "_", f"{LOCAL}/"), ("static.com", "/other/i.png"), None),
            ((":domain.com", "/", "_", f"{LOCAL}/:domain"), ("abc.com", "/def"), f"{LOCAL}/abc/def"),
            # Hosts.
            (("_", "/", "_", LOCAL), ("any.where.org", "/"), f"{LOCAL}/"),
            (("www.x.com", "/", "_", LOCAL), ("x.com", "/"), None),
            (("www.x.com", "/", "_", LOCAL), ("www.x.com.evil", "/"), None),
            (("WWW.x.com", "/", "_", LOCAL), ("www.x.com", "/"), f"{LOCAL}/"),
            (("_.x.com", "/", "_", LOCAL), ("www.x.com", "/"), f"{LOCAL}/"),
            ((":a.x.com", "/", "_", "http://:a.int:81"), ("www.x.com", "/b"), "http://www.int:81/b"),
            ((":a.x.com", "/", "_", "http://:a.int:81"), ("w@w.x.com", "/b"), None),
            # Paths: whole without one of the upstream's, else what is behind the match.
            (("_", "/a", "_", LOCAL), ("h", "/a/b/"), f"{LOCAL}/a/b/"),
            (("_", "/a", "_", f"{LOCAL}/c/"), ("h", "/a/b/"), f"{LOCAL}/c/b/"),
            (("_", "/a/", "_", f"{LOCAL}/c"), ("h", "/a"), f"{LOCAL}/c/"),
            (("_", "/a", "_", LOCAL), ("h", "/ab"), None),
            (("_", "/a", "_", LOCAL), ("h", "//a"), None),
            (("_", "/a/_/c", "_", f"{LOCAL}/"), ("h", "/a/b/c/d"), f"{LOCAL}/d"),
            (("_", "_", "_", f"{LOCAL}/x"), ("h", "/a"), f"{LOCAL}/x/a"),
            (("_", "/:a", "_", f"{LOCAL}/:a/in"), ("h", "/"), None),
            # What is bound is one segment, whatever it has in it.
            (("_", "/:a", "_", f"{LOCAL}/:a/in"), ("h", "/x%3Fy%20z"), f"{LOCAL}/x%3Fy%20z/in/"),
            (("_", "/:a", "_", "http://:a.int"), ("h", "/evil%2Fx"), None),
            (("_", "/:a", "_", "http://:a.int"), ("h", "/evil.org%23"), None),
            (("_", "/a", "_", LOCAL), ("h", "/a/%C3%BC"), f"{LOCAL}/a/%C3%BC"),
            # Methods.
            (("_", "/", "get", LOCAL), ("h", "/"), f"{LOCAL}/"),
            (("_", "/", "POST", LOCAL), ("h", "/"), None),
        ):
            host, path = request
            found = Route(*route).find(host, segments_of(path.encode()), "GET")
            self.assertEqual(found and found.url, url, (route, request))

    def test_mounts(self) -> None:
        """A route is looked for below the part of its path that is always the same."""
        for path, mount in (
            ("/", "/"),
            ("_", "/"),
            ("/a/b", "/a/b"),
            ("/a/:b/c", "/a"),
            ("/:a", "/"),
            ("/_", "/"),
        ):
            self.assertEqual(Route("_", path, "_", LOCAL).mount, mount)

    def test_wrong(self) -> None:
        """What is no route is refused when it is configured."""
        for host, path, upstream in (
            ("_", "a", LOCAL),
            ("_", "/", "localhost:8080"),
            ("_", "/", "ftp://localhost"),
            ("_", "/", "http://"),
            ("_", "/", "http://localhost:99999"),
            ("_", "/", "http://user@localhost"),
            ("_", "/", "http://localhost/?x=y"),
            ("_", "/", f"{LOCAL}/:unbound"),
            (":2", "/", LOCAL),
            ("_", "/:", LOCAL),
        ):
            self.assertRaises(ValueError, Route, host, path, "_", upstream)

    def test_unsafe(self) -> None:
        """No path climbs out of where it is, however that is written."""
        for path in (
            b"/a/../b",
            b"/a/..",
            b"/./a",
            b"/a/%2e%2E/b",
            b"/a/.%2e",
            b"/a/..%2fb",
            b"/a/x%5c..%5cb",
            b"/a/..\\b",
            b"/a/%00",
            b"/a/%0d%0aX: y",
            b"/a/%7f",
            b"a/b",
            b"http://h/a",
            b"*",
            b"",
        ):
            self.assertRaises(UnsafePath, segments_of, path)

    def test_raw(self) -> None:
        """What came raw and may not is encoded; the rest stays as it came, the query too."""
        self.assertEqual(
            segments_of(b"/a b/\xc3\xbc/<>/%41;x=1,2"), ["a%20b", "%C3%BC", "%3C%3E", "%41;x=1,2"]
        )
        self.assertEqual(query_of(b"/a?x=%41&y=[1]&z=\xff #"), "?x=%41&y=[1]&z=%FF%20%23")
        self.assertEqual((query_of(b"/a"), query_of(b"/a?")), ("", "?"))
