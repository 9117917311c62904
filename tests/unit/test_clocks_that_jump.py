"""The machine's clock is set a year ahead or back, while serving and between starts: nothing lasts for ever, or is lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from arbiter_app.api.roles import ROLES
from arbiter_app.pipeline.health import Health
from arbiter_app.runtime.sandbox import server as sandbox_server
from arbiter_app.server import UndatedServer
from arbiter_app.services.sessions import COOKIE
from arbiter_app.store import Store, alerts, calibrations, feedback, rollups
from arbiter_app.store.usage import WINDOWS_S, Counted
from tests.conftest import Running, running
from tests.served import TLS
from tests.stores import NOW, call_now, connected, file_all, mixed, record, run

DAY_S, HOUR_S = 86_400.0, 3_600.0
YEAR_S = 400 * DAY_S
JUMPS = (YEAR_S, -YEAR_S, -HOUR_S, 2 * HOUR_S)
LIMITS = {"six_hours": 3, "week": 30}


class Clock:
    """The wall clock of this process; `off_s` is how far it is from the true time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        true = time.time
        self.off_s = 0.0
        monkeypatch.setattr(time, "time", lambda: true() + self.off_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def fill(store: Store, days: float = 20.0) -> None:
    """Five hundred decisions of the last days, filed."""
    run(lambda: asyncio.gather(*[store.ledger.record(one) for one in mixed(500, days=days)]))
    file_all(store)


def retain(store: Store, now: float) -> int:
    gone: int = run(lambda: store.retain(now=now, keep_decisions=10_000, keep_trace_days=30.0))
    return gone


def kept(store: Store) -> tuple[int, int]:
    """Traces, and sums by five minutes."""
    with connected(store.path) as plain:
        traces = plain.execute("SELECT count(*) FROM decision_trace").fetchone()[0]
        return traces, plain.execute("SELECT count(*) FROM slot WHERE resolution = 300").fetchone()[0]


def test_a_jump_ahead_that_is_taken_back_within_hours_loses_nothing_young(store: Store) -> None:
    fill(store)
    retain(store, NOW)
    before = kept(store)
    assert before[0] == 500
    for hour in range(6):
        retain(store, NOW + YEAR_S + hour * HOUR_S)
    retain(store, NOW + 7 * HOUR_S)
    assert kept(store) == before


def test_a_store_that_was_never_retained_is_judged_by_its_newest_decision(store: Store) -> None:
    fill(store)
    retain(store, NOW + YEAR_S)
    assert kept(store)[0] == 500


def test_a_jump_that_stays_and_a_long_rest_are_believed_day_by_day(store: Store) -> None:
    fill(store)
    retain(store, NOW)
    counts = []
    for hour in range(60):
        retain(store, NOW + YEAR_S + hour * HOUR_S)
        counts.append(kept(store)[0])
    assert counts == sorted(counts, reverse=True)
    assert max(a - b for a, b in zip(counts, counts[1:], strict=False)) < 100, "at most a day's at once"
    assert counts[-1] == 0


def test_a_jump_back_deletes_nothing_and_the_true_time_is_believed_at_once(store: Store) -> None:
    fill(store, days=40.0)
    retain(store, NOW)
    before = kept(store)
    assert retain(store, NOW - YEAR_S) == 0 and kept(store) == before
    retain(store, NOW + HOUR_S)
    retain(store, NOW + DAY_S)
    assert 0 < before[0] - kept(store)[0] < 100


def count(store: Store, now: float) -> Counted:
    return call_now(store, lambda connection: store.writer.meter.count(connection, [("k", LIMITS)], now))[0]


@pytest.mark.parametrize("jump_s", JUMPS)
def test_a_limit_used_up_before_a_jump_ends_within_its_window(store: Store, jump_s: float) -> None:
    while not count(store, NOW).full:
        pass
    now = NOW + jump_s
    waited_s = 0.0
    while kind := (counted := count(store, now + waited_s)).full:
        assert 0 < counted.windows[kind].resets_in_s <= WINDOWS_S[kind]
        waited_s += HOUR_S / 2
        assert waited_s <= WINDOWS_S["six_hours"]


def test_today_is_neither_yesterday_nor_a_day_to_come(store: Store) -> None:
    midnight = NOW // DAY_S * DAY_S
    days = [record(midnight + off_s, cost_pico=7) for off_s in (-YEAR_S, -1.0, 0.0, DAY_S - 1, DAY_S, YEAR_S)]
    for filed in (False, True):
        run(lambda: asyncio.gather(*[store.ledger.record(record(one.row["ts"], cost_pico=7)) for one in days]))
        if filed:
            file_all(store)
        told = store.read_now(rollups.day_totals, ("mode",), now=NOW)
        assert [row["cost_pico"] for row in told] == [28 if filed else 14]


def test_thumbs_of_days_to_come_take_no_vote_of_today(store: Store) -> None:
    def thumb(at: int, ts: float) -> bool:
        row = {"ts": ts, "decision_id": f"d{at}", "key_id": "k", "owner": "o", "bucket": "code", "model": "m"}
        row |= {"rating": "up", "score": 1.0, "conversation": f"c{at}"}
        counted: bool = run(lambda: store.add_feedback(row))[1]
        return counted

    assert sum(thumb(at, NOW + YEAR_S) for at in range(8)) == feedback.VOTES_A_DAY
    assert sum(thumb(at, NOW) for at in range(10, 18)) == feedback.VOTES_A_DAY


@pytest.mark.parametrize("jump_s", [YEAR_S, -YEAR_S])
def test_a_calibration_whose_process_went_away_can_be_started_again(store: Store, jump_s: float) -> None:
    row = {"id": "cal_1", "created": NOW, "changed": NOW, "state": calibrations.RUNNING, "note": "", "body": b"{}"}
    call_now(store, lambda c: calibrations.add(c, row | {"max_usd": 1.0, "estimate_usd": 0.1}))
    claim = lambda now: call_now(store, lambda c: calibrations.claim(c, "cal_1", 1.0, now, 60.0))  # noqa: E731
    assert not claim(NOW + 1) and claim(NOW + jump_s)


def test_a_rest_that_was_kept_is_never_longer_than_the_longest() -> None:
    for jump_s in JUMPS:
        kept = b'{"m": {"seconds_left": 9e9, "at": %f, "failures": 3, "reason": "gone", "gone": true}}' % NOW
        health = Health(gone_max_s=60.0)
        for model, rest in alerts.gone_models(kept, NOW + jump_s).items():
            health.hear(model, rest, 0.0)
        assert health.gone() == {"m"} and not health.quarantined("m", 60.0)


def test_a_gateway_serves_through_every_jump(clock: Clock, tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_LIMIT_6H="2", ARBITER_HOLDOUT_SHARE="0.2") as one:
        key = one.caller()
        for off_s in (0.0, *JUMPS, 0.0):
            clock.off_s = off_s
            one.run(one.arbiter.upkeep.read_holdout)
            assert one.chat("Calculate 6 * 7.", arbiter_no_cache=True).status_code == 200
            _within_limits(one, key)
            for path in ("/v1/report?days=1", "/v1/timeseries", "/v1/overview", "/v1/alerts", "/v1/key"):
                assert one.http.get(path).status_code == 200
            assert 0 <= one.http.get("/health").json()["uptime_s"] < HOUR_S
        clock.off_s = 0.0
        assert one.http.get("/v1/report").json()["calls"] == 6 + _answered(one, key)
    clock.off_s = -YEAR_S
    with running(tmp_path) as again:
        assert again.chat("Calculate 6 * 7.").status_code == 200


READS = [path for (method, path), _ in ROLES.items() if method == "GET" and "{" not in path]
WRITES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Calculate 6 * 7."}], "arbiter_no_cache": True}),
    ("/v1/responses", {"input": "Calculate 6 * 8.", "store": True}),
    ("/v1/budgets", {"scope": "key", "subject": "k", "usd": 1, "period": "month"}),
    ("/v1/people/invitations", {"email": "a@example.com"}),
    ("/v1/simulate-price", {"model": "gpt-4o", "multiplier": 2}),
)


def test_no_time_that_was_is_or_will_be_breaks_a_read(clock: Clock, tmp_path: Path) -> None:
    """What was written while the clock was far off is read later, too."""
    with running(tmp_path) as one:
        for moment_s in (None, 0.0, -1e6, 2.0**31, 2.0**33, 2.5e11, 3e11, -6e10, None):
            clock.off_s = 0.0 if moment_s is None else moment_s - (time.time() - clock.off_s)
            asked = [one.http.post(path, json=body) for path, body in WRITES]
            assert [answer.text for answer in asked if answer.status_code >= 500] == []
            read = {path: one.http.get(path) for path in READS}
            assert {path: answer.text for path, answer in read.items() if answer.status_code != 200} == {}


@pytest.mark.parametrize("kind", [UndatedServer, sandbox_server._Server], ids=["gateway", "sandbox"])
def test_a_server_outlives_a_clock_past_every_calendar(clock: Clock, kind: type[uvicorn.Server]) -> None:
    async def ticks() -> None:
        server = kind(uvicorn.Config(lambda: None))
        clock.off_s = 3e11
        assert await server.on_tick(0) is False
        server.should_exit = True
        assert await server.on_tick(10) is True

    asyncio.run(ticks())


def _within_limits(one: Running, key: str) -> None:
    body = {"messages": [{"role": "user", "content": "Hello."}], "arbiter_no_cache": True}
    with one.client(key) as caller:
        answers = [caller.post("/v1/chat/completions", json=body) for _ in range(3)]
    for answer in answers:
        assert answer.status_code in (200, 429), answer.text
        if answer.status_code == 429:
            assert 0 < int(answer.headers["retry-after"]) <= WINDOWS_S["six_hours"]


def _answered(one: Running, key: str) -> int:
    rows = one.http.get("/v1/recent?limit=500").json()["data"]
    return sum(row["key_id"] == key[: len(row["key_id"])] for row in rows)


def test_a_browser_stays_signed_in_whatever_the_clock_says(clock: Clock, tmp_path: Path) -> None:
    with running(tmp_path) as one:

        async def begin() -> str:
            who = await one.arbiter.keys.identify(one.http.headers["authorization"].removeprefix("Bearer "))
            assert who is not None
            return await one.arbiter.sessions.begin(who)

        cookie = {"cookie": f"{COOKIE}={one.run(begin)}"}
        for off_s in (0.0, *JUMPS):
            clock.off_s = off_s
            assert httpx.get(f"{one.url}/v1/key", headers=cookie, verify=TLS).status_code == 200
