"""Three layers: the catalog's file, what the runtime lists, and over both what operators said, which no list changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from arbiter_app.catalog import Catalog, CatalogError
from arbiter_app.catalog_file import load_catalog
from arbiter_app.pool.edits import ModelEdit

PER_MILLION = 1e-6
ROW = {"id": "gpt-4o", "pricing": {"prompt": "0.000003", "completion": "0.000012"}, "context_length": 100_000}


def catalog(**edits: dict[str, Any]) -> Catalog:
    named = {name.replace("_", "-"): ModelEdit().changed(said) for name, said in edits.items()}
    return load_catalog(None, baseline="gpt-4o", edits=named)


def test_an_edited_price_stands_over_the_file_and_over_the_list() -> None:
    for after in (catalog(gpt_4o={"input": 7}), catalog(gpt_4o={"input": 7}).refreshed([ROW])):
        model = after.models["gpt-4o"]
        assert (model.input_usd, model.output_usd) == (pytest.approx(7 * PER_MILLION), pytest.approx(10 * PER_MILLION))
        assert model.price_from == "operator"
    assert after.models["gpt-4o"].context_tokens == 100_000  # which nobody edited


def test_an_edited_window_stands_and_the_price_is_the_lists() -> None:
    model = catalog(gpt_4o={"context": 64_000}).refreshed([ROW]).models["gpt-4o"]
    assert (model.context_tokens, model.price_from) == (64_000, "runtime")
    assert model.input_usd == pytest.approx(3 * PER_MILLION)


def test_an_edited_price_of_cached_tokens_stands_when_the_list_states_another_price() -> None:
    model = catalog(gpt_4o={"cached": 0.4}).refreshed([ROW]).models["gpt-4o"]
    assert model.cached_usd == pytest.approx(0.4 * PER_MILLION)


def test_taken_back_the_lower_layers_count_again() -> None:
    edited = catalog(gpt_4o={"input": 7}).refreshed([ROW])
    after = edited.edited({}).refreshed([ROW]).models["gpt-4o"]
    assert (after.price_from, after.fixed) == ("runtime", frozenset())
    assert after.input_usd == pytest.approx(3 * PER_MILLION)


def test_an_added_model_has_its_price_from_the_price_list_and_joins_whatever_the_patterns_say() -> None:
    after = catalog(claude_sonnet_4_5={"added": True})
    model = after.models["claude-sonnet-4-5"]
    assert (model.price_from, model.input_usd) == ("library", pytest.approx(3 * PER_MILLION))
    listed = after.refreshed([{"id": "gpt-4o"}, {"id": "claude-sonnet-4-5"}, {"id": "other"}], join=("!*",))
    assert set(listed.names) == {"gpt-4o", "claude-sonnet-4-5"}


def test_an_added_model_that_the_runtime_does_not_list_is_not_routed_to_until_it_does() -> None:
    after = catalog(new_model={"added": True, "input": 1, "output": 2}).refreshed([{"id": "gpt-4o"}])
    assert "new-model" not in after.names and "new-model" in after.models
    assert "new-model" in after.refreshed([{"id": "gpt-4o"}, {"id": "new-model"}], join=("!*",)).names


def test_what_its_row_states_of_an_added_model_is_believed_but_for_what_was_edited() -> None:
    row = {"id": "new-model", "pricing": {"prompt": "0.000001", "completion": "0.000004"}, "context_length": 32_000}
    row["supported_parameters"] = ["max_tokens"]
    plain = catalog(new_model={"added": True}).refreshed([{"id": "gpt-4o"}, row]).models["new-model"]
    assert (plain.price_from, plain.context_tokens, "tools" in plain.can) == ("runtime", 32_000, False)
    told = {"added": True, "tools": True, "context": 8_000}
    edited = catalog(new_model=told).refreshed([{"id": "gpt-4o"}, row]).models["new-model"]
    assert (edited.price_from, edited.context_tokens, "tools" in edited.can) == ("runtime", 8_000, True)


def test_a_retired_model_is_known_and_not_routed_to_also_one_that_had_joined() -> None:
    rows = [{"id": "gpt-4o"}, {"id": "house"}, {"id": "gpt-4o-mini"}]
    joined = catalog().refreshed(rows)
    assert set(joined.names) == {"gpt-4o", "house", "gpt-4o-mini"}
    edits = {name: ModelEdit(retired=True) for name in ("house", "gpt-4o-mini")}
    after = joined.edited(edits).refreshed(rows)
    assert after.names == ("gpt-4o",) and {"house", "gpt-4o-mini"} <= set(after.models)
    assert set(after.edited({}).refreshed(rows).names) == {"gpt-4o", "house", "gpt-4o-mini"}


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({"gpt-4o": {"input": -1}}, "0 or more"),
        ({"gpt-4o": {"context": 1.5}}, "whole number"),
        ({"gpt-4o": {"tools": "yes"}}, "true or false"),
        ({"gpt-4o": {"colour": "red"}}, "unknown keys"),
        ({"auto": {"added": True, "input": 1, "output": 1}}, "leave the choice to Arbiter"),
        ({"auto:cheap": {"added": True, "input": 1, "output": 1}}, "leave the choice to Arbiter"),
        ({"Auto:mine": {"added": True, "input": 1, "output": 1}}, "leave the choice to Arbiter"),
        ({"..": {"added": True, "input": 1, "output": 1}}, "part of paths"),
        ({"../x": {"added": True, "input": 1, "output": 1}}, "part of paths"),
        ({"a//b": {"added": True, "input": 1, "output": 1}}, "part of paths"),
        ({"new": {"added": True, "input": 1, "output": 1, "aliases": ["auto:best"]}}, "leave the choice to Arbiter"),
        ({"new": {"added": True, "input": 1, "output": 1, "aliases": ["a\u202eb"]}}, "visible characters"),
        ({"new": {"added": True, "input": 1, "output": 1, "aliases": ["x" * 201]}}, "visible characters"),
        ({"GPT-4o": {"added": True, "input": 1, "output": 1}}, "is called, too"),
        ({"new": {"added": True, "input": 1}}, "give input and output"),
        ({"new\u200b": {"added": True, "input": 1, "output": 1}}, "visible characters"),
        ({"new": {"added": True, "input": 1, "output": 1, "aliases": ["gpt-4o"]}}, "one model"),
        ({"new": {"added": True, "input": 1, "output": 1, "deployments": [{"runtime": "x"}]}}, "no runtime"),
        ({"new": {"added": True, "input": 1, "output": 1, "prior": {"code": 2}}}, "0..1"),
    ],
)
def test_edits_keep_the_rules_of_the_file(edits: dict[str, Any], said: str) -> None:
    with pytest.raises(CatalogError, match=said):
        load_catalog(None, baseline="gpt-4o", edits={key: ModelEdit().changed(one) for key, one in edits.items()})


def test_the_price_of_one_deployment_is_edited_by_its_deployments(tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(
        '[runtimes.house]\nbase_url = "http://127.0.0.1:9/v1"\n[models."gpt-4o"]\ninput = 2.5\noutput = 10\n'
        '[[models."gpt-4o".deployments]]\nruntime = "btl"\n[[models."gpt-4o".deployments]]\nruntime = "house"\ninput = 2\noutput = 8\n'
    )
    told = {"deployments": [{"runtime": "btl"}, {"runtime": "house", "input": 1, "output": 4}]}
    before = load_catalog(file, baseline="gpt-4o", edits={"gpt-4o": ModelEdit({"input": 3})})
    assert [at.model.price_from for at in before.at("gpt-4o")] == ["catalog", "operator"]
    after = load_catalog(file, baseline="gpt-4o", edits={"gpt-4o": ModelEdit(told)})
    house = after.relisted("house", [{**ROW, "id": "gpt-4o"}]).at("gpt-4o")[0]
    assert (house.runtime, house.model.price_from) == ("house", "operator")
    assert house.model.input_usd == pytest.approx(1 * PER_MILLION)
