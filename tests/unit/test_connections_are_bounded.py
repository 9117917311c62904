"""Connections and sockets are bounded in all and of one address: who rests gives way."""

from __future__ import annotations

from arbiter_app.connections import ConnectionLimiter
from arbiter_app.settings import load_settings


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
