"""What decisions for a segment rest on: the view of its bucket, with what is believed of the segment."""

from __future__ import annotations

from arbiter_app.policy.buckets import SharedPosterior
from arbiter_app.policy.candidates import ModelIndex
from arbiter_app.policy.scores import BucketPosterior
from arbiter_app.policy.segments import Segments
from arbiter_app.policy.types import RoutingAsk, Segment

REST: Segment = ("", "")
"""Of the requests that are in none of the segments of a bucket."""


class SegmentViews:
    """The views of all segments, kept while those of their buckets hold, and what is believed of them. With `proofs`, what is proven of
    models is that of the segment, too."""

    def __init__(self, proofs: bool) -> None:
        self._proofs = proofs
        self._of: dict[str, tuple[BucketPosterior, dict[Segment, BucketPosterior]]] = {}

    def drop(self, bucket: str) -> None:
        """What is proven in its segments may have changed."""
        if self._proofs:
            self._of.pop(bucket, None)

    def view(
        self,
        segments: Segments,
        whole: BucketPosterior,
        ask: RoutingAsk,
        pool: ModelIndex,
        shared: SharedPosterior,
        *,
        wondering: bool = False,
    ) -> tuple[Segment | None, BucketPosterior]:
        """The segment of the bucket that the request belongs to, where they differ (or may, where one wonders), and its view; that of the
        `whole` bucket where there is none, with what is proven of the rest."""
        found = segments.belief(ask.bucket, ask.segments, whole.here, pool, shared, wondering=wondering)
        proofs = self._proofs and not wondering
        if found is None and not proofs:
            return None, whole
        segment, belief, share = found or (REST, whole.belief, 1.0)
        known = self._of.get(ask.bucket)
        if known is None or known[0] is not whole:
            known = self._of[ask.bucket] = whole, {}
        its = known[1].get(segment)
        if its is None or its.belief is not belief or its.share != share:
            pairs = segments.pairs(ask.bucket, ask.segments, pool.models) if proofs else None
            its = known[1][segment] = whole.believing(belief, share, pairs)
        return None if segment is REST else segment, its
