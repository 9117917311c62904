"""What the live rooms show: each topic turns reads into the variables of one state class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arbiter_app.services.feed import Event
from arbiter_app.web import calibrations, estimates, views
from arbiter_app.web.ask import Workload
from arbiter_app.web.charts import figures
from arbiter_app.web.live import Room, Topic, Vars
from arbiter_app.web.reads import Reads
from arbiter_app.web.theme import TASKS

ALL = "*"
FEED_ROWS = 14
RANGES: dict[str, tuple[float, int]] = {
    "1h": (3_600, 12),
    "24h": (86_400, 24),
    "7d": (7 * 86_400, 28),
    "30d": (30 * 86_400, 30),
}
DECIDED = frozenset({"decision", "grade", "reset"})
SHIFTED = frozenset({"alert", "price", "reset"})


def key_of(part: str) -> str | None:
    """The key a room is restricted to, or None for everybody's traffic."""
    return None if part == ALL else part


async def fitting_span(reads: Reads, key_id: str | None) -> str:
    """The range a first visit shows: a day, or an hour while there is nothing older."""
    day, hour = await reads.report(RANGES["24h"][0], key_id), await reads.report(RANGES["1h"][0], key_id)
    return "1h" if hour["calls"] == day["calls"] else "24h"


def topics(reads: Reads, workload: Workload) -> dict[str, Topic]:
    """Every topic of the web app over one source of data."""
    state = "reflex___state____state.arbiter_app___web___state___"
    overview, models, demo, start, account = (
        state + name
        for name in (
            *("overview____overview", "models____models", "demo____demo", "start____start"),
            "account____account",
        )
    )

    async def feed(room: Room) -> Vars:
        rows = await reads.recent(limit=FEED_ROWS, key_id=key_of(room[1]), task=room[2])
        return {"rows": views.views(rows)}

    async def summary(room: Room) -> Vars:
        return await _summary(reads, room)

    async def learned(room: Room) -> Vars:
        return await _learned(reads, room)

    async def timeline(room: Room) -> Vars:
        return await _timeline(reads, workload)

    async def store(room: Room) -> Vars:
        said = (await reads.overview()).get("store", "ok")
        return {"paused": "" if said == "ok" else said}

    async def arrival(room: Room) -> Vars:
        return {"arrived": {}}

    async def calibration(room: Room) -> Vars:
        said = await reads.calibration(room[1])
        return {"shown": calibrations.shown(said), "outcomes": calibrations.outcomes(said)}

    return {
        "calibration": Topic(state + "calibrate____calibrate", 0.5, frozenset({"calibration"}), calibration),
        "feed": Topic(overview, 0.2, DECIDED, feed, fold_feed),
        "summary": Topic(overview, 3.0, DECIDED | SHIFTED, summary),
        "models": Topic(models, 3.0, DECIDED | SHIFTED, learned),
        "demo": Topic(demo, 0.6, DECIDED | SHIFTED, timeline),
        "store": Topic(account, 0.2, frozenset({"store"}), store),
        "arrival": Topic(start, 0.1, frozenset({"decision"}), arrival, fold_arrival),
    }


def fold_feed(room: Room, variables: Vars, events: list[Event]) -> Vars | None:
    """The feed after some events: new decisions on top, judged grades filled in. None when nothing concerns it."""
    rows, changed = [row | {"fresh": ""} for row in variables["rows"]], False
    for event in events:
        if event.kind == "reset":
            rows, changed = [], True
        elif event.kind == "grade":
            rows, hit = _graded(rows, event.data)
            changed = changed or hit
        elif _concerns(room, event.data):
            rows, changed = [views.feed_row(event.data) | {"fresh": "yes"}, *rows], True
    return {"rows": rows[:FEED_ROWS]} if changed else None


def _concerns(room: Room, row: Mapping[str, Any]) -> bool:
    return key_of(room[1]) in (None, row.get("key_id")) and room[2] in ("", row.get("task"))


def _graded(rows: list[views.View], data: Mapping[str, Any]) -> tuple[list[views.View], bool]:
    quality = data.get("quality")
    if quality is None or not any(row["id"] == data.get("id") for row in rows):
        return rows, False
    grade = {"quality": views.score(quality), "width": views.percent_css(quality)}
    return [row | grade if row["id"] == data["id"] else row for row in rows], True


def fold_arrival(room: Room, variables: Vars, events: list[Event]) -> Vars | None:
    """The latest call made with one key."""
    mine = [one.data for one in events if one.data.get("key_id") == room[1]]
    return {"arrived": views.feed_row(mine[-1])} if mine else None


async def _summary(reads: Reads, room: Room) -> Vars:
    key_id, (seconds, buckets) = key_of(room[1]), RANGES[room[2]]
    report = await reads.report(seconds, key_id)
    series = await reads.timeseries(seconds / buckets, buckets, key_id)
    alerts = await reads.alerts(6)
    policy = await reads.policy()
    tolerance, baseline = report.get("tolerance") or 0.05, str(report.get("baseline_model"))
    spend = figures.spend(series, alerts, bucket_s=seconds / buckets, baseline=baseline)
    return {
        "headline": views.headline(report),
        "figures": views.figures(report),
        "placebos": estimates.placebos(await reads.placebos(seconds, key_id), baseline),
        "alerts": [views.alert(row) for row in alerts],
        "classifier": views.classifier(report.get("classifier") or {}),
        "spend": spend,
        "spend_legend": figures.legend(spend),
        "learning": figures.exploration(series, cap=report.get("explore_cap"), bucket_s=seconds / buckets),
        "scatters": {task: figures.cost_quality(policy.get(task, []), tolerance=tolerance) for task in TASKS},
        "samples": {task: _sample(policy.get(task, [])) for task in TASKS},
        "any_calls": "yes" if report.get("calls") else "no",
    }


def _sample(rows: list[dict[str, Any]]) -> str:
    graded = [row for row in rows if row.get("quality") is not None]
    return f"{len(graded)} models, n {views.count(sum(row.get('n') or 0 for row in graded))}"


async def _learned(reads: Reads, room: Room) -> Vars:
    seconds, buckets = RANGES[room[1]]
    policy = await reads.policy()
    series = await reads.timeseries(seconds / buckets, buckets, None)
    alerts = await reads.alerts(30)
    ordered = sorted(policy, key=lambda name: (figures.ORDER.get(name.split(":")[0], 9), name))
    busiest = _busiest(policy)
    history = await reads.prices(series[0]["ts"] if series else 0.0)
    report = await reads.report(seconds, None)
    pool = [row["id"] for row in await reads.pricing() if row.get("routable")]
    prices = figures.prices(history, alerts, models=busiest)
    return {
        "rows": [views.policy_row(bucket, row) for bucket in ordered for row in policy[bucket]],
        "heat": figures.heat(policy, pool=pool),
        "prices": prices,
        "prices_legend": figures.legend(prices),
        "latency": figures.latency(series, bucket_s=seconds / buckets),
        "learning": figures.exploration(series, cap=report.get("explore_cap"), bucket_s=seconds / buckets),
        "judge": calibrations.judge(report.get("judge")),
        "any_rows": "yes" if any(policy.values()) else "no",
        "any_prices": "yes" if history else "no",
    }


def _busiest(policy: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    seen: dict[str, float] = {}
    for rows in policy.values():
        for row in rows:
            seen[row["model"]] = seen.get(row["model"], 0) + (row.get("n") or 0)
    return sorted(seen, key=lambda model: -seen[model])


async def _timeline(reads: Reads, workload: Workload) -> Vars:
    rows = await reads.recent(limit=160)
    alerts = await reads.alerts(8)
    policy = await reads.policy()
    overrides = await reads.overrides()
    chosen = [
        {
            "task": bucket,
            "model": row["model"],
            "cost": views.money(row.get("avg_cost")),
            "n": views.sample(row.get("n")),
        }
        for bucket in sorted(policy, key=lambda name: (figures.ORDER.get(name.split(":")[0], 9), name))
        for row in policy[bucket]
        if row.get("chosen")
    ]
    return {
        "timeline": figures.choices(rows, alerts, overrides),
        "overrides": [{"model": one["model"], "times": f"×{one['multiplier']:g}"} for one in overrides],
        "alerts": [views.alert(row) for row in alerts],
        "chosen": chosen,
        "any_calls": "yes" if rows else "no",
        "progress": progress(workload),
    }


def progress(workload: Workload) -> views.View:
    """How far the demo workload is."""
    done = workload.sent / workload.total if workload.total else 0.0
    return {
        "running": "yes" if workload.running else "no",
        "text": f"{workload.sent} of {workload.total} prompts"
        + (f", {workload.failed} failed" if workload.failed else ""),
        "width": views.percent_css(done),
        "any": "yes" if workload.total else "no",
    }
