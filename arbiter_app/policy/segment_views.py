"""What decisions for a segment rest on: the view of its bucket, with what is believed of the segment."""

from __future__ import annotations

from arbiter_app.policy.buckets import SharedPosterior
from arbiter_app.policy.candidates import ModelIndex
from arbiter_app.policy.scores import BucketPosterior
from arbiter_app.policy.segments import Segments
from arbiter_app.policy.types import RoutingAsk, Segment


class SegmentViews:
    """The views of all segments, kept while those of their buckets hold, and what is believed of them."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[BucketPosterior, dict[Segment, BucketPosterior]]] = {}

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
        `whole` bucket where there is none."""
        found = segments.belief(ask.bucket, ask.segments, whole.here, pool, shared, wondering=wondering)
        if found is None:
            return None, whole
        segment, belief, share = found
        known = self._of.get(ask.bucket)
        if known is None or known[0] is not whole:
            known = self._of[ask.bucket] = whole, {}
        its = known[1].get(segment)
        if its is None or its.belief is not belief or its.share != share:
            its = known[1][segment] = whole.believing(belief, share)
        return segment, its
