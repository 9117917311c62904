"""What other settings, and the placebos, would have cost and scored on the traffic that was seen. Computed off the loop.

The evidence is read from the newest decisions of a period and kept for as long as reading it took, times KEEP: whoever asks
every second costs at most a twentieth of one core.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from arbiter_app import policy as brain
from arbiter_app.pipeline.errors import Unprocessable
from arbiter_app.policy import ope
from arbiter_app.policy.ope import LoggedData, MeanEstimate, PolicyEstimate, SupportGap, Target
from arbiter_app.policy.types import PolicySettings
from arbiter_app.services.catalog_holder import CatalogHolder, facts_of
from arbiter_app.services.rows.estimates import Estimated, PlaceboLine, Placebos, WhatIfAnswer, WhatIfEstimate
from arbiter_app.store import Store
from arbiter_app.store.evidence import evidence

KEEP = 20.0
KEPT = 16
ENOUGH = 30.0
"""Plain decisions that an estimate must be worth."""
COVERED = 0.95
"""Share of the calls that an estimate must speak of."""
TYPICAL_TOKENS = (1000, 300)
EXACT = 200
LEAST_TOLERANCE = 0.001
"""What a tolerance of nothing is taken for: losses are counted in tolerances."""
BLEND = 1e-12


class Selection(NamedTuple):
    """Which decisions are looked at: the last so many `days`, or those `since` a time (unix seconds), both until a time or until now;
    of a key or project (see `rollup_math.project_scope`); that a model was `able` to serve. None does not narrow."""

    days: float | None
    scope: str | None
    able: str | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """The decisions of a period (days, None for ever), and of a key or project, when it was read and how long that took (seconds)."""

    seen: LoggedData
    at: float
    took: float


def _timed(
    connection: Any, since: float | None, until: float | None, scope: str | None, able: str | None
) -> tuple[LoggedData, float]:
    """The evidence, and how long reading it took (seconds), without the wait for a turn."""
    started = time.monotonic()
    return evidence(connection, since=since, until=until, scope=scope, able=able), time.monotonic() - started


class WhatIf:
    """Answers over what was stored and learned."""

    def __init__(self, *, store: Store, catalog: CatalogHolder, policy: brain.Policy, routing: PolicySettings) -> None:
        self._store = store
        self._catalog = catalog
        self._policy = policy
        self._routing = routing
        self._kept: dict[Selection, Kept] = {}
        self._told: dict[Selection, tuple[LoggedData, Placebos]] = {}
        self._reading: dict[Selection, asyncio.Task[LoggedData]] = {}

    async def ask(
        self, *, tolerance: float, without: Collection[str], days: float | None, scope: str | None = None
    ) -> WhatIfAnswer:
        """The settled rule at another tolerance, and without some models. Raises Unprocessable for unknown models."""
        models = {**self._catalog.now.models, **self._catalog.now.variants}
        without = [self._catalog.now.resolve(name) for name in without]
        unknown = sorted(name for name in without if name not in models)
        if unknown:
            listed = ", ".join(sorted(models))
            raise Unprocessable(f"unknown model {unknown[0][:80]!r}; known are {listed}", param="without")
        without += [name for name, one in self._catalog.now.variants.items() if one.base in without]
        if not set(self._pool()) - set(without):
            raise Unprocessable("without these models nobody is left to serve", param="without")
        seen = await self._evidence(Selection(days, scope))
        learned = [(bucket, model, replace(stats)) for bucket, model, stats in self._policy.rows()]
        answer = partial(self._answer, seen, learned, tolerance, frozenset(without))
        told = await self._store.in_turn(answer)
        return {"tolerance": tolerance, "without": sorted(set(without)), "days": days, **told}

    async def placebos(
        self,
        *,
        days: float | None = None,
        since: float | None = None,
        until: float | None = None,
        scope: str | None = None,
    ) -> Placebos:
        """What careless routing would have done with what the baseline could have served: see `_placebos`."""
        asked = Selection(days, scope, self._catalog.now.baseline, since, until)
        seen = await self._evidence(asked)
        told = self._told.get(asked)
        if told is None or told[0] is not seen:
            told = seen, await self._store.in_turn(partial(self._placebos, seen))
            self._told = {**{one: self._told[one] for one in self._told if one in self._kept}, asked: told}
        return told[1]

    def forget(self) -> None:
        """Drop what was read (after a reset)."""
        self._kept.clear()
        self._told.clear()

    async def _evidence(self, asked: Selection) -> LoggedData:
        """What is kept, or is being read, or is read now."""
        kept = self._kept.get(asked)
        if kept is not None and time.monotonic() - kept.at < KEEP * kept.took:
            return kept.seen
        task = self._reading.get(asked)
        if task is None:
            task = self._reading[asked] = asyncio.ensure_future(self._read(asked))
            task.add_done_callback(lambda _: self._reading.pop(asked, None))
        return await asyncio.shield(task)

    async def _read(self, asked: Selection) -> LoggedData:
        until = asked.until
        since = asked.since if asked.days is None else (until or time.time()) - asked.days * 86_400
        seen, took = await self._store.read(_timed, since, until, asked.scope, asked.able)
        self._kept.pop(asked, None)
        self._kept = {**dict(list(self._kept.items())[-KEPT + 1 :]), asked: Kept(seen, time.monotonic(), took)}
        return seen

    def _pool(self) -> tuple[str, ...]:
        return self._catalog.now.names

    def _prices(self) -> dict[str, float]:
        catalog = self._catalog.now
        return {model.id: model.input_usd for model in (*catalog.models.values(), *catalog.variants.values())}

    def _settled(self, learned: brain.Rows, tolerance: float, without: Collection[str]) -> Target:
        """The policy in use over what it has learned, without any trial: the same code decides.

        It is asked for the EXACT largest groups of calls; for more, its order of the whole pool in the bucket is followed.
        """
        catalog = self._catalog.now
        settings = replace(
            self._routing,
            quality_tolerance=max(tolerance, LEAST_TOLERANCE),
            explore_share=0.0,
            baseline_first=0.0,
            repriced_calls=0.0,
            min_samples=0,
            epsilon=0.0,
        )
        rule = brain.build(self._policy.name, catalog=facts_of(catalog), baseline=catalog.baseline, settings=settings)
        rule.load(learned, {})

        whole = tuple(model for model in self._pool() if model not in without)
        rankings: dict[str, tuple[str, ...]] = {}
        asked = 0

        def target(bucket: str, eligible: tuple[str, ...]) -> Mapping[str, float]:
            nonlocal asked
            left = tuple(model for model in eligible if model not in without)
            if not left:
                return {}
            asked += 1
            if asked <= EXACT:
                return {rule.choose(brain.RoutingAsk(bucket, "", left), 0.0, 0).model: 1.0}
            if bucket not in rankings:
                rankings[bucket] = rule.choose(brain.RoutingAsk(bucket, "", whole), 0.0, 0).ranking
            return {next(model for model in rankings[bucket] if model in left): 1.0}

        return target

    def _answer(
        self, seen: LoggedData, learned: brain.Rows, tolerance: float, without: Collection[str]
    ) -> WhatIfEstimate:
        estimate = self._evaluate(seen, self._settled(learned, tolerance, without))
        routed = self._evaluate(seen, as_routed(seen), least=1.0)
        refused = refusal(estimate)
        return {
            "policy": self._policy.name,
            "calls": int(seen.calls),
            "covered": estimate.covered,
            "refused": refused,
            "effective_sample_size": _effective(estimate),
            **shown(estimate if refused is None else None),
            "as_routed": {**shown(routed), "effective_sample_size": _effective(routed)},
            "models": [
                {"model": model, "share": calls / (estimate.calls * estimate.covered)}
                for model, calls in sorted(estimate.models.items(), key=lambda one: -one[1])
            ],
        }

    def _placebos(self, seen: LoggedData) -> Placebos:
        """As routed, and three placebos, each with sample, effective size, share of the calls covered, and intervals.

        always_best: the baseline wherever it can serve. always_cheapest: by list price, the cheapest that is known in the
        bucket. shuffle: the same models in the same shares, random_mixture at random whatever is asked, and mixture with one of
        the other two until it costs what the routing did.
        """
        catalog = self._catalog.now
        order = sorted(self._pool(), key=lambda model: (_list_usd(catalog.model(model)), model))
        best, cheapest = ope.only(catalog.baseline), ope.always(order, seen)
        routed = self._evaluate(seen, as_routed(seen), least=1.0)
        shuffle = self._cost_matched(seen, routed, best, cheapest)
        lines = {
            "as_routed": routed,
            "always_best": self._evaluate(seen, best),
            "always_cheapest": self._evaluate(seen, cheapest),
            "shuffle": self._evaluate(seen, shuffle),
        }
        return {"calls": int(seen.calls), "lines": [_line(name, one) for name, one in lines.items()]}

    def _cost_matched(self, seen: LoggedData, routed: PolicyEstimate, best: Target, cheapest: Target) -> Target:
        deal = ope.random_mixture(seen.shares(), seen)
        plain = self._evaluate(seen, deal)
        if plain.cost is None or routed.cost is None:
            return deal
        other = cheapest if plain.cost.value > routed.cost.value else best
        end = self._evaluate(seen, other)
        if end.cost is None or abs(end.cost.value - plain.cost.value) < BLEND:
            return deal
        share = (routed.cost.value - plain.cost.value) / (end.cost.value - plain.cost.value)
        return ope.mixture(deal, other, min(1.0, max(0.0, share)))

    def _evaluate(self, seen: LoggedData, target: Target, least: float = ope.MIN_SUPPORT) -> PolicyEstimate:
        return ope.evaluate(seen, target, self._pool(), self._prices(), least)


def as_routed(seen: LoggedData) -> Target:
    """The shares in which the routed decisions of a bucket asked its models."""
    asked: dict[str, dict[str, float]] = {}
    for group in seen.groups:
        shares = asked.setdefault(group.bucket, {})
        for model, n in group.routed.items():
            shares[model] = shares.get(model, 0.0) + n

    def target(bucket: str, eligible: tuple[str, ...]) -> Mapping[str, float]:
        able = {model: n for model, n in asked[bucket].items() if model in eligible}
        total = sum(able.values())
        return {model: n / total for model, n in able.items()} if total > 0 else {}

    return target


def refusal(estimate: PolicyEstimate) -> str | None:
    """Why no estimate is given, in one sentence; None when it is."""
    thin = uncovered(estimate)
    if thin is not None:
        return thin
    found = _effective(estimate)
    if found is None or found < ENOUGH:
        return (
            f"The decisions that speak of this are worth {found or 0:.0f} plain ones, and {ENOUGH:.0f} are needed; "
            "wait for more traffic, or ask about more days."
        )
    return None


def uncovered(estimate: PolicyEstimate, least: float = ope.MIN_SUPPORT) -> str | None:
    """Why an estimate would not speak of all the calls, and how many more graded answers it takes where `least` are; None when it does."""
    if estimate.calls < 1:
        return "No decisions of this period can be used: there is nothing to estimate from."
    if estimate.covered < COVERED:
        missing = f"{1 - estimate.covered:.0%} of the calls"
        if sum(gap.calls for gap in estimate.gaps) < (1 - estimate.covered) * estimate.calls / 2:
            return f"{missing} could be served by none of the models that are left."
        gap = estimate.gaps[0]
        more = math.ceil(max(1.0, least - min(gap.answers, gap.grades)))
        return (
            f"{missing} would go where hardly anything was tried: {_told(gap)}, and {more} more graded "
            f"{'one is' if more == 1 else 'are'} needed."
        )
    return None


def shown(estimate: PolicyEstimate | None) -> Estimated:
    """Cost a call in USD and quality, with their intervals; nulls for no estimate."""
    cost, quality = (None, None) if estimate is None else (estimate.cost, estimate.quality)
    return {
        "cost": None if cost is None else cost.value,
        "cost_interval": None if cost is None else [max(0.0, cost.low), cost.high],
        "quality": None if quality is None else _share(quality.value),
        "quality_interval": None if quality is None else [_share(quality.low), _share(quality.high)],
    }


def _share(quality: float) -> float:
    """A quality within 0..1, where an interval or the rounding of sums leaves that."""
    return min(1.0, max(0.0, quality))


def _told(gap: SupportGap) -> str:
    return f"{gap.model} has {_some(gap.answers, 'answer')} and {_some(gap.grades, 'grade')} in {gap.bucket}"


def _some(n: float, what: str) -> str:
    return f"{n:.0f} {what}" if n == 1 else f"{n:.0f} {what}s"


def _effective(estimate: PolicyEstimate) -> float | None:
    means: list[MeanEstimate] = [one for one in (estimate.cost, estimate.quality) if one is not None]
    return min(one.effective for one in means) if means else None


def _line(name: str, estimate: PolicyEstimate) -> PlaceboLine:
    refused = uncovered(estimate, 1.0 if name == "as_routed" else ope.MIN_SUPPORT)
    return {
        "name": name,
        "calls": round(estimate.calls * estimate.covered),
        "covered": estimate.covered,
        "effective_sample_size": _effective(estimate),
        "refused": refused,
        **shown(estimate if refused is None else None),
    }


def _list_usd(model: Any) -> float:
    tokens_in, tokens_out = TYPICAL_TOKENS
    return float(tokens_in * model.input_usd + tokens_out * model.output_usd)
