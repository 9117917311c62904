"""Whether a request comes from one of Arbiter's own pages."""

from __future__ import annotations

import pytest

from arbiter_app.browsers import from_own_page


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("https://router.example.com", "router.example.com", True),
        ("https://router.example.com", "router.example.com:443", True),
        ("http://Router.example.com:80", "router.example.com", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://localhost:8001", "localhost:8000", False),
        ("https://router.example.com", "router.example.com:80", False),
        ("https://router.example.com.evil.example", "router.example.com", False),
        ("null", "null", False),
        ("http://", "", False),
    ],
)
def test_an_origin_is_compared_with_the_host(origin: str, host: str, own: bool) -> None:
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    assert from_own_page(headers) is own
    assert from_own_page(headers[:1]) is None
    assert from_own_page([*headers, (b"origin", b"http://evil.example")]) is False
    assert from_own_page([*headers, (b"host", b"evil.example")]) is False
