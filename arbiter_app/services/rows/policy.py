"""What the policy knows, and what it allows."""

from __future__ import annotations

from typing_extensions import TypedDict

from arbiter_app.services.rows.estimates import Interval


class KnownModel(TypedDict):
    """What is known of a model in a bucket: `n` grades, quality with its 95 % interval, means of a call; and what is proven by its `pairs` with
    the baseline: whether it has a licence, by how much it is worse at most (null: nothing yet), and how many more pairs a licence is
    expected to take (null: it has one, or none is expected)."""

    model: str
    n: float
    calls: float
    quality: float | None
    low: float | None
    high: float | None
    avg_cost: float | None
    avg_latency_ms: float | None
    chosen: bool
    licensed: bool
    pairs: float
    at_most_worse: float | None
    pairs_to_go: float | None


class Outlook(TypedDict):
    """What is expected to be saved once more is known, in per cent of the baseline, with a likely range (8 in 10); and about how many more
    requests until the saving of this period is proven (null: it is, or nobody can tell)."""

    saved_pct: float
    likely: Interval
    requests_to_go: float | None


class LicenceRow(TypedDict):
    """What pairs with the baseline prove of a model in a bucket, at 95 % however often one looks: whether it is worse by no more than the
    tolerance, and by how much at most (null: nothing yet)."""

    bucket: str
    model: str
    licensed: bool
    pairs: float
    at_most_worse: float | None


class SegmentRow(TypedDict):
    """A segment of a bucket for which choices are made by itself: the requests whose `feature` has this `value`, the chance that it differs from
    the others, the weight of its grades, and the model that would be chosen now, with its quality, and whether it has a licence there."""

    bucket: str
    feature: str
    value: str
    chance: float
    n: float
    model: str
    quality: float | None
    licensed: bool


class PolicyTable(TypedDict):
    """What has been learned, by bucket; `segments` only for operators."""

    policy: str
    baseline: str
    buckets: dict[str, list[KnownModel]]
    segments: list[SegmentRow]
