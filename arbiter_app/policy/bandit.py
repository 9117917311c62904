"""The default policy: traffic starts at the baseline, and cheaper models earn it where that is expected to pay.

Every decision is a pure function of (snapshot, ask, seed), see `PolicySnapshot`: believe (`posterior.py`), weigh
(`expected_loss.py`), choose. It serves the model of least expected loss, or, inside a budget, tries one that may still turn out
better.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from struct import error as StructError
from typing import Any, TypeVar

import numpy as np

from arbiter_app.policy.base import BasePolicy, delta_of, pair_of
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
from arbiter_app.policy.candidates import ModelIndex
from arbiter_app.policy.changepoint import Alarm, ChangeDetector, update_price, update_quality
from arbiter_app.policy.licence import licensed
from arbiter_app.policy.outlook import BucketOutlook, bucket_outlook
from arbiter_app.policy.pool_prior import pool_prior, typical_usd
from arbiter_app.policy.posterior import Array, QualityPosterior
from arbiter_app.policy.price import usd_at
from arbiter_app.policy.prompt_regression import PromptRegression, features, head
from arbiter_app.policy.rule import decide, learning_left_usd
from arbiter_app.policy.scores import BucketPosterior
from arbiter_app.policy.segment_views import SegmentViews
from arbiter_app.policy.segments import BucketSegments, SegmentNews, Segments
from arbiter_app.policy.statistics import BEYOND, PAIR_FIELDS, ModelStats, Rows
from arbiter_app.policy.types import (
    REACTION,
    UNLISTED,
    Differing,
    Learned,
    ModelFacts,
    Objective,
    Observation,
    PolicySettings,
    RoutingAsk,
    RoutingChoice,
    Segment,
    Serve,
    Shift,
    Trials,
)
from arbiter_app.policy.wishes import relative_latency, wished

DETECTOR_EVERY = 8.0
"""Calls of a model in a bucket after which its tests for change are stored anew (a restart loses at most so many calls of
evidence; choices read only what is stored at once)."""
TEXT_EVERY = 16 * DETECTOR_EVERY
"""Calls after which a regression is stored, and read by choices, anew (3 KB each time: 25 bytes a call)."""
READ_ALL, READ_EVERY = 1_000, 4
"""Grades of a model in a bucket whose prompts are all read, and of how many later ones one is: reading one takes a sixth of what
choosing and recording take."""
PRICE_SD_LISTED = 0.1
"""Standard deviation that the logarithm of a unit price is expected to have, relative to a list price (caching discounts,
rounding) ..."""
PRICE_SD_UNLISTED = 0.35
"""... and where no list price is known, and prompt and answer tokens are mixed in any proportion."""
WONDER_EVERY = 4
"""Of so many requests one looks whom else to ask beside it because segments might differ: that takes as long as choosing, and what is worth
asking is so a moment later, too (no effect on what is learned: `brain.md`)."""
MOST_PAIRS = 20_000.0
"""More pairs are not told as a number: nobody waits for them."""
SUMS, WATCH, TEXT, SEGMENTS = "sums", "watch", "text", "segments"
"""Kinds of state, each stored by bucket and model: the sums that beliefs rest on, the tests for change, the regressions. The last is
stored by bucket and feature: its parts (see `segments`)."""
Place = tuple[str, str]
"""A bucket and a model."""
BeliefSums = tuple[Array, Array]
"""Sums [F] that beliefs rest on: in the bucket itself, and in the others."""
Delta = tuple[str, str, ModelStats]
"""What is to be added to the sums of a model in a bucket."""
T = TypeVar("T")


class ArbiterPolicy(BasePolicy):
    """Least expected loss with frugal trials, over a table of sufficient statistics.

    What choices rest on besides these is part of the state that a store keeps: the sums that beliefs were last worked out
    from, the tests for change, and the regressions on prompts. All else is worked out from them and kept for speed.
    """

    name = "arbiter"

    def __init__(self, facts: Mapping[str, ModelFacts], baseline: str, settings: PolicySettings) -> None:
        super().__init__(facts, baseline, settings)
        self._detectors: dict[Place, ChangeDetector] = {}
        self._falling: set[Place] = set()
        self._regressions: dict[Place, PromptRegression] = {}
        self._published: dict[str, dict[str, PromptRegression]] = {}
        self._unsaved: dict[tuple[str, Place], None] = {}
        self._views: dict[str, BucketPosterior] = {}
        self._segments = Segments(self._settings.segment_sure)
        self._segment_views = SegmentViews(self._settings.serve is Serve.LICENSED)
        self._buckets: dict[str, Bucket] = {}
        self._trials = Trials.SERVED
        """How trials were made at the last choice: a model serves sooner where a trial serves the caller."""
        self._foreseen: tuple[int, list[BucketOutlook]] | None = None
        """The outlook, as it was at some version."""
        self._settled: tuple[int, ArbiterPolicy] | None = None
        """What decides without trials, from the statistics as they were at some version."""
        self._arrange((), {})

    def know(self, facts: Mapping[str, ModelFacts], baseline: str) -> None:
        """The pool changed: what is believed of its models is worked out anew, from the same sums."""
        super().know(facts, baseline)
        self._arrange((), self._belief_sums())

    def choose(self, ask: RoutingAsk, now: float, seed: int) -> RoutingChoice:
        """The model for one request; the same snapshot, ask and seed give the same."""
        self._trials = ask.trials
        self._fit(ask.eligible)
        view = whole = self._view(ask.bucket)
        segment = asking = None
        if ask.bucket in self._segments.differing:
            segment, view = self._segment_views.view(self._segments, whole, ask, self._pool, self._shared)
        if segment is None and seed % WONDER_EVERY == 0 and ask.bucket in self._segments.wondering:
            views, known = self._segment_views, self._segments
            asking = views.view(known, whole, ask, self._pool, self._shared, wondering=True)[1]
        view, lost, settings, latency = self._with_prompt(view, ask), self._lost_cache(ask), self._settings, None
        if ask.wish is not None:
            latency = self._latency(ask.bucket) if ask.wish.objective is Objective.LATENCY else None
            settings = wished(settings, ask.wish)
        choice = decide(view, ask, seed, self._pool, settings, self._falling, lost, latency, asking)
        return choice if segment is None else replace(choice, reason=f"{choice.reason}; by {' '.join(segment)}")

    def record(self, observation: Observation) -> Learned:
        """Fold one call in. A price alarm makes the model's cost be learned anew, a quality alarm its grades."""
        known = self._table.known(observation.bucket, observation.model)
        facts = self._facts.get(observation.model, UNLISTED)
        delta = delta_of(observation, facts)
        if observation.model == self._baseline and known.graded < self._settings.baseline_first:
            delta.explore_usd = 0.0
        place, calls = (observation.bucket, observation.model), known.calls + 1
        detector = self._detector(place)
        self._learn_prompt(observation, known)
        shifts = self._quality_shift(detector, observation, known, delta)
        paired = self._paired(observation, bool(shifts))
        due = list[str]()
        if observation.segments and observation.quality is not None and not shifts:
            due = self._learn_segments(observation, paired)
        if paired and paired[0][1] == observation.model:
            delta.add(paired.pop(0)[2])
        deltas = (
            *self._follow_list_price(detector, observation, facts),
            self._fold(observation.bucket, observation.model, delta),
            *[self._fold(*one) for one in paired],
        )
        for feature in due:
            self._look_at_segments(observation.bucket, feature)
        alarm = self._price_alarm(detector, observation, delta, facts) if delta.unit_n else None
        if alarm is not None:
            deltas = (*deltas, *self._reprice(observation, alarm, facts))
            shifts.append(
                _shift("price", observation, alarm, "up" if alarm.new > alarm.old else "down", _price_words(alarm))
            )
        self._note_detector(place, bool(shifts) or calls % DETECTOR_EVERY == 0)
        self._publish(place, calls % TEXT_EVERY == 0)
        return self._learned(observation.bucket, deltas, shifts)

    def grade(self, observation: Observation) -> Learned:
        """A grade that came after the call was recorded."""
        if observation.mode == REACTION and observation.quality is not None:
            return self._learned(observation.bucket, super().grade(observation).deltas, ())
        place = observation.bucket, observation.model
        self._learn_prompt(observation, self._table.known(*place))
        deltas = super().grade(observation).deltas
        if observation.quality is None:
            return Learned()
        detector, delta = self._detector(place), ModelStats()
        shifts = self._quality_shift(detector, observation, self._table.known(*place), delta)
        if shifts:
            deltas = (*deltas, self._fold(observation.bucket, observation.model, delta))
            self._note_detector(place, True)
        paired = self._paired(observation, bool(shifts))
        due = self._learn_segments(observation, paired) if observation.segments and not shifts else []
        deltas = (*deltas, *[self._fold(*one) for one in paired])
        for feature in due:
            self._look_at_segments(observation.bucket, feature)
        self._publish(place, False)
        return self._learned(observation.bucket, deltas, shifts)

    def vote(
        self, bucket: str, model: str, up: bool, withdrawn: bool = False, segments: Sequence[Segment] = ()
    ) -> Learned:
        """A human's thumb weighs several grades, in its segments, too: what is believed is looked at anew."""
        deltas = super().vote(bucket, model, up, withdrawn).deltas
        self._sync_all()
        weight = -self._settings.vote_weight if withdrawn else self._settings.vote_weight
        for feature in self._segments.vote(bucket, segments, model, weight, up):
            self._look_at_segments(bucket, feature)
        return self._learned(bucket, deltas, ())

    def load(self, rows: Rows, state: Mapping[str, bytes]) -> None:
        """Start from stored statistics and state; what cannot be read starts anew."""
        super().load(rows, state)
        self._detectors = dict(_stored(WATCH, state, ChangeDetector.unpacked))
        self._falling = {place for place, detector in self._detectors.items() if detector.cusum_down > 0}
        self._regressions = dict(_stored(TEXT, state, PromptRegression.unpacked))
        for place in self._regressions:
            self._publish_as(place, PromptRegression.unpacked(state[_key(TEXT, place)]))
        self._segments = Segments(self._settings.segment_sure, _stored(SEGMENTS, state, BucketSegments.unpacked))
        self._arrange((), dict(_stored(SUMS, state, _belief_sums)))
        if any(one.staleness > REFRESH_AFTER for one in self._buckets.values()) or self._much_is_news():
            self._sync_all()

    def merge(self, rows: Rows) -> None:
        """Add what other processes learned: what is believed is looked at anew."""
        belief_sums = self._belief_sums()
        super().merge(rows)
        self._arrange((), belief_sums)
        self._sync_all()

    def moved(self, kind: str, bucket: str, model: str) -> None:
        """Another process has noticed a shift: this one's tests of it begin anew. A model has one price in all buckets."""
        for place, detector in self._detectors.items():
            if place[1] == model and kind == "price":
                detector.reprice()
                self._note_detector(place, True)
            elif place == (bucket, model) and kind == "quality":
                detector.regrade()
                self._note_detector(place, True)
        if kind == "quality":
            self._segments.drop(bucket, model, model == self._baseline)

    def segment_news(self) -> SegmentNews:
        """What was learned of segments here since the last time, for other processes to `hear_segments`."""
        return self._segments.news()

    def hear_segments(self, news: SegmentNews) -> None:
        """Add what another process has learned of segments. Raises TypeError or ValueError for what is no news."""
        self._segments.hear(news)

    def forget(self) -> None:
        """Drop everything learned."""
        super().forget()
        for one in (
            self._detectors,
            self._falling,
            self._regressions,
            self._published,
            self._unsaved,
        ):
            one.clear()
        self._segments = Segments(self._settings.segment_sure)
        self._segment_views = SegmentViews(self._settings.serve is Serve.LICENSED)
        self._arrange((), {})

    def learning_left_usd(self, bucket: str) -> float:
        """What may be spent on learning now, USD: what is left of its share of the baseline's price of all requests."""
        return learning_left_usd(self._view(bucket), self._settings, beside=self._trials is not Trials.SERVED)

    def table(self, bucket: str, models: Sequence[str]) -> list[dict[str, Any]]:
        """What is believed of each model in a bucket, and which one an exploiting request would get now."""
        if not models:
            return []
        choice = self._exploiting(RoutingAsk(bucket, "", tuple(models)))
        best = next((one.model for one in choice.candidates if not one.why_not), None)
        rows, to_go = self._rows(bucket, choice.candidates, best), self._pairs_to_go(bucket)
        for row in rows:
            if not row["licensed"]:
                row["pairs_to_go"] = to_go.get(row["model"])
        return rows

    @property
    def told_apart(self) -> frozenset[str]:
        """The buckets whose segments differ: choices there are made by them."""
        return frozenset(self._segments.differing)

    def licensed(self, bucket: str, segments: Sequence[Segment] = ()) -> frozenset[str]:
        """The models that have a licence to serve such requests, the baseline among them: where choices are made by segments, theirs."""
        pairs = self._segments.pairs(bucket, segments, self._pool.models)
        if pairs is None:
            return super().licensed(bucket)
        has = licensed(pairs, self._settings.quality_tolerance).tolist()
        return frozenset({self._baseline, *(model for model, one in zip(self._pool.models, has, strict=True) if one)})

    def segments(self, models: Sequence[str]) -> list[Differing]:
        """The parts of buckets that differ from one another, and which of these models an exploiting request would get there now."""
        found = []
        for bucket, part, chance, graded in self._segments.told() if models else ():
            choice = self._exploiting(RoutingAsk(bucket, "", tuple(models), segments=(part,)))
            quality = next(one.quality for one in choice.candidates if not one.why_not)
            proven = choice.model in self.licensed(bucket, (part,))
            found.append(Differing(bucket, part, chance, graded, choice.model, quality, proven))
        return found

    def _exploiting(self, ask: RoutingAsk) -> RoutingChoice:
        """What would be chosen now where nothing is to be learned."""
        if self._settled is None or self._settled[0] != self._version:
            first = 0.0 if self._trials is Trials.SERVED else self._settings.baseline_first
            settings = replace(
                self._settings, explore_share=0.0, baseline_first=first, repriced_share=0.0, recheck_share=0.0
            )
            settled = ArbiterPolicy(self._facts, self._baseline, settings)
            settled.load(self._table.rows(), self._state_of_segments())
            self._settled = self._version, settled
        trials = Trials.SERVED if self._trials is Trials.SERVED else Trials.NONE
        return self._settled[1].choose(replace(ask, trials=trials), 0.0, 0)

    def outlook(self) -> list[BucketOutlook]:
        """What is expected to be saved in each bucket, from what is believed now."""
        if self._foreseen is None or self._foreseen[0] != self._version:
            settings, models = self._settings, tuple(sorted(self._facts))
            beside = self._trials is not Trials.SERVED
            found = [
                bucket_outlook(
                    self._view(bucket).decide_for(models, 0.0, self._pool, settings, beside),
                    self._pool.base,
                    settings.quality_tolerance,
                    settings.baseline_first,
                )
                for bucket in self._buckets
            ]
            self._foreseen = self._version, found
        return self._foreseen[1]

    def _pairs_to_go(self, bucket: str) -> dict[str, float]:
        """How many more pairs with the baseline a model is expected to need for a licence, for those that are expected to get one."""
        needed = self._view(bucket).pairs_needed(self._pool.base, self._settings.quality_tolerance).tolist()
        return {model: pairs for model, pairs in zip(self._pool.models, needed, strict=True) if pairs < MOST_PAIRS}

    def _state(self) -> Mapping[str, bytes]:
        shown = [(bucket, model) for bucket, regressions in self._published.items() for model in regressions]
        kinds = (SUMS, self._belief_sums()), (WATCH, self._detectors), (TEXT, shown)
        state = {_key(kind, place): self._packed(kind, place) for kind, places in kinds for place in places}
        return state | self._state_of_segments()

    def _state_of_segments(self) -> dict[str, bytes]:
        known = [place for place, parts in self._segments.parts.items() if parts.synced is not None]
        return {_key(SEGMENTS, place): self._packed(SEGMENTS, place) for place in known}

    def _learned(
        self, bucket: str, deltas: tuple[tuple[str, str, ModelStats], ...], shifts: Sequence[Shift]
    ) -> Learned:
        """What came of an observation, once beliefs have followed it, with the state that is to be stored for it."""
        if shifts:
            self._sync_all()
            for feature in self._segments.dropped(bucket):
                self._look_at_segments(bucket, feature)
        elif self._buckets[bucket].staleness > REFRESH_AFTER or self._licences_moved(bucket):
            self._mark_unsaved(bucket, self._buckets[bucket].sync())
            self._views.pop(bucket, None)
            if self._much_is_news():
                self._share_all()
        state = {_key(kind, place): self._packed(kind, place) for kind, place in self._unsaved}
        self._unsaved.clear()
        return Learned(deltas, tuple(shifts), state)

    def _licences_moved(self, bucket: str) -> bool:
        """Whether a model has got a licence or lost it since beliefs here were worked out, where only licensed models serve."""
        if self._settings.serve is Serve.BELIEVED:
            return False
        here, tolerance = self._buckets[bucket], self._settings.quality_tolerance
        return not np.array_equal(licensed(here.pairs, tolerance), licensed(here.synced.pairs, tolerance))

    def _packed(self, kind: str, place: Place) -> bytes:
        if kind == WATCH:
            return self._detectors[place].packed()
        if kind == SEGMENTS:
            return self._segments.parts[place].packed()
        if kind == TEXT:
            return self._published[place[0]][place[1]].packed()
        here, at = self._buckets[place[0]], self._pool.index[place[1]]
        return np.concatenate((here.synced.sums[:, at], here.shared.sums[:, at])).astype("<f8").tobytes()

    def _mark_unsaved(self, bucket: str, places: Iterable[int]) -> None:
        self._unsaved.update({(SUMS, (bucket, self._pool.models[at])): None for at in places})

    def _much_is_news(self) -> bool:
        """Whether beliefs of buckets about each other are old: a bucket that is alone has nobody to hear of."""
        news, buckets = sum([one.shared_staleness for one in self._buckets.values()]), len(self._buckets)
        return buckets > 1 and news > SHARED_REFRESH_AFTER * buckets

    def _sync_all(self) -> None:
        """Something moved by more than one call: whatever is believed is worked out anew."""
        for bucket, one in self._buckets.items():
            self._mark_unsaved(bucket, one.sync())
        self._share_all()

    def _share_all(self) -> None:
        for bucket, one in self._buckets.items():
            self._mark_unsaved(bucket, one.share())
        self._shared.refresh()
        self._views.clear()

    def _fold(self, bucket: str, model: str, delta: ModelStats) -> Delta:
        if model not in self._pool.index:  # its first call ended after it had left the pool
            self._arrange((model,), self._belief_sums())
        self._known.add(model)
        self._version += 1
        known = self._table.fold(bucket, model, delta)
        if bucket not in self._buckets:
            self._buckets = dict(sorted({**self._buckets, bucket: self._bucket(bucket)}.items()))
            self._shared = SharedPosterior(self._buckets, self._prior)
            self._buckets[bucket].put(self._pool.index[model], known)
            self._share_all()
        else:
            self._buckets[bucket].put(self._pool.index[model], known)
        return bucket, model, delta

    def _fit(self, models: Sequence[str]) -> None:
        """Let the arrays hold the models that are known, these, and no others."""
        if len(self._pool.models) == len(self._known) and self._known.issuperset(models):
            return
        more = set(models) - self._known
        if more != self._pool.index.keys() - self._known:
            self._arrange(more, self._belief_sums())

    def _belief_sums(self) -> dict[Place, BeliefSums]:
        """The sums that beliefs rest on, of every row."""
        found = {}
        for bucket, model, _ in self._table.rows():
            here, at = self._buckets[bucket], self._pool.index[model]
            found[bucket, model] = here.synced.sums[:, at], here.shared.sums[:, at]
        return found

    def _arrange(self, more: Collection[str], belief_sums: Mapping[Place, BeliefSums]) -> None:
        """Fix the order of the models in all arrays, and the prior that follows from their prices. Beliefs rest on these sums;
        where there are none, on the statistics as they are."""
        rows = self._table.rows()
        self._known = {self._baseline, *self._facts, *(model for _, model, _ in rows)}
        variant_of = {model: facts.variant_of for model, facts in self._facts.items() if facts.variant_of}
        self._pool = ModelIndex(tuple(self._known.union(more)), self._baseline, variant_of)
        self._price = np.array([typical_usd(self._facts.get(model, UNLISTED)) for model in self._pool.models])
        self._prior = pool_prior(self._price, self._pool, self._facts, self._settings)
        self._buckets = {}
        self._buckets = {bucket: self._bucket(bucket) for bucket in self._table.buckets()}
        for bucket, model, known in rows:
            self._buckets[bucket].put(self._pool.index[model], known)
        for bucket, here in self._buckets.items():
            synced = here.live.copy()
            shared = synced.copy()
            for model, at in self._pool.index.items():
                if (bucket, model) in belief_sums:
                    synced[:, at], shared[:, at] = belief_sums[bucket, model]
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

    def _view(self, bucket: str) -> BucketPosterior:
        """What decisions in a bucket rest on."""
        view = self._views.get(bucket)
        if view is None:
            here = self._bucket(bucket)
            view = self._views[bucket] = self._posterior(here, here.synced)
        return view

    def _posterior(self, here: Bucket, sums: BucketSums) -> BucketPosterior:
        """From these sums of a bucket, and those that it shares with the others."""
        elsewhere = self._shared.base_charges(here)
        money = expected_usd(sums, elsewhere, self._price, self._pool.base, self._settings.price_strength)
        return BucketPosterior(here, sums, self._shared.belief(here, sums), money, self._table.total)

    def _look_at_segments(self, bucket: str, feature: str) -> None:
        self._segments.sync(bucket, feature, self._buckets[bucket], self._pool, self._shared)
        self._segment_views.drop(bucket)
        self._unsaved[SEGMENTS, (bucket, feature)] = None

    def _learn_segments(self, observation: Observation, paired: Sequence[Delta]) -> list[str]:
        """Count a grade in its segments; the features by which it is time to look at them again: at once where a licence was got or lost,
        and only licensed models serve."""
        due = self._segments.learn(observation, paired)
        if due or not paired or self._settings.serve is Serve.BELIEVED:
            return [due] if due else []
        tolerance = self._settings.quality_tolerance
        return self._segments.licences_moved(observation.bucket, observation.segments, tolerance)

    def _with_prompt(self, view: BucketPosterior, ask: RoutingAsk) -> BucketPosterior:
        """The view with what this prompt tells, for models whose grades it has been shown to predict.

        A prompt that is hard for one is hard for the baseline, too: so nothing is told before that can be said of both.
        """
        regressions = self._published.get(ask.bucket, {})
        base = regressions.get(self._baseline)
        if base is None or not (base.enough and ask.prompt):
            return view
        significant = [(model, one) for model, one in regressions.items() if one is not base and one.significant]
        if not significant:
            return view
        x, mean = features([head(ask.prompt)]), view.belief.mean.copy()
        harder = base.shift(x)
        for model, one in significant:
            mean[self._pool.index[model]] += one.shift(x) - harder
        return view.believing(QualityPosterior(np.minimum(mean, 1.0), view.belief.cov))

    def _learn_prompt(self, observation: Observation, known: ModelStats) -> None:
        """Learn what the prompt told of this grade: of every one at first, of some once there were many."""
        if observation.quality is None or not observation.prompt or known.graded < 1:
            return
        if known.graded > READ_ALL and int(known.graded) % READ_EVERY:
            return
        place = observation.bucket, observation.model
        regression = self._regressions.get(place)
        if regression is None:
            regression = self._regressions[place] = PromptRegression()
        regression.update(
            observation.prompt, observation.quality - known.quality_sum / known.graded, observation.quality_weight
        )

    def _latency(self, bucket: str) -> Array:
        """Mean latency of each model [K] in a bucket, over the baseline's."""
        timed = [self._table.known(bucket, model).mean_latency_ms for model in self._pool.models]
        return relative_latency(timed, self._pool.base)

    def _lost_cache(self, ask: RoutingAsk) -> Array | None:
        """What each model [K] would cost more, USD, because what the conversation has in a cache is in another's; None where nothing is."""
        if ask.cached_tokens <= 0:
            return None
        facts = [self._facts.get(model, UNLISTED) for model in self._pool.models]
        lost = ask.cached_tokens * np.array([one.cache_usd_per_token for one in facts])
        kept = self._pool.index.get(ask.cached_by or "")
        if kept is not None:
            lost[self._pool.kin[kept]] = 0.0
        return lost if lost.any() else None

    def _publish(self, place: Place, due: bool) -> None:
        """Let choices read what prompts tell as it is now: when it is due, and when that has begun or ceased to be significant."""
        regression = self._regressions.get(place)
        if regression is None:
            return
        shown = self._published.get(place[0], {}).get(place[1])
        before = (False, False) if shown is None else (shown.enough, shown.significant)
        if due or before != (regression.enough, regression.significant):
            self._publish_as(place, PromptRegression.unpacked(regression.packed()))
            self._unsaved[TEXT, place] = None

    def _publish_as(self, place: Place, regression: PromptRegression) -> None:
        self._published.setdefault(place[0], {})[place[1]] = regression

    def _price_alarm(
        self, detector: ChangeDetector, observation: Observation, delta: ModelStats, facts: ModelFacts
    ) -> Alarm | None:
        """Count the call's unit price in, as the `delta` of its statistics holds it."""
        return update_price(
            detector,
            delta.unit_sum,
            observation.cost_usd or 0.0,
            floor=self._settings.price_shift_floor,
            threshold=self._settings.price_alarm,
            prior_sd=PRICE_SD_LISTED if facts.listed else PRICE_SD_UNLISTED,
        )

    def _detector(self, place: Place) -> ChangeDetector:
        detector = self._detectors.get(place)
        if detector is None:
            detector = self._detectors[place] = ChangeDetector()
        return detector

    def _note_detector(self, place: Place, save: bool) -> None:
        """Keep in mind whose last calls were cheaper than before, and store the tests where that changed or they are due."""
        falling = self._detectors[place].cusum_down > 0
        if save or falling != (place in self._falling):
            self._unsaved[WATCH, place] = None
        (self._falling.add if falling else self._falling.discard)(place)

    def _reprice(self, observation: Observation, alarm: Alarm, facts: ModelFacts) -> list[tuple[str, str, ModelStats]]:
        """A model has one price: after an alarm its cost is learned anew in every bucket, at every setting.

        Where it was noticed, from the mean of the calls since; elsewhere, from the new unit price of a call of mean length.
        """
        deltas: list[tuple[str, str, ModelStats]] = []
        noticed = observation.bucket, observation.model
        kin = [self._pool.models[at] for at in self._pool.kin[self._pool.index[observation.model]]]
        for place in product(self._table.buckets(), kin):
            known = self._table.known(*place)
            if known.cost_n > 0:
                usd = alarm.since.mean if place == noticed else usd_at(alarm.new, known, facts)
                delta = known.repriced(usd, alarm.new > alarm.old)
                deltas.append(self._fold(*place, delta))
                if place != noticed:
                    self._detector(place).reprice()
                    self._note_detector(place, True)
        return deltas

    def _follow_list_price(
        self, detector: ChangeDetector, observation: Observation, facts: ModelFacts
    ) -> tuple[tuple[str, str, ModelStats], ...]:
        """When the model's list price is another than the one its unit prices are relative to, the test begins anew here.

        What was charged at the old list price is expected at the new one; what was charged otherwise stays.
        """
        before, detector.listed = detector.listed, (facts.input_usd_per_token, facts.output_usd_per_token)
        if before is None or before == detector.listed:
            return ()
        detector.reprice()
        known, old = self._table.known(observation.bucket, observation.model), ModelFacts(*before)
        was, now = (usd_at(1.0, known, one) if one.listed else 0.0 for one in (old, facts))
        if was is None or now is None or known.mean_cost_usd is None:
            return ()
        if abs(known.mean_cost_usd - was) > was * self._settings.price_shift_floor:
            return ()
        folded = self._fold(observation.bucket, observation.model, known.repriced(now, now > was))
        self._sync_all()
        return (folded,)

    def _paired(self, observation: Observation, shifted: bool) -> list[Delta]:
        """What an answer and the baseline's to the same prompt say together. After a quality alarm, that what pairs with that
        model said is dropped: of the baseline's, all."""
        bucket, found = observation.bucket, pair_of(observation, self._baseline)
        if not shifted:
            return [] if found is None else [(bucket, *found)]
        models = list(self._table.bucket(bucket)) if observation.model == self._baseline else [observation.model]
        known = {model: self._table.known(bucket, model) for model in models}
        return [
            (bucket, model, ModelStats(**{name: -getattr(stats, name) for name in PAIR_FIELDS}))
            for model, stats in known.items()
            if stats.paired > 0
        ]

    def _quality_shift(
        self, detector: ChangeDetector, observation: Observation, known: ModelStats, delta: ModelStats
    ) -> list[Shift]:
        """A quality alarm: `delta` is changed so that only the grades since the change count.

        The baseline's are dropped altogether: a run of bad luck must not become the base.
        """
        if observation.quality is None:
            return []
        alarm = update_quality(
            detector, observation.quality, observation.quality_weight, threshold=self._settings.quality_alarm
        )
        if alarm is None:
            return []
        is_baseline = observation.model == self._baseline
        if is_baseline:
            detector.grade.clear()
        self._segments.drop(observation.bucket, observation.model, is_baseline)
        since = detector.grade
        delta.graded = since.n - known.graded
        delta.quality_sum = since.total - known.quality_sum
        delta.quality_sq = since.square - known.quality_sq
        return [_shift("quality", observation, alarm, "down", f"its last grades average {alarm.new:.2f}")]


def _shift(kind: str, observation: Observation, alarm: Alarm, direction: str, words: str) -> Shift:
    reason = f"{words} (evidence {alarm.evidence:.1f})"
    return Shift(kind, observation.bucket, observation.model, alarm.old, alarm.new, direction, reason)


def _price_words(alarm: Alarm) -> str:
    if alarm.new <= 0:
        return "it is free now"
    return f"unit price {alarm.new / alarm.old:.2f} times what it was" if alarm.old > 0 else "it used to be free"


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


def _belief_sums(data: bytes) -> BeliefSums:
    """The sums that beliefs in a bucket rest on, and those that others' do. Raises ValueError when these bytes are none."""
    flat = np.frombuffer(data, dtype="<f8").astype(np.float64)
    if len(flat) != 2 * len(SUM_FIELDS) or not (np.isfinite(flat) & (np.abs(flat) < BEYOND)).all():
        raise ValueError("not the sums of a model in a bucket")
    return flat[: len(SUM_FIELDS)], flat[len(SUM_FIELDS) :]
