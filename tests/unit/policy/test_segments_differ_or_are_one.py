"""Segments of a bucket are chosen for by themselves where the grades say that they differ, and only there."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from arbiter_app.policy import Beside, ModelFacts, Observation, Policy, PolicySettings, RoutingAsk, Serve, Trials, build
from arbiter_app.policy.licence import licensed
from arbiter_app.policy.posterior import LEVEL, LEVEL_SD, GapPrior
from arbiter_app.policy.segment_posterior import (
    DIFFER,
    LEVEL_SHARED,
    Common,
    SegmentGrades,
    SegmentInformation,
    chance_of_difference,
)
from arbiter_app.policy.segments import MOST_SEGMENTS, BucketSegments

PRICES = {"small": 0.1, "middle": 0.6, "big": 1.0}
MODELS = tuple(PRICES)
APART = {"easy": {"small": 0.9, "middle": 0.7, "big": 0.9}, "odd": {"small": 0.5, "middle": 0.7, "big": 0.9}}
ALIKE = dict.fromkeys(("easy", "odd"), APART["easy"])
Qualities = dict[str, dict[str, float]]


def made(**settings: Any) -> Policy:
    facts = {model: ModelFacts(coarse_request_usd=usd) for model, usd in PRICES.items()}
    return build("arbiter", catalog=facts, baseline="big", settings=PolicySettings(**settings))


def live(policy: Policy, requests: int, quality: Qualities, feature: str = "project") -> list[tuple[str, str, str]]:
    """Requests of each segment in turn, with seeded grades: the segment, who served, and why."""
    draw, served = np.random.default_rng(1), []
    for at in range(requests):
        value = list(quality)[at % len(quality)]
        segments = ((feature, value),)
        choice = policy.choose(RoutingAsk("open", "", MODELS, trials=Trials.SHADOW, segments=segments), 0.0, at)
        beside: Beside | None = None
        for model in (choice.model, *choice.shadows):
            grade = float(draw.random() < quality[value][model])
            mode = choice.mode if model == choice.model else "shadow"
            seen = Observation("open", model, cost_usd=PRICES[model], quality=grade, mode=mode, beside=beside)
            policy.record(
                Observation(**{name: getattr(seen, name) for name in seen.__slots__} | {"segments": segments})
            )
            beside = Beside(model, grade) if beside is None or model == "big" else beside
        served.append((value, choice.model, choice.reason))
    return served


def test_each_workload_gets_its_own_model_where_they_differ() -> None:
    late = live(policy := made(), 800, APART)[-200:]
    by = {value: Counter(model for its, model, _ in late if its == value) for value in APART}
    assert by["easy"].most_common(1)[0][0] == "small", by
    assert by["odd"]["small"] < 5, by
    assert all(reason.endswith(f"; by project {value}") for value, _, reason in late)
    told = {one.segment: one for one in policy.segments(MODELS)}
    assert {("project", "easy"), ("project", "odd")} == set(told)
    assert told["project", "easy"].model == "small" != told["project", "odd"].model
    unknown = policy.choose(RoutingAsk("open", "", MODELS, segments=(("project", "new"),)), 0.0, 0)
    nothing = policy.choose(RoutingAsk("open", "", MODELS), 0.0, 0)
    assert unknown == nothing


def test_nothing_changes_where_workloads_are_alike_or_nobody_tells_them_apart() -> None:
    alike, never = live(policy := made(), 800, ALIKE), live(made(segment_sure=1.0), 800, ALIKE)
    assert alike == never
    assert policy.segments(MODELS) == []
    assert live(made(segment_sure=1.0), 200, APART) == live(made(segment_sure=1.0), 200, APART, "tag")


def test_after_a_model_got_worse_its_grades_of_before_count_in_no_part() -> None:
    live(policy := made(), 600, APART)
    worse = {value: known | {"small": 0.05} for value, known in APART.items()}
    late = live(policy, 400, worse)[-100:]
    assert not [one for one in late if one[1] == "small"]


def test_a_thumb_counts_in_the_segment_of_its_request_and_is_taken_back_there() -> None:
    live(policy := made(), 400, APART)

    def believed(value: str) -> float:
        ask = RoutingAsk("open", "", MODELS, segments=(("project", value),))
        found = {one.model: one.quality for one in policy.choose(ask, 0.0, 0).candidates}["small"]
        assert found is not None
        return found

    def thumbs_down(withdrawn: bool) -> None:
        for _ in range(10):
            policy.vote("open", "small", False, withdrawn, (("project", "easy"), ("project", "new")))

    thumbs_down(False)
    thumbs_down(True)
    easy, odd = believed("easy"), believed("odd")
    thumbs_down(False)
    assert believed("easy") < easy - 0.1
    assert believed("odd") == pytest.approx(odd, abs=0.05)
    thumbs_down(True)
    assert (believed("easy"), believed("odd")) == pytest.approx((easy, odd))
    policy.vote("open", "small", False, True, (("project", "unheard of"),))


def test_segments_that_only_people_grade_are_told_apart_by_thumbs() -> None:
    policy = made()
    for at in range(60):
        for value, up in (("easy", True), ("odd", False)):
            policy.vote("open", "small", up, segments=(("project", value),))
            policy.vote("open", "big", at % 6 > 0, segments=(("project", value),))
    assert {one.segment[1] for one in policy.segments(MODELS)} == {"easy", "odd"}


def test_the_number_of_parts_is_bounded_and_who_is_not_heard_of_makes_room() -> None:
    parts, found = BucketSegments(), []
    for at in range(1_000):
        parts.graded += 1
        value = f"{at // 250}" if at % 2 else f"once {at}"
        if parts.place(value, ["small"]) is not None:
            parts.heard[value] = parts.graded
            found.append(value)
    assert len(parts.sums) == MOST_SEGMENTS
    assert {"0", "3"} <= set(found) and "3" in parts.sums and "0" not in parts.sums


@pytest.mark.parametrize("data", [b"", b"{}", b"[1,2,3,4,5]\n", b'[["a"],["x"],0.0,1.0,[1.0]]\n' + b"\xff" * 144])
def test_bytes_that_are_no_parts_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        BucketSegments.unpacked(data)


def test_beliefs_and_evidence_are_those_of_the_joint_gaussian() -> None:
    draw, parts, models = np.random.default_rng(2), 3, 4
    roots = draw.normal(size=(2, models, models)) * 0.1
    shared, own = (one @ one.T for one in roots)
    common, prior = Common(draw.normal(size=models) * 0.1, shared * 0.5), GapPrior(np.zeros(models), shared, own)
    precision = np.array([np.diag(one) for one in draw.uniform(0, 90, (parts, models))])
    precision[:, 2, 2] = 0.0
    info = (
        precision @ draw.normal(size=models) + np.einsum("pii->pi", precision) * draw.normal(size=(parts, models)) / 9
    )
    told, level = SegmentGrades(SegmentInformation(precision, info, 0.8), prior), (LEVEL_SD / 0.8) ** 2
    whole, flat = np.zeros((parts * models,) * 2), info.ravel()
    for at in range(parts):
        whole[at * models : (at + 1) * models, at * models : (at + 1) * models] = precision[at]
    mean, found = np.tile(common.mean, parts), []
    for differ in (DIFFER, 0.0):
        both = common.cov + own + LEVEL_SHARED * level
        each = differ * (shared + own) + (1 - LEVEL_SHARED) * level
        cov = np.kron(np.ones((parts, parts)), both) + np.kron(np.eye(parts), each)
        gain = np.linalg.inv(np.eye(len(cov)) + cov @ whole)
        centred = flat - whole @ mean
        fit = centred @ gain @ cov @ centred / 2 - np.linalg.slogdet(np.eye(len(cov)) + cov @ whole)[1] / 2
        found.append((fit, mean + gain @ cov @ centred, gain @ cov))
    assert told.evidence_of_difference(common) == pytest.approx(found[0][0] - found[1][0])
    for chance, (_, expected, cov) in ((1.0, found[0]), (0.0, found[1])):
        for at, one in enumerate(told.beliefs(common, chance)):
            here = slice(at * models, (at + 1) * models)
            assert one.mean == pytest.approx(LEVEL + 0.8 * expected[here])
            assert one.cov == pytest.approx(0.64 * cov[here, here])
    assert chance_of_difference(0.0) == pytest.approx(0.2) and chance_of_difference(-1e9) == 0.0


def parts_of(policy: Policy) -> BucketSegments:
    found: BucketSegments = policy._segments.parts["open", "project"]  # type: ignore[attr-defined]
    return found


def test_processes_that_tell_each_other_learn_of_segments_together() -> None:
    one, other = made(), made()
    live(one, 60, APART)
    live(other, 90, APART)
    alone = {value: [parts_of(its).sums[value].sum() for its in (one, other)] for value in APART}
    from_one, from_other = one.segment_news(), other.segment_news()
    one.hear_segments(json.loads(json.dumps(from_other)))
    other.hear_segments(json.loads(json.dumps(from_one)))
    for value in APART:
        first, second = parts_of(one), parts_of(other)
        at = [second.index[model] for model in first.index]
        np.testing.assert_allclose(first.sums[value], second.sums[value][:, at])
        assert first.sums[value].sum() == pytest.approx(sum(alone[value]))
    assert parts_of(one).graded == parts_of(other).graded
    assert one.segment_news() == other.segment_news() == [], "what was heard is no news"
    live(one, 2, APART)
    assert 0 < len(one.segment_news()) < len(from_one)


def test_what_a_model_was_worth_before_it_changed_is_no_news() -> None:
    one, other = made(), made()
    live(one, 60, APART)
    other.hear_segments(one.segment_news())
    for its in (one, other):
        its.moved("quality", "open", "small")
        at = parts_of(its).index["small"]
        assert not any(sums[:, at].any() for sums in parts_of(its).sums.values())
    assert one.segment_news() == other.segment_news() == []


def test_a_process_that_starts_tells_nothing_of_what_was_stored() -> None:
    one, other = made(), made()
    live(one, 200, APART)
    other.load(one.rows(), one.snapshot().state)
    assert other.segment_news() == []
    assert parts_of(other).sums.keys() == APART.keys()


@pytest.mark.parametrize("sums", [[1.0], [float("nan")] * 9, [1e30] * 9, ["many"] * 9])
def test_what_is_no_news_of_a_segment_is_refused(sums: list[float]) -> None:
    with pytest.raises(ValueError, match="."):
        made().hear_segments([("open", "project", "easy", "small", sums)])


def test_a_licence_is_of_the_segment_where_they_differ() -> None:
    """A model that is proven in the bucket as a whole is not where it is worse, nor for who is not told apart from others yet."""
    policy, draw = made(serve=Serve.LICENSED, quality_tolerance=0.2), np.random.default_rng(1)
    mostly = {**dict.fromkeys(("one", "two", "three"), {**APART["easy"], "small": 0.85}), "odd": APART["odd"]}
    sums = {value: np.zeros(6) for value in mostly}
    for at in range(1200):
        value = list(mostly)[at % len(mostly)]
        grades = {model: float(draw.random() < mostly[value][model]) for model in ("big", "small")}
        for model, grade in grades.items():
            beside = None if model == "big" else Beside("big", grades["big"])
            mode, usd = "exploit" if model == "big" else "shadow", PRICES[model]
            segments = (("project", value),)
            policy.record(
                Observation("open", model, cost_usd=usd, quality=grade, mode=mode, beside=beside, segments=segments)
            )
        sums[value] += np.array([1.0, own := grades["small"], own, base := grades["big"], base, own * base])
        proven, has = licensed(sums[value][:, None], 0.2)[0], policy.licensed("open", (("project", value),))
        assert at < 200 or ("small" in has) == proven, "it counts with the next request"
    assert {row["model"]: row["licensed"] for row in policy.table("open", MODELS)}["small"], (
        "which is true of the mixture"
    )
    one, odd, new = ((("project", value),) for value in ("one", "odd", "new"))
    has = {value: policy.licensed("open", segments) for value, segments in (("one", one), ("odd", odd), ("new", new))}
    assert has == {"one": {"big", "small"}, "odd": {"big"}, "new": {"big"}}
    asked = {segments: RoutingAsk("open", "", MODELS, segments=segments) for segments in (one, odd, new)}
    assert [policy.choose(ask, 0.0, 0).model for ask in asked.values()] == ["small", "big", "big"]
    told = {part.segment: (part.model, part.licensed) for part in policy.segments(MODELS)}
    assert told[one[0]] == ("small", True) and told[odd[0]] == ("big", True)
    snapshot, again = policy.snapshot(), made(serve=Serve.LICENSED, quality_tolerance=0.2)
    again.load(snapshot.rows, snapshot.state)
    assert again.choose(asked[new], 0.0, 0) == policy.choose(asked[new], 0.0, 0)
