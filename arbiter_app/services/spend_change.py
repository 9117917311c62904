"""What changed since the period before: the change in spend, apart into causes that add up to it to the pico-dollar, and by whom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from arbiter_app.pipeline.types import PICO_PER_USD, Json
from arbiter_app.services.rows import SpendChangeAnswer, SpendGroup
from arbiter_app.store import Store
from arbiter_app.store.rollup_math import FIVE_MINUTES, HOUR

CAUSES = ("volume", "keys", "tasks", "models", "size", "price")
"""In the order in which the change is taken apart: more calls; of other keys; of other tasks; by other models; longer ones; and what is
left, at other prices a token."""
DAY_S = 86_400.0
MOST_GROUPS = 12
Cell = tuple[str, str, str]
"""Key, kind of prompt, model."""


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
    paid, pays = _total(before), _total(after)
    if not paid.calls:
        return dict.fromkeys(CAUSES, 0) | {"volume": pays.pico - paid.pico}
    means = [_means(before, wide) for wide in range(4)]
    points = [Fraction(paid.pico)]
    points += [sum((n.calls * _mean(means, cell, wide) for cell, n in after.items()), Fraction(0)) for wide in range(4)]
    points.append(
        sum((n.calls * _mean(means, cell, 3) * _longer(before, cell, n) for cell, n in after.items()), Fraction(0))
    )
    ends = [*[round(point) for point in points], pays.pico]
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
        before, after = [
            _cells(await self._store.period_totals(first, first + size, scope=scope, now=now))
            for first in (end - 2 * size, end - size)
        ]
        paid, pays = _total(before), _total(after)
        return {
            "since": end - size,
            "until": end,
            "before": {"spend": _usd(paid.pico), "calls": paid.calls},
            "after": {"spend": _usd(pays.pico), "calls": pays.calls},
            "change": _usd(pays.pico - paid.pico),
            "causes": [{"cause": name, "change": _usd(pico)} for name, pico in causes(before, after).items()],
            "by_task": _shown(groups(before, after, 1)),
            "by_model": _shown(groups(before, after, 2)),
            "by_key": _shown(groups(before, after, 0)) if keys else [],
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
    return Sums(*(a + b for a, b in zip(one, other, strict=True)))


def _means(cells: Cells, wide: int) -> dict[tuple[str, ...], Fraction]:
    """The mean cost of a call by the first parts of a cell."""
    found: dict[tuple[str, ...], Sums] = {}
    for cell, sums in cells.items():
        found[cell[:wide]] = _added(found.get(cell[:wide], NOTHING), sums)
    return {part: Fraction(sums.pico, sums.calls) for part, sums in found.items() if sums.calls}


def _mean(means: Sequence[Mapping[tuple[str, ...], Fraction]], cell: Cell, wide: int) -> Fraction:
    """That of the narrowest group of the cell, not narrower than `wide` parts, which was there before."""
    return next(means[parts][cell[:parts]] for parts in range(wide, -1, -1) if cell[:parts] in means[parts])


def _longer(before: Cells, cell: Cell, now: Sums) -> Fraction:
    """How many times as many tokens a call of a cell has; 1 where that is not known."""
    then = before.get(cell, NOTHING)
    if not (then.calls and now.calls and then.tokens > 0 and now.tokens > 0):
        return Fraction(1)
    return Fraction(now.tokens, now.calls) / Fraction(then.tokens, then.calls)


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
