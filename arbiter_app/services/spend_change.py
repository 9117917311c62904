"""What changed since the period before: the change in spend, apart into causes that add up to it to the pico-dollar, and by whom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from functools import partial
from typing import Any, NamedTuple

from arbiter_app.pipeline.types import PICO_PER_USD, Json
from arbiter_app.services.rows.spending import SpendChangeAnswer, SpendGroup
from arbiter_app.store import Store
from arbiter_app.store.rollup_math import FIVE_MINUTES, HOUR

CAUSES = ("volume", "keys", "tasks", "models", "size", "price")
"""In the order in which the change is taken apart: more calls; of other keys; of other tasks; by other models; longer ones; and what is
left, at other prices a token."""
DAY_S = 86_400.0
MOST_GROUPS = 12
DIGITS = 60
"""Of what is priced on the way, before it is rounded to whole pico-dollars."""
Cell = tuple[str, str, str]
"""Key, kind of prompt, model."""
Part = tuple[str, ...]
"""The first parts of a cell."""


class Sums(NamedTuple):
    """Calls, what they cost in pico-dollars, and their tokens."""

    calls: int
    pico: int
    tokens: int


NOTHING = Sums(0, 0, 0)
Cells = Mapping[Cell, Sums]


def causes(before: Cells, after: Cells) -> dict[str, int]:
    """The change in pico-dollars, by cause: they add up to it exactly.

    The calls of the second period are priced at means of the first, of ever narrower groups: of all calls, of their key, of its
    kind of prompt, of the model there, and that times how much longer its calls became. From one pricing to the next it is a
    cause's share. A group that is new has the mean of the wider one.
    """
    then, now = _by_parts(before), _by_parts(after)
    paid, pays = _total(before), _total(after)
    if not paid.calls:
        return dict.fromkeys(CAUSES, 0) | {"volume": pays.pico - paid.pico}
    with localcontext(prec=DIGITS):
        points = [sum((_priced(n.calls, then, part) for part, n in wide.items()), Decimal()) for wide in now]
        longer = (_priced(n.calls, then, cell) * _longer(before, cell, n) for cell, n in after.items())
        points.append(sum(longer, Decimal()))
        ends = [paid.pico, *map(round, points), pays.pico]
    return {name: ends[at + 1] - ends[at] for at, name in enumerate(CAUSES)}


def groups(before: Cells, after: Cells, place: int) -> list[tuple[str, Sums, Sums]]:
    """The sums of both periods by one part of a cell, the largest change first; their changes add up to the change."""
    found: dict[str, list[Sums]] = {}
    for at, cells in enumerate((before, after)):
        for cell, sums in cells.items():
            pair = found.setdefault(cell[place], [NOTHING, NOTHING])
            pair[at] = _added(pair[at], sums)
    ordered = sorted(found.items(), key=lambda one: (-abs(one[1][1].pico - one[1][0].pico), one[0]))
    return [(name, *pair) for name, pair in ordered]  # type: ignore[misc]


class SpendChanges:
    """Over the store's roll-ups."""

    def __init__(self, store: Store, *, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now

    async def since_before(
        self, *, seconds: float, until: float | None = None, scope: str | None, keys: bool
    ) -> SpendChangeAnswer:
        """So many seconds until a time, or until now, beside as many before; of a key, a project, or of everybody. `keys`: whether keys are
        named."""
        step = FIVE_MINUTES if seconds <= 2 * DAY_S else HOUR
        size = max(step, int(seconds) // step * step)
        end = (int(self._now()) // step + 1) * step if until is None else -(-int(until) // step) * step
        now = self._now()
        before, after = await asyncio.gather(
            *[self._store.period_totals(at, at + size, scope=scope, now=now) for at in (end - 2 * size, end - size)]
        )
        return await self._store.in_turn(partial(_told, before, after, end - size, end, keys))


def _told(before: list[Json], after: list[Json], since: int, until: int, keys: bool) -> SpendChangeAnswer:
    """Thousands of cells take tens of milliseconds."""
    then, now = _cells(before), _cells(after)
    paid, pays = _total(then), _total(now)
    return {
        "since": since,
        "until": until,
        "before": {"spend": _usd(paid.pico), "calls": paid.calls},
        "after": {"spend": _usd(pays.pico), "calls": pays.calls},
        "change": _usd(pays.pico - paid.pico),
        "causes": [{"cause": name, "change": _usd(pico)} for name, pico in causes(then, now).items()],
        "by_task": _shown(groups(then, now, 1)),
        "by_model": _shown(groups(then, now, 2)),
        "by_key": _shown(groups(then, now, 0)) if keys else [],
    }


def _cells(rows: Iterable[Json]) -> dict[Cell, Sums]:
    return {
        (row["key_id"], row["bucket"], row["model"]): Sums(
            row["calls"], row["cost_pico"] + row["judge_pico"], row["prompt_tokens"] + row["completion_tokens"]
        )
        for row in rows
    }


def _total(cells: Cells) -> Sums:
    total = NOTHING
    for sums in cells.values():
        total = _added(total, sums)
    return total


def _added(one: Sums, other: Sums) -> Sums:
    return Sums(one.calls + other.calls, one.pico + other.pico, one.tokens + other.tokens)


def _by_parts(cells: Mapping[Any, Sums]) -> list[Mapping[Part, Sums]]:
    """The sums by the first parts of a cell: by none, by one, by two and by all three of them."""
    found: list[Mapping[Part, Sums]] = [cells]
    for parts in (2, 1, 0):
        wider: dict[Part, Sums] = {}
        for part, sums in found[0].items():
            wider[part[:parts]] = _added(wider.get(part[:parts], NOTHING), sums)
        found.insert(0, wider)
    return found


def _priced(calls: int, then: Sequence[Mapping[Part, Sums]], part: Part) -> Decimal:
    """What so many calls would have cost, at the mean of the narrowest group of theirs that was there before."""
    groups_of_it = (then[parts].get(part[:parts], NOTHING) for parts in range(len(part), -1, -1))
    sums = next(sums for sums in groups_of_it if sums.calls)
    return Decimal(calls * sums.pico) / sums.calls


def _longer(before: Cells, cell: Cell, now: Sums) -> Decimal:
    """How many times as many tokens a call of a cell has; 1 where that is not known."""
    then = before.get(cell, NOTHING)
    if not (then.calls and now.calls and then.tokens > 0 and now.tokens > 0):
        return Decimal(1)
    return Decimal(now.tokens * then.calls) / (now.calls * then.tokens)


def _shown(found: Sequence[tuple[str, Sums, Sums]]) -> list[SpendGroup]:
    """The groups of the largest changes, and the rest as one of an empty name."""
    shown = list(found[:MOST_GROUPS])
    rest = [NOTHING, NOTHING]
    for _, *pair in found[MOST_GROUPS:]:
        rest = [_added(one, other) for one, other in zip(rest, pair, strict=True)]
    if found[MOST_GROUPS:]:
        shown.append(("", rest[0], rest[1]))
    return [
        {
            "name": name,
            "before": _usd(then.pico),
            "after": _usd(now.pico),
            "change": _usd(now.pico - then.pico),
            "calls_before": then.calls,
            "calls": now.calls,
        }
        for name, then, now in shown
    ]


def _usd(pico: int) -> float:
    return pico / PICO_PER_USD
