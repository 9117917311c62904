"""Segments: parts of a bucket that are told apart by a feature of the request, such as its project, tag or system prompt.

Every grade counts in its bucket as ever. It counts in the parts that its request belongs to, too, one by each feature; whether parts
differ is looked at again as grades come in (`parts.py`), and only where that is likely a choice rests on what is believed of its
part, by the feature that tells most. Elsewhere nothing changes, and what ceases to differ is one bucket again.
Bounded: a few parts by each feature, the others are the rest of the bucket; who is not heard of any more makes room.
Several processes tell each other what they add (`news`): sums, which add up in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import orjson

from arbiter_app.policy.buckets import Bucket, SharedPosterior
from arbiter_app.policy.candidates import ModelIndex
from arbiter_app.policy.licence import licensed
from arbiter_app.policy.posterior import Array, GapPrior, QualityPosterior
from arbiter_app.policy.segment_posterior import (
    GRADES,
    ROWS,
    Common,
    Said,
    SegmentGrades,
    chance_of_difference,
    said_by_each,
    segment_information,
)
from arbiter_app.policy.statistics import BEYOND, PAIR_FIELDS, ModelStats
from arbiter_app.policy.types import Observation, Segment

MOST_SEGMENTS = 12
"""BucketSegments of a bucket by one feature, at most; the others are its rest, of which the bucket's own belief is held."""
IDLE = 200.0
"""Grades of a bucket after which a part that had none of them makes room for a new one."""
FIRST = 16.0
"""Grades before parts are looked at ..."""
GROWTH = 1 / 16
"""... and the share by which they have to grow before they are again: what takes a few milliseconds happens ever less often."""
DOUBT = 0.05
"""How likely parts have to differ for others to be asked beside answers as if they might."""
NO_CHANCE = -1e9
"""Evidence where nothing can be told."""
_PAIR = attrgetter(*PAIR_FIELDS)
SegmentNews = list[tuple[str, str, str, str, list[float]]]
"""What was learned of parts: bucket, feature, value, model, and what is to be added to its sums [ROWS]."""


@dataclass(frozen=True, slots=True)
class SegmentSums:
    """The parts of a bucket as choices know them: sums [P, ROWS, K] by model and value, the rest of the bucket last, and the evidence that
    they differ."""

    models: tuple[str, ...]
    values: tuple[str, ...]
    sums: Array
    evidence: float

    @property
    def chance(self) -> float:
        """How likely the parts are to differ."""
        return chance_of_difference(self.evidence)

    def beliefs(self, told: SegmentGrades, common: Common) -> dict[str, QualityPosterior]:
        """What is believed of the models of each part, but for the rest, by what their grades say."""
        return dict(zip(self.values, told.beliefs(common, self.chance), strict=False))


class BucketSegments:
    """The parts of one bucket by one feature: their `sums` [ROWS, K] as they are, and as choices know them (`synced`). `heard` says how many
    grades there were when a part was heard of last, and at `due` of them it is time to look again."""

    def __init__(self) -> None:
        self.synced: SegmentSums | None = None
        self.index: dict[str, int] = {}
        self.sums: dict[str, Array] = {}
        self.heard: dict[str, float] = {}
        self.told: dict[str, Array] = {}
        """The sums that other processes know ..."""
        self.fresh: set[str] = set()
        """... and the parts in which there may be more."""
        self.graded, self.due = 0.0, FIRST
        self._said: tuple[ModelIndex, dict[bytes, Said]] | None = None
        self._told: tuple[ModelIndex, SegmentGrades] | None = None
        self._beliefs: tuple[object, ModelIndex, dict[str, QualityPosterior]] | None = None

    def place(self, value: str, models: Sequence[str]) -> Array | None:
        """The sums of a part, with columns for these models; None where it has no place."""
        if value not in self.sums:
            if len(self.sums) >= MOST_SEGMENTS:
                idle = min(self.heard, key=self.heard.__getitem__)
                if self.graded - self.heard[idle] < IDLE:
                    return None
                del self.sums[idle], self.heard[idle], self.told[idle]
            self.sums[value] = np.zeros((ROWS, len(self.index)))
            self.told[value] = np.zeros((ROWS, len(self.index)))
        for model in models:
            if model not in self.index:
                self.index[model] = len(self.index)
                self.sums, self.told = (
                    {one: np.pad(sums, ((0, 0), (0, 1))) for one, sums in each.items()}
                    for each in (self.sums, self.told)
                )
        return self.sums[value]

    def news(self) -> Iterator[tuple[str, str, list[float]]]:
        """What was added to the parts' sums since the last time, by value and model."""
        models = list(self.index)
        for value in sorted(self.fresh.intersection(self.sums)):
            sums = self.sums[value]
            more = sums - self.told[value]
            for at in np.flatnonzero(more.any(axis=0)).tolist():
                yield value, models[at], more[:, at].tolist()
            np.copyto(self.told[value], sums)
        self.fresh.clear()

    def hear(self, value: str, model: str, more: Array) -> None:
        """Add what another process has learned of a model in a part [ROWS]: no news to anybody else."""
        sums = self.place(value, [model])
        self.graded = max(self.graded + float(more[0]), 0.0)
        if sums is None:
            return
        self.heard[value] = self.graded
        at = self.index[model]
        before = sums[:, at].copy()
        np.maximum(before + more, 0.0, out=sums[:, at])
        self.told[value][:, at] += sums[:, at] - before

    def drop(self, model: str, all_pairs: bool) -> None:
        """What was known of a model is not true any more; nor are any pairs, where it is the baseline."""
        self.due = 0.0
        for sums in (*self.sums.values(), *self.told.values()):
            if model in self.index:
                sums[:, self.index[model]] = 0.0
            if all_pairs:
                sums[GRADES:] = 0.0

    def sync(self, here: Bucket, pool: ModelIndex, prior: GapPrior, common: Common) -> None:
        """Let choices know them as they are. The rest is what the bucket knows beyond them."""
        self.due = max(FIRST, self.graded * (1 + GROWTH))
        parts = _ordered(np.array(list(self.sums.values())), tuple(self.index), pool.models)
        whole = np.concatenate((here.synced.grades, here.pairs))
        sums = np.concatenate((parts, np.maximum(whole - parts.sum(axis=0), 0.0)[None]))
        told = self._tell(sums, pool, prior)
        evidence = told.evidence_of_difference(common)
        self.synced = SegmentSums(pool.models, tuple(self.sums), sums, evidence if np.isfinite(evidence) else NO_CHANCE)
        self._told, self._beliefs = (pool, told), None

    def belief(self, value: str, pool: ModelIndex, here: Bucket, shared: SharedPosterior) -> QualityPosterior | None:
        """What is believed of the models of a part; None where it has no place."""
        if self.synced is None or value not in self.synced.values:
            return None
        if self._beliefs is None or self._beliefs[0] is not shared.moment or self._beliefs[1] is not pool:
            if self._told is None or self._told[0] is not pool:
                sums = _ordered(self.synced.sums, self.synced.models, pool.models)
                self._told = pool, self._tell(sums, pool, shared.prior)
            self._beliefs = shared.moment, pool, self.synced.beliefs(self._told[1], Common(*shared.elsewhere(here)))
        return self._beliefs[2][value]

    def _tell(self, sums: Array, pool: ModelIndex, prior: GapPrior) -> SegmentGrades:
        """What the grades of all parts say; what parts say that have not changed is not worked out again."""
        known = self._said[1] if self._said is not None and self._said[0] is pool else {}
        said = said_by_each(sums, pool.base, known)
        self._said = pool, said
        return SegmentGrades(segment_information(sums, pool.base, said), prior)

    def pairs(self, value: str | None, models: Sequence[str]) -> Array:
        """The sums of pairs [6, K] in a part as choices know them; of None and of a part that has no place, those of the rest."""
        if self.synced is None:
            return np.zeros((ROWS - GRADES, len(models)))
        at = self.synced.values.index(value) if value in self.synced.values else len(self.synced.values)
        sums: Array = _ordered(self.synced.sums[at : at + 1, GRADES:], self.synced.models, models)[0]
        return sums

    def licences_moved(self, value: str, tolerance: float) -> bool:
        """Whether a model has got a licence in a part, or lost it, since choices know its pairs."""
        if value not in self.sums:
            return False
        models = tuple(self.index)
        now, then = licensed(self.sums[value][GRADES:], tolerance), licensed(self.pairs(value, models), tolerance)
        return not np.array_equal(now, then)

    def share(self, value: str) -> float:
        """The part's share of the grades, as choices know it."""
        if self.synced is None:
            return 0.0
        weights = self.synced.sums[:, 0].sum(axis=1)
        return float(weights[self.synced.values.index(value)] / max(weights.sum(), 1.0))

    def packed(self) -> bytes:
        """What choices rest on, to be stored."""
        if self.synced is None:
            return b""
        one, heard = self.synced, [self.heard.get(value, 0.0) for value in self.synced.values]
        head = one.models, one.values, one.evidence, self.graded, heard
        return orjson.dumps(head) + b"\n" + one.sums.astype("<f8").tobytes()

    @classmethod
    def unpacked(cls, data: bytes) -> BucketSegments:
        """The parts as choices knew them. Raises ValueError when these bytes are none."""
        head, _, rest = data.partition(b"\n")
        try:
            models, values, evidence, graded, heard = orjson.loads(head)
            flat = np.frombuffer(rest, dtype="<f8").astype(np.float64)
            sums = flat.reshape(len(values) + 1, ROWS, len(models))
            numbers = np.array([evidence, graded, *heard], dtype=np.float64)
        except TypeError as error:
            raise ValueError("not the parts of a bucket") from error
        sound = len(values) <= MOST_SEGMENTS and len(heard) == len(values) and np.isfinite(numbers).all()
        if not (sound and (np.isfinite(sums) & (np.abs(sums) < BEYOND)).all()):
            raise ValueError("not the parts of a bucket")
        found = cls()
        found.synced = SegmentSums(tuple(models), tuple(values), sums, float(evidence))
        found.index = {model: at for at, model in enumerate(models)}
        found.graded, found.due = graded, max(FIRST, graded * (1 + GROWTH))
        found.sums = {value: sums[at].copy() for at, value in enumerate(values)}
        found.told = {value: sums[at].copy() for at, value in enumerate(values)}
        found.heard = dict(zip(values, heard, strict=True))
        return found


class Segments:
    """The parts of all buckets, by bucket and feature."""

    def __init__(self, sure: float, parts: Iterable[tuple[tuple[str, str], BucketSegments]] = ()) -> None:
        """`sure` is the chance of differing above which choices are made by parts; with 1 nothing is learned of them."""
        self.parts = dict(parts) if sure < 1 else {}
        self._sure = sure
        self.wondering: dict[str, dict[str, BucketSegments]] = {}
        """The same for parts that may differ, and are not likely enough to."""
        self.differing: dict[str, dict[str, BucketSegments]] = {}
        """By bucket, the features by which its parts differ, those first that tell most."""
        for bucket in {bucket for bucket, _ in self.parts}:
            self._look(bucket)

    def learn(self, observation: Observation, paired: Sequence[tuple[str, str, ModelStats]]) -> str:
        """Count a grade, and what a pair with the baseline's adds to a model, in each part that its request belongs to; a feature by
        which it is time to look at the parts again, or nothing."""
        pair = paired[0][1:] if paired else None
        quality, weight, due = observation.quality or 0.0, observation.quality_weight, ""
        grade = weight, weight * quality, weight * quality * quality
        for feature, value in observation.segments if self._sure < 1 else ():
            parts = self.parts.get((observation.bucket, feature))
            if parts is None:
                parts = self.parts[observation.bucket, feature] = BucketSegments()
            parts.graded += weight
            sums, index = parts.sums.get(value), parts.index
            if sums is None or observation.model not in index or (pair is not None and pair[0] not in index):
                models = [observation.model] if pair is None else [observation.model, pair[0]]
                sums = parts.place(value, models)
                if sums is None:
                    continue
            parts.heard[value] = parts.graded
            parts.fresh.add(value)
            at = parts.index[observation.model]
            for row, more in enumerate(grade):  # of three numbers, faster than as an array
                sums[row, at] += more
            if pair is not None:
                sums[GRADES:, parts.index[pair[0]]] += _PAIR(pair[1])
            if parts.graded >= parts.due and len(parts.sums) > 1:
                due = feature
        return due

    def vote(self, bucket: str, segments: Sequence[Segment], model: str, weight: float, up: bool) -> list[str]:
        """Count a thumb of this weight, less than 0 where it is taken back, in each part that its request belongs to; the features by which
        it is time to look at the parts again."""
        due = []
        for feature, value in segments if self._sure < 1 else ():
            parts = self.parts.get((bucket, feature))
            if weight > 0:
                parts = parts or self.parts.setdefault((bucket, feature), BucketSegments())
                parts.place(value, [model])
            if parts is None or value not in parts.sums or model not in parts.index:
                continue
            parts.graded = max(parts.graded + weight, 0.0)
            parts.heard[value] = parts.graded
            parts.fresh.add(value)
            grades = parts.sums[value][:GRADES, parts.index[model]]
            np.maximum(grades + np.array((weight, weight * up, weight * up)), 0.0, out=grades)
            if len(parts.sums) > 1 and (parts.synced is not None or parts.graded >= parts.due):
                due.append(feature)
        return due

    def news(self) -> SegmentNews:
        """What was learned here since the last time, for other processes to `hear`."""
        return [(*place, *one) for place, parts in self.parts.items() if parts.fresh for one in parts.news()]

    def hear(self, news: SegmentNews) -> None:
        """Add what another process has learned. Choices follow once the parts are looked at again. Raises TypeError or ValueError for what is
        no news."""
        for bucket, feature, value, model, sums in news if self._sure < 1 else ():
            more = np.array(sums, dtype=np.float64)
            if more.shape != (ROWS,) or not (np.isfinite(more) & (np.abs(more) < BEYOND)).all():
                raise ValueError("not what was learned of a segment")
            self.parts.setdefault((bucket, feature), BucketSegments()).hear(value, model, more)

    def drop(self, bucket: str, model: str, all_pairs: bool) -> None:
        """A model of a bucket is not what it was."""
        for (its, _), parts in self.parts.items():
            if its == bucket:
                parts.drop(model, all_pairs)

    def dropped(self, bucket: str) -> list[str]:
        """The features by which the parts of a bucket are not what choices know of them, since a model is not what it was."""
        return [
            feature for (its, feature), parts in self.parts.items() if its == bucket and not parts.due and parts.sums
        ]

    def sync(self, bucket: str, feature: str, here: Bucket, pool: ModelIndex, shared: SharedPosterior) -> None:
        """Look again at one bucket's parts by a feature."""
        self.parts[bucket, feature].sync(here, pool, shared.prior, Common(*shared.elsewhere(here)))
        self._look(bucket)

    def belief(
        self,
        bucket: str,
        segments: Sequence[Segment],
        here: Bucket,
        pool: ModelIndex,
        shared: SharedPosterior,
        *,
        wondering: bool = False,
    ) -> tuple[Segment, QualityPosterior, float] | None:
        """What is believed of the models for such requests, and by which part; None where they are like all others of the bucket."""
        for feature, parts in (self.wondering if wondering else self.differing).get(bucket, {}).items():
            for one in segments:
                if one[0] == feature:
                    belief = parts.belief(one[1], pool, here, shared)
                    if belief is not None:
                        return one, belief, parts.share(one[1]) if wondering else 1.0
        return None

    def pairs(self, bucket: str, segments: Sequence[Segment], models: Sequence[str]) -> Array | None:
        """The sums of pairs [6, K] of the requests for which choices are made as for these; None where that is the whole bucket. Of a request
        that is in no part, those of the rest, by the feature that tells most."""
        differing, of = self.differing.get(bucket, {}), dict(segments)
        for feature, parts in differing.items():
            if parts.synced is not None and of.get(feature) in parts.synced.values:
                return parts.pairs(of[feature], models)
        return next((parts.pairs(None, models) for parts in differing.values()), None)

    def licences_moved(self, bucket: str, segments: Sequence[Segment], tolerance: float) -> list[str]:
        """The features by which the parts of a bucket differ, and in a part of such requests a model has got a licence or lost it."""
        differing = self.differing.get(bucket, {})
        return [one for one, value in segments if one in differing and differing[one].licences_moved(value, tolerance)]

    def told(self) -> Iterator[tuple[str, Segment, float, float]]:
        """The parts by which choices are made now, of the feature that tells most in each bucket: with the chance that they differ, and the
        weight of their grades."""
        for bucket, differing in self.differing.items():
            feature, parts = next(iter(differing.items()))
            if parts.synced is not None:
                graded = parts.synced.sums[:, 0].sum(axis=1).tolist()
                for value, weight in zip(parts.synced.values, graded, strict=False):
                    yield bucket, (feature, value), parts.synced.chance, weight

    def _look(self, bucket: str) -> None:
        """Keep in mind by which features the parts of a bucket differ."""
        found = [
            (parts.synced.evidence, feature, parts)
            for (its, feature), parts in self.parts.items()
            if its == bucket and parts.synced is not None and parts.synced.chance > DOUBT
        ]
        found.sort(key=lambda one: (-one[0], one[1]))
        self.differing.pop(bucket, None)
        self.wondering.pop(bucket, None)
        for evidence, feature, parts in found:
            into = self.differing if chance_of_difference(evidence) > self._sure else self.wondering
            into.setdefault(bucket, {})[feature] = parts


def _ordered(sums: Array, models: Sequence[str], wanted: Sequence[str]) -> Array:
    """Sums [P, ROWS, K] with the models in another order; 0 for those that have none."""
    if tuple(models) == tuple(wanted):
        return sums
    index = {model: at for at, model in enumerate(wanted)}
    found = np.zeros((*sums.shape[:2], len(wanted)))
    for at, model in enumerate(models):
        if model in index:
            found[..., index[model]] = sums[..., at]
    return found
