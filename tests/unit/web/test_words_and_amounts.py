"""Amounts are written as people write them, one notation a column; a decision's words have the number behind them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from arbiter_app.web import decision_views, decision_words, pool_views, spend_table, spend_views, views
from arbiter_app.web.formats import alike, charge, money
from arbiter_app.web.state.demo import dearer
from tests.browser import ROOT


@pytest.mark.parametrize(
    ("usd", "said"),
    [
        (None, "unknown"),
        (0.0, "$0"),
        (96.0e-6, "$0.000096"),
        (465e-6, "$0.000465"),
        (0.00127, "$0.00127"),
        (0.0412, "$0.0412"),
        (1.6504, "$1.65"),
        (-0.0412, "−$0.0412"),
        (12.34, "$12.3"),
        (1234.5, "$1,234"),
        (3e-9, "$0.000000003"),
        (5e-324, "$" + f"{5e-324:.326f}".rstrip("0")),
    ],
)
def test_an_amount_is_written_without_prefixes_of_units(usd: float | None, said: str) -> None:
    assert money(usd) == said


def test_charges_of_calls_have_their_points_below_each_other() -> None:
    column = [charge(usd) for usd in (96e-6, 0.00127, 0.0127, 0.0, 1e-9, None, -465e-6)]
    assert column == ["$0.000096", "$0.001270", "$0.012700", "$0", "<$0.000001", "unknown", "−$0.000465"]


def test_amounts_of_one_table_have_the_digits_that_the_smallest_needs() -> None:
    assert alike([0.456, 12.5, None, 0.0]) == ["$0.46", "$12.50", "–", "$0"]
    assert alike([0.000465, 1.2]) == ["$0.00047", "$1.20000"]
    assert alike([]) == []


def test_why_not_has_the_number_behind_it() -> None:
    said = decision_words.why_not
    assert said("bound 0.73 under 0.95", 1e-4, "a", 1e-5) == "could be as low as 0.73; the limit here is 0.95"
    assert said("dearer", 34e-5, "gpt-4o-mini", 1e-4) == "$0.000240 dearer than gpt-4o-mini (×3.4)"
    assert said("dearer", None, "a", 1e-4) == "dearer"
    assert said("not its turn", 1e-4, "a", 1e-4) == "as good as known, but this call tried a"
    lost = "dearer; $0.002 of it for the lost cache"
    assert said(lost, 34e-5, "a", 1e-4).endswith("; $0.002 of its cost for the prompt cache that would be lost")
    assert said("words of another policy", 1e-4, "a", 1e-4) == "words of another policy"


@pytest.mark.parametrize(
    ("left_s", "reason", "state", "kind"),
    [(0.0, "", "first", "good"), (12.0, "HTTP 500", "rests 12 s", ""), (0.0, "HTTP 500", "tried next", "")],
)
def test_a_deployment_that_failed_is_not_called_the_first_until_it_has_answered(
    left_s: float, reason: str, state: str, kind: str
) -> None:
    fared = {
        "calls": 3,
        "failed": 1,
        "latency_ms": 1.0,
        "cost_per_thousand": None,
        "resting_s": left_s,
        "reason": reason,
    }
    place = {"runtime": "house", "runtime_name": "gpt-4o", "input_per_million": 1.0, "output_per_million": 4.0}
    row: Any = {**place, **fared, "listed": True, "serving": True}
    shown = views.deployment_row("gpt-4o", row)
    assert (shown["state"], shown["kind"]) == (state, kind)


def test_the_reason_is_said_in_words_of_users() -> None:
    said = "least expected loss: quality 0.92 (at least 0.85) for a bar of 0.95, 3% of the baseline's price"
    wanted = "best value: quality 0.92, could be as low as 0.85; good enough is 0.95; 3% of the baseline's price"
    assert decision_words.reason(said) == wanted
    assert decision_words.reason("pinned by the caller") == "pinned by the caller"


def test_the_favourite_of_the_demo_becomes_dearer_each_time() -> None:
    assert [dearer(now) for now in (1.0, 8.0, 64.0, 512.0, 1_000.0)] == [8.0, 64.0, 512.0, 1_000.0, 1_000.0]


def test_a_candidate_without_grades_says_where_the_belief_comes_from() -> None:
    several = [
        {"model": "a", "n": 0.0, "quality": 0.92, "low": 0.8, "high": 1.0, "cost": 1e-4, "why_not": ""},
        {
            "model": "b",
            "n": 7.0,
            "quality": 0.5,
            "low": 0.2,
            "high": 0.8,
            "cost": 1e-5,
            "why_not": "bound 0.20 under 0.90",
        },
    ]
    row = {"model": "a", "trace": {"route": {"candidates": several}}}
    first, second = decision_views.candidates(row)  # type: ignore[arg-type]
    assert first["why"] == f"served; {decision_words.EXPECTED}"
    assert second["why"] == "could be as low as 0.20; the limit here is 0.90"


def test_one_decision_that_carries_the_saving_is_named() -> None:
    report: Any = {"saved_pct": 61.0, "saved": 0.61, "baseline_spend": 1.0}
    large: Any = {"id": "d_1", "saved": 0.3, "baseline": 0.35}
    said = spend_views.without_largest(report, large)
    assert said["said"] == "without the one decision that saved most ($0.300) it would be 47.7 %"
    assert said["to"] == "/app/decision/d_1"
    small: Any = {"id": "d_1", "saved": 0.0005, "baseline": 0.0006}
    assert spend_views.without_largest(report, small)["said"] == ""
    assert spend_views.without_largest(report, None)["said"] == ""


def test_causes_and_groups_are_said_with_signs_and_where_their_decisions_are() -> None:
    group = {"name": "math:hard", "before": 0.01, "after": 0.03, "change": 0.02, "calls_before": 1, "calls": 2}
    told: Any = {
        "before": {"spend": 0.01, "calls": 1},
        "after": {"spend": 0.03, "calls": 2},
        "change": 0.02,
        "causes": [{"cause": "volume", "change": 0.03}, {"cause": "price", "change": -0.01}],
        "by_task": [group],
        "by_model": [{**group, "name": ""}],
        "by_key": [{**group, "name": "arb_1"}],
    }
    assert [one["name"] for one in spend_views.causes(told)] == ["more calls", "a lower price a token"]
    assert [one["change"] for one in spend_views.causes(told)] == ["+$0.030", "−$0.010"]
    rows = spend_views.groups(told)
    assert [one["to"] for one in rows] == ["/app/activity?task=math", "/app/activity", "/app/activity?key=arb_1"]
    assert spend_views.headline(told)["said"] == "+$0.020, +200%"
    assert spend_views.headline({**told, "before": {"spend": 0.0, "calls": 0}})["said"] == ""


def test_what_was_refused_before_a_call_cost_nothing_and_what_failed_in_one_is_unknown() -> None:
    row: Any = {"id": "d_1", "ts": 1.0, "status": "failed", "error_code": "budget_exceeded", "model": "", "cost": None}
    seen = views.feed_row(row)
    assert (seen["mode"], seen["cost"], seen["state"]) == ("refused", "$0", "nothing was called")
    assert [one["value"] for one in decision_views.charges(row) if one["name"] in ("answer", "in total")] == [
        "$0",
        "$0",
    ]
    assert views.feed_row(row | {"model": "gpt-4o"})["mode"] == "refused"
    seen = views.feed_row(row | {"model": "gpt-4o", "error_code": "runtime_unavailable", "cost_state": "unknown"})
    assert (seen["mode"], seen["cost"], seen["state"]) == ("failed", "unknown", "unknown")


def test_an_act_of_the_log_is_said_with_names_times_and_shares() -> None:
    given = {"email": "ada@example.com", "expires": 1796302233.0, "role": "", "project_id": "prj_1", "soft": 0.5}
    row: Any = {
        "id": 1,
        "ts": 1.0,
        "key_id": "arb_1",
        "email": "",
        "action": "invitation.make",
        "subject": "project prj_1",
    }
    told = pool_views.act({**row, "before": None, "after": given}, {"prj_1": "Data team"})
    assert (told["action"], told["subject"], told["before"]) == ("invited", "project Data team", "–")
    assert told["after"] == "email ada@example.com, expires 3 Dec 2026 12:50 UTC, project Data team, soft 50 %"
    long = pool_views.act({**row, "before": None, "after": {"label": "x" * 900}}, {})
    assert long["after"].endswith("x…") and "x" * 900 in long["whole"]


def test_what_came_of_a_shift_is_a_sentence_of_its_own() -> None:
    row: Any = {"ts": 1.0, "model": "a", "moved": "87 % cheaper", "then": "traffic moved from b to a"}
    assert views.alert(row)["reason"] == "Traffic moved from b to a"


def test_every_act_that_is_kept_has_words() -> None:
    texts = [path.read_text() for path in (ROOT / "arbiter_app").rglob("*.py") if path.name != "pool_views.py"]
    kept = {name for text in texts for name in re.findall(r'(?:entry|note|_keep)\([\w., ]*"([a-z_]+\.[a-z_]+)"', text)}
    assert len(kept) > 15 and kept <= set(pool_views.ACTIONS)


def test_spend_beside_nothing_is_new_and_has_no_share() -> None:
    def told(spend: float, calls: int) -> Any:
        sums = {"spend": spend, "calls": calls, "failed": 0, "prompt_tokens": 1, "completion_tokens": 2}
        return {"total": sums, "data": [{"project": "a", "project_name": "A", **sums}] if calls else []}

    def row(now: Any, before: Any) -> Any:
        return spend_table.rows(now, before, "project", (0, 1), {})[0]

    assert (row(told(0.5, 9), told(0.0, 0))["change"], row(told(0.5, 9), told(0.0, 0))["kind"]) == ("new", "")
    assert (row(told(0.5, 9), told(0.25, 9))["change"], row(told(0.5, 9), told(0.25, 9))["kind"]) == ("+$0.25", "bad")
    shown = spend_table.headline(told(0.5, 9), told(0.25, 4), 30)
    assert (shown["change"], shown["before"]) == ("+100 %", "+$0.250 on $0.2500 for 4 calls in the 30 days before")
    assert spend_table.headline(told(0.5, 9), told(0.0, 0), 1)["before"] == "no calls in the day before"
