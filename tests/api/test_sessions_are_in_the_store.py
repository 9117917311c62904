"""Who is signed in is in the store: over restarts, at every host, and never by a secret that could be read there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from arbiter_app.services.sessions import COOKIE, Sessions
from arbiter_app.store import StoreError
from tests import databases
from tests.conftest import Running, running
from tests.served import OPERATOR, TLS, Served, served, start
from tests.waiting import soon, until

DATABASES = databases.KINDS
Pair = tuple[Served, Served]


def sign_in(url: str, key: str = OPERATOR) -> str:
    """The cookie of a new session."""
    answer = httpx.post(f"{url}/session", json={"api_key": key}, verify=TLS)
    assert answer.status_code == 200, answer.text
    return str(answer.cookies[COOKIE])


def sign_out(url: str, secret: str) -> None:
    assert httpx.delete(f"{url}/session", headers=cookie(secret), verify=TLS).status_code == 200


def cookie(secret: str) -> dict[str, str]:
    return {"cookie": f"{COOKIE}={secret}"}


def status(url: str, secret: str, path: str = "/v1/key") -> int:
    return httpx.get(url + path, headers=cookie(secret), verify=TLS).status_code


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two hosts with folders of their own on one PostgreSQL."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    closed = {"ARBITER_DB": databases.place("postgres", folders[0] / "arbiter.db"), "ARBITER_PUBLIC_READS": "off"}
    with served(folders[0], **closed) as one, served(folders[1], **closed) as other:
        yield one, other


def test_who_signs_in_at_one_host_is_signed_in_at_the_other_at_once(pair: Pair) -> None:
    one, other = pair
    for path in ("/v1/key", "/v1/report", "/export/decisions.csv"):  # each a cookie that the other has never seen
        secret = sign_in(one.url)
        assert (status(other.url, secret, path), status(one.url, secret, path)) == (200, 200)
        assert status(other.url, "x" * len(secret), path) == 401


def test_who_signs_out_at_one_host_is_out_at_the_other_within_a_second(pair: Pair) -> None:
    one, other = pair
    secret = sign_in(one.url)
    assert status(other.url, secret) == 200
    sign_out(other.url, secret)
    assert status(other.url, secret) == 401
    soon(lambda: status(one.url, secret) == 401)


def test_a_revoked_key_ends_its_sessions_at_every_host_within_a_second(pair: Pair) -> None:
    one, other = pair
    key = httpx.post(f"{one.url}/v1/register", json={"email": "a@example.com"}, verify=TLS).json()["api_key"]
    secret = sign_in(one.url, key)
    assert status(other.url, secret) == 200
    httpx.post(f"{other.url}/v1/key/revoke", headers={"authorization": f"Bearer {key}"}, verify=TLS)
    soon(lambda: status(one.url, secret) == status(other.url, secret) == 401)


def test_a_browser_stays_signed_in_over_a_restart_and_who_signed_out_stays_out(tmp_path: Path) -> None:
    first = start(tmp_path)
    stays, goes = sign_in(first.url), sign_in(first.url)
    sign_out(first.url, goes)
    first.stop()
    with served(tmp_path) as again:
        assert (status(again.url, stays), status(again.url, goes)) == (200, 401)


def test_no_secret_is_in_the_database(tmp_path: Path) -> None:
    with served(tmp_path) as one:
        secret = sign_in(one.url)
    with sqlite3.connect(tmp_path / "arbiter.db") as store:
        rows = store.execute("SELECT * FROM session").fetchall()
    assert len(rows) == 1 and secret not in repr(rows)
    assert not any(secret.encode() in file.read_bytes() for file in tmp_path.glob("arbiter.db*"))


def test_a_ticket_works_once_at_any_process(own_gateway: Running, tmp_path: Path) -> None:
    async def redeemed_elsewhere() -> None:
        here = own_gateway.arbiter.sessions
        there = Sessions(own_gateway.arbiter.store, per_key=20, attempts_per_minute=60)
        caller = own_gateway.arbiter.keys.authenticate("test-operator-key")
        ticket = await here.begin_at("socket", caller)
        assert await here.key_of("", "socket") == caller.key_id
        secret = await there.redeem(ticket)
        assert secret is not None and await there.redeem(ticket) is None and await here.redeem(ticket) is None
        assert await here.key_of(f"{COOKIE}={secret}") == await there.key_of(f"{COOKIE}={secret}") == caller.key_id
        await there.end(f"{COOKIE}={secret}")  # the socket is the same browser's
        await own_gateway.arbiter.store.writer.call(lambda connection: None)  # what was asked for before is written
        await here.follow()
        assert await here.key_of("", "socket") is None

    own_gateway.run(redeemed_elsewhere)


def test_a_store_that_refuses_signs_nobody_in_keeps_who_is_and_lets_go_who_leaves(tmp_path: Path) -> None:
    with running(tmp_path, database="sqlite") as one, sqlite3.connect(tmp_path / "arbiter.db") as other:
        sessions, keys = one.arbiter.sessions, one.arbiter.keys
        caller = keys.authenticate("test-operator-key")
        stays, goes = (one.run(lambda: sessions.begin(caller)) for _ in range(2))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError):
            one.run(lambda: sessions.begin(caller))
        one.run(lambda: sessions.end(f"{COOKIE}={goes}"))
        one.run(sessions.refresh)  # it is still in the store
        assert (status(one.url, stays), status(one.url, goes)) == (200, 401)
        other.execute("ROLLBACK")
        until(lambda: one.arbiter.store.ledger.degraded == "" and one.arbiter.store.writer.pending == 0)
        later = Sessions(one.arbiter.store, per_key=20, attempts_per_minute=60)
        one.run(later.refresh)
        assert one.run(lambda: later.key_of(f"{COOKIE}={stays}")) == caller.key_id
        assert one.run(lambda: later.key_of(f"{COOKIE}={goes}")) is None
