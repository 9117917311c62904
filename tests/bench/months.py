"""Months of a budget in compressed time, with bursts: `python -m tests.bench.months --months 100`.

Each month has traffic of its own: day and night, weekends, bursts of hours at many times the pace, and prompts of very different
size. It would cost more than the month's budget. The policy is the default one once it has learned the sandbox's models at the
catalog's prices; every request reserves and settles in a real store, at the time of the simulation. Against it stands perfect
foresight: the same requests, routed by the one weight of a dollar, fixed for the month, that just uses the budget up (between
two weights, the mixture that does). Quality is the expected one of whoever answers; a refused request scores 0.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from arbiter_app.catalog_file import load_catalog
from arbiter_app.pipeline.types import PICO_PER_USD, Caller, Role
from arbiter_app.policy import Observation, Policy, PolicySettings, RoutingAsk, Trials, build
from arbiter_app.runtime.sandbox.skills import SKILLS, TASKS
from arbiter_app.services.budgets import SOFT, Budgets
from arbiter_app.services.catalog_holder import facts_of
from arbiter_app.store import Store, open_store

DAY_S = 86_400.0
TOKENS_IN, TOKENS_OUT = 1_000, 300
GRADES = 600
"""Of each model in each bucket, before the months begin."""
CALLER = Caller("arb_months01", Role.CALLER)
OPERATOR = Caller("settings-1", Role.OPERATOR)
FIRST = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
CEILING = 3.0
"""Times its charge that a call reserves."""
WEIGHTS = [1.0, *[1.02**step for step in range(1, 700)]]
"""Weights of a dollar among which foresight looks for the one that fits."""
CATALOG = load_catalog(None, baseline="gpt-4o", baseline_context=128_000)
POOL = tuple(model for model in CATALOG.names if model in SKILLS)
BUCKETS = tuple((task, hard) for task in TASKS for hard in (False, True))


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its time in seconds of the month, its place in BUCKETS, and its size, 1 on the mean."""

    at: float
    bucket: int
    size: float


@dataclass(frozen=True, slots=True)
class Month:
    """What came of a month: shares of the budget, mean qualities, and how many requests were refused."""

    calls: int
    wanted: float
    spent: float
    quality: float
    foresight: float
    refused: int

    @property
    def lost(self) -> float:
        """Mean quality under perfect foresight."""
        return self.foresight - self.quality


def name(bucket: int) -> str:
    """A bucket as the policy knows it."""
    task, hard = BUCKETS[bucket]
    return f"{task}:hard" if hard else str(task)


def quality(bucket: int, model: str) -> float:
    """The expected quality of a model's answer."""
    return SKILLS[model].quality(*BUCKETS[bucket])


def pico(model: str, size: float) -> int:
    """What a call costs."""
    listed = CATALOG.model(model)
    return round((TOKENS_IN * listed.input_usd + TOKENS_OUT * listed.output_usd) * size * PICO_PER_USD)


class Chooser:
    """The policy once it has learned, which learns no more: the ranking of a bucket at a weight of the dollar."""

    def __init__(self, seed: int) -> None:
        settings = PolicySettings()
        self._policy: Policy = build("arbiter", catalog=facts_of(CATALOG), baseline="gpt-4o", settings=settings)
        draw = random.Random(seed)
        for bucket in range(len(BUCKETS)):
            for model in POOL:
                for _ in range(GRADES):
                    self._policy.record(_seen(bucket, model, draw))
        self._known: dict[tuple[int, float], tuple[str, ...]] = {}

    def ranking(self, bucket: int, weight: float) -> tuple[str, ...]:
        """Whom to ask, in order; weights are told apart by a hundredth of their logarithm."""
        key = bucket, round(math.log(weight), 2)
        if key not in self._known:
            ask = RoutingAsk(
                name(bucket), "", POOL, TOKENS_IN, TOKENS_OUT, trials=Trials.NONE, dollar_weight=math.exp(key[1])
            )
            self._known[key] = self._policy.choose(ask, 0.0, 1).ranking
        return self._known[key]


def _seen(bucket: int, model: str, draw: random.Random) -> Observation:
    usd = pico(model, 1.0) / PICO_PER_USD
    graded = float(draw.random() < quality(bucket, model))
    return Observation(name(bucket), model, "", usd, TOKENS_IN, TOKENS_OUT, graded, asked_tokens=TOKENS_IN)


def traffic(draw: random.Random, days: int, mean: int) -> list[Call]:
    """A month of about `mean` requests: by day and night, weekends, and bursts."""
    bursts = [(draw.uniform(0, days), draw.uniform(1, 12) / 24, draw.uniform(3, 12)) for _ in range(draw.randint(2, 8))]

    def pace(day: float) -> float:
        working = 1.0 if int(day) % 7 < 5 else 0.35
        hour = 0.25 + max(0.0, math.sin(math.pi * ((day % 1) * 24 - 6) / 14)) if 6 <= (day % 1) * 24 <= 20 else 0.25
        return working * hour * (1 + sum(times for at, length, times in bursts if at <= day < at + length))

    steps = 24 * days
    weights = [pace((step + 0.5) / 24) for step in range(steps)]
    when = sorted((step + draw.random()) * DAY_S / 24 for step in draw.choices(range(steps), weights, k=mean))
    shares = [draw.uniform(0.3, 1) for _ in BUCKETS]
    buckets = draw.choices(range(len(BUCKETS)), shares, k=mean)
    return [Call(at, bucket, draw.lognormvariate(-0.32, 0.8)) for at, bucket in zip(when, buckets, strict=True)]


def fixed(calls: Sequence[Call], chooser: Chooser, weight: float) -> tuple[int, float]:
    """What the calls cost and are worth on the mean, all routed at one weight."""
    models = [chooser.ranking(bucket, weight)[0] for bucket in range(len(BUCKETS))]
    spent = sum(pico(models[call.bucket], call.size) for call in calls)
    return spent, sum(quality(call.bucket, models[call.bucket]) for call in calls) / len(calls)


def foresight(calls: Sequence[Call], chooser: Chooser, limit: int) -> float:
    """The quality of who knows the month: the weight that just uses the budget up, mixed with the next where none does exactly."""
    low, high = 0, len(WEIGHTS) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fixed(calls, chooser, WEIGHTS[middle])[0] > limit else (low, middle)
    (dear, better), (cheap, worse) = (fixed(calls, chooser, WEIGHTS[at]) for at in (low, high))
    share = (limit - cheap) / (dear - cheap) if dear > cheap else 0.0
    return worse + min(1.0, max(0.0, share)) * (better - worse)


async def live(store: Store, chooser: Chooser, seed: int, *, soft: float, mean: int) -> Month:
    """One month through the store, request by request."""
    draw = random.Random(seed)
    start = datetime.fromtimestamp(FIRST, UTC).replace(year=2026 + seed // 12, month=1 + seed % 12).timestamp()
    after = (
        datetime.fromtimestamp(FIRST, UTC).replace(year=2026 + (seed + 1) // 12, month=1 + (seed + 1) % 12).timestamp()
    )
    calls = traffic(draw, round((after - start) / DAY_S), mean)
    wanted = fixed(calls, chooser, 1.0)[0]
    limit = round(wanted * draw.uniform(0.35, 0.9))
    clock = [start]
    budgets = Budgets(store, lasts_s=60.0, now=lambda: clock[0])
    await budgets.put(
        OPERATOR, scope="key", subject=CALLER.line, period="month", limit_usd=f"{limit / PICO_PER_USD:.12f}", soft=soft
    )
    total, refused = 0.0, 0
    for call in calls:
        clock[0] = start + call.at
        reservation = budgets.reservation_of(CALLER)
        assert reservation is not None
        await reservation.look()
        for model in chooser.ranking(call.bucket, reservation.dollar_weight):
            charge = pico(model, call.size)
            if await reservation.cover(round(CEILING * charge)):
                break
        else:
            refused, charge, model = refused + 1, 0, ""
        total += quality(call.bucket, model) if model else 0.0
        settlement = reservation.settled(charge)
        if settlement is not None:
            await store.ledger.settle(settlement)
    (row,) = await budgets.listing()
    assert row["reserved_usd"] == 0
    spent = row["spent_usd"] * PICO_PER_USD / limit
    return Month(len(calls), wanted / limit, spent, total / len(calls), foresight(calls, chooser, limit), refused)


def run(directory: Path, months: int, *, soft: float = SOFT, mean: int = 3_000, seed: int = 7) -> list[Month]:
    """So many months, one after the other in one store."""
    chooser, store = Chooser(seed), open_store(str(directory / "months.db"), durability="relaxed")

    async def all_of_them() -> list[Month]:
        return [await live(store, chooser, at, soft=soft, mean=mean) for at in range(months)]

    try:
        return asyncio.run(all_of_them())
    finally:
        store.close()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, default=100)
    parser.add_argument("--calls", type=int, default=3_000)
    parser.add_argument("--soft", type=float, default=SOFT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        months = run(Path(directory), given.months, soft=given.soft, mean=given.calls)
    for what, values in (
        ("wanted, budgets", [one.wanted for one in months]),
        ("spent, share of the budget", [one.spent for one in months]),
        ("quality under foresight", [one.lost for one in months]),
        ("quality", [one.quality for one in months]),
        ("refused requests", [float(one.refused) for one in months]),
    ):
        ordered = sorted(values)
        print(f"{what:28s} {ordered[0]:8.4f} .. {ordered[len(ordered) // 2]:8.4f} .. {ordered[-1]:8.4f}")


if __name__ == "__main__":
    main()
