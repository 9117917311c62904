"""Who spent it: sums by project, key, tag, end user, model and runtime over a time, in slots of it, or of a month as CSV."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from arbiter_app.moments import moment
from arbiter_app.pipeline.errors import Unprocessable
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import Json
from arbiter_app.services.csv_text import as_csv
from arbiter_app.services.key_admin import KeyAdmin
from arbiter_app.services.periods import MONTH, bounds_of, zone_of
from arbiter_app.services.reads import exact, usd
from arbiter_app.services.rows.spending import SpendAnswer, SpendRow
from arbiter_app.store import Store, attribution
from arbiter_app.store.attribution import BY, FINE_DAYS, MOST, QUARTER, SUMS, TAG, USER, Whose
from arbiter_app.store.rollup_math import DAY

DAYS = 30.0
"""How far back is looked where nobody says."""
MOST_ROWS, MOST_SLOTS = 1_000, 1_000
MOST_DAYS = 3_650
COLUMNS = ("calls", "failed", "aborted", "spend", "judge_spend", "learning_spend", "baseline_spend")
TOKENS = ("prompt_tokens", "completion_tokens")


class Spend:
    """Over the store; `key_admin` knows the names of projects and keys."""

    def __init__(self, store: Store, key_admin: KeyAdmin) -> None:
        self._store = store
        self._admin = key_admin

    async def ask(
        self,
        by: Sequence[str],
        whose: Whose,
        *,
        since: float | None = None,
        until: float | None = None,
        step: int = 0,
        limit: int = MOST_ROWS,
    ) -> SpendAnswer:
        """The groups that spent most, and all others as one, between two times (unix seconds, rounded down and up to quarters of an
        hour); with a `step` (seconds) by time, too. Raises Unprocessable."""
        checked(by, whose)
        first, end = bounded(since, until)
        rows = await self._store.spent(by, whose, first, end, step=self._step(step, first, end))
        (total,) = await self._store.spent((), whose, first, end) or [dict.fromkeys(SUMS, 0)]
        if step:
            kept, rest = sorted(rows, key=lambda row: (row["start"], *map(str, (row[name] for name in by)))), []
        else:
            ordered = sorted(rows, key=lambda row: (-_pico(row), *map(str, (row[name] for name in by))))
            kept, rest = ordered[:limit], ordered[limit:]
        names = await self._names(by)
        return {
            "since": first,
            "until": end,
            "by": list(by),
            "bucket_seconds": step or None,
            "total": _told({}, total),
            "data": [_told({**_of(row, by, names), **({"ts": row["start"]} if step else {})}, row) for row in kept],
            "others": _told({}, _together(rest)) if rest else None,
            "most_tags": MOST[TAG],
            "most_users": MOST[USER],
        }

    async def month(self, month: str, zone: str, by: Sequence[str], whose: Whose) -> str:
        """A month (`2026-11`) by the clock of a time zone as CSV: a line a group, the dearest first, then the total. Raises Unprocessable."""
        checked(by, whose)
        first, end = month_bounds(month, zone)
        rows = await self._store.spent(by, whose, first, end)
        (total,) = await self._store.spent((), whose, first, end) or [dict.fromkeys(SUMS, 0)]
        names = await self._names(by)
        ordered = sorted(rows, key=lambda row: (-_pico(row), *map(str, (row[name] for name in by))))
        titles = [title for name in by for title in ((name, f"{name}_name") if name in names else (name,))]
        lines = [[month, zone, *_cells(row, by, names), *_figures(row)] for row in ordered]
        lines.append([month, zone, *["total" if not at else "" for at in range(len(titles))], *_figures(total)])
        return as_csv(("month", "timezone", *titles, *COLUMNS, *TOKENS), lines)

    def _step(self, step: int, first: int, end: int) -> int:
        if not step:
            return 0
        if step % QUARTER or (end - first) / step > MOST_SLOTS:
            told = f"bucket_seconds must be a multiple of {QUARTER}, for at most {MOST_SLOTS:,} slots"
            raise Unprocessable(told, param="bucket_seconds")
        if step % DAY and time.time() - first > FINE_DAYS * DAY:
            told = f"of what is older than {FINE_DAYS} days there are days alone: give bucket_seconds={DAY}"
            raise Unprocessable(told, param="bucket_seconds")
        return step

    async def _names(self, by: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """The names of projects and keys by their ids, where they are asked for."""
        found: dict[str, Mapping[str, str]] = {}
        if "project" in by:
            found["project"] = {one["id"]: one["name"] for one in await self._admin.projects()}
        if "key" in by:
            found["key"] = self._admin.key_names()
        return found


def checked(by: Sequence[str], whose: Whose) -> None:
    """Raises Unprocessable for what cannot be summed by."""
    unknown = [name for name in by if name not in BY]
    if unknown or len(set(by)) != len(by):
        said = quoted(unknown[0], 40) if unknown else "one of them twice"
        raise Unprocessable(f"by: {said}; known are {', '.join(BY)}, each once", param="by")
    if (TAG in by or whose.tag is not None) and (USER in by or whose.end_user is not None):
        raise Unprocessable("there are sums by tag or by user, not by both at once; export the decisions", param="by")


def bounded(since: float | None, until: float | None) -> tuple[int, int]:
    """Whole quarters of an hour around two times; the last DAYS where nothing is said. Raises Unprocessable."""
    now = time.time()
    last = now if until is None else until
    first = last - DAYS * DAY if since is None else since
    if not 0 < last - first <= MOST_DAYS * DAY:
        raise Unprocessable(f"since must be before until, by at most {MOST_DAYS:,} days", param="since")
    return int(first) // QUARTER * QUARTER, -(-int(last + 1) // QUARTER) * QUARTER


FIRST_MONTH_S, LAST_MONTH_S = 951_782_400.0, 32_472_144_000.0
"""Where a clock has to be for the month before to be one that can be asked for: March 2000 to 2998."""


def month_bounds(month: str, zone: str) -> tuple[int, int]:
    """When a month (`2026-11`) begins and ends by the clock of a time zone. Raises Unprocessable."""
    tz = zone_of(zone)
    try:
        if not month.isascii():
            raise ValueError
        middle = datetime.strptime(month, "%Y-%m").replace(day=15, tzinfo=tz)
        if not 2000 <= middle.year < 3000:
            raise ValueError
    except ValueError:
        raise Unprocessable(f"month: {quoted(month, 20)} is no month; write it like 2026-11", param="month") from None
    first, end = bounds_of(MONTH, zone, middle.timestamp())
    return first, cast(int, end)


def last_month(zone: str) -> str:
    """The month before this one by the clock of a time zone, as `2026-10`."""
    first, _ = bounds_of(MONTH, zone, min(LAST_MONTH_S, max(FIRST_MONTH_S, time.time())))
    before = moment(first - DAY, UTC).astimezone(zone_of(zone))
    return f"{before:%Y-%m}"


def _pico(row: Json) -> int:
    return int(row["cost_pico"] + row["judge_pico"] + row["learning_pico"])


def _together(rows: Sequence[Json]) -> Json:
    return {name: sum(row[name] for row in rows) for name in SUMS}


def _of(row: Json, by: Sequence[str], names: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    told: dict[str, Any] = {name: row[name] for name in by}
    return told | {f"{name}_name": names[name].get(row[name], "") for name in by if name in names}


def _told(of: Mapping[str, Any], row: Json) -> SpendRow:
    baseline = row["baseline_pico"] + row["cost_pico"] - row["compared_pico"]
    sums = {
        **{name: row[name] for name in ("calls", "failed", "aborted", "graded", *TOKENS)},
        "spend": usd(_pico(row)),
        "spend_exact": exact(_pico(row)),
        "judge_spend": usd(row["judge_pico"]),
        "learning_spend": usd(row["learning_pico"]),
        "baseline_spend": usd(baseline),
        "mean_quality": row["quality_sum"] / row["graded"] if row["graded"] else None,
        "mean_latency_ms": row["latency_sum"] / row["latency_n"] if row["latency_n"] else None,
    }
    return cast(SpendRow, {**of, **sums})


def _cells(row: Json, by: Sequence[str], names: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The group of a line; names beyond the bound are said to be so."""
    cells = []
    for name in by:
        cells.append(row[name] or ("(others)" if name in attribution.MOST else ""))
        cells += [names[name].get(row[name], "")] if name in names else []
    return cells


def _figures(row: Json) -> list[str]:
    """The figures of a line, money exact."""
    baseline = row["baseline_pico"] + row["cost_pico"] - row["compared_pico"]
    money = (_pico(row), row["judge_pico"], row["learning_pico"], baseline)
    counts = [str(row[name]) for name in ("calls", "failed", "aborted")]
    return [*counts, *map(exact, money), *[str(row[name]) for name in TOKENS]]
