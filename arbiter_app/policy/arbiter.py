"""The default policy: traffic starts at the baseline, and cheaper models earn it where that is expected to pay.

Every decision is a pure function of (statistics, ask, seed): believe (`belief.py`), weigh (`worth.py`), choose. It serves
the model of least expected loss, or, inside a budget, tries one that may still turn out better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from struct import error as StructError
from typing import Any, TypeVar

import numpy as np

from arbiter_app.policy.belief import Array, Belief, GapPrior, cheapness, gap_prior
from arbiter_app.policy.buckets import NEWS, Bucket, Crowd, expected_usd
from arbiter_app.policy.drift import Move, Watch, price_move, quality_move
from arbiter_app.policy.eligible import Pool
from arbiter_app.policy.holder import StatisticsHolder, delta_of
from arbiter_app.policy.plan import View
from arbiter_app.policy.price import unit_price, usd_at
from arbiter_app.policy.rule import decide
from arbiter_app.policy.statistics import ModelStats, Rows
from arbiter_app.policy.text import Teller, features, head
from arbiter_app.policy.types import UNLISTED, Ask, Choice, Learned, ModelFacts, Observation, PolicySettings, Shift

TYPICAL_TOKENS = (1000.0, 300.0)
WATCH_EVERY = 8.0
TEXT_EVERY = 16 * WATCH_EVERY
READ_ALL, READ_EVERY = 1_000, 4
"""Grades of a model in a bucket whose prompts are all read, and of how many later ones one is: reading one takes a sixth of what
choosing and recording take."""
PRICE_SD_LISTED, PRICE_SD_UNLISTED = 0.1, 0.35
Kind = TypeVar("Kind", Watch, Teller)
Looked = tuple[View | None, float, float]
_NEVER: Looked = (None, 0.0, 0.0)


class ArbiterPolicy(StatisticsHolder):
    """Least expected loss with frugal trials, over a table of sufficient statistics."""

    name = "arbiter"

    def __init__(self, facts: Mapping[str, ModelFacts], baseline: str, settings: PolicySettings) -> None:
        super().__init__(facts, baseline, settings)
        self._watches: dict[tuple[str, str], Watch] = {}
        self._tellers: dict[str, dict[str, Teller]] = {}
        self._falling: set[tuple[str, str]] = set()
        self._views: dict[str, Looked] = {}
        self._news = 0.0
        self._set_pool({baseline, *facts})

    def know(self, facts: Mapping[str, ModelFacts], baseline: str) -> None:
        """The pool changed: what is believed of its models is worked out anew."""
        super().know(facts, baseline)
        self._set_pool({baseline, *facts, *(model for _, model, _ in self._table.rows())})

    def choose(self, ask: Ask, now: float, seed: int) -> Choice:
        """The model for one request; replaying the same statistics, ask and seed gives the same."""
        self._welcome(ask.eligible)
        return decide(self._told(self._view(ask.bucket), ask), ask, seed, self._pool, self._settings, self._falling)

    def record(self, seen: Observation) -> Learned:
        """Fold one call in. A price alarm makes the model's cost be learned anew, a quality alarm its grades."""
        known = self._table.known(seen.bucket, seen.model)
        facts = self._facts.get(seen.model, UNLISTED)
        delta = delta_of(seen, facts)
        if seen.model == self._baseline and known.graded < self._settings.baseline_first:
            delta.explore_usd = 0.0
        watch = self._watch(seen.bucket, seen.model)
        self._read(seen, known)
        shifts = self._quality_shift(watch, seen, known, delta)
        deltas = (*self._relisted(watch, seen, facts), *self._fold(seen.bucket, seen.model, delta).deltas)
        move = self._price_move(watch, seen, facts)
        self._mark(seen.bucket, seen.model, watch)
        if move is not None:
            deltas = (*deltas, *self._reprice(seen, move, facts))
            shifts.append(_shift("price", seen, move, "up" if move.new > move.old else "down", _price_words(move)))
        if shifts:
            self._look_again()
        return Learned(deltas, tuple(shifts), self._state(seen, watch, bool(shifts)))

    def grade(self, seen: Observation) -> Learned:
        """A grade that came after the call was recorded."""
        self._read(seen, self._table.known(seen.bucket, seen.model))
        learned = super().grade(seen)
        if seen.quality is None:
            return learned
        watch, delta = self._watch(seen.bucket, seen.model), ModelStats()
        shifts = self._quality_shift(watch, seen, self._table.known(seen.bucket, seen.model), delta)
        if not shifts:
            return learned
        more = self._fold(seen.bucket, seen.model, delta)
        self._look_again()
        return Learned((*learned.deltas, *more.deltas), tuple(shifts), self._state(seen, watch, True))

    def vote(self, bucket: str, model: str, up: bool, withdrawn: bool = False) -> Learned:
        """A human's thumb weighs several grades: what is believed is looked at anew."""
        self._look_again()
        return super().vote(bucket, model, up, withdrawn)

    def load(self, rows: Rows, state: Mapping[str, bytes]) -> None:
        """Start from stored statistics and tests; a test that cannot be read starts anew."""
        super().load(rows, state)
        self._set_pool({*self._pool.models, *(model for _, model, _ in self._table.rows())})
        self._watches = {key: one for key, data in _kept("watch", state) if (one := _whole(Watch, data))}
        self._tellers = {}
        for (bucket, model), data in _kept("text", state):
            if teller := _whole(Teller, data):
                self._tellers.setdefault(bucket, {})[model] = teller
        self._falling = {key for key, watch in self._watches.items() if watch.cheaper > 0}

    def merge(self, rows: Rows) -> None:
        """Add what other processes learned."""
        super().merge(rows)
        self._set_pool({*self._pool.models, *(model for _, model, _ in self._table.rows())})

    def moved(self, kind: str, bucket: str, model: str) -> None:
        """Another process has noticed a shift: this one's tests of it begin anew. A model has one price in all buckets."""
        for (where, whose), watch in self._watches.items():
            if whose == model and kind == "price":
                watch.reprice()
            elif (where, whose) == (bucket, model) and kind == "quality":
                watch.regrade()

    def forget(self) -> None:
        """Drop everything learned."""
        super().forget()
        self._watches.clear()
        self._tellers.clear()
        self._falling.clear()
        self._gather({})

    def table(self, bucket: str, models: Sequence[str]) -> list[dict[str, Any]]:
        """What is believed of each model in a bucket, and which one an exploiting request would get now."""
        if not models:
            return []
        self._welcome(models)
        settled = replace(self._settings, explore_share=0.0, baseline_first=0.0, repriced_share=0.0, recheck_share=0.0)
        choice = decide(self._look(bucket), Ask(bucket, "", tuple(models)), 0, self._pool, settled)
        best = next((one.model for one in choice.candidates if not one.why_not), None)
        return self._rows(bucket, choice.candidates, best)

    def _fold(self, bucket: str, model: str, delta: ModelStats) -> Learned:
        learned = super()._fold(bucket, model, delta)
        if model in self._pool.index:
            self._put(bucket, model)
        else:
            self._set_pool({*self._pool.models, model})
        return learned

    def _welcome(self, models: Sequence[str]) -> None:
        if not self._pool.index.keys() >= set(models):
            self._set_pool({*self._pool.models, *models})

    def _set_pool(self, models: set[str]) -> None:
        """Fix the order of the models in all arrays, and the prior that follows from their prices."""
        self._pool = Pool(tuple(models), self._baseline)
        self._price = np.array([_typical_usd(self._facts.get(model, UNLISTED)) for model in self._pool.models])
        self._prior = _prior(self._price, self._pool.base, self._settings)
        self._gather({})
        for bucket in self._table.buckets():
            for model in self._pool.models:
                self._put(bucket, model)

    def _put(self, bucket: str, model: str) -> None:
        row = self._buckets.get(bucket)
        if row is None:
            row = Bucket(len(self._pool.models), self._pool.base)
            self._gather({**self._buckets, bucket: row})
            for other in self._pool.models:
                self._put(bucket, other)
        known = self._table.known(bucket, model)
        before = row.news
        row.put(self._pool.index[model], known, self._facts.get(model), bucket.partition(":")[0], self._settings)
        self._news += min(row.news - before, NEWS)

    def _gather(self, buckets: Mapping[str, Bucket]) -> None:
        """Take these buckets, in the order of their names, so that the order of arrival leaves no trace."""
        self._buckets = dict(sorted(buckets.items()))
        self._crowd = Crowd(self._buckets, self._prior)
        self._look_again()

    def _look_again(self) -> None:
        """Something moved by more than one call: whatever is believed is worked out anew."""
        self._views.clear()
        for one in self._buckets.values():
            one.said = -inf

    def _view(self, bucket: str) -> View:
        """What decisions in a bucket rest on: looked at anew on news enough there, or twice as many a bucket in all."""
        view, here, there = self._views.get(bucket, _NEVER)
        now = self._buckets.get(bucket)
        if view is None or now is None or now.news - here > NEWS or self._news - there > 2 * NEWS * len(self._buckets):
            view = self._look(bucket)
            self._views[bucket] = view, view.here.news, self._news
        return view

    def _look(self, bucket: str) -> View:
        here = self._buckets.get(bucket) or Bucket(len(self._pool.models), self._pool.base)
        strength, buckets = self._settings.price_strength, self._buckets.values()
        money = expected_usd(here, buckets, self._price, self._pool.base, strength)
        return View(here, here.believed(self._crowd), money, here.size(), self._table.total)

    def _told(self, view: View, ask: Ask) -> View:
        """The view with what this prompt tells, for models whose grades it has been shown to predict.

        A prompt that is hard for one is hard for the baseline, too: so nothing is told before that can be said of both.
        """
        tellers = self._tellers.get(ask.bucket, {})
        bar = tellers.get(self._baseline)
        if bar is None or not (bar.heard and ask.prompt):
            return view
        proven = [(model, one) for model, one in tellers.items() if one is not bar and one.proven]
        if not proven:
            return view
        seen, mean = features([head(ask.prompt)]), view.belief.mean.copy()
        harder = bar.shift(seen)
        for model, one in proven:
            mean[self._pool.index[model]] += one.shift(seen) - harder
        return view.believing(Belief(np.minimum(mean, 1.0), view.belief.cov))

    def _read(self, seen: Observation, known: ModelStats) -> None:
        """Learn what the prompt told of this grade: of every one at first, of some once there were many."""
        if seen.quality is None or not seen.prompt or known.graded < 1:
            return
        if known.graded > READ_ALL and int(known.graded) % READ_EVERY:
            return
        tellers = self._tellers.setdefault(seen.bucket, {})
        teller = tellers.get(seen.model)
        if teller is None:
            teller = tellers[seen.model] = Teller()
        teller.hear(seen.prompt, seen.quality - known.quality_sum / known.graded, seen.quality_weight)

    def _price_move(self, watch: Watch, seen: Observation, facts: ModelFacts) -> Move | None:
        unit = unit_price(facts, seen)
        if unit is None:
            return None
        return price_move(
            watch,
            unit,
            seen.cost_usd or 0.0,
            floor=self._settings.price_shift_floor,
            threshold=self._settings.price_alarm,
            prior_sd=PRICE_SD_LISTED if facts.listed else PRICE_SD_UNLISTED,
        )

    def _watch(self, bucket: str, model: str) -> Watch:
        watch = self._watches.get((bucket, model))
        if watch is None:
            watch = self._watches[bucket, model] = Watch()
        return watch

    def _mark(self, bucket: str, model: str, watch: Watch) -> None:
        """Keep in mind whose last calls were cheaper than before."""
        if watch.cheaper > 0:
            self._falling.add((bucket, model))
        else:
            self._falling.discard((bucket, model))

    def _reprice(self, seen: Observation, move: Move, facts: ModelFacts) -> list[tuple[str, str, ModelStats]]:
        """A model has one price: after an alarm its cost is learned anew in every bucket.

        Where it was noticed, from the mean of the calls since; elsewhere, from the new unit price of a call of mean length.
        """
        deltas: list[tuple[str, str, ModelStats]] = []
        for bucket in self._table.buckets():
            known = self._table.known(bucket, seen.model)
            if known.cost_n > 0:
                here = bucket == seen.bucket
                usd = move.since.mean if here else usd_at(move.new, known, facts)
                delta = known.repriced(usd, move.new > move.old)
                deltas.extend(self._fold(bucket, seen.model, delta).deltas)
                if not here:
                    self._watch(bucket, seen.model).reprice()
        return deltas

    def _relisted(self, watch: Watch, seen: Observation, facts: ModelFacts) -> tuple[tuple[str, str, ModelStats], ...]:
        """When the model's list price is another than the one its unit prices are relative to, the test begins anew here.

        What was charged at the old list price is expected at the new one; what was charged otherwise stays.
        """
        before, watch.listed = watch.listed, (facts.input_usd_per_token, facts.output_usd_per_token)
        if before is None or before == watch.listed:
            return ()
        watch.reprice()
        known, old = self._table.known(seen.bucket, seen.model), ModelFacts(*before)
        was, now = (usd_at(1.0, known, one) if one.listed else 0.0 for one in (old, facts))
        if was is None or now is None or known.mean_cost_usd is None:
            return ()
        if abs(known.mean_cost_usd - was) > was * self._settings.price_shift_floor:
            return ()
        self._look_again()
        return self._fold(seen.bucket, seen.model, known.repriced(now, now > was)).deltas

    def _quality_shift(self, watch: Watch, seen: Observation, known: ModelStats, delta: ModelStats) -> list[Shift]:
        """A quality alarm: `delta` is changed so that only the grades since the change count.

        The baseline's are dropped altogether: a run of bad luck must not become the bar.
        """
        if seen.quality is None:
            return []
        move = quality_move(watch, seen.quality, seen.quality_weight, threshold=self._settings.quality_alarm)
        if move is None:
            return []
        if seen.model == self._baseline:
            watch.grade.clear()
        since = watch.grade
        delta.graded = since.n - known.graded
        delta.quality_sum = since.total - known.quality_sum
        delta.quality_sq = since.square - known.quality_sq
        return [_shift("quality", seen, move, "down", f"its last grades average {move.new:.2f}")]

    def _state(self, seen: Observation, watch: Watch, alarmed: bool) -> Mapping[str, bytes]:
        calls = self._table.known(seen.bucket, seen.model).calls
        if not alarmed and calls % WATCH_EVERY:
            return {}
        place = f"{seen.bucket}/{seen.model}"
        state = {f"watch/{place}": watch.packed()}
        teller = self._tellers.get(seen.bucket, {}).get(seen.model)
        if teller is not None and calls % TEXT_EVERY == 0:
            state[f"text/{place}"] = teller.packed()
        return state


def _prior(price: Array, baseline: int, settings: PolicySettings) -> GapPrior:
    return gap_prior(
        cheapness(price, baseline),
        baseline,
        mean=settings.gap_mean,
        slope=settings.gap_slope,
        sd=(settings.gap_common_sd, settings.gap_slope_sd, settings.gap_own_sd),
        shared=settings.gap_shared,
    )


def _typical_usd(facts: ModelFacts) -> float:
    """Price of a typical request, for comparing models before they were called."""
    return facts.coarse_request_usd if facts.coarse_request_usd is not None else facts.list_usd(*TYPICAL_TOKENS)


def _shift(kind: str, seen: Observation, move: Move, direction: str, words: str) -> Shift:
    reason = f"{words} (evidence {move.evidence:.1f})"
    return Shift(kind, seen.bucket, seen.model, move.old, move.new, direction, reason)


def _price_words(move: Move) -> str:
    if move.new <= 0:
        return "it is free now"
    return f"unit price {move.new / move.old:.2f} times what it was" if move.old > 0 else "it used to be free"


def _kept(kind: str, state: Mapping[str, bytes]) -> Iterator[tuple[tuple[str, str], bytes]]:
    """What is stored of one kind, by bucket and model."""
    for name, data in state.items():
        prefix, _, rest = name.partition("/")
        bucket, _, model = rest.partition("/")
        if prefix == kind and model:
            yield (bucket, model), data


def _whole(kind: type[Kind], data: bytes) -> Kind | None:
    """The value that these bytes are; None when they are of another form."""
    try:
        return kind.unpacked(data)
    except (StructError, ValueError):
        return None
