"""The report's placebo lines and `GET /v1/what-if` over real traffic of the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from arbiter_app.policy.ope import MeanEstimate, PolicyEstimate, SupportGap
from arbiter_app.services import what_if
from arbiter_app.services.what_if import refusal
from tests.conftest import Running, running

POOL = ["mistral-small-3.2-24b-instruct-2506", "gpt-4o-mini", "gpt-4o"]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with 500 graded requests of two kinds over three models behind it."""
    with running(tmp_path_factory.mktemp("busy"), ARBITER_POLICY="classic", ARBITER_EPSILON="0.5") as gateway:
        for model in POOL:
            gateway.world.change_skill(model, 1.4)  # always right: nothing escalates, so that prices alone decide
        for at in range(250):
            gateway.chat(f"Calculate {at} * 24", arbiter_models=POOL)
            gateway.chat(f"Return a JSON object for {at} orders, with the keys name and count.", arbiter_models=POOL)
        yield gateway


def ask(gateway: Running, **params: Any) -> dict[str, Any]:
    told: dict[str, Any] = gateway.http.get("/v1/what-if", params=params).json()
    return told


def test_placebos_stand_beside_the_routing_with_sample_and_interval(busy: Running) -> None:
    report = busy.http.get("/v1/report", params={"days": 1}).json()
    lines = {line["name"]: line for line in report["placebos"]["lines"]}
    assert list(lines) == ["as_routed", "always_best", "always_cheapest", "shuffle"]
    assert report["placebos"]["calls"] == 500
    for line in lines.values():
        assert line["covered"] == pytest.approx(1.0) and line["calls"] == 500
        assert 30 <= line["effective_sample_size"] <= 500
        assert line["cost_interval"][0] <= line["cost"] <= line["cost_interval"][1]
        assert line["quality_interval"][0] <= line["quality"] <= line["quality_interval"][1]
    paid = sum(row["actual_spend"] for row in report["by_mode"]) / 500
    assert lines["as_routed"]["cost"] == pytest.approx(paid, rel=0.15)
    assert lines["always_cheapest"]["cost"] < lines["as_routed"]["cost"] < lines["always_best"]["cost"]
    assert lines["shuffle"]["cost"] == pytest.approx(lines["as_routed"]["cost"], rel=1e-6), "it is matched in cost"


def test_a_wide_tolerance_is_cheaper_and_a_model_left_out_serves_nothing(busy: Running) -> None:
    strict, wide = ask(busy, tolerance=0.0), ask(busy, tolerance=1.0)
    assert strict["refused"] is wide["refused"] is None
    assert wide["cost"] <= strict["cost"] + 1e-12
    assert [one["model"] for one in wide["models"]] == [POOL[0]], "the cheapest, whatever its quality"
    left = ask(busy, tolerance=1.0, without=POOL[0])
    assert left["without"] == [POOL[0]] and left["refused"] is None
    assert [one["model"] for one in left["models"]] == [POOL[1]]
    assert left["cost"] > wide["cost"]
    now = ask(busy)
    assert (now["tolerance"], now["days"], now["calls"]) == (0.05, None, 500)
    assert now["as_routed"]["cost_interval"][0] < now["as_routed"]["cost"]
    assert sum(one["share"] for one in now["models"]) == pytest.approx(1.0)


def test_what_nobody_could_serve_is_refused_in_a_sentence(busy: Running) -> None:
    told = ask(busy, tolerance=0.05, without=POOL)
    assert told["cost"] is told["quality"] is told["cost_interval"] is None
    assert told["refused"] == "100% of the calls could be served by none of the models that are left."


def test_what_was_hardly_tried_is_refused_and_named() -> None:
    mean = MeanEstimate(1.0, 0.9, 1.1, 500.0)
    gap = SupportGap("math:hard", "gpt-4.1", 120.0, 2.0, 1.0)
    thin = PolicyEstimate(1_000.0, 0.88, mean, mean, {"gpt-4o": 880.0}, [gap])
    assert refusal(thin) == (
        "12% of the calls would go where hardly anything was tried: gpt-4.1 has 2 answers and 1 grade in math:hard, and 1 more graded one is needed."
    )
    few = PolicyEstimate(1_000.0, 1.0, mean, MeanEstimate(0.9, 0.5, 1.0, 12.0), {"gpt-4o": 1_000.0}, [])
    assert "worth 12 plain ones, and 30 are needed" in (refusal(few) or "")
    assert refusal(PolicyEstimate(1_000.0, 1.0, mean, mean, {"gpt-4o": 1_000.0}, [])) is None


def test_no_traffic_of_ones_own_is_nothing_to_estimate_from(busy: Running) -> None:
    with busy.client(busy.caller("new@example.com")) as caller:
        told = caller.get("/v1/what-if").json()
        assert told["calls"] == 0 and "nothing to estimate from" in told["refused"]
        assert caller.get("/v1/report").json()["placebos"]["calls"] == 0


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"tolerance": 1.5}, "tolerance"),
        ({"tolerance": "nan"}, "tolerance"),
        ({"tolerance": "wide"}, "tolerance"),
        ({"days": 0}, "days"),
        ({"without": "gpt-9"}, "without"),
    ],
)
def test_an_argument_that_means_nothing_is_refused_by_name(busy: Running, params: dict[str, Any], field: str) -> None:
    answer = busy.http.get("/v1/what-if", params=params)
    assert answer.status_code == 422
    assert field in answer.json()["error"]["param"]


def test_somebody_must_be_left_to_serve(busy: Running) -> None:
    everybody = [row["id"] for row in busy.http.get("/v1/pricing").json()["data"]]
    answer = busy.http.get("/v1/what-if", params={"without": everybody})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "without")


def test_a_reset_leaves_nothing_to_estimate_from(own_gateway: Running) -> None:
    own_gateway.chat("Calculate 3 * 4")
    assert ask(own_gateway)["calls"] == 1
    own_gateway.http.post("/v1/reset")
    assert ask(own_gateway)["calls"] == 0


def test_many_kinds_of_requests_follow_the_order_of_the_whole_pool(
    busy: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = ask(busy, tolerance=0.1)
    monkeypatch.setattr(what_if, "EXACT", 0)
    ordered = ask(busy, tolerance=0.1)
    assert ordered["models"] == exact["models"] and ordered["cost"] == pytest.approx(exact["cost"])
