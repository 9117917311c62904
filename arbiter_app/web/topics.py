"""What the live channels show: each topic turns reads into the variables of one state class."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from arbiter_app.bootstrap import Services
from arbiter_app.services.feed import Event
from arbiter_app.services.rows.decisions import DecisionRow
from arbiter_app.services.rows.policy import KnownModel
from arbiter_app.services.rows.reports import ReportSums
from arbiter_app.store.decisions import Filter
from arbiter_app.store.rollup_math import project_scope
from arbiter_app.web import calibrations, container, estimates, formats, host_views, views
from arbiter_app.web import notifications as told
from arbiter_app.web.ask import Workload
from arbiter_app.web.charts.chart import LearnedData, SummaryData, TimelineData, drawn
from arbiter_app.web.charts.parts import legend, ordered
from arbiter_app.web.charts.scatter import cost_quality
from arbiter_app.web.live import Channel, Live, Sockets, Topic, Vars
from arbiter_app.web.ranges import key_of, range_at
from arbiter_app.web.state.account import Account
from arbiter_app.web.state.calibrate import Calibrate
from arbiter_app.web.state.demo import Demo
from arbiter_app.web.state.hosts import HostsPage
from arbiter_app.web.state.models import Models
from arbiter_app.web.state.notify import Notify
from arbiter_app.web.state.overview import Overview
from arbiter_app.web.state.start import Start
from arbiter_app.web.tasks import TASKS

FEED_ROWS = 14
MESSAGES = 60
DECIDED = frozenset({"decision", "grade", "reset"})
SHIFTED = frozenset({"alert", "price", "reset"})


def topics(services: Services, workload: Workload) -> dict[str, Topic]:
    """Every topic of the web app over the running services."""

    async def feed(channel: Channel) -> Vars:
        narrowed = Filter.of_scope(key_of(channel[1]), task=channel[2] or None)
        rows = await services.reads.recent(narrowed, limit=FEED_ROWS)
        return {"rows": views.views(rows)}

    async def summary(channel: Channel) -> Vars:
        return await _summary(services, channel)

    async def learned(channel: Channel) -> Vars:
        return await _learned(services, channel)

    async def timeline(channel: Channel) -> Vars:
        return await _timeline(services, workload)

    async def store(channel: Channel) -> Vars:
        return {"paused": services.store.ledger.degraded or ""}

    async def arrival(channel: Channel) -> Vars:
        return {"arrived": {}}

    async def calibration(channel: Channel) -> Vars:
        said = await services.calibrations.view(channel[1])
        return {"shown": calibrations.shown(said), "outcomes": calibrations.outcomes(said)}

    async def notifications(channel: Channel) -> Vars:
        return await _notifications(services, channel)

    async def hosts(channel: Channel) -> Vars:
        told = await services.fleet.listing()
        return {
            "rows": host_views.rows(told),
            "database": host_views.database(told["database"]),
            "standbys": host_views.standbys(told["database"]),
        }

    return {
        "hosts": Topic(HostsPage.get_full_name(), 1.0, frozenset({"hosts"}), hosts),
        "notifications": Topic(Notify.get_full_name(), 0.3, frozenset({"notification"}), notifications),
        "calibration": Topic(Calibrate.get_full_name(), 0.5, frozenset({"calibration"}), calibration),
        "feed": Topic(Overview.get_full_name(), 0.2, DECIDED, feed, fold_feed),
        "summary": Topic(Overview.get_full_name(), 3.0, DECIDED | SHIFTED, summary),
        "models": Topic(Models.get_full_name(), 3.0, DECIDED | SHIFTED, learned),
        "demo": Topic(Demo.get_full_name(), 0.6, DECIDED | SHIFTED, timeline),
        "store": Topic(Account.get_full_name(), 0.2, frozenset({"store"}), store),
        "arrival": Topic(Start.get_full_name(), 0.1, frozenset({"decision"}), arrival, fold_arrival),
    }


def fold_feed(channel: Channel, variables: Vars, events: list[Event]) -> Vars | None:
    """The feed after some events: new decisions on top, judged grades filled in. None when nothing concerns it."""
    rows, changed = [row | {"fresh": ""} for row in variables["rows"]], False
    for event in events:
        if event.kind == "reset":
            rows, changed = [], True
        elif event.kind == "grade":
            rows, hit = _graded(rows, event.data)
            changed = changed or hit
        elif _concerns(channel, event.data):
            rows, changed = [views.feed_row(_decision(event)) | {"fresh": "yes"}, *rows], True
    return {"rows": rows[:FEED_ROWS]} if changed else None


def _decision(event: Event) -> DecisionRow:
    """What is told of a decision; it has no `seq` before it is stored."""
    return cast(DecisionRow, event.data)


def _concerns(channel: Channel, row: Mapping[str, Any]) -> bool:
    whose = None, row.get("key_id"), project_scope(str(row.get("project_id")))
    return key_of(channel[1]) in whose and channel[2] in ("", row.get("task"))


def _graded(rows: list[views.View], data: Mapping[str, Any]) -> tuple[list[views.View], bool]:
    quality = data.get("quality")
    if quality is None or not any(row["id"] == data.get("id") for row in rows):
        return rows, False
    grade = {"quality": formats.score(quality), "width": formats.percent_css(quality)}
    return [row | grade if row["id"] == data["id"] else row for row in rows], True


def fold_arrival(channel: Channel, variables: Vars, events: list[Event]) -> Vars | None:
    """The latest call made with one key."""
    mine = [_decision(one) for one in events if one.data.get("key_id") == channel[1]]
    return {"arrived": views.feed_row(mine[-1])} if mine else None


async def _notifications(services: Services, channel: Channel) -> Vars:
    rules = await services.notification_rules.listing()
    rows = await services.notifications.listing(state=None if channel[1] == "all" else channel[1], limit=MESSAGES)
    names = {rule["id"]: rule["name"] for rule in rules}
    return {
        "rules": [told.rule(rule, time.time()) for rule in rules],
        "rows": [told.message(row, names) for row in rows],
    }


async def _summary(services: Services, channel: Channel) -> Vars:
    reads, key_id = services.reads, key_of(channel[1])
    at = range_at(channel[2], services.settings.time_zone, time.time())
    report = await reads.report(since=at.since, until=at.until, scope=key_id)
    placebos = await services.what_if.placebos(days=at.seconds / 86_400, until=at.until, scope=key_id)
    series, before = [
        await reads.timeseries(bucket_s=at.bucket_s, buckets=at.buckets, first=first, scope=key_id)
        for first in (at.first, at.before)
    ]
    alerts = await reads.alerts(limit=6)
    state, policy, baseline = await reads.overview(), reads.policy(), report["baseline_model"]
    tolerance, known = services.settings.routing.quality_tolerance, views.known_models(policy)
    charts = drawn(SummaryData(series, before, alerts, at.bucket_s, baseline, _cap(services.settings.shadow, report)))
    return {
        "headline": views.headline(report),
        "figures": views.figures(report, policy, pool_size=state["pool_size"], tolerance=tolerance),
        "placebos": estimates.placebos(placebos["lines"], baseline),
        "alerts": [views.alert(row) for row in alerts],
        "classifier": views.classifier(state["classifier"]),
        "charts": charts,
        "spend_legend": legend(charts["spend"]),
        "scatters": {task: cost_quality(known.get(task, []), tolerance=tolerance, baseline=baseline) for task in TASKS},
        "samples": {task: _sample(known.get(task, [])) for task in TASKS},
        "any_calls": "yes" if report["calls"] else "no",
    }


def _cap(shadows: bool, report: ReportSums) -> float | None:
    """The cap on learning: in dollars where it is done beside answers, else in calls."""
    return report["explore_usd_cap"] if shadows else report["explore_cap"]


def _sample(rows: Sequence[KnownModel]) -> str:
    """How much a chart of what is known rests on; empty where nothing is."""
    graded = [row for row in rows if row["quality"] is not None]
    return f"{len(graded)} models, n {formats.count(sum(row['n'] for row in graded))}" if graded else ""


async def _learned(services: Services, channel: Channel) -> Vars:
    reads, at = services.reads, range_at(channel[1], services.settings.time_zone, time.time())
    known = views.known_models(reads.policy())
    series = await reads.timeseries(bucket_s=at.bucket_s, buckets=at.buckets, first=at.first)
    alerts = await reads.alerts(limit=30)
    history = await reads.price_history(series[0]["ts"] if series else 0.0, at.until)
    report = await reads.report(since=at.since, until=at.until)
    pool = [name for row in reads.pricing() if row["routable"] for name in (row["id"], *row["variants"])]
    charts = drawn(
        LearnedData(series, alerts, at.bucket_s, _cap(reads.shadows, report), known, pool, history, _busiest(known))
    )
    return {
        "rows": [views.policy_row(bucket, row) for bucket in ordered(known) for row in known[bucket]],
        "charts": charts,
        "prices_legend": legend(charts["prices"]),
        "judge": " ".join([calibrations.judge(report["judge"]), *calibrations.reactions(report["reactions"])]),
        "any_calls": "yes" if report["calls"] else "no",
        "any_rows": "yes" if any(known.values()) else "no",
        "any_prices": "yes" if history else "no",
    }


def _busiest(known: Mapping[str, Sequence[KnownModel]]) -> list[str]:
    seen: dict[str, float] = {}
    for rows in known.values():
        for row in rows:
            seen[row["model"]] = seen.get(row["model"], 0) + row["n"]
    return sorted(seen, key=lambda model: -seen[model])


async def _timeline(services: Services, workload: Workload) -> Vars:
    reads = services.reads
    rows = await reads.recent(Filter(), limit=160)
    alerts = await reads.alerts(limit=8)
    known, dearer = views.known_models(reads.policy()), services.prices.active()
    chosen = [
        {
            "task": bucket,
            "model": row["model"],
            "cost": formats.charge(row["avg_cost"]),
            "n": formats.sample(row["n"]),
        }
        for bucket in ordered(known)
        for row in known[bucket]
        if row["chosen"]
    ]
    return {
        "charts": drawn(TimelineData(rows, alerts, dearer)),
        "overrides": [{"model": model, "times": f"×{times:g}"} for model, times in dearer.items()],
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
        "width": formats.percent_css(done),
        "any": "yes" if workload.total else "no",
    }


@contextlib.asynccontextmanager
async def following(sockets: Sockets) -> AsyncIterator[None]:
    """Run the live fan-out over a socket server."""
    mine = container.current()
    mine.live = Live(mine.services.feed, sockets, topics(mine.services, mine.workload))
    mine.present = sockets.present
    loop = asyncio.get_running_loop()
    jobs = {"live": mine.live.run(), "tabs": mine.tabs.watch(sockets.connected, lambda sid: mine.live.end(sid))}
    tasks = [loop.create_task(job, name=name) for name, job in jobs.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
