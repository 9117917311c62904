"""A model at other settings of how hard it is to think: named in the catalog, each a candidate, at one price, with one health."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbiter_app.catalog import Catalog, CatalogError
from arbiter_app.catalog_file import load_catalog
from arbiter_app.pipeline.effort import Setting
from arbiter_app.services.catalog_holder import facts_of

TWO = """
[runtimes.house]
base_url = "http://127.0.0.1:1/v1"
key_env = "HOUSE_KEY"

[models."big"]
input = 2
output = 10
context = 128_000
prior.code = 0.9
aliases = ["grand"]
effort = "high"
variants = ["low", 4096]
[[models."big".deployments]]
runtime = "house"
model = "house/big"
[[models."big".deployments]]

[models."small"]
input = 0.1
output = 0.2
variants = ["high"]
"""


def catalog(tmp_path: Path, text: str = TWO) -> Catalog:
    path = tmp_path / "catalog.toml"
    path.write_text(text)
    return load_catalog(path, baseline="big")


def test_each_setting_is_a_candidate_behind_its_model(tmp_path: Path) -> None:
    found = catalog(tmp_path)
    assert found.names == ("big", "big:low", "big:4096", "small", "small:high")
    assert [found.model(name).setting for name in found.names] == [
        None,
        Setting("low"),
        Setting(budget_tokens=4096),
        None,
        Setting("high"),
    ]
    assert list(found.models) == ["big", "small"], "the models of the catalog are as many as they were"
    assert [one.id for one in found.pool if one.baseline] == ["big"]


def test_a_variant_has_its_models_price_window_and_deployments(tmp_path: Path) -> None:
    found = catalog(tmp_path)
    for one in found.variants.values():
        model = found.model(one.base)
        assert (one.input_usd, one.output_usd, one.context_tokens) == (
            model.input_usd,
            model.output_usd,
            model.context_tokens,
        )
    assert [(at.key, at.model.sent) for at in found.at("big:low")] == [
        ("big@house", "house/big"),
        ("big@btl", "big"),
    ]
    assert {at.key for at in found.at("small:high")} == {"small"}
    assert {at.model.id for at in found.at("big:4096")} == {"big:4096"}, "what it answers is learned of the variant"


def test_a_variant_goes_by_any_name_of_its_model(tmp_path: Path) -> None:
    found = catalog(tmp_path)
    named = {
        name: found.resolve(name) for name in ("big:low", "grand:low", "openai/Big:LOW", "big:high", "big", "x:low")
    }
    assert named == {
        "big:low": "big:low",
        "grand:low": "big:low",
        "openai/Big:LOW": "big:low",
        "big:high": "big:high",
        "big": "big",
        "x:low": "x:low",
    }


def test_a_list_of_the_runtime_takes_variants_along(tmp_path: Path) -> None:
    found = catalog(tmp_path).refreshed([{"id": "vendor/small", "context_length": 9_000}, {"id": "new"}])
    assert set(found.names) >= {"small", "small:high", "new"}
    at = found.at("small:high")[0]
    assert (at.model.sent, at.model.context_tokens, at.key) == ("vendor/small", 9_000, "small")
    gone = found.refreshed([{"id": "new"}])
    assert "small:high" not in gone.names and gone.model("small:high").base == "small"


def test_the_policy_hears_whose_variant_it_is_and_what_it_is_expected_to_take(tmp_path: Path) -> None:
    facts = facts_of(catalog(tmp_path))
    assert {name: (one.variant_of, one.output_scale) for name, one in facts.items()} == {
        "big": ("", 8.0),
        "big:low": ("big", 2.0),
        "big:4096": ("big", 4.0),
        "small": ("", 4.0),
        "small:high": ("small", 8.0),
    }
    assert (facts["big"].prior, facts["big:low"].prior) == ({"code": 0.9}, {})


def test_without_variants_nothing_is_expected_to_take_more(tmp_path: Path) -> None:
    facts = facts_of(load_catalog(None, baseline="gpt-4o"))
    assert {(one.variant_of, one.output_scale) for one in facts.values()} == {("", 1.0)}


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ('"low"', "variants must be a list"),
        ('["lots"]', "a variant is one of none, minimal, low"),
        ("[10]", "1,024 to 1,000,000 tokens"),
        ("[true]", "a variant is one of"),
        ('["low", "low"]', "stands there twice"),
        (str(list(range(2_000, 2_009))), "at most 8"),
    ],
)
def test_what_is_no_setting_is_refused(tmp_path: Path, stated: str, words: str) -> None:
    with pytest.raises(CatalogError, match=words):
        catalog(tmp_path, f'[models."big"]\ninput = 1\noutput = 1\nvariants = {stated}\n')


def test_a_name_is_that_of_one_candidate(tmp_path: Path) -> None:
    both = '[models."big"]\ninput = 1\noutput = 1\nvariants = ["low"]\n[models."big:low"]\ninput = 1\noutput = 1\n'
    with pytest.raises(CatalogError, match="so a variant"):
        catalog(tmp_path, both)
    with pytest.raises(CatalogError, match="how hard it thinks by itself"):
        catalog(tmp_path, '[models."big"]\ninput = 1\noutput = 1\neffort = "much"\n')
