"""Whose address counts, behind which proxies; and how much of what strangers cause is logged."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from arbiter_app import logs
from arbiter_app.addresses import UNKNOWN, address_of
from arbiter_app.connections import ConnectionLimiter
from arbiter_app.notices import bounds
from arbiter_app.server import config_of
from arbiter_app.settings import load_settings
from tests.web.conftest import in_own_loop


def line(level: int = logging.INFO, name: str = "arbiter") -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, "x", None, None)


def test_lines_over_the_rate_are_dropped_and_counted() -> None:
    clock = [0.0]
    sieve, before = logs.Sieve(5, 1, now=lambda: clock[0]), bounds.counts["log_lines"]
    assert sum(sieve.filter(line()) for _ in range(1_000)) == 50
    clock[0] += 1
    assert sum(sieve.filter(line()) for _ in range(1_000)) == 5
    assert bounds.counts["log_lines"] - before == 1_945
    assert sieve.filter(line(logging.WARNING, bounds.logger))


def test_a_request_has_one_warning() -> None:
    sieve = logs.Sieve(100, 1, now=lambda: 0.0)
    for request in ("req_a", "req_b"):
        token = logs.request_id.set(request)
        assert [sieve.filter(line(logging.ERROR)) for _ in range(3)] == [True, False, False]
        assert sieve.filter(line())
        logs.request_id.reset(token)
    assert all(sieve.filter(line(logging.ERROR)) for _ in range(9))


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


class One:
    """A connection that has, or has not, an answer in work."""

    def __init__(self, *, silent: bool = False, resting: bool = True) -> None:
        self.silent, self.resting, self.gone = silent, resting, False

    def give_way(self) -> None:
        self.gone = True


def test_who_is_silent_gives_way_first_and_who_is_answered_never() -> None:
    own = {"ARBITER_MAX_CONNECTIONS": "3", "ARBITER_TRUSTED_PROXIES": "10.0.0.1"}
    limiter = ConnectionLimiter(load_settings(own, env_file=None))
    busy, idle, silent, fourth, fifth = (
        One(resting=False),
        One(),
        One(silent=True),
        One(resting=False),
        One(resting=False),
    )
    for one in (busy, idle, silent, fourth):
        assert limiter.enter(one, "192.0.2.1") is None
    assert (busy.gone, idle.gone, silent.gone) == (False, False, True)
    assert limiter.enter(fifth, "192.0.2.1") is None
    assert (busy.gone, idle.gone) == (False, True)
    refusal = limiter.enter(One(), "192.0.2.1")
    assert refusal is not None and refusal.status == 503


def test_an_address_has_its_share_and_a_trusted_proxy_any() -> None:
    own = {"ARBITER_MAX_CONNECTIONS_PER_ADDRESS": "1", "ARBITER_TRUSTED_PROXIES": "10.0.0.1"}
    limiter = ConnectionLimiter(load_settings(own, env_file=None))
    for host in ("192.0.2.1", "192.0.2.2", "10.0.0.1", "10.0.0.1", "10.0.0.1"):
        assert limiter.enter(One(resting=False), host) is None
    assert limiter.enter(One(resting=False), "192.0.2.1") is not None


def test_an_address_has_its_share_of_the_sockets_and_a_trusted_proxy_any() -> None:
    own = {"ARBITER_MAX_SOCKETS_PER_ADDRESS": "2", "ARBITER_MAX_SOCKETS": "6", "ARBITER_TRUSTED_PROXIES": "10.0.0.1"}
    limiter = ConnectionLimiter(load_settings(own, env_file=None))
    pages = [(One(), host) for host in ("192.0.2.1", "192.0.2.1", "10.0.0.1", "10.0.0.1", "10.0.0.1")]
    for page, host in pages:
        assert limiter.refuse_socket(host) is None
        limiter.open_socket(page, host)
    refused = limiter.refuse_socket("192.0.2.1")
    assert refused is not None and (refused.bound, refused.status) == ("address_sockets", 503)
    limiter.open_socket(One(), "192.0.2.2")
    refused = limiter.refuse_socket("192.0.2.3")
    assert refused is not None and refused.bound == "sockets"
    limiter.close_socket(*pages[0])
    assert limiter.refuse_socket("192.0.2.1") is None
