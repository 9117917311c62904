"""Every chart has axes with units, its sample, its table and CSV; marks and names do not lie over each other."""

from __future__ import annotations

from typing import Any

import pytest

from arbiter_app.services.csv_text import as_csv
from arbiter_app.web.charts import drill
from arbiter_app.web.charts.exploration import exploration
from arbiter_app.web.charts.heat import heat
from arbiter_app.web.charts.latency import latency
from arbiter_app.web.charts.parts import legend
from arbiter_app.web.charts.prices import prices
from arbiter_app.web.charts.scatter import cost_quality
from arbiter_app.web.charts.spend import spend
from arbiter_app.web.charts.table import table
from arbiter_app.web.formats import ms, sample

HOUR_S = 3_600.0
DAY = 864_000.0
"""When the charts of these tests begin."""
MODELS = ("gpt-4o", "gpt-4o-mini", "mistral-small-3.2-24b-instruct-2506", "free-one")


def slots(n: int = 24) -> list[dict[str, Any]]:
    return [
        {
            "ts": DAY + at * HOUR_S,
            "calls": at,
            "spend": 0.03,
            "learning": 0.002,
            "baseline": 0.1,
            "measured_calls": at,
            "models": dict.fromkeys(MODELS, 0.01),
            "modes": {"explore": at // 10},
            "p50_ms": 200.0,
            "p95_ms": 900.0,
        }
        for at in range(n)
    ]


def moved(ts: float, model: str = "gpt-4o", **more: Any) -> dict[str, Any]:
    row = {"ts": DAY + ts, "model": model, "kind": "price", "direction": "up", "moved": "8 times dearer"}
    return {**row, "bucket": "", "settled": None, "outcome": None, **more}


def known(model: str, cost: float, quality: float, n: float = 9, **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "avg_cost": cost,
        "quality": quality,
        "low": quality - 0.1,
        "high": quality + 0.02,
        "n": n,
        "chosen": False,
        **more,
    }


FIGURES = {
    "spend": spend(slots(), [], bucket_s=HOUR_S, baseline="gpt-4o"),
    "latency": latency(slots(), bucket_s=HOUR_S),
    "exploration": exploration(slots(), cap=0.5, bucket_s=HOUR_S),
    "scatter": cost_quality([known("a", 1e-5, 0.9), known("b", 1e-4, 0.95)], tolerance=0.05, baseline="b"),
    "prices": prices([{"ts": DAY + 9.0, "model": "a", "cost": 1e-4}], [], models=["a"]),
}


def test_what_is_pressed_in_a_chart_leads_to_its_decisions() -> None:
    def pressed(figure: Any, curve: int, at: int, *others: int) -> dict[str, str]:
        points = [{"curveNumber": one, "pointNumber": at} for one in (curve, *others)]
        return drill.behind(figure, points, MODELS)

    hour = {"since": f"{DAY + 5 * HOUR_S:.0f}", "until": f"{DAY + 6 * HOUR_S:.0f}"}
    first = FIGURES["spend"]["data"][0]
    at = first["x"].index("1970-01-11T05:00:00.000Z")
    assert pressed(FIGURES["spend"], 0, at) == {**hour, "model": first["name"]}
    assert pressed(FIGURES["spend"], 0, at, 1, 2) == hour, "all that lies over a moment"
    assert pressed(FIGURES["latency"], 1, 5) == hour
    moment = {"since": f"{DAY + 9:.0f}", "until": f"{DAY + 10:.0f}"}
    assert pressed(FIGURES["prices"], 0, 0) == moment
    cells = heat({"code:hard": [known("gpt-4o", 1e-5, 0.9)]}, pool=MODELS)
    assert pressed(cells, 0, 0) == {"task": "code", "model": "gpt-4o"}
    assert pressed(FIGURES["scatter"], 1, 1) == {"model": "b"}
    for point in ({}, {"curveNumber": 0}, {"curveNumber": 99, "pointNumber": 0}, {"curveNumber": 0, "pointNumber": -1}):
        assert drill.behind(FIGURES["spend"], [point], MODELS) == {}
    assert drill.behind({}, [{"curveNumber": 0, "pointNumber": 0}], MODELS) == {}


@pytest.mark.parametrize("name", FIGURES)
def test_both_axes_are_named_with_their_unit(name: str) -> None:
    layout = FIGURES[name]["layout"]
    assert layout["xaxis"]["title"]["text"] in ("time, UTC", "USD a call (log)")
    assert any(unit in layout["yaxis"]["title"]["text"] for unit in ("USD", "ms", "share", "0 to 1"))


@pytest.mark.parametrize("name", ["spend", "latency", "exploration"])
def test_a_chart_of_buckets_has_the_calls_of_each_in_its_table_and_csv(name: str) -> None:
    head, rows = table(FIGURES[name])
    assert head[-1] == "calls" and [row[-1] for row in rows] == [str(at) for at in range(24)]
    assert as_csv(head, rows).splitlines()[0].endswith(",calls")


def test_a_bucket_stands_in_the_middle_of_its_time_and_inside_the_axis() -> None:
    figure = FIGURES["spend"]
    assert {(one["xperiod"], one["xperiodalignment"]) for one in figure["data"]} == {(HOUR_S * 1000, "middle")}
    assert figure["layout"]["xaxis"]["range"][1] == "1970-01-12T00:00:00.000Z"


def test_a_shift_in_the_last_bucket_is_marked_with_words_that_stay_inside() -> None:
    late, early = moved(23.9 * HOUR_S), moved(1.0 * HOUR_S, "gpt-4o-mini")
    layout = spend(slots(), [late, early], bucket_s=HOUR_S, baseline="gpt-4o")["layout"]
    assert [one["text"] for one in layout["annotations"]] == ["gpt-4o-mini 8 times dearer", "gpt-4o 8 times dearer"]
    assert [one["xanchor"] for one in layout["annotations"]] == ["left", "right"]
    assert [one["yshift"] for one in layout["annotations"]] == [15, 0]  # in rows of their own, above the bars
    assert all((one["y"], one["yanchor"]) == (1, "bottom") for one in layout["annotations"])
    assert layout["margin"]["t"] == 12 + 2 * 15


def test_where_the_traffic_went_is_marked_once_it_has_settled() -> None:
    went = {"served_before": "gpt-4o", "served_after": "gpt-4o-mini"}
    settled = moved(2 * HOUR_S, bucket="math", settled=DAY + 3 * HOUR_S, outcome=went)
    stayed = moved(4 * HOUR_S, bucket="code", settled=DAY + 5 * HOUR_S, outcome={**went, "served_after": "gpt-4o"})
    layout = spend(slots(), [stayed, settled], bucket_s=HOUR_S, baseline="gpt-4o")["layout"]
    assert [one["text"] for one in layout["annotations"]][1] == "math → gpt-4o-mini"
    assert [one["line"]["dash"] for one in layout["shapes"]] == ["solid", "dot", "solid"]


def test_names_of_models_of_one_price_are_not_written_over_each_other() -> None:
    rows = [
        known("mistral-small-3.2-24b-instruct-2506", 1.0e-5, 0.90, chosen=True),
        known("gemini-2.5-flash", 1.1e-5, 0.97),
        known("gpt-4o", 2.0e-3, 0.96),
    ]
    notes = cost_quality(rows, tolerance=0.05, baseline="gpt-4o")["layout"]["annotations"]
    assert [one["text"] for one in notes] == ["<b>mistral-small-3.2-24b-ins…</b>", "gpt-4o"]
    assert [one["xanchor"] for one in notes] == ["left", "right"]


@pytest.mark.parametrize(
    ("costs", "ticks"),
    [
        ((0.0, 1e-5, 1e-3), ["free", "$0.00001", "$0.0001", "$0.001"]),
        ((1.2e-5, 3e-4), ["$0.00002", "$0.00005", "$0.0001", "$0.0002"]),
    ],
)
def test_an_axis_of_costs_has_ticks_enough_to_read_it(costs: tuple[float, ...], ticks: list[str]) -> None:
    rows = [known(f"m{at}", cost, 0.9) for at, cost in enumerate(costs)]
    assert cost_quality(rows, tolerance=0.05, baseline="gpt-4o")["layout"]["xaxis"]["ticktext"] == ticks


def test_the_heat_map_tells_quality_and_sample_and_what_was_not_tried() -> None:
    buckets = {"math": [known("a", 1e-5, 0.9, n=40, chosen=True), known("b", 1e-5, 0.7, n=0.35)], "code": []}
    figure = heat(buckets, pool=["a", "b", "never-called"])
    graded, untried = figure["data"]
    assert graded["text"] == ["0.90<br>n 40", "0.70<br>n <1"]
    assert graded["marker"]["line"]["width"] == [3, 0]
    assert len(untried["x"]) == 4 and "never-called" in untried["x"]
    head, rows = table(figure)
    assert rows[0] == ["math", "a", "0.9", "40", "chosen"] and head[3] == "n"


def test_the_legend_names_every_colour_of_the_bars() -> None:
    named = [one["name"] for one in legend(FIGURES["spend"])]
    assert named == [*MODELS, "asked beside, to learn"]


def test_numbers_that_are_not_nothing_are_not_shown_as_nothing() -> None:
    assert (ms(0.0004), ms(0.04), ms(3.2)) == ("<0.01", "0.04", "3.2")
    assert (sample(0.35), sample(0), sample(1234.0)) == ("<1", "0", "1,234")
