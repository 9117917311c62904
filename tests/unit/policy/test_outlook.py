"""What is expected to be saved is what is believed, with its doubt; and it is told how many grades it is away."""

from __future__ import annotations

import pytest

from arbiter_app.policy import BucketOutlook, ModelStats, Trials
from arbiter_app.policy.savings import Repriced
from arbiter_app.services.savings_report import certainty, outlook
from tests.unit.policy.test_trials_beside_answers import PRICES, QUALITY, live, made


def test_what_is_expected_follows_what_is_known_and_the_grades_to_go_run_out() -> None:
    policy, told = made(), list[BucketOutlook]()
    for requests in (6, 60, 400):
        live(policy, requests, Trials.SHADOW)
        told.extend(policy.outlook())
    first, _, last = told
    assert 0 < first.saved < last.saved < 1 and first.low <= first.saved <= first.high
    assert first.grades_to_go is not None and first.grades_to_go > 0 and last.grades_to_go == 0
    assert policy.outlook() is policy.outlook(), "worked out once"


def test_where_much_is_known_the_range_is_narrow() -> None:
    policy = made()
    for model, quality in QUALITY.items():
        known = ModelStats(calls=2000, tries=2000, graded=2000, cost_n=2000, cost_usd=2000 * PRICES[model])
        known.add(ModelStats(quality_sum=2000 * quality, quality_sq=2000 * quality))
        policy.merge([("open", model, known)])
    (found,) = policy.outlook()
    assert found.low == found.high == pytest.approx(1 - PRICES["small"], abs=0.01), "the cheapest that is good enough"
    assert (found.requests, found.grades_to_go) == (10_000, 0)


def ahead(saved: float, grades_to_go: float | None, requests: float = 100.0) -> BucketOutlook:
    return BucketOutlook(requests, 0.01, saved, saved - 0.2, saved + 0.1, grades_to_go)


def test_it_is_proven_once_what_is_saved_has_outgrown_what_learning_cost_and_the_doubt() -> None:
    unsure = [Repriced(50, 25, 0.01, 0.00001)]
    certain = certainty(-0.02, 1.0, unsure)
    found = outlook([ahead(0.5, 40)], certain, -0.02, unsure)
    assert found is not None and found["saved_pct"] == pytest.approx(50) and found["likely"] == pytest.approx([30, 60])
    assert found["requests_to_go"] is not None and found["requests_to_go"] > 40
    dearer = outlook([ahead(0.5, 40)], certainty(-0.2, 1.0, unsure), -0.2, unsure)
    assert dearer is not None and (dearer["requests_to_go"] or 0) > found["requests_to_go"]
    two = outlook([ahead(0.5, 40), ahead(0.5, 0)], certain, -0.02, unsure)
    assert two is not None and (two["requests_to_go"] or 0) < found["requests_to_go"], "one bucket saves already"


@pytest.mark.parametrize(
    ("saved", "share", "grades"),
    [(0.9, 0.5, 0.0), (-0.02, 0.5, None), (-0.02, 0.01, 0.0)],
    ids=["is proven", "nobody is expected to serve", "less than the doubt"],
)
def test_no_number_is_told_where_it_is_proven_or_nobody_can_tell(
    saved: float, share: float, grades: float | None
) -> None:
    unsure = [Repriced(50, 25, 0.01, 0.00001)]
    found = outlook([ahead(share, grades)], certainty(saved, 1.0, unsure), saved, unsure)
    assert found is not None and found["requests_to_go"] is None
    assert outlook([], certainty(saved, 1.0, unsure), saved, unsure) is None
