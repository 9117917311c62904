"""An address is what one caller has; only a trusted proxy says another."""

from __future__ import annotations

from typing import Any

import pytest

from arbiter_app.addresses import UNKNOWN, address_of
from arbiter_app.server import config_of
from arbiter_app.settings import load_settings
from tests.web.conftest import in_own_loop


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("x" * 9_000, UNKNOWN),
        ("not an address", UNKNOWN),
    ],
)
def test_an_address_is_what_one_caller_has(peer: str, address: str) -> None:
    assert address_of({"client": (peer, 1)}) == address


@pytest.mark.parametrize(
    ("trusted", "peer", "said", "address", "scheme"),
    [
        ("", "127.0.0.1", "203.0.113.9", "127.0.0.1", "http"),
        ("127.0.0.1", "127.0.0.1", "203.0.113.9", "203.0.113.9", "https"),
        ("127.0.0.1", "127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9", "https"),
        ("10.0.0.0/8", "10.1.2.3", "203.0.113.9, 10.9.9.9", "203.0.113.9", "https"),
        ("10.0.0.0/8", "203.0.113.5", "198.51.100.1", "203.0.113.5", "http"),
    ],
)
def test_only_a_trusted_proxy_is_believed(trusted: str, peer: str, said: str, address: str, scheme: str) -> None:
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    config = config_of(load_settings({"ARBITER_TRUSTED_PROXIES": trusted}, env_file=None), application)
    config.load()
    headers = [(b"x-forwarded-for", said.encode()), (b"x-forwarded-proto", b"https")]
    scope = {"type": "http", "client": (peer, 1), "scheme": "http", "headers": headers}
    in_own_loop(config.loaded_app(scope, None, None))  # type: ignore[arg-type]
    assert (address_of(seen[0]), seen[0]["scheme"]) == (address, scheme)
