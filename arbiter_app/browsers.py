"""What a browser says with a request of whom it comes from: the page, by `Origin`, and its cookies.

A stranger writes these headers, too: whatever cannot be read is a foreign page's, or no cookie, and never an error.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import cookie_parser

Headers = Iterable[tuple[bytes, bytes]]
_PORTS = {b"http": b":80", b"https": b":443"}


def from_own_page(headers: Headers) -> bool | None:
    """Whether the page that sends this is of the host it is sent to; None without `Origin`, which programs do not send."""
    found = list(headers)
    origins = [bytes(value) for name, value in found if name.lower() == b"origin"]
    hosts = [bytes(value) for name, value in found if name.lower() == b"host"]
    return all(_is_of(origin, hosts) for origin in origins) if origins else None


def cookies(headers: Headers) -> str:
    """All `Cookie` headers as one: a proxy that speaks HTTP/2 to the browser may pass on several."""
    return "; ".join(bytes(value).decode("latin-1") for name, value in headers if name.lower() == b"cookie")


def cookie_in(cookie_header: str, name: str) -> str | None:
    """The value of one cookie. Others beside it, of whatever form, take nothing away from it."""
    return cookie_parser(cookie_header).get(name)


def _is_of(origin: bytes, hosts: list[bytes]) -> bool:
    """Whether an origin is that of the one host, each with or without the port that goes without saying."""
    scheme, _, place = origin.lower().partition(b"://")
    port = _PORTS.get(scheme, b"")
    return bool(place) and [one.lower().removesuffix(port) for one in hosts] == [place.removesuffix(port)]
