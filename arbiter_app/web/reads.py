"""What the pages need to know: one protocol, implemented over the services in `web/source.py`.

Everything is a plain dict or list, as the HTTP routes return it. Money is USD as float, time is unix seconds, durations
are `_ms`, shares and qualities are 0..1, and what is not known is None. `key_id` restricts to one caller's own calls.
"""

from __future__ import annotations

from typing import Any, Protocol

from arbiter_app.pipeline.types import Caller

Row = dict[str, Any]


class Reads(Protocol):
    """All reads of the pages. None of them blocks the event loop."""

    async def report(self, seconds: float, key_id: str | None) -> Row:
        """Figures of the last `seconds`.

        calls, failed, failed_over, actual_spend, baseline_spend, saved, saved_pct, interval ([low, high] of saved_pct
        or None), proven, holdout_calls, settled_share, learning_spend, learning_share and learning_cap (of dollars),
        explore_cap (of requests), quality_gap, tolerance, baseline_model, models, tasks, classifier {rules: n, ...}, median_ms.
        """
        ...

    async def placebos(self, seconds: float, key_id: str | None) -> list[Row]:
        """The routing and what it must beat: name, cost (USD a call), quality, both with their intervals, covered,
        effective_sample_size."""
        ...

    async def what_if(self, *, tolerance: float, without: str, key_id: str | None) -> Row:
        """The answer of `GET /v1/what-if`; `without` is a model or empty."""
        ...

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
        """Decisions (columns of the decision table), newest first, older than the decision `before`."""
        ...

    async def decision(self, decision_id: str) -> Row | None:
        """One decision with its `trace`, or None."""
        ...

    async def policy(self) -> dict[str, list[Row]]:
        """Per bucket: model, n, quality, low, high, avg_cost, latency_ms, chosen; the chosen one first."""
        ...

    async def timeseries(self, bucket_s: float, buckets: int, key_id: str | None) -> list[Row]:
        """Oldest first: ts, calls, spend, baseline (or None), models {model: spend}, p50_ms, p95_ms, explored (share)."""
        ...

    async def alerts(self, limit: int) -> list[Row]:
        """Newest first: ts, task, model, kind, old_unit, new_unit, direction, reason."""
        ...

    async def calibration(self, calibration_id: str) -> Row:
        """A calibration's progress, money and table, as `GET /v1/calibrations/{id}` gives them. Raises NotFound."""
        ...

    async def prices(self, since: float) -> list[Row]:
        """Observed unit prices: ts, model, task, cost (USD a call), multiplier; oldest first."""
        ...

    async def overrides(self) -> list[Row]:
        """Demo prices in force: model, multiplier."""
        ...

    async def pricing(self) -> list[Row]:
        """The catalog: id, input, output (USD per token), context, routable, baseline, vision, tools."""
        ...

    async def overview(self) -> Row:
        """Counters, overrides, cache, mode, the state of the database."""
        ...

    async def usage(self, key_id: str) -> Row | None:
        """A key: key_id, email, status, role, used_6h, limit_6h, used_week, limit_week."""
        ...

    async def keys(self) -> list[Row]:
        """Every key, for operators."""
        ...

    async def identify(self, api_key: str) -> Caller | None:
        """Whose key this is; None when unknown or revoked."""
        ...

    async def caller(self, key_id: str) -> Caller | None:
        """The present state of a known key; None once it is revoked. Cheap: called on every event."""
        ...
