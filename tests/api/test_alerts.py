"""An alert is completed with what came of it, through a restart too; models that join or leave the pool are alerts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sqlalchemy import event

from arbiter_app.pipeline.ports import Lesson
from arbiter_app.store import alerts as stored
from tests import databases
from tests.api.test_learning import MATH, served, teach
from tests.conftest import Running, running
from tests.waiting import until

DATABASES = databases.KINDS


def alerts(gateway: Running) -> list[dict[str, Any]]:
    gateway.run(gateway.arbiter.alerting.note_pool)
    gateway.run(gateway.arbiter.alerting.follow)
    found: list[dict[str, Any]] = gateway.http.get("/v1/alerts").json()["data"]
    return found


def test_a_price_alert_tells_what_it_cost_and_where_traffic_went(tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_SHADOW="on", ARBITER_SHADOW_PER_S="1000") as first:
        for model in MATH:
            first.world.change_skill(model, 1.1)
        favourite = served(teach(first, 40)[-20:])
        first.http.post("/v1/simulate-price", json={"model": favourite, "multiplier": 8})
        teach(first, 12, start=1_000)
        young = alerts(first)[0]
        assert (young["kind"], young["model"], young["settled"]) == ("price", favourite, None)
        assert young["known"]["calls"] >= 20
    with running(tmp_path, ARBITER_SHADOW="on", ARBITER_SHADOW_PER_S="1000") as second:
        for model in MATH:
            second.world.change_skill(model, 1.1)
        second.http.post("/v1/simulate-price", json={"model": favourite, "multiplier": 8})
        after = teach(second, 60, start=2_000)
        told = alerts(second)[-1]
        seen = told["outcome"]
        assert told["settled"] is not None
        assert seen["served_before"] == favourite != seen["served_after"] == served(after[-20:])
        assert seen["share_before"][favourite] > 0.4 > seen["share_after"].get(favourite, 0.0)
        newest = second.http.get("/v1/recent?limit=100").json()["data"]
        tried = [row for row in newest if row["ts"] > told["ts"] and row["learning_cost"] is not None]
        assert 0 < seen["trials"] <= len(tried)
        assert 0 < seen["trial_usd"] <= sum(row["learning_cost"] for row in tried) + 1e-12
        assert f"traffic moved from {favourite} to {seen['served_after']} " in told["summary"]
        assert "times dearer; " in told["summary"] and " instead of $" in told["summary"]
        assert second.http.get("/v1/overview").json()["alerts"][-1]["summary"] == told["summary"]
        assert alerts(second)[-1] == told, "what has settled stays as it is"


def test_an_alert_that_is_on_record_later_than_it_was_raised_is_followed(tmp_path: Path) -> None:
    """It is raised before its decision is committed, by this process or a worker; a look in between finds nothing."""
    with running(tmp_path) as one:
        one.run(one.arbiter.alerting.look)
        one.arbiter.alerts.expect()
        one.run(one.arbiter.alerting.look)
        told = {"ts": time.time(), "kind": "price", "task": "math", "bucket": "math", "model": MATH[0]}
        told |= {"old_unit": 1.0, "new_unit": 8.0, "direction": "up", "reason": "", "known": None}
        one.run(lambda: one.arbiter.store.ledger.adjust(Lesson(alerts=[told])))
        until(lambda: one.http.get("/v1/alerts").json()["data"][0]["outcome"] is not None)


def test_a_model_that_leaves_or_joins_is_an_alert_once(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        assert alerts(one) == []
        one.http.patch(f"/v1/pool/models/{MATH[0]}", json={"routable": False}).raise_for_status()
        alerts(one)
        for at in range(3):
            one.chat(f"Calculate {at} * 17", arbiter_models=list(MATH[1:]))
        told = alerts(one)
        assert [(row["kind"], row["model"], row["moved"]) for row in told] == [("gone", MATH[0], "left the pool")]
        assert told[0]["outcome"]["requests"] == 3
    with running(tmp_path) as again:
        assert MATH[0] not in again.arbiter.catalog.names
        again.http.patch(f"/v1/pool/models/{MATH[0]}", json={"routable": None}).raise_for_status()
        assert [(row["kind"], row["model"]) for row in alerts(again)] == [("new", MATH[0]), ("gone", MATH[0])]
    with running(tmp_path) as third:
        assert len(alerts(third)) == 2


def test_a_list_that_names_others_each_time_raises_few_alerts(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        store, now = one.arbiter.store, time.time()

        def noted(names: set[str], at: float) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = one.run(
                lambda: store.writer.call(lambda connection: stored.note_pool(connection, names, at))
            )
            return found

        noted({"a"}, now)
        before = len(alerts(one))
        raised = [noted({f"m{at}-{n}" for n in range(3)}, now + at) for at in range(200)]
        assert sum(map(len, raised)) <= 2 * (stored.SINGLY + 1) and not raised[-1]
        told = one.http.get("/v1/alerts?limit=500").json()["data"][: -before or None]
        assert len(told) <= 2 * (stored.SINGLY + 1)
        shared = {row["kind"]: row for row in told if row["known"]}
        singles = sum(row["kind"] == "new" for row in told) - 1
        assert shared["new"]["model"] == f"{600 - singles} models" and shared["new"]["settled"] is not None
        assert (
            "'m199-0', 'm199-1', 'm199-2'" in shared["new"]["reason"]
            and " models: joined the pool; " in shared["new"]["summary"]
        )
        assert noted({"later"}, now + 2 * stored.SINGLY_S)[0]["model"] == "later"


def test_models_that_join_together_are_followed_together(tmp_path: Path) -> None:
    """A runtime may list dozens at once; their alerts stay open for as long as there is little traffic."""
    with running(tmp_path) as one:
        joined = {f"model-{at}" for at in range(stored.SINGLY)}
        arbiter, now = one.arbiter, time.time()
        one.run(lambda: arbiter.store.writer.call(lambda connection: stored.note_pool(connection, joined, now)))
        one.chat("Tell me of the sea.")
        alerts(one)
        still = one.run(lambda: arbiter.store.read(stored.open_ones))
        assert {alert["model"] for alert in still} >= joined
        statements: list[str] = []

        def heard(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if "FROM decision" in statement:
                statements.append(statement)

        event.listen(arbiter.store._reading, "before_cursor_execute", heard)
        try:
            one.run(arbiter.alerting.follow)
        finally:
            event.remove(arbiter.store._reading, "before_cursor_execute", heard)
        assert 0 < len(statements) < 20
