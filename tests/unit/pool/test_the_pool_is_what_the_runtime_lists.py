"""The pool is what the runtime lists, under any name and in any shape; what it states of its models is a claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from arbiter_app.catalog import Catalog
from arbiter_app.catalog_file import load_catalog
from arbiter_app.pool import names
from arbiter_app.pool.edits import ModelEdit
from arbiter_app.pool.price_list import FILE
from arbiter_app.pool.telling import lines
from arbiter_app.runtime.claims.facts import Known, facts_of, rows_of
from tests.price_list import render

PER_MILLION = 1e-6


def catalog(**fields: Any) -> Catalog:
    return load_catalog(None, **{"baseline": "gpt-4o", **fields})


def listed(*rows: Any, **fields: Any) -> Catalog:
    return catalog().refreshed([{"id": row} if isinstance(row, str) else row for row in rows], **fields)


def test_the_price_list_is_that_of_the_pinned_package() -> None:
    assert FILE.read_text("utf-8") == render()


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-4o", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("openai/gpt-4o", "gpt-4o"),
        ("azure/gpt-4o", "gpt-4o"),
        ("openrouter/openai/gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o:latest", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("google/gemini-2.5-pro", "gemini-2.5-pro"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b-instruct"),
        ("meta-llama/llama-3.3-70b-instruct:free", "llama-3.3-70b-instruct"),
        ("groq/llama-3.3-70b-versatile", "llama-3.3-70b-instruct"),
        ("llama3.3:70b", "llama-3.3-70b-instruct"),
        ("accounts/fireworks/models/llama-v3p1-70b-instruct", "llama-3.1-70b-instruct"),
        ("meta.llama-3-1-70b-instruct-v1:0", "llama-3.1-70b-instruct"),
        ("deepseek/deepseek-chat-v3-0324", "deepseek-chat-v3"),
    ],
)
def test_a_model_is_known_by_its_other_names_and_asked_for_by_the_runtimes(name: str, model: str) -> None:
    after = listed(name)
    assert after.names == (model,) and after.models[model].sent == name
    assert after.resolve(name) == model


def test_near_names_are_other_models() -> None:
    after = listed("gpt-4o-audio-tuned", "gpt-4o-mini-tuned", "gpt-4")
    assert set(after.names) == {"gpt-4o-audio-tuned", "gpt-4o-mini-tuned", "gpt-4"} - {"gpt-4o-audio-tuned"}


def test_the_closest_name_is_the_catalogs_and_the_others_join() -> None:
    after = listed("azure/gpt-4o", "gpt-4o-2024-08-06", "gpt-4o")
    assert after.models["gpt-4o"].sent == "gpt-4o"
    assert after.names == ("gpt-4o", "azure/gpt-4o", "gpt-4o-2024-08-06")
    assert after.models["azure/gpt-4o"].input_usd == pytest.approx(2.5 * PER_MILLION)


def test_bedrock_names_are_of_the_family() -> None:
    assert names.family("us.anthropic.claude-3-5-sonnet-20241022-v2:0") == names.family("claude-3.5-sonnet")


@pytest.mark.parametrize(
    "listing",
    [
        {"object": "list", "data": [{"id": "a"}, {"id": "b"}]},
        [{"id": "a"}, {"id": "b"}],
        ["a", "b"],
        {"models": [{"name": "a", "model": "a"}, {"name": "b", "model": "b"}]},
        {"data": {"a": {"x": 1}, "b": {}}},
        {"result": [{"name": "a"}, {"name": "b"}]},
    ],
)
def test_lists_are_read_in_every_shape(listing: Any) -> None:
    rows = rows_of(listing)
    assert rows is not None and listed(*rows).names == ("a", "b")


@pytest.mark.parametrize("listing", [{"object": "list", "data": None}, {"models": None}, {"data": []}])
def test_an_empty_list_is_one_also_where_it_is_null(listing: Any) -> None:
    assert rows_of(listing) == []


@pytest.mark.parametrize("listing", [None, 5, "x", {}, {"error": "no"}, {"data": None, "error": "no"}])
def test_what_is_no_list_is_none(listing: Any) -> None:
    assert rows_of(listing) is None


@pytest.mark.parametrize(
    "row",
    [
        {"id": "text-embedding-3-small"},
        {"id": "BAAI/bge-m3"},
        {"id": "nomic-embed-text:latest"},
        {"id": "dall-e-3"},
        {"id": "gpt-image-1"},
        {"id": "tts-1-hd"},
        {"id": "whisper-1"},
        {"id": "omni-moderation-latest"},
        {"id": "meta-llama/llama-guard-4-12b"},
        {"id": "jina-reranker-v2"},
        {"id": "gpt-4o-realtime-preview"},
        {"id": "gpt-3.5-turbo-instruct"},
        {"id": "black-forest-labs/flux-1"},
        {"id": "some-model", "type": "embedding"},
        {"id": "some-model", "type": "rerank"},
        {"id": "some-model", "type": "image"},
        {"id": "some-model", "model_info": {"mode": "embedding"}},
        {"id": "some-model", "capabilities": {"completion_chat": False}},
        {"id": "some-model", "architecture": {"modality": "text->image"}},
        {"id": "some-model", "architecture": {"output_modalities": ["image"]}},
        {"id": "some-model", "active": False},
        {"name": "some-model", "endpoints": ["embed"]},
        {"name": "models/x", "supportedGenerationMethods": ["embedContent"]},
        {"id": "openai/*"},
    ],
)
def test_models_that_do_not_chat_do_not_join(row: dict[str, Any]) -> None:
    assert listed("gpt-4o", row).names == ("gpt-4o",)


@pytest.mark.parametrize(
    ("row", "window"),
    [
        ({"context_length": 64_000}, 64_000),
        ({"context_window": "131072"}, 131_072),
        ({"max_model_len": 8_192}, 8_192),
        ({"max_context_length": "128k"}, 128_000),
        ({"meta": {"n_ctx_train": 32_768}}, 32_768),
        ({"model_info": {"max_input_tokens": 100_000}}, 100_000),
        ({"top_provider": {"context_length": 99_000}}, 99_000),
        ({"inputTokenLimit": 1_000_000}, 1_000_000),
        ({"context_length": 1}, 128_000),
        ({"context_length": 0}, 128_000),
        ({"context_length": -1}, 128_000),
        ({"context_length": True}, 128_000),
        ({"context_length": False}, 128_000),
        ({"context_length": 1e30}, 128_000),
        ({"context_length": "NaN"}, 128_000),
        ({"context_length": "many"}, 128_000),
        ({"context_length": None}, 128_000),
        ({"context_length": [1]}, 128_000),
        ({"context_length": {"x": 1}}, 128_000),
        ({"context_length": 700}, 128_000),
        ({"context_length": 10**400}, 128_000),
        ({"context_length": 1, "context_window": 64_000}, 64_000),
    ],
)
def test_a_window_is_believed_where_it_can_be_one(row: dict[str, Any], window: int) -> None:
    assert listed({"id": "gpt-4o", **row}).models["gpt-4o"].context_tokens == window


@pytest.mark.parametrize(
    ("row", "usd"),
    [
        ({"pricing": {"prompt": "0.00000015", "completion": "0.0000006"}}, (0.15, 0.6)),
        ({"pricing": {"input": 0.15, "output": 0.6}}, (0.15, 0.6)),
        ({"pricing": {"prompt": 0.15, "completion": 0.6}}, (0.15, 0.6)),
        ({"pricing": {"input": "0.00000015", "output": "0.0000006"}}, (0.15, 0.6)),
        ({"pricing": {"input": 0.00015, "output": 0.0006}}, (0.15, 0.6)),
        ({"pricing": {"input": 0.20, "output": 0.0000008}}, (0.20, 0.8)),
        ({"model_info": {"input_cost_per_token": 2e-7, "output_cost_per_token": 8e-7}}, (0.2, 0.8)),
        ({"metadata": {"pricing": {"input_tokens": 0.1, "output_tokens": 0.3}}}, (0.1, 0.3)),
        ({"pricing": {"input_per_million": 0.3, "output_per_million": 1.2}}, (0.3, 1.2)),
        ({"pricing": {"prompt": "$0.2", "completion": "$0.7", "unit": "per_million_tokens"}}, (0.2, 0.7)),
        ({"pricing": {"prompt": -1, "completion": -1}}, (0.15, 0.6)),
        ({"pricing": {"prompt": 0, "completion": 0}}, (0.15, 0.6)),
        ({"pricing": {"prompt": "free", "completion": None}}, (0.15, 0.6)),
        ({"pricing": {"prompt": True, "completion": "NaN"}}, (0.15, 0.6)),
        ({"pricing": {"prompt": 1e300, "completion": 5000}}, (0.15, 0.6)),
        ({"pricing": {"input_cost_per_token": 0.15}}, (0.15, 0.6)),
        ({"pricing": "cheap"}, (0.15, 0.6)),
    ],
)
def test_a_prices_unit_follows_from_its_key_and_from_what_is_known(
    row: dict[str, Any], usd: tuple[float, float]
) -> None:
    model = listed({"id": "gpt-4o-mini", **row}).models["gpt-4o-mini"]
    assert (model.input_usd / PER_MILLION, model.output_usd / PER_MILLION) == pytest.approx(usd)


@pytest.mark.parametrize(
    ("name", "row", "usd", "source"),
    [
        ("claude-sonnet-4-5", {}, (3.0, 15.0), "library"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", {}, (3.0, 15.0), "library"),
        ("house-model", {"pricing": {"prompt": "0.000001", "completion": "0.000002"}}, (1.0, 2.0), "runtime"),
        ("house-model", {"pricing": {"input": 1.5, "output": 3}}, (1.5, 3.0), "runtime"),
        ("house-model", {"pricing": {"prompt": "0", "completion": "0"}}, (0.0, 0.0), "runtime"),
        ("house-model", {}, (2.5, 10.0), "unknown"),
        ("house-model", {"pricing": {"prompt": "-1", "completion": "-1"}}, (2.5, 10.0), "unknown"),
        ("house-model", {"pricing": {"prompt": None}}, (2.5, 10.0), "unknown"),
    ],
)
def test_what_joins_has_a_price_or_a_cautious_one(
    name: str, row: dict[str, Any], usd: tuple[float, float], source: str
) -> None:
    model = listed("gpt-4o", {"id": name, **row}).models[name]
    assert model.joined and model.price_from == source
    assert (model.input_usd / PER_MILLION, model.output_usd / PER_MILLION) == pytest.approx(usd)


def test_a_fact_that_is_no_longer_stated_falls_back() -> None:
    after = listed(
        {"id": "gpt-4o", "context_length": 64_000, "pricing": {"prompt": "0.000003", "completion": "0.000012"}}
    )
    assert after.models["gpt-4o"].context_tokens == 64_000 and after.models["gpt-4o"].price_from == "runtime"
    again = after.refreshed([{"id": "gpt-4o"}])
    assert again.models["gpt-4o"].context_tokens == 128_000
    assert again.models["gpt-4o"].input_usd == pytest.approx(2.5 * PER_MILLION)


def test_a_price_nobody_else_knows_moves_within_reason() -> None:
    first = listed({"id": "house", "pricing": {"input": 1.0, "output": 2.0}})
    doubled = first.refreshed([{"id": "house", "pricing": {"input": 2.0, "output": 4.0}}])
    assert doubled.models["house"].input_usd == pytest.approx(2e-6)
    wild = doubled.refreshed([{"id": "house", "pricing": {"input_per_million": 90.0, "output_per_million": 400.0}}])
    assert wild.report is not None and "90.0" in " ".join(wild.report.doubts)


@pytest.mark.parametrize("rows", [[], [{"id": ""}], [{"id": "text-embedding-3-small"}], [{"id": 5}], [{"name": None}]])
def test_a_list_without_a_model_that_chats_changes_nothing(rows: list[dict[str, Any]]) -> None:
    before = catalog()
    assert before.refreshed(rows) is before
    after = listed("gpt-4o", "gpt-4o-mini")
    assert after.refreshed(rows) is after


@pytest.mark.parametrize("name", ["a\nb", "a\x00b", "x" * 10_000, "  ", 5, None, True, ["a"], "a\u202eb"])
def test_what_can_be_no_name_is_set_aside(name: object) -> None:
    after = listed("gpt-4o", {"id": name})
    assert after.names == ("gpt-4o",)
    assert after.report is not None and after.report.doubts


def test_names_count_once_whatever_their_case_and_others_can_stand_in_a_header() -> None:
    after = listed("house", "House", "house", "通义")
    assert len(after.names) == 2
    other = after.models[after.names[1]]
    assert other.id.isascii() and other.sent == "通义" and after.resolve("通义") == other.id


def test_a_huge_list_makes_no_huge_pool() -> None:
    after = listed("gpt-4o", *[f"house-{at:05d}" for at in range(10_000)])
    assert len(after.names) == 64 and "gpt-4o" in after.names
    for turn in range(20):
        after = after.refreshed([{"id": f"turn-{turn}-{at}"} for at in range(60)])
    assert len(after.models) < 500 and len(after.names) == 60


def test_what_is_kept_takes_room_of_the_pool() -> None:
    after = listed("gpt-4o", *[f"old-{at}" for at in range(40)])
    after = after.refreshed([{"id": f"new-{at}"} for at in range(40)], keep={"gpt-4o", "old-7", "never-heard-of"})
    assert len(after.names) == 42 and {"gpt-4o", "old-7"} < set(after.names)
    after = after.refreshed([{"id": f"third-{at}"} for at in range(40)], keep=set(after.names))
    assert len(after.names) == 64


def test_where_not_all_find_room_those_in_the_pool_stay() -> None:
    after = listed("gpt-4o", *[f"House/Model-{at}" for at in range(63)])
    more = [{"id": f"a-{at}"} for at in range(100)] + [{"id": model.sent} for model in after.pool]
    assert set(after.refreshed(more).names) == set(after.names)


def test_the_models_that_went_last_are_remembered_longest() -> None:
    after = listed("gpt-4o")
    for turn in range(12):
        after = after.refreshed([{"id": f"turn-{turn}-{at}"} for at in range(60)])
    assert {f"turn-{turn}-0" for turn in range(7, 11)} <= set(after.models) and "turn-2-0" not in after.models


def test_parts_whose_models_are_missing_are_taken_by_others() -> None:
    after = listed("gpt-4o-mini", "claude-sonnet-4-5", "claude-haiku-4-5")
    assert after.baseline == "claude-sonnet-4-5", "the dearest that is not far dearer than the wanted one"
    assert after.classifier == after.judge == "gpt-4o-mini"
    assert after.models["claude-sonnet-4-5"].baseline and not after.models["gpt-4o"].baseline
    told = "\n".join(lines(after))
    for part in ("baseline gpt-4o", "classifier deepseek-v4-flash", "judge deepseek-v4-pro"):
        assert f"the {part} is not listed" in told
    back = after.refreshed([{"id": name} for name in ("gpt-4o", "deepseek-v4-flash", "deepseek-v4-pro")])
    assert (back.baseline, back.classifier, back.judge) == ("gpt-4o", "deepseek-v4-flash", "deepseek-v4-pro")


def test_local_models_without_prices_have_a_baseline_too() -> None:
    after = listed("llama3.2:1b", "qwen3:32b", "phi4:14b")
    assert after.baseline == "qwen3:32b" and after.classifier in after.names
    assert after.report is not None and set(after.report.unpriced) <= set(after.names)


def test_what_the_operator_switched_off_stays_off() -> None:
    off = listed("gpt-4o", "house").edited({"house": ModelEdit({"routable": False})})
    assert off.refreshed([{"id": "gpt-4o"}, {"id": "house"}]).names == ("gpt-4o",)


def test_patterns_say_what_joins() -> None:
    assert listed("gpt-4o", "claude-x", "house", join=("!claude*", "*")).names == ("gpt-4o", "house")


def test_a_list_that_has_more_drops_nothing() -> None:
    after = listed("gpt-4o", "house").refreshed([{"id": "gpt-4o"}], keep={"gpt-4o", "house"})
    assert set(after.names) == {"gpt-4o", "house"}
    rows = rows_of({"data": [{"id": "a"}], "has_more": True})
    assert rows is not None and not rows.whole


def test_a_baseline_that_only_the_runtime_knows() -> None:
    own = load_catalog(None, baseline="house-large", open_pool=True)
    after = own.refreshed([{"id": "house-large"}, {"id": "gpt-4o"}])
    assert after.baseline == "house-large" and set(after.names) == {"house-large", "gpt-4o"}


@pytest.mark.parametrize(
    ("row", "price", "window"),
    [
        # Novita counts in ten-thousandths of a dollar; Copilot's limits stand among the capabilities.
        ({"input_token_price_per_m": 1_500, "output_token_price_per_m": 6_000}, 0.15, None),
        ({"pricing": {"input": 15, "output": 60, "unit": "cents per million"}}, 0.15, None),
        ({"pricing": {"input": 0.15, "output": 0.6, "currency": "USD"}}, 0.15, None),
        (
            {"capabilities": {"limits": {"max_context_window_tokens": 64_000, "max_prompt_tokens": 60_000}}},
            None,
            60_000,
        ),
        ({"capabilities": {"limits": {"max_context_window_tokens": 64_000}}}, None, 64_000),
        ({"name": "models/new-model", "input_token_limit": 64_000}, None, 64_000),
    ],
)
def test_what_providers_state_in_their_own_units(row: dict[str, Any], price: float | None, window: int | None) -> None:
    doubts: list[str] = []
    facts = facts_of({"id": "new-model", **row}, "new-model", Known(), doubts)
    assert facts.input_usd == (None if price is None else pytest.approx(price * PER_MILLION))
    assert (facts.context_tokens, doubts) == (window, [])


def test_a_price_in_another_currency_is_set_aside_and_said() -> None:
    doubts: list[str] = []
    row = {"pricing": {"input": 1, "output": 4, "currency": "CNY"}}
    facts = facts_of(row, "new-model", Known(), doubts)
    assert (facts.input_usd, facts.output_usd) == (None, None)
    assert len(doubts) == 2 and "CNY" in doubts[0]


@pytest.mark.parametrize("name", ["auto", "Auto", "arbiter", "auto:cheap", "AUTO:best"])
def test_a_listed_model_that_goes_by_our_own_name_is_left_out_and_that_is_said(name: str) -> None:
    after = listed(name, "gpt-4o")
    assert after.names == ("gpt-4o",)
    assert f"the model {name!r} of the list is left out: by this name callers leave the choice" in " ".join(
        lines(after)
    )
    assert after.report is not None and after.report.listed == 1
    anothers = listed({"id": name, "owned_by": "arbiter"}, "gpt-4o").report
    assert anothers is not None and anothers.doubts == ()
    assert listed(name).report is None


def test_a_catalog_can_have_such_a_model_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    table = '[models."{0}"]\ninput = 1\noutput = 1\n[[models."{0}".deployments]]\nmodel = "{1}"\n'
    path.write_text(table.format("gpt-4o", "gpt-4o") + table.format("house-auto", "auto"))
    after = load_catalog(path, baseline="gpt-4o").refreshed([{"id": "auto", "owned_by": "arbiter"}, {"id": "gpt-4o"}])
    assert after.names == ("gpt-4o", "house-auto") and after.models["house-auto"].sent == "auto"
