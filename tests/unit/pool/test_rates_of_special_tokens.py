"""Tokens of special kinds have a price of their own: the catalog's, the price list's as a share, or the providers' rule."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from arbiter_app.catalog import CatalogError
from arbiter_app.catalog_file import load_catalog
from arbiter_app.pipeline.types import CostState, Model, Usage
from arbiter_app.pool.rates import rates_of
from arbiter_app.runtime.cost import cost_of, usage_of

CLAUDE = Model("claude-sonnet-4-6", 3e-6, 15e-6, 200_000)
UNKNOWN = Model("nobody-knows-me", 2e-6, 4e-6, None)


def test_the_price_list_knows_anthropics_rates() -> None:
    rates = rates_of(CLAUDE)
    assert (rates.cached, rates.cache_write, rates.cache_write_1h) == (
        Decimal(300_000),
        Decimal(3_750_000),
        Decimal(6_000_000),
    )


def test_rates_of_the_list_are_shares_of_the_models_own_price() -> None:
    assert rates_of(replace(CLAUDE, input_usd=1.5e-6)).cached == Decimal(150_000)
    audio = rates_of(Model("gemini-2.5-flash", 0.3e-6, 2.5e-6, None))
    assert (audio.input_audio, audio.cached_audio, audio.cached) == (
        Decimal(1_000_000),
        Decimal(100_000),
        Decimal(30_000),
    )


def test_the_catalog_comes_first() -> None:
    own = replace(CLAUDE, cached_usd=1e-6, special_usd={"cache_write": 4e-6, "reasoning": 20e-6})
    rates = rates_of(own)
    assert (rates.cached, rates.cache_write, rates.cache_write_1h) == (
        Decimal(1_000_000),
        Decimal(4_000_000),
        Decimal(6_000_000),
    )
    assert rates.reasoning == Decimal(20_000_000)


def test_what_nobody_knows_goes_by_the_providers_rules() -> None:
    rates = rates_of(UNKNOWN)
    assert (rates.cached, rates.cache_write, rates.cache_write_1h) == (
        Decimal(1_000_000),
        Decimal(2_500_000),
        Decimal(4_000_000),
    )
    assert (
        rates.input_audio == rates.input_image == rates.input and rates.output_audio == rates.reasoning == rates.output
    )
    assert rates_of(replace(UNKNOWN, id="claude-of-tomorrow")).cached == Decimal(200_000)


def test_the_catalog_reads_special_prices_and_names_wrong_ones(tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text('[models."gpt-4o"]\ninput = 2.5\noutput = 10\ncached = 1.25\ncache_write = 3\ninput_audio = 40\n')
    model = load_catalog(file, baseline="gpt-4o").models["gpt-4o"]
    assert model.special_usd == {"cache_write": 3e-6, "input_audio": 40e-6} and model.cached_usd == 1.25e-6
    file.write_text('[models."gpt-4o"]\ninput = 2.5\noutput = 10\ncache_write = "much"\n')
    with pytest.raises(CatalogError, match="cache_write must be a price"):
        load_catalog(file, baseline="gpt-4o")


READ = {"cached_tokens": 6_000}
SHAPES = {
    "Anthropic": {
        "input_tokens": 1_000,
        "output_tokens": 100,
        "cache_read_input_tokens": 6_000,
        "cache_creation_input_tokens": 3_000,
        "cache_creation": {"ephemeral_5m_input_tokens": 2_000, "ephemeral_1h_input_tokens": 1_000},
    },
    "Anthropic behind a chat": {
        "prompt_tokens": 10_000,
        "completion_tokens": 100,
        "prompt_tokens_details": {
            **READ,
            "cache_write_tokens": 3_000,
            "cache_creation": {"ephemeral_5m_input_tokens": 2_000, "ephemeral_1h_input_tokens": 1_000},
        },
    },
    "LiteLLM": {
        "prompt_tokens": 10_000,
        "completion_tokens": 100,
        "cache_read_input_tokens": 6_000,
        "cache_creation_input_tokens": 3_000,
        "prompt_tokens_details": {
            **READ,
            "cache_creation_tokens": 3_000,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": 2_000, "ephemeral_1h_input_tokens": 1_000},
        },
    },
    "Anthropic's counts under OpenAI's names": {
        "prompt_tokens": 1_000,
        "completion_tokens": 100,
        "cache_read_input_tokens": 6_000,
        "cache_creation_input_tokens": 3_000,
        "cache_creation": {"ephemeral_1h_input_tokens": 1_000},
    },
}


@pytest.mark.parametrize("name", SHAPES)
def test_cache_writes_are_read_in_every_shape_and_priced_apart(name: str) -> None:
    body = {"usage": SHAPES[name]}
    assert usage_of(body) == Usage(10_000, 100, 6_000, 2_000, 1_000)
    cost = cost_of({}, body, CLAUDE)
    assert (cost.state, cost.pico) == (
        CostState.COMPUTED,
        1_000 * 3_000_000 + 6_000 * 300_000 + 2_000 * 3_750_000 + 1_000 * 6_000_000 + 100 * 15_000_000,
    )


def test_writes_without_a_time_are_the_short_ones() -> None:
    usage = {"input_tokens": 1_000, "output_tokens": 1, "cache_creation_input_tokens": 500}
    assert usage_of({"usage": usage}) == Usage(1_500, 1, 0, 500)
    openrouter = {"prompt_tokens": 1_500, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 500}}
    assert usage_of({"usage": openrouter}) == Usage(1_500, 1, 0, 500)
    responses = {
        "input_tokens": 1_500,
        "output_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 500},
    }
    assert usage_of({"usage": responses}) == Usage(1_500, 1, 0, 500)


def test_more_written_than_sent_is_set_aside() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 50},
    }
    assert usage_of({"usage": usage}) == Usage(100, 1, 60)


def test_audio_pictures_and_reasoning_are_priced_apart_and_no_token_twice() -> None:
    model = replace(
        UNKNOWN,
        cached_usd=1e-6,
        special_usd={"input_audio": 10e-6, "cached_audio": 3e-6, "output_audio": 20e-6, "reasoning": 8e-6},
    )
    usage = {
        "prompt_tokens": 1_000,
        "completion_tokens": 500,
        "prompt_tokens_details": {
            "cached_tokens": 400,
            "audio_tokens": 700,
            "cached_tokens_details": {"audio_tokens": 300},
        },
        "completion_tokens_details": {"audio_tokens": 200, "reasoning_tokens": 250},
    }
    assert cost_of({}, {"usage": usage}, model).pico == 1_000_000 * (
        100 * 1 + 300 * 3 + 400 * 10 + 200 * 2 + 200 * 20 + 250 * 8 + 50 * 4
    )
    everything = {
        **usage,
        "prompt_tokens_details": {"cached_tokens": 900, "audio_tokens": 1_000, "image_tokens": 1_000},
    }
    assert cost_of({}, {"usage": everything}, model).pico == 1_000_000 * (
        900 * 1 + 100 * 10 + 200 * 20 + 250 * 8 + 50 * 4
    )


ROWS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "OpenRouter": (
        {
            "pricing": {
                "prompt": "0.000003",
                "completion": "0.000015",
                "input_cache_read": "0.0000003",
                "input_cache_write": "0.00000375",
            }
        },
        {"cached": 0.3, "cache_write": 3.75},
    ),
    "LiteLLM": (
        {
            "model_info": {
                "input_cost_per_token": 3e-6,
                "output_cost_per_token": 15e-6,
                "cache_read_input_token_cost": 3e-7,
                "cache_creation_input_token_cost": 3.75e-6,
                "cache_creation_input_token_cost_above_1hr": 6e-6,
            }
        },
        {"cached": 0.3, "cache_write": 3.75, "cache_write_1h": 6.0},
    ),
    "per million": ({"pricing": {"input": 3, "output": 15, "cached_input": 0.3}}, {"cached": 0.3}),
    "no such price": (
        {
            "pricing": {
                "prompt": "0.000003",
                "completion": "0.000015",
                "input_cache_read": "7",
                "input_cache_write": "0",
            }
        },
        {},
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_the_runtime_lists_of_its_own_is_believed_as_a_share(name: str) -> None:
    row, expected = ROWS[name]
    listed = load_catalog(None, baseline="gpt-4o").refreshed([{"id": "somebodys-model", **row}])
    model = listed.models["somebodys-model"]
    found = {**model.special_usd, **({"cached": model.cached_usd} if model.cached_usd is not None else {})}
    assert {kind: usd * 1e6 for kind, usd in found.items()} == pytest.approx(expected)
