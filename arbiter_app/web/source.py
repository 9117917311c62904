"""`reads.Reads` over the running services: names and units as the pages expect them, nothing computed twice."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from arbiter_app.bootstrap import Services
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import Caller
from arbiter_app.store.decisions import Filter
from arbiter_app.web.reads import Row

SURE_N = 5
"""Graded answers from which a model's mean quality counts as the best known."""
PRICE_ROWS, PRICE_ROWS_AROUND = 400, 60
PRICE_ALERTS, PRICE_AFTER_S = 3, 1_800.0
"""Decisions whose price is shown: the newest; and before each of the newest shifts, and until half an hour after it."""
LEARNING = ("explore", "holdout")


class Source:
    """Adapts one `Arbiter` to what the pages read."""

    def __init__(self, arbiter: Services) -> None:
        self._arbiter = arbiter

    async def report(self, seconds: float, key_id: str | None) -> Row:
        """Figures of the last `seconds`; see `reads.Reads.report`."""
        said = await self._arbiter.reads.report(since=time.time() - seconds, key_id=key_id)
        overview = await self._arbiter.reads.overview()
        states = said["cost_states"]
        priced = sum(states.values())
        percent, interval = said.get("saved_pct"), said.get("interval")
        return {
            **said,
            "saved_pct": None if percent is None else percent / 100,
            "interval": None if interval is None else [one / 100 for one in interval],
            "settled_share": states["settled"] / priced if priced else None,
            "learning_spend": said["explore_usd_share"] and said["explore_usd_share"] * said["baseline_spend"],
            "learning_share": said["explore_usd_share"],
            "learning_cap": said["explore_usd_cap"],
            "quality_gap": self._gap(said["by_bucket"]),
            "tolerance": self._arbiter.settings.routing.quality_tolerance,
            "classifier": overview["classifier"],
            "models": overview["pool_size"],
            "tasks": len({row["bucket"].split(":")[0] for row in said["by_bucket"]}),
        }

    async def placebos(self, seconds: float, key_id: str | None) -> list[Row]:
        """What careless routing would have done."""
        told = await self._arbiter.what_if.placebos(days=seconds / 86_400, key_id=key_id)
        lines: list[Row] = told["lines"]
        return lines

    async def what_if(self, *, tolerance: float, without: str, key_id: str | None) -> Row:
        """Another rule on the same traffic."""
        leave = (without,) if without else ()
        row: Row = await self._arbiter.what_if.ask(tolerance=tolerance, without=leave, days=None, key_id=key_id)
        return row

    def _gap(self, buckets: list[Row]) -> float | None:
        """Mean graded quality of what was served minus that of the best known model, weighted by graded answers."""
        policy, gaps, weight = self._policy(), 0.0, 0
        for bucket in buckets:
            known = [row["quality"] for row in policy.get(bucket["bucket"], []) if _sure(row)]
            if known and bucket["mean_quality"] is not None:
                gaps += bucket["graded"] * (bucket["mean_quality"] - max(known))
                weight += bucket["graded"]
        return gaps / weight if weight else None

    async def recent(
        self,
        *,
        limit: int,
        before: str | None = None,
        task: str = "",
        model: str = "",
        mode: str = "",
        since: float = 0.0,
        key_id: str | None = None,
    ) -> list[Row]:
        """Decisions newest first; `before` is the cursor (`seq`) of the last one seen."""
        narrowed = Filter(task=task or None, model=model or None, mode=mode or None, since=since or None, key_id=key_id)
        cursor = int(before) if before and before.isdigit() else None
        rows: list[Row] = await self._arbiter.reads.recent(narrowed, limit=limit, before=cursor)
        return rows

    async def decision(self, decision_id: str) -> Row | None:
        """One decision with its trace."""
        row: Row | None = await self._arbiter.reads.decision(decision_id)
        return row

    async def policy(self) -> dict[str, list[Row]]:
        """Per bucket what is known of each model that was ever called there, the chosen one first."""
        return self._policy()

    def _policy(self) -> dict[str, list[Row]]:
        said = self._arbiter.reads.policy()
        return {
            bucket: sorted(
                (
                    dict(row, baseline=row["model"] == said["baseline"])
                    for row in rows
                    if row.get("calls") or row["chosen"]
                ),
                key=lambda row: (not row["chosen"], -(row["n"] or 0)),
            )
            for bucket, rows in said["buckets"].items()
        }

    async def timeseries(self, bucket_s: float, buckets: int, key_id: str | None) -> list[Row]:
        """Sums per slot, oldest first; slots are at least as long as the roll-ups."""
        rows: list[Row] = await self._arbiter.reads.timeseries(bucket_s=int(bucket_s), buckets=buckets, key_id=key_id)
        return [_slot(row) for row in rows]

    async def alerts(self, limit: int) -> list[Row]:
        """Shifts, newest first."""
        rows: list[Row] = await self._arbiter.reads.alerts(limit=limit)
        return rows

    async def calibration(self, calibration_id: str) -> Row:
        """A calibration, as far as it is."""
        row: Row = await self._arbiter.calibrations.view(calibration_id)
        return row

    async def prices(self, since: float) -> list[Row]:
        """What a thousand tokens cost in each of the newest decisions and in those around shifts, oldest first."""
        reads, found = self._arbiter.reads, {}
        newest = await reads.recent(Filter(since=since or None, status="ok"), limit=PRICE_ROWS)
        pages, oldest = [newest], newest[-1]["ts"] if len(newest) == PRICE_ROWS else since
        for one in await reads.alerts(limit=PRICE_ALERTS):
            if since <= one["ts"] < oldest:
                for until in (one["ts"], (one["settled"] or one["ts"]) + PRICE_AFTER_S):
                    around = Filter(since=since or None, until=until, status="ok")
                    pages.append(await reads.recent(around, limit=PRICE_ROWS_AROUND))
        for row in (row for page in pages for row in page):
            found[row["id"]] = dict(ts=row["ts"], model=row["model"], task=row["task"], cost=_per_thousand(row))
        return sorted(found.values(), key=lambda row: float(row["ts"]))

    async def pricing(self) -> list[Row]:
        """The catalog."""
        return [
            dict(row, input=row["input_per_million"], output=row["output_per_million"])
            for row in self._arbiter.reads.pricing()
        ]

    async def overrides(self) -> list[Row]:
        """Demo prices in force: model, multiplier."""
        return [{"model": name, "multiplier": times} for name, times in self._arbiter.prices.active().items()]

    async def overview(self) -> Row:
        """Counters, overrides, cache, mode."""
        row: Row = await self._arbiter.reads.overview()
        return row

    async def usage(self, key_id: str) -> Row | None:
        """One key against its limits."""
        caller = self._arbiter.keys.caller(key_id)
        return None if caller is None else dict(await self._arbiter.keys.info(caller))

    async def keys(self) -> list[Row]:
        """Every stored key."""
        return list(self._arbiter.keys.listing())

    async def identify(self, api_key: str) -> Caller | None:
        """Whose key this is."""
        keys = self._arbiter.keys
        await keys.look_up(api_key)
        try:
            caller: Caller = keys.authenticate(api_key)
        except ArbiterError:
            return None
        return caller

    async def caller(self, key_id: str) -> Caller | None:
        """The present state of a known key."""
        caller: Caller | None = self._arbiter.keys.caller(key_id)
        return caller


def _sure(row: Mapping[str, Any]) -> bool:
    return row.get("quality") is not None and (row.get("n") or 0) >= SURE_N


def _slot(row: Row) -> Row:
    """A slot in which nothing was compared has no baseline, rather than one equal to the spend."""
    calls = row["calls"]
    learning = sum(row["modes"].get(mode, 0) for mode in LEARNING)
    return dict(
        row,
        baseline=row["baseline"] if row["measured_calls"] else None,
        explored=learning / calls if calls else None,
    )


def _per_thousand(row: Row) -> float | None:
    tokens = (row.get("prompt_tokens") or 0) + (row.get("completion_tokens") or 0)
    cost = row.get("answer_cost")
    return None if not tokens or cost is None else cost / tokens * 1000
