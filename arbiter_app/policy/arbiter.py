"""The default policy: traffic starts at the baseline, and cheaper models earn it where that is expected to pay.

Every decision is a pure function of (snapshot, ask, seed), see `PolicySnapshot`: believe (`belief.py`), weigh (`worth.py`), choose. It serves
the model of least expected loss, or, inside a budget, tries one that may still turn out better.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from struct import error as StructError
from typing import Any, TypeVar

import numpy as np

from arbiter_app.policy.belief import Array, Belief, GapPrior, cheapness, gap_prior
from arbiter_app.policy.buckets import (
    REFRESH_AFTER,
    SHARED_REFRESH_AFTER,
    SUM_FIELDS,
    Bucket,
    BucketSums,
    SharedPosterior,
    benchmark_grades,
    expected_usd,
)
from arbiter_app.policy.drift import Move, Watch, price_move, quality_move
from arbiter_app.policy.eligible import Pool
from arbiter_app.policy.holder import StatisticsHolder, delta_of
from arbiter_app.policy.plan import View
from arbiter_app.policy.price import unit_price, usd_at
from arbiter_app.policy.rule import decide
from arbiter_app.policy.statistics import BEYOND, ModelStats, Rows
from arbiter_app.policy.text import Teller, features, head
from arbiter_app.policy.types import UNLISTED, Ask, Choice, Learned, ModelFacts, Observation, PolicySettings, Shift

TYPICAL_TOKENS = (1000.0, 300.0)
"""Tokens of prompt and answer at which list prices are compared before anything was called (what chats were recorded with)."""
WATCH_EVERY = 8.0
"""Calls of a model in a bucket after which its tests for change are stored anew (a restart loses at most so many calls of
evidence; choices read only what is stored at once)."""
TEXT_EVERY = 16 * WATCH_EVERY
"""Calls after which a regression is stored, and read by choices, anew (3 KB each time: 25 bytes a call)."""
READ_ALL, READ_EVERY = 1_000, 4
"""Grades of a model in a bucket whose prompts are all read, and of how many later ones one is: reading one takes a sixth of what
choosing and recording take."""
PRICE_SD_LISTED = 0.1
"""Standard deviation that the logarithm of a unit price is expected to have, relative to a list price (caching discounts,
rounding) ..."""
PRICE_SD_UNLISTED = 0.35
"""... and where no list price is known, and prompt and answer tokens are mixed in any proportion."""
SUMS, WATCH, TEXT = "sums", "watch", "text"
"""Kinds of state, each stored by bucket and model: the sums that beliefs rest on, the tests for change, the regressions."""
Place = tuple[str, str]
"""A bucket and a model."""
Marks = tuple[Array, Array]
"""Sums [F] that beliefs rest on: in the bucket itself, and in the others."""
T = TypeVar("T")


class ArbiterPolicy(StatisticsHolder):
    """Least expected loss with frugal trials, over a table of sufficient statistics.

    What choices rest on besides these is part of the state that a store keeps: the sums that beliefs were last worked out
    from, the tests for change, and the regressions on prompts. All else is worked out from them and kept for speed.
    """

    name = "arbiter"

    def __init__(self, facts: Mapping[str, ModelFacts], baseline: str, settings: PolicySettings) -> None:
        super().__init__(facts, baseline, settings)
        self._watches: dict[Place, Watch] = {}
        self._falling: set[Place] = set()
        self._learning: dict[Place, Teller] = {}
        self._tellers: dict[str, dict[str, Teller]] = {}
        self._unsaved: dict[tuple[str, Place], None] = {}
        self._views: dict[str, View] = {}
        self._buckets: dict[str, Bucket] = {}
        self._settled: tuple[int, ArbiterPolicy] | None = None
        """What decides without trials, from the statistics as they were at some version."""
        self._arrange((), {})

    def know(self, facts: Mapping[str, ModelFacts], baseline: str) -> None:
        """The pool changed: what is believed of its models is worked out anew, from the same sums."""
        super().know(facts, baseline)
        self._arrange((), self._marks())

    def choose(self, ask: Ask, now: float, seed: int) -> Choice:
        """The model for one request; the same snapshot, ask and seed give the same."""
        self._fit(ask.eligible)
        return decide(self._told(self._view(ask.bucket), ask), ask, seed, self._pool, self._settings, self._falling)

    def record(self, seen: Observation) -> Learned:
        """Fold one call in. A price alarm makes the model's cost be learned anew, a quality alarm its grades."""
        known = self._table.known(seen.bucket, seen.model)
        facts = self._facts.get(seen.model, UNLISTED)
        delta = delta_of(seen, facts)
        if seen.model == self._baseline and known.graded < self._settings.baseline_first:
            delta.explore_usd = 0.0
        place = seen.bucket, seen.model
        watch = self._watch(place)
        self._read(seen, known)
        shifts = self._quality_shift(watch, seen, known, delta)
        deltas = (*self._relisted(watch, seen, facts), *self._fold(seen.bucket, seen.model, delta).deltas)
        move = self._price_move(watch, seen, facts)
        if move is not None:
            deltas = (*deltas, *self._reprice(seen, move, facts))
            shifts.append(_shift("price", seen, move, "up" if move.new > move.old else "down", _price_words(move)))
        calls = self._table.known(seen.bucket, seen.model).calls
        self._mark(place, bool(shifts) or calls % WATCH_EVERY == 0)
        self._publish(place, calls % TEXT_EVERY == 0)
        return self._learned(seen.bucket, deltas, shifts)

    def grade(self, seen: Observation) -> Learned:
        """A grade that came after the call was recorded."""
        place = seen.bucket, seen.model
        self._read(seen, self._table.known(*place))
        deltas = super().grade(seen).deltas
        if seen.quality is None:
            return Learned()
        watch, delta = self._watch(place), ModelStats()
        shifts = self._quality_shift(watch, seen, self._table.known(*place), delta)
        if shifts:
            deltas = (*deltas, *self._fold(seen.bucket, seen.model, delta).deltas)
            self._mark(place, True)
        self._publish(place, False)
        return self._learned(seen.bucket, deltas, shifts)

    def vote(self, bucket: str, model: str, up: bool, withdrawn: bool = False) -> Learned:
        """A human's thumb weighs several grades: what is believed is looked at anew."""
        deltas = super().vote(bucket, model, up, withdrawn).deltas
        self._sync_all()
        return self._learned(bucket, deltas, ())

    def load(self, rows: Rows, state: Mapping[str, bytes]) -> None:
        """Start from stored statistics and state; what cannot be read starts anew."""
        super().load(rows, state)
        self._watches = dict(_stored(WATCH, state, Watch.unpacked))
        self._falling = {place for place, watch in self._watches.items() if watch.cheaper > 0}
        self._learning = dict(_stored(TEXT, state, Teller.unpacked))
        for place in self._learning:
            self._show(place, Teller.unpacked(state[_key(TEXT, place)]))
        self._arrange((), dict(_stored(SUMS, state, _marks)))
        if any(one.staleness > REFRESH_AFTER for one in self._buckets.values()) or self._much_is_news():
            self._sync_all()

    def merge(self, rows: Rows) -> None:
        """Add what other processes learned: what is believed is looked at anew."""
        marks = self._marks()
        super().merge(rows)
        self._arrange((), marks)
        self._sync_all()

    def moved(self, kind: str, bucket: str, model: str) -> None:
        """Another process has noticed a shift: this one's tests of it begin anew. A model has one price in all buckets."""
        for place, watch in self._watches.items():
            if place[1] == model and kind == "price":
                watch.reprice()
                self._mark(place, True)
            elif place == (bucket, model) and kind == "quality":
                watch.regrade()
                self._mark(place, True)

    def forget(self) -> None:
        """Drop everything learned."""
        super().forget()
        for one in (self._watches, self._falling, self._learning, self._tellers, self._unsaved):
            one.clear()
        self._arrange((), {})

    def table(self, bucket: str, models: Sequence[str]) -> list[dict[str, Any]]:
        """What is believed of each model in a bucket, and which one an exploiting request would get now."""
        if not models:
            return []
        if self._settled is None or self._settled[0] != self._version:
            settings = replace(
                self._settings, explore_share=0.0, baseline_first=0.0, repriced_share=0.0, recheck_share=0.0
            )
            settled = ArbiterPolicy(self._facts, self._baseline, settings)
            settled.load(self._table.rows(), {})
            self._settled = self._version, settled
        choice = self._settled[1].choose(Ask(bucket, "", tuple(models)), 0.0, 0)
        best = next((one.model for one in choice.candidates if not one.why_not), None)
        return self._rows(bucket, choice.candidates, best)

    def _state(self) -> Mapping[str, bytes]:
        shown = [(bucket, model) for bucket, tellers in self._tellers.items() for model in tellers]
        kinds = (SUMS, self._marks()), (WATCH, self._watches), (TEXT, shown)
        return {_key(kind, place): self._packed(kind, place) for kind, places in kinds for place in places}

    def _learned(
        self, bucket: str, deltas: tuple[tuple[str, str, ModelStats], ...], shifts: Sequence[Shift]
    ) -> Learned:
        """What came of an observation, once beliefs have followed it, with the state that is to be stored for it."""
        if shifts:
            self._sync_all()
        elif self._buckets[bucket].staleness > REFRESH_AFTER:
            self._saved_later(bucket, self._buckets[bucket].sync())
            self._views.pop(bucket, None)
            if self._much_is_news():
                self._share_all()
        state = {_key(kind, place): self._packed(kind, place) for kind, place in self._unsaved}
        self._unsaved.clear()
        return Learned(deltas, tuple(shifts), state)

    def _packed(self, kind: str, place: Place) -> bytes:
        if kind == WATCH:
            return self._watches[place].packed()
        if kind == TEXT:
            return self._tellers[place[0]][place[1]].packed()
        here, at = self._buckets[place[0]], self._pool.index[place[1]]
        return np.concatenate((here.synced.sums[:, at], here.shared.sums[:, at])).astype("<f8").tobytes()

    def _saved_later(self, bucket: str, places: Iterable[int]) -> None:
        self._unsaved.update({(SUMS, (bucket, self._pool.models[at])): None for at in places})

    def _much_is_news(self) -> bool:
        """Whether beliefs of buckets about each other are old: a bucket that is alone has nobody to hear of."""
        news, buckets = sum([one.shared_staleness for one in self._buckets.values()]), len(self._buckets)
        return buckets > 1 and news > SHARED_REFRESH_AFTER * buckets

    def _sync_all(self) -> None:
        """Something moved by more than one call: whatever is believed is worked out anew."""
        for bucket, one in self._buckets.items():
            self._saved_later(bucket, one.sync())
        self._share_all()

    def _share_all(self) -> None:
        for bucket, one in self._buckets.items():
            self._saved_later(bucket, one.share())
        self._shared.refresh()
        self._views.clear()

    def _fold(self, bucket: str, model: str, delta: ModelStats) -> Learned:
        if model not in self._known:
            self._known.add(model)
            if model not in self._pool.index:
                self._arrange((), self._marks())
        learned = super()._fold(bucket, model, delta)
        if bucket not in self._buckets:
            self._buckets = dict(sorted({**self._buckets, bucket: self._bucket(bucket)}.items()))
            self._shared = SharedPosterior(self._buckets, self._prior)
            self._put(bucket, model)
            self._share_all()
        else:
            self._put(bucket, model)
        return learned

    def _put(self, bucket: str, model: str) -> None:
        self._buckets[bucket].put(self._pool.index[model], self._table.known(bucket, model))

    def _fit(self, models: Sequence[str]) -> None:
        """Let the arrays hold the models that are known, these, and no others."""
        if len(self._pool.models) == len(self._known) and self._known.issuperset(models):
            return
        more = set(models) - self._known
        if more != self._pool.index.keys() - self._known:
            self._arrange(more, self._marks())

    def _marks(self) -> dict[Place, Marks]:
        """The sums that beliefs rest on, of every row."""
        found = {}
        for bucket, model, _ in self._table.rows():
            here, at = self._buckets[bucket], self._pool.index[model]
            found[bucket, model] = here.synced.sums[:, at], here.shared.sums[:, at]
        return found

    def _arrange(self, more: Collection[str], marks: Mapping[Place, Marks]) -> None:
        """Fix the order of the models in all arrays, and the prior that follows from their prices. Beliefs rest on these sums;
        where there are none, on the statistics as they are."""
        rows = self._table.rows()
        self._known = {self._baseline, *self._facts, *(model for _, model, _ in rows)}
        self._pool = Pool(tuple(self._known.union(more)), self._baseline)
        self._price = np.array([_typical_usd(self._facts.get(model, UNLISTED)) for model in self._pool.models])
        self._prior = _prior(self._price, self._pool.base, self._settings)
        self._buckets = {}
        self._buckets = {bucket: self._bucket(bucket) for bucket in self._table.buckets()}
        for bucket, model, _ in rows:
            self._put(bucket, model)
        for bucket, here in self._buckets.items():
            synced = here.live.copy()
            shared = synced.copy()
            for model, at in self._pool.index.items():
                if (bucket, model) in marks:
                    synced[:, at], shared[:, at] = marks[bucket, model]
            here.restore(synced, shared)
        self._shared = SharedPosterior(self._buckets, self._prior)
        self._views.clear()

    def _bucket(self, bucket: str) -> Bucket:
        """The arrays of a bucket; empty ones where nothing was learned in it."""
        found = self._buckets.get(bucket)
        if found is not None:
            return found
        models, strength = self._pool.models, self._settings.prior_strength
        benchmark = benchmark_grades(models, bucket, self._facts, strength)
        return Bucket(len(models), self._pool.base, benchmark, self._settings.vote_weight)

    def _view(self, bucket: str) -> View:
        """What decisions in a bucket rest on."""
        view = self._views.get(bucket)
        if view is None:
            here = self._bucket(bucket)
            view = self._views[bucket] = self._look(here, here.synced)
        return view

    def _look(self, here: Bucket, sums: BucketSums) -> View:
        """From these sums of a bucket, and those that it shares with the others."""
        elsewhere = self._shared.base_charges(here)
        money = expected_usd(sums, elsewhere, self._price, self._pool.base, self._settings.price_strength)
        return View(here, sums, self._shared.belief(here, sums), money, self._table.total)

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
        teller = self._learning.setdefault((seen.bucket, seen.model), Teller())
        teller.hear(seen.prompt, seen.quality - known.quality_sum / known.graded, seen.quality_weight)

    def _publish(self, place: Place, due: bool) -> None:
        """Let choices read what prompts tell as it is now: when it is due, and when that has begun or ceased to be proven."""
        teller = self._learning.get(place)
        if teller is None:
            return
        shown = self._tellers.get(place[0], {}).get(place[1])
        before = (False, False) if shown is None else (shown.heard, shown.proven)
        if due or before != (teller.heard, teller.proven):
            self._show(place, Teller.unpacked(teller.packed()))
            self._unsaved[TEXT, place] = None

    def _show(self, place: Place, teller: Teller) -> None:
        self._tellers.setdefault(place[0], {})[place[1]] = teller

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

    def _watch(self, place: Place) -> Watch:
        watch = self._watches.get(place)
        if watch is None:
            watch = self._watches[place] = Watch()
        return watch

    def _mark(self, place: Place, save: bool) -> None:
        """Keep in mind whose last calls were cheaper than before, and store the tests where that changed or they are due."""
        falling = self._watches[place].cheaper > 0
        if save or falling != (place in self._falling):
            self._unsaved[WATCH, place] = None
        (self._falling.add if falling else self._falling.discard)(place)

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
                    self._watch((bucket, seen.model)).reprice()
                    self._mark((bucket, seen.model), True)
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
        deltas = self._fold(seen.bucket, seen.model, known.repriced(now, now > was)).deltas
        self._sync_all()
        return deltas

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


def _key(kind: str, place: Place) -> str:
    return f"{kind}/{place[0]}/{place[1]}"


def _stored(kind: str, state: Mapping[str, bytes], unpacked: Callable[[bytes], T]) -> Iterator[tuple[Place, T]]:
    """What is stored of one kind, by bucket and model; nothing of what is of another form."""
    for name, data in state.items():
        prefix, _, rest = name.partition("/")
        bucket, _, model = rest.partition("/")
        if prefix == kind and model:
            with suppress(StructError, ValueError):
                yield (bucket, model), unpacked(data)


def _marks(data: bytes) -> Marks:
    """The sums that beliefs in a bucket rest on, and those that others' do. Raises ValueError when these bytes are none."""
    flat = np.frombuffer(data, dtype="<f8").astype(np.float64)
    if len(flat) != 2 * len(SUM_FIELDS) or not (np.isfinite(flat) & (np.abs(flat) < BEYOND)).all():
        raise ValueError("not the sums of a model in a bucket")
    return flat[: len(SUM_FIELDS)], flat[len(SUM_FIELDS) :]
