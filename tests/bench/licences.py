"""`python -m tests.bench.licences`: licences over many simulated lives: how often one is granted wrongly, and how soon it is revoked.

In each life the default policy serves one kind of requests from a pool drawn by a seed and asks models beside answers, as it sees fit. Some prompts
are harder than others, for all. On the way models get worse, at once or bit by bit, or the baseline better. A licence is wrong that is
granted while the model is worse than the baseline by more than the tolerance at that moment. With `--kinds` the requests are of several kinds,
told apart by their system prompt, and models are worth something else to each: a licence is then of a kind where the policy finds
that they differ, and of the bucket before.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from statistics import NormalDist, median

from arbiter_app.policy import (
    Beside,
    ModelFacts,
    Observation,
    Policy,
    PolicySettings,
    RoutingAsk,
    Segment,
    Serve,
    Trials,
)
from arbiter_app.policy.bandit import ArbiterPolicy

BASE = "base"
BUCKET = "open"
ALIKE = 0.5
"""Correlation of what makes prompts hard for two models."""
KINDS_SD = 0.15
"""Standard deviation of how much more or less a model is worth to a kind of work."""
NORMAL = NormalDist()
SOON = 100
"""Grades within which a licence is to be revoked: lives that end before that tell nothing of it."""


@dataclass(slots=True)
class Change:
    """From request `at` on, over so many requests, a model's quality is multiplied by `times`."""

    at: int
    model: str
    times: float
    over: int


@dataclass(slots=True)
class World:
    """Qualities of models, 0 to 1, and what becomes of them; grades are 0 or 1, or shares that vary by `blur`."""

    quality: dict[str, float]
    price: dict[str, float]
    changes: list[Change]
    blur: float
    rng: random.Random
    kinds: list[dict[str, float]] = field(default_factory=list)
    """By kind of work, what a model is worth more to it; requests are of each kind in turn."""

    def segments(self, request: int) -> tuple[Segment, ...]:
        """By what its kind is told from others."""
        return (("system", str(request % len(self.kinds))),) if self.kinds else ()

    def mixed(self, request: int, model: str) -> float:
        """The mean grade of a model over all kinds of work."""
        several = range(request, request + max(1, len(self.kinds)))
        return sum(self.at(request, model, one) for one in several) / len(several)

    def at(self, request: int, model: str, of: int | None = None) -> float:
        """The mean grade of a model at a request, for the kind of work of that one or another."""
        quality = self.quality[model]
        if self.kinds:
            more = self.kinds[(request if of is None else of) % len(self.kinds)]
            quality = min(0.99, max(0.05, quality + more[model]))
        for one in self.changes:
            if one.model == model and request >= one.at:
                done = min(1.0, (request - one.at + 1) / one.over)
                quality *= one.times**done
        return min(quality, 0.99)

    def grades(self, request: int) -> dict[str, float]:
        """One prompt's grade for every model."""
        hard = self.rng.gauss(0, math.sqrt(ALIKE))
        found = {}
        for model in self.quality:
            seen = hard + self.rng.gauss(0, math.sqrt(1 - ALIKE))
            quality = self.at(request, model)
            good = float(NORMAL.cdf(seen) < quality)
            found[model] = (1 - self.blur) * good + self.blur * quality
        return found


def drawn(rng: random.Random, requests: int, kinds: int = 0) -> World:
    """A pool, and what will change: in two of three lives something does."""
    base = rng.uniform(0.6, 0.97)
    quality, price = {BASE: base}, {BASE: 1.0}
    for number in range(rng.randint(1, 4)):
        name = f"m{number}"
        quality[name] = min(0.99, max(0.05, base - rng.gauss(0.03, 0.06)))
        price[name] = math.exp(rng.uniform(math.log(0.01), math.log(0.7)))
    others = [name for name in quality if name != BASE]
    changes = []
    for _ in range(rng.choice((0, 1, 2))):
        at, over = rng.randrange(requests), rng.choice((1, 1, 200))
        if rng.random() < 0.2:
            changes.append(Change(at, BASE, 1.1, over))
        else:
            changes.append(Change(at, rng.choice(others), rng.choice((0.5, 0.8, 0.9)), over))
    blur = rng.choice((0.0, 0.0, 0.5))
    apart = [{name: rng.gauss(0, KINDS_SD) * (name != BASE) for name in quality} for _ in range(kinds)]
    return World(quality, price, changes, blur, rng, apart)


@dataclass(slots=True)
class Told:
    """What came of lives: licences granted, those that were wrong, grades until those of models that became half as good at once were
    revoked (None where they were not)."""

    granted: int = 0
    wrong: int = 0
    first: list[int] = field(default_factory=list)
    revoked_after: list[int | None] = field(default_factory=list)


def life(
    seed: int, requests: int, serve: Serve, *, halve: bool = False, tolerance: float = 0.05, kinds: int = 0
) -> Told:
    """One life. With `halve` nothing changes but the first licensed model, which becomes half as good 50 requests later."""
    rng = random.Random(seed)
    world, settings = drawn(rng, requests, kinds), PolicySettings(serve=serve, quality_tolerance=tolerance)
    if halve:
        world.changes.clear()
    facts = {name: ModelFacts(coarse_request_usd=usd) for name, usd in world.price.items()}
    policy = ArbiterPolicy(facts, BASE, settings)
    told, halved, since = Told(), "", 0
    known: dict[tuple[Segment, ...], frozenset[str]] = {}
    for at in range(requests):
        asked = tuple(_answer(policy, world, at, seed))
        apart = world.segments(at) if BUCKET in policy.told_apart else ()
        has, worth = policy.licensed(BUCKET, apart) - {BASE}, world.at if apart else world.mixed
        for model in has - known.get(apart, frozenset()):
            told.granted += 1
            told.first.append(at)
            told.wrong += worth(at, BASE) - worth(at, model) > settings.quality_tolerance
            if halve and not halved:
                halved = model
                world.changes.append(Change(at + 50, model, 0.5, 1))
        if halved and at >= world.changes[0].at:
            since += halved in asked
            if halved not in has:
                told.revoked_after.append(since)
                return told
        known[apart] = has
    if halved and since > SOON:
        told.revoked_after.append(None)
    return told


def _answer(policy: Policy, world: World, at: int, seed: int) -> Iterator[str]:
    """One request: what serves and what is asked beside it are recorded, each with its grade."""
    models, grades = tuple(world.quality), world.grades(at)
    choice = policy.choose(
        RoutingAsk(BUCKET, "", models, trials=Trials.SHADOW, segments=world.segments(at)), 0.0, (seed << 20) + at
    )
    beside: Beside | None = None
    for model in (choice.model, *choice.shadows):
        mode, usd = choice.mode if model == choice.model else "shadow", world.price[model]
        seen = Observation(BUCKET, model, cost_usd=usd, tokens_in=1, quality=grades[model], mode=mode, beside=beside)
        policy.record(replace(seen, segments=world.segments(at)))
        beside = Beside(model, grades[model]) if beside is None or model == BASE else beside
        yield model


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.licences", description=__doc__)
    parser.add_argument("--lives", type=int, default=1_000)
    parser.add_argument("--requests", type=int, default=600, help="of each life")
    parser.add_argument("--tolerance", type=float, default=0.05)
    parser.add_argument("--halved", type=int, default=200, help="lives in which a licensed model becomes half as good")
    parser.add_argument("--kinds", type=int, default=0, help="kinds of work, to which models are worth something else")
    given = parser.parse_args()
    who = tuple(Serve)
    lives = [
        life(seed, given.requests, who[seed % 2], tolerance=given.tolerance, kinds=given.kinds)
        for seed in range(given.lives)
    ]
    granted, wrong = sum(one.granted for one in lives), sum(one.wrong > 0 for one in lives)
    first = [one.first[0] for one in lives if one.first]
    print(
        f"{granted} licences in {given.lives} lives, the first after {median(first):.0f} requests in {len(first)}; "
        f"{sum(one.wrong for one in lives)} wrong ones, in {wrong} lives ({wrong / given.lives:.1%})"
    )
    halved = [
        life(seed, given.requests, Serve.LICENSED, halve=True, tolerance=given.tolerance)
        for seed in range(given.halved)
    ]
    after = [one.revoked_after[0] for one in halved if one.revoked_after]
    known = sorted(one for one in after if one is not None)
    print(
        f"{len(after)} became half as good: revoked after {median(known):.0f} grades, at most {known[-1]}, "
        f"{len(after) - len(known)} not within {SOON}"
    )


if __name__ == "__main__":
    main()
