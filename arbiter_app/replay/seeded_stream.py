"""One seeded order of one stream, with an optional change at half of it, and what a policy made of it.

`loss` is money relative to always using the best single model, plus the mean shortfall of quality below the tolerance band
over the tolerance: 1 is always-best, lower is better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arbiter_app.replay.traffic import Floats, Stream

TOLERANCE = 0.05
DEARER, WORSE = 8.0, 0.3
WINDOW, RELIED, LEFT = 50, 0.2, 0.2
QUARTERS = 4
Picks = NDArray[np.intp]


class Outcome(NamedTuple):
    """What one call showed: its place in the stream, the model, quality 0..1, USD, and whether it was asked beside an answer."""

    place: int
    model: int
    quality: float
    usd: float
    shadow: bool


class Run(NamedTuple):
    """The models that served [n], and what others asked beside them cost, USD [n]."""

    picks: Picks
    beside: Floats


def hindsight(tasks: NDArray[np.str_], quality: Floats, cost: Floats) -> dict[str, int]:
    """Per task, the cheapest model whose mean quality is within the tolerance of the best (index)."""
    chosen = {}
    for task in np.unique(tasks):
        here = tasks == task
        mean, price = quality[here].mean(0), cost[here].mean(0)
        good = np.flatnonzero(mean >= mean.max() - TOLERANCE - 1e-12)
        chosen[str(task)] = int(good[np.argmin(price[good])])
    return chosen


@dataclass
class SeededStream:
    """A stream in a seeded order. `scenario` is none, price (x8) or quality (x0.3) of the model used most."""

    stream: Stream
    seed: int
    scenario: str = "none"
    order: Picks = field(init=False)
    target: int | None = None

    def __post_init__(self) -> None:
        """Shuffle, and work out the references."""
        stream = self.stream
        self.order = np.random.default_rng(10_000 + self.seed).permutation(len(stream))
        self.all_tasks = np.array(stream.kinds)
        self.tasks = self.all_tasks[self.order]
        self.quality, self.cost = stream.quality[self.order].copy(), stream.cost[self.order].copy()
        self.half = len(stream) // 2
        self.best = int(np.argmax(stream.quality.mean(0)))
        self.before = self.after = hindsight(self.all_tasks, stream.quality, stream.cost)
        self._changed = stream.quality, stream.cost

    @property
    def prices(self) -> dict[str, float]:
        """What a price list would tell: mean USD per request, to one significant digit."""
        return {m: float(f"{usd:.0e}") for m, usd in zip(self.stream.models, self.stream.cost.mean(0), strict=True)}

    def change(self, target: int) -> None:
        """From half of the stream on, this model is dearer or worse."""
        self.target = target
        quality, cost = self.stream.quality.copy(), self.stream.cost.copy()
        changed, late, factor = (
            (cost, self.cost, DEARER) if self.scenario == "price" else (quality, self.quality, WORSE)
        )
        changed[:, target] *= factor
        late[self.half :, target] *= factor
        self._changed = quality, cost
        self.after = hindsight(self.all_tasks, quality, cost)

    def run(self, choose: Callable[[int], Sequence[int]], record: Callable[[Outcome], None]) -> Run:
        """Let a policy choose (place in the stream -> the model that serves, and those that are asked beside it) and tell it each
        outcome, that of the answer first."""
        picks, beside = np.empty(len(self.order), dtype=np.intp), np.zeros(len(self.order))
        for k, place in enumerate(self.order.tolist()):
            if k == self.half and self.scenario != "none":
                self.change(int(np.argmax(np.bincount(picks[k // 2 : k], minlength=len(self.stream.models)))))
            picks[k], *shadows = choose(place)
            for at, model in enumerate((picks[k], *shadows)):
                usd = float(self.cost[k, model])
                beside[k] += usd if at else 0.0
                record(Outcome(place, int(model), float(self.quality[k, model]), usd, at > 0))
        return Run(picks, beside)

    def judge(self, run: Run) -> dict[str, float]:
        """The figures of one run: quality, cost and loss, also by quarter, and after a change how the policy recovered."""
        picks, k = run.picks, np.arange(len(run.picks))
        spent, bests = self.cost[k, picks] + run.beside, self.cost[:, self.best]
        cost, best = float(spent.sum()), float(bests.sum())
        shortfalls = self._shortfall(picks)
        shortfall = float(shortfalls.mean())
        relative = cost / best if best > 0 else float("nan")
        out = {
            "requests": float(len(picks)),
            "quality": float(self.quality[k, picks].mean()),
            "q_vs_best": float((self.quality[k, picks] - self.quality[:, self.best]).mean()),
            "cost_usd": cost,
            "cost_vs_best": relative,
            "shortfall": shortfall,
            "shadow": float(run.beside.sum()) / best if best > 0 else float("nan"),
            "loss": relative + shortfall / TOLERANCE,
        }
        for at, part in enumerate(np.array_split(k, QUARTERS), 1):
            paid = float(bests[part].sum())
            money = float(spent[part].sum()) / paid if paid > 0 else float("nan")
            out[f"shortfall_q{at}"] = float(shortfalls[part].mean())
            out[f"loss_q{at}"] = money + out[f"shortfall_q{at}"] / TOLERANCE
        return out | self._recovery(picks)

    def path(self, run: Run, points: int = 40) -> list[tuple[float, float]]:
        """Running cost relative to always-best, and running quality, at some points of the stream."""
        picks, k = run.picks, np.arange(len(run.picks))
        cost = np.cumsum(self.cost[k, picks] + run.beside) / np.maximum(np.cumsum(self.cost[:, self.best]), 1e-300)
        quality = np.cumsum(self.quality[k, picks]) / (k + 1)
        at = np.unique(np.linspace(min(20, len(k) - 1), len(k) - 1, points).astype(int))
        return [(float(cost[i]), float(quality[i])) for i in at]

    def _shortfall(self, picks: Picks) -> Floats:
        """Per request, how far the true mean of the chosen model lies below the band of its task."""
        late = np.arange(len(picks)) >= self.half
        short = np.zeros(len(picks))
        for phase, quality in ((~late, self.stream.quality), (late, self._changed[0])):
            for task in np.unique(self.tasks):
                mean = quality[self.all_tasks == task].mean(0)
                here = phase & (self.tasks == task)
                short[here] = np.maximum(0.0, mean.max() - TOLERANCE - mean[picks[here]])
        return short

    def _recovery(self, picks: Picks) -> dict[str, float]:
        """Requests until the changed model serves at most a fifth of a trailing window, where it was relied on and is
        not the hindsight choice any more; infinite when that never happens."""
        if self.target is None:
            return {}
        on, half = picks == self.target, self.half
        right = np.mean([self.after[str(task)] == self.target for task in self.tasks[half:]])
        if on[max(0, half - 100) : half].mean() <= RELIED or right > LEFT or len(on) - half < WINDOW:
            return {}
        hit = np.flatnonzero(np.convolve(on[half:].astype(float), np.ones(WINDOW) / WINDOW, "valid") <= LEFT)
        return {"recover_at": float(hit[0] + WINDOW) if len(hit) else float("inf")}
