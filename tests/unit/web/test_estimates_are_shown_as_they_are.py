"""Estimates on the pages: figures with their units, bars on a common axis, refusals in words."""

from __future__ import annotations

from typing import Any

from arbiter_app.web.estimates import placebos, what_if
from arbiter_app.web.views import headline


def line(name: str, cost: float | None, quality: float | None, refused: str | None = None) -> dict[str, Any]:
    known = cost is not None and quality is not None
    return {
        "name": name,
        "cost": cost,
        "quality": quality,
        "cost_interval": [cost * 0.5, cost * 1.5] if known and cost is not None else None,
        "quality_interval": [quality - 0.1, min(1.0, quality + 0.1)] if known and quality is not None else None,
        "effective_sample_size": 1_234.4,
        "covered": 1.0,
        "refused": refused,
    }


def test_every_line_stands_on_the_same_axes() -> None:
    ours, best, thin = placebos(
        [line("as_routed", 1e-5, 0.9), line("always_best", 2e-5, 0.85), line("shuffle", None, None, "too few")],
        "gpt-4o",
    )
    assert (ours["name"], ours["cost"], ours["quality"], ours["worth"]) == ("Arbiter", "$0.010", "0.90", "1,234")
    assert (ours["ours"], best["ours"], best["name"]) == ("yes", "", "Always gpt-4o")
    assert ours["cost_range"] == "$0.00500 to $0.0150"
    at = [float(one["cost_at"].rstrip("%")) for one in (ours, best)]
    assert abs(at[1] - 2 * at[0]) <= 0.2 and at[1] < 67, "zero is on the axis of money, and every bar ends on it"
    assert [one["quality_at"] for one in (ours, best)] == ["66.7%", "50.0%"], "from 0.7, a tenth under every bar, to 1"
    assert (thin["cost"], thin["cost_at"], thin["why"]) == ("–", "", "too few")
    assert placebos([line("as_routed", None, None, "nothing")], "gpt-4o") == []


def test_free_models_alone_have_no_length_on_the_axis_of_money() -> None:
    (free,) = placebos([line("as_routed", 0.0, 0.9)], "gpt-4o")
    assert (free["cost"], free["cost_at"], free["cost_width"]) == ("$0", "0.0%", "0.0%")


def test_an_answer_has_its_interval_and_a_refusal_its_reason() -> None:
    told = {**line("", 1e-5, 0.9), "calls": 2_000, "as_routed": line("", 3e-5, 0.92)}
    told["models"] = [{"model": "a", "share": 0.75}, {"model": "b", "share": 0.249}, {"model": "c", "share": 0.001}]
    shown = what_if(told, 0.1, "gpt-4.1")
    assert shown["asked"] == "tolerance 0.10, without gpt-4.1"
    assert (shown["cost"], shown["cost_sub"]) == ("$0.0100", "$0.00500 to $0.0150")
    assert (shown["quality_sub"], shown["models"]) == ("0.80 to 1.00", "a 75%, b 25%")
    assert shown["now"] == "as routed it was $0.0300 and 0.92"
    assert shown["sub"] == "worth 1,234 plain decisions of 2,000"
    refused = what_if({**told, "refused": "too few"}, 0.0, "")
    assert (refused["refused"], refused["cost"], refused["asked"]) == ("too few", "", "tolerance 0.00")


def test_the_headline_says_what_the_holdout_alone_says() -> None:
    report = {"saved_pct": 80.0, "interval": [70.0, 90.0], "proven": True, "saved": 8.0, "baseline_spend": 10.0}
    report |= {"baseline_model": "gpt-4o", "holdout_calls": 30}
    held = {"holdout": {"saved_pct": 79.0, "interval": [-4.2, 99.0]}}
    shown = headline({**report, **held})
    assert (shown["value"], shown["left"], shown["width"], shown["at"]) == ("80.0 %", "85.0%", "10.0%", "90.0%")
    assert "95 % interval 70–90 %" in shown["sub"]
    assert shown["explain"].endswith("The random holdout alone says 79 %, between −4 % and 99 %.")
    beyond = headline({**report, **held, "interval": [77.0, 123.0]})
    assert "95 % interval 77–100 %" in beyond["sub"]  # more than everything is not saved
    assert "holdout" not in headline({**report, "holdout": {"saved_pct": None, "interval": None}})["explain"]
