"""What is noticed: shifts, rests, errors, a saving that is no longer proven, and digests, each queued once whoever looks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from arbiter_app.pipeline.ports import Lesson
from arbiter_app.runtime.sandbox.world import Fault
from arbiter_app.services import watching
from arbiter_app.services.notification_events import EventKind
from arbiter_app.store import notifications as stored
from tests.conftest import Running, running
from tests.receivers import Receiver, receiver
from tests.waiting import until

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


@pytest.fixture
def told(tmp_path: Path, hook: Receiver) -> Iterator[Running]:
    """A gateway with a rule for everything."""
    with running(tmp_path, ARBITER_TIME_ZONE="Europe/Berlin") as one:
        body = {"name": "all", "channel": "webhook", "address": hook.url, "events": [*EventKind]}
        assert one.http.post("/v1/notifications/rules", json=body).status_code == 200
        yield one


def look(*gateways: Running) -> None:
    for one in gateways:
        one.arbiter.watching._summed = float("-inf")
        one.run(one.arbiter.watching.look)


def queued(gateway: Running, kind: str = "") -> list[dict[str, Any]]:
    rows = gateway.http.get("/v1/notifications?limit=500").json()["data"]
    return [row for row in rows if not kind or row["kind"] == kind]


def raised(gateway: Running, kind: str, model: str, **changes: Any) -> None:
    alert = {"ts": time.time(), "kind": kind, "task": "math", "bucket": "math", "model": model, "known": None}
    alert |= {"old_unit": 1.0, "new_unit": 8.0, "direction": "up", "reason": "measured on 30 calls", **changes}

    async def work() -> None:
        await gateway.arbiter.store.ledger.adjust(Lesson(alerts=[alert]))

    gateway.run(work)


def test_every_alert_is_told_once_by_whichever_process_looks(tmp_path: Path, told: Running, hook: Receiver) -> None:
    with running(tmp_path, ARBITER_TIME_ZONE="Europe/Berlin") as other:
        raised(told, "price", "gpt-4o")
        look(told, other)
        raised(other, "quality", "gpt-4o-mini", old_unit=0.9, new_unit=0.5)
        raised(other, "out_of_credit", "gpt-4o", bucket="", task="")
        raised(other, "new", "gpt-9", bucket="", task="")
        look(other, told)
        look(told, other)
    shifts = [row for row in queued(told) if row["kind"] != "pool_change" or row["subject"] == "gpt-9"]
    assert [(row["kind"], row["subject"]) for row in reversed(shifts)] == [
        ("price_shift", "gpt-4o for math"),
        ("quality_shift", "gpt-4o-mini for math"),
        ("runtime_refusal", "gpt-4o"),
        ("pool_change", "gpt-9"),
    ]
    assert shifts[-1]["title"] == "gpt-4o for math: 8 times dearer"
    until(lambda: len([row for row in queued(told) if row["state"] == "sent"]) == len(queued(told)))
    assert {got.json["type"] for got in hook.got} >= {"price_shift", "quality_shift", "runtime_refusal", "pool_change"}


def test_alerts_of_before_a_rule_was_made_are_not_told(tmp_path: Path, hook: Receiver) -> None:
    with running(tmp_path) as one:
        raised(one, "price", "gpt-4o", ts=time.time() - 60)
        body = {"name": "all", "channel": "webhook", "address": hook.url, "events": [*EventKind]}
        one.http.post("/v1/notifications/rules", json=body)
        look(one)
        assert queued(one) == []
        one.http.post("/v1/reset")
        raised(one, "price", "gpt-4o")
        look(one)
        assert len(queued(one, "price_shift")) == 1, "also after a reset, when alerts are numbered from the beginning"


def test_a_model_that_fails_again_and_again_is_told_once(told: Running) -> None:
    health, now = told.arbiter.health, time.monotonic()

    async def fail(times: int) -> None:
        for _ in range(times):
            health.failed("gpt-4o", now, "it answered 500")

    told.run(lambda: fail(2))
    look(told)
    assert queued(told, "quarantine") == []
    told.run(lambda: fail(2))
    look(told)
    look(told)
    (row,) = queued(told, "quarantine")
    assert row["title"] == "gpt-4o is quarantined" and "failed 4 times in a row: it answered 500" in row["text"]


def test_many_errors_are_told_to_rules_by_their_share(told: Running, hook: Receiver) -> None:
    tolerant = {"name": "half", "channel": "webhook", "address": hook.url, "events": ["error_rate"], "error_share": 0.5}
    half = told.http.post("/v1/notifications/rules", json=tolerant).json()["id"]
    for number in range(17):
        assert told.chat(f"Calculate {number} * 3", arbiter_no_cache=True).status_code == 200
    look(told)
    told.world.faults["gpt-4o"] = Fault(status=500)
    for _ in range(4):
        told.chat("Calculate 2 * 5", arbiter_pin="gpt-4o")
    look(told)
    look(told)
    (row,) = queued(told, "error_rate")
    assert row["title"] == "19 % of the requests fail" and row["rule_id"] != half


def test_what_callers_do_wrong_is_no_failure(told: Running) -> None:
    for number in range(10):
        assert told.chat(f"Calculate {number} * 3", arbiter_no_cache=True).status_code == 200
    for _ in range(20):
        assert told.chat("Calculate 2 * 5", arbiter_pin="gpt-4o", max_tokens=10**8).status_code == 400
    look(told)
    assert queued(told, "error_rate") == []


def test_a_saving_that_was_proven_and_is_no_longer_is_told_once(told: Running) -> None:
    look(told)
    assert queued(told, "saving_unproven") == []

    async def was_proven() -> None:
        await told.arbiter.store.writer.call(lambda c: stored.note_seen(c, {"proven": True}))

    told.run(was_proven)
    look(told)
    look(told)
    (row,) = queued(told, "saving_unproven")
    assert "too little was measured" in row["text"]


def test_a_budget_is_told_at_half_at_four_fifths_and_when_it_refuses(told: Running) -> None:
    ask = {"messages": [{"role": "user", "content": "Calculate 1 * 3"}], "arbiter_no_cache": True, "max_tokens": 20}
    ask["arbiter_pin"] = "gpt-4o"
    cost = told.http.post("/v1/chat/completions", json=ask).json()["arbiter"]["cost"]
    limit = {"scope": "tag", "subject": "a", "period": "month", "limit_usd": f"{40 * cost:.9f}"}
    told.http.post("/v1/budgets", json=limit)
    too_much = {**ask, "max_tokens": 15_000}
    tagged = {"x-arbiter-tags": "a"}
    assert told.http.post("/v1/chat/completions", json=too_much, headers=tagged).status_code == 402
    assert queued(told) == [], "a call that is too large for it does not make a budget spent"
    steps: list[tuple[str, ...]] = [()]
    status = 200
    while status == 200:
        status = told.http.post("/v1/chat/completions", json=ask, headers=tagged).status_code
        look(told)
        kinds = tuple(sorted(row["kind"] for row in queued(told) if row["kind"].startswith("budget")))
        steps += [kinds] if kinds != steps[-1] else []
    assert status == 402
    until(lambda: queued(told, "budget_100"))
    assert steps[:3] == [(), ("budget_50",), ("budget_50", "budget_80")]
    last = queued(told, "budget_100")[0]
    assert last["title"] == "100 % of the budget of tag a is spent" and "it renews 20" in last["text"]


def test_a_digest_says_what_was_spent_and_saved_by_task_and_model(told: Running, hook: Receiver) -> None:
    for number in range(3):
        told.chat(f"Calculate {number} * 3", arbiter_no_cache=True)
    raised(told, "price", "gpt-4o")
    look(told)
    assert queued(told, "digest_daily") == [], "the one that was due before there was a rule is not made up for"
    tomorrow = watching.last_due(EventKind.DIGEST_DAILY, time.time(), BERLIN).timestamp() + 25.5 * 3_600
    told.arbiter.watching._now = told.arbiter.delivering._now = lambda: tomorrow
    look(told)
    look(told)
    (row,) = queued(told, "digest_daily")
    assert row["title"].startswith("Daily digest: $0.")
    until(lambda: [got for got in hook.got if got.json["type"] == "digest_daily"])
    said = next(got.json["data"] for got in hook.got if got.json["type"] == "digest_daily")
    assert "3 requests. Spent: $0." in said["text"] and "Saved against gpt-4o" in said["text"]
    assert "- math: 3 requests" in said["text"] and "- gpt-4o: 8 times dearer; " in said["text"]
    assert "08:00 to" in said["text"] and "Europe/Berlin" in said["text"]
    assert said["calls"] == 3 and said["by_bucket"][0]["calls"] == 3 and said["alerts"] == 1


@pytest.mark.parametrize(
    ("kind", "now", "due"),
    [
        (EventKind.DIGEST_DAILY, "2026-03-29T06:30+00:00", "2026-03-29T06:00+00:00"),  # summer time began that night
        (EventKind.DIGEST_DAILY, "2026-03-29T05:30+00:00", "2026-03-28T07:00+00:00"),
        (EventKind.DIGEST_DAILY, "2026-10-25T06:59+00:00", "2026-10-24T06:00+00:00"),  # and ended in that one
        (EventKind.DIGEST_DAILY, "2026-10-25T07:01+00:00", "2026-10-25T07:00+00:00"),
        (EventKind.DIGEST_WEEKLY, "2026-11-29T21:00+00:00", "2026-11-23T07:00+00:00"),
        (EventKind.DIGEST_WEEKLY, "2026-11-30T07:00+00:00", "2026-11-30T07:00+00:00"),
        (EventKind.DIGEST_WEEKLY, "2026-11-30T06:59+00:00", "2026-11-23T07:00+00:00"),
    ],
)
def test_digests_are_due_at_eight_by_the_clock_on_the_wall(kind: EventKind, now: str, due: str) -> None:
    found = watching.last_due(kind, datetime.fromisoformat(now).timestamp(), BERLIN)
    assert found.astimezone(UTC) == datetime.fromisoformat(due)
