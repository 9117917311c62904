"""Charges are exact, come from the best source there is, and are never made up."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_app import notices
from arbiter_app.pipeline.types import UNKNOWN_COST, CostState, Model, Usage
from arbiter_app.runtime.cost import cost_of, pico_of, usage_of

MINI = Model("gpt-4o-mini", 0.15 / 1e6, 0.60 / 1e6, 128_000)
FLASH = Model("gemini-2.5-flash", 0.3 / 1e6, 2.5 / 1e6, 1_048_576)
BODY = {"usage": {"prompt_tokens": 1_000, "completion_tokens": 100}}


def test_the_runtimes_charge_wins_and_is_exact_to_the_last_digit() -> None:
    headers = {"x-btl-customer-charge": "0.000012345678"}
    cost = cost_of(headers, {"usage": {**BODY["usage"], "cost": 9}}, MINI)
    assert (cost.pico, cost.state) == (12_345_678, CostState.SETTLED)


def test_a_cost_stated_in_the_body_is_settled_too() -> None:
    assert cost_of({}, {"usage": {**BODY["usage"], "cost": 0.00021}}, MINI).pico == 210_000_000
    assert cost_of({}, {"usage": {"cost": 0}}, MINI) == cost_of({"x-btl-customer-charge": "0"}, {}, MINI)


@pytest.mark.parametrize("model, pico", [(MINI, 210_000_000), (FLASH, 550_000_000)])
def test_usage_is_priced_by_the_catalog_without_binary_dust(model: Model, pico: int) -> None:
    cost = cost_of({}, BODY, model)
    assert (cost.pico, cost.state) == (pico, CostState.COMPUTED)
    assert cost_of({}, Usage(1_000, 100), model) == cost


@pytest.mark.parametrize(
    ("stated", "times"),
    [
        ({"service_tier": "priority"}, 2),
        ({"usage": {**BODY["usage"], "speed": "fast"}}, 6),
        ({"service_tier": "default"}, 1),
        ({"service_tier": ["priority"]}, 1),
    ],
)
def test_what_went_before_others_is_not_booked_at_list_price(stated: dict[str, object], times: int) -> None:
    """Nor is that learned from: what it costs stands in no list."""
    cost = cost_of({}, {**BODY, **stated}, MINI)
    assert (cost.pico, cost.measured) == (times * 210_000_000, times == 1)
    assert cost_of({"x-btl-customer-charge": "0.0003"}, {**BODY, **stated}, MINI).pico == 300_000_000


def test_a_learned_mean_serves_when_usage_is_missing_and_nothing_else() -> None:
    assert cost_of({}, {}, MINI, learned_usd=0.001).pico == 1_000_000_000
    assert cost_of({}, {}, MINI, learned_usd=0.001).state is CostState.ESTIMATED
    assert cost_of({}, None, MINI) == UNKNOWN_COST


@pytest.mark.parametrize(
    "junk", ["NaN", "-1", "1e9", "inf", "Infinity", "", "free", "1_0", "0x1", "١", "1" * 5_000, "1e99999", "1,5"]
)
def test_a_hostile_charge_is_no_charge(junk: str) -> None:
    cost = cost_of({"x-btl-customer-charge": junk}, BODY, MINI)
    assert cost.state is CostState.COMPUTED
    assert cost_of({}, {"usage": {**BODY["usage"], "cost": junk}}, MINI) == cost


@pytest.mark.parametrize("junk", [True, None, [], {}, float("nan"), float("inf"), -0.1])
def test_a_hostile_cost_in_the_body_is_no_cost(junk: object) -> None:
    cost = cost_of({}, {"usage": {"cost": junk}}, MINI)
    assert (cost.pico, cost.state, cost.measured) == (None, CostState.UNKNOWN, False)


@pytest.mark.parametrize(
    "usage",
    [None, [], {}, {"prompt_tokens": 1}, {"prompt_tokens": -1, "completion_tokens": 1}]
    + [{"prompt_tokens": True, "completion_tokens": 1}, {"prompt_tokens": 1.5, "completion_tokens": 1}]
    + [{"prompt_tokens": 1 << 41, "completion_tokens": 1}],
)
def test_usage_that_makes_no_sense_is_no_usage(usage: object) -> None:
    assert usage_of({"usage": usage}) is None


def test_a_price_override_scales_stated_and_computed_charges_exactly() -> None:
    assert cost_of({"x-btl-customer-charge": "0.000000000003"}, {}, MINI, multiplier=8.0).pico == 24
    assert cost_of({}, BODY, MINI, multiplier=0.1).pico == 21_000_000
    assert cost_of({}, {}, MINI, multiplier=8.0, learned_usd=0.001).pico == 1_000_000_000


@given(st.integers(0, 10**17))
def test_any_stated_amount_survives_the_round_trip(pico: int) -> None:
    assert pico_of(f"{Decimal(pico) / 10**12:f}") == pico


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**8), st.integers(0, 10**8))
def test_computed_costs_are_whole_sums_of_whole_prices(n_in: int, n_out: int, p_in: int, p_out: int) -> None:
    model = Model("m", p_in / 1e6 / 1e6, p_out / 1e6 / 1e6, None)
    assert cost_of({}, Usage(n_in, n_out), model).pico == n_in * p_in + n_out * p_out


USED = {"prompt_tokens": 1_000, "completion_tokens": 100}
LISTED = 210_000_000
"""What these tokens cost at the list prices of MINI."""
FREE = Model("free", 0.0, 0.0, 128_000)


@pytest.mark.parametrize(
    ("headers", "usage", "pico"),
    [
        ({"x-litellm-response-cost": "0.0003"}, {"cost": 0.0001}, 300_000_000),
        ({"x-litellm-response-cost": "0.0"}, {}, LISTED),
        ({"x-litellm-response-cost": "None"}, {}, LISTED),
        ({}, {"cost": 0.0003}, 300_000_000),
        ({}, {"cost": {"input_tokens_cost": 0.0001, "total_cost": 0.0003}}, 300_000_000),
        ({}, {"cost_in_usd_ticks": 3_000_000}, 300_000_000),
        ({}, {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.036}}, 36_000_000_000),
        ({}, {"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}}, 21_000_000_000),
        ({}, {"cost": 0.0003, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.02}}, 300_000_000),
        ({}, {"cost": 0, "is_byok": True, "cost_details": None}, 1_000 * 150_000 + 100 * 600_000),
        ({}, {"cost": 0}, 0),
    ],
)
def test_charges_are_read_in_every_documented_form(
    headers: dict[str, str], usage: dict[str, object], pico: int
) -> None:
    assert cost_of(headers, {"usage": {**USED, **usage}}, MINI).pico == pico


IMPLAUSIBLE = [99_999, "99999", 1e308, "NaN", float("inf"), -5, "abc", True, [1], {"total_cost": 12.0}, 2.5, 0.2]


@pytest.mark.parametrize("stated", IMPLAUSIBLE)
def test_an_implausible_charge_is_set_aside_counted_and_teaches_nothing(stated: object) -> None:
    before = notices.claims.counts["charge"]
    cost = cost_of({}, {"usage": {**USED, "cost": stated}}, MINI)
    assert (cost.pico, cost.state, cost.measured, cost.set_aside) == (LISTED, CostState.COMPUTED, False, True)
    assert notices.claims.counts["charge"] == before + 1


@pytest.mark.parametrize(
    ("stated", "pico"), [("99999", 0), ("1.5", 0), ("0.00001", 10_000_000), ("0.5", 500_000_000_000)]
)
def test_without_a_list_price_a_charge_is_bounded_by_its_tokens(stated: str, pico: int) -> None:
    assert cost_of({"x-btl-customer-charge": stated}, {"usage": USED}, FREE).pico == pico


def test_without_usage_a_charge_is_bounded_by_the_window() -> None:
    assert cost_of({"x-btl-customer-charge": "99999"}, {}, MINI).pico is None
    assert cost_of({"x-btl-customer-charge": "40"}, {}, MINI, learned_usd=0.001).state is CostState.ESTIMATED
    assert cost_of({"x-btl-customer-charge": "0.5"}, {}, MINI).pico == 500_000_000_000


@pytest.mark.parametrize(
    "cached",
    [
        {"prompt_tokens_details": {"cached_tokens": 9_000}},
        {"cache_read_input_tokens": 9_000},
        {"prompt_cache_hit_tokens": 9_000, "prompt_cache_miss_tokens": 1_000},
        {"cached_tokens": 9_000},
        {"prompt_tokens_details": {"cached_tokens": "9000"}},
    ],
)
def test_cached_tokens_cost_the_cached_rate(cached: dict[str, object]) -> None:
    body = {"usage": {"prompt_tokens": 10_000, "completion_tokens": 0, **cached}}
    assert cost_of({}, body, MINI).pico == (1_000 * 150_000 + 9_000 * 75_000)
    assert cost_of({}, body, replace(MINI, cached_usd=0.015 / 1e6)).pico == 1_000 * 150_000 + 9_000 * 15_000


@pytest.mark.parametrize("cached", [10_001, -1, True, "9,000", "-1", "10001", 10**18, None, {}])
def test_implausible_cached_tokens_are_none(cached: object) -> None:
    body = {
        "usage": {"prompt_tokens": 10_000, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": cached}}
    }
    assert cost_of({}, body, MINI).pico == 10_000 * 150_000


@pytest.mark.parametrize(
    "tokens",
    [-1, True, "1.2", "-12", "\u0661\u0662", "\u00b2", "9" * 400, "12 tokens", "", 10**18, 1.5, float("nan"), [3]],
)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_token_counts_that_cannot_be_true_are_set_aside(name: str, tokens: object) -> None:
    before = notices.claims.counts["usage"]
    assert usage_of({"usage": {**USED, name: tokens}}) is None
    assert notices.claims.counts["usage"] == before + 1


def test_usage_is_bounded_by_what_was_sent_and_what_came() -> None:
    assert usage_of({"usage": USED}, 400) == Usage(1_000, 100)
    assert usage_of({"usage": {**USED, "prompt_tokens": 1_000_000}}, 400) is None
    assert usage_of({"usage": {**USED, "prompt_tokens": 1_000_000}}, 3_000_000) == Usage(1_000_000, 100)
    assert usage_of({"choices": [], "usage": {**USED, "completion_tokens": 5_000_000}}) is None
    assert usage_of({"usage": {"prompt_tokens": 7.0, "completion_tokens": 2.0}}) == Usage(7, 2)
    assert usage_of({"usage": {"prompt_tokens": "7", "completion_tokens": "2", "total_tokens": "9"}}) == Usage(7, 2)
    assert usage_of({"usage": {"input_tokens": "7", "output_tokens": 2}}) == Usage(7, 2)
