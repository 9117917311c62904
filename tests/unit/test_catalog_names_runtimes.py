"""A catalog may name runtimes and say which models are on which; what is wrong with it is one sentence without a secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from arbiter_app.catalog import Catalog, CatalogError
from arbiter_app.catalog_file import PACKAGED, catalog_of, load_catalog
from arbiter_app.pipeline.types import DEFAULT_RUNTIME
from arbiter_app.pool.edits import ModelEdit
from arbiter_app.runtime.claims import secrets
from arbiter_app.runtime.clients import CLIENTS, client_of
from arbiter_app.runtime.config import DIALECTS, runtime_of
from arbiter_app.settings import Settings, load_settings

PER_MILLION = 1e-6
PLAIN = '[models."gpt-4o"]\ninput = 2.5\noutput = 10\ncontext = 128_000\n'
HOUSE = '[runtimes.house]\nbase_url = "http://127.0.0.1:9/v1"\n'
ON_BOTH = """
[[models."gpt-4o".deployments]]
[[models."gpt-4o".deployments]]
runtime = "house"
model = "our/gpt-4o"
input = 1
output = 4
"""


def catalog(tmp_path: Path, *parts: str) -> Catalog:
    path = tmp_path / "catalog.toml"
    path.write_text("\n".join(parts))
    return load_catalog(path, baseline="gpt-4o")


def settings(tmp_path: Path, *parts: str, **environ: str) -> Settings:
    (tmp_path / "catalog.toml").write_text("\n".join(parts))
    given = {"GATEWAY_API_KEY": "key-of-the-default", "ARBITER_CATALOG": str(tmp_path / "catalog.toml"), **environ}
    return load_settings(given, env_file=None)


def said(tmp_path: Path, *parts: str) -> str:
    with pytest.raises(CatalogError) as caught:
        catalog(tmp_path, *parts)
    return str(caught.value)


def test_a_model_without_deployments_has_one_on_the_default_runtime_under_its_own_key(tmp_path: Path) -> None:
    found = catalog(tmp_path, PLAIN)
    (only,) = found.at("gpt-4o")
    assert (only.key, only.runtime, only.model) == ("gpt-4o", DEFAULT_RUNTIME, found.models["gpt-4o"])
    assert found.deployments == {} and found.runtimes == {}
    assert [at.key for at in found.at("no-such-model")] == ["no-such-model"]


def test_deployments_are_cheapest_first_and_the_model_has_the_price_of_the_first(tmp_path: Path) -> None:
    found = catalog(tmp_path, PLAIN, ON_BOTH, HOUSE)
    house, default = found.at("gpt-4o")
    assert (house.key, house.runtime, house.model.sent) == ("gpt-4o@house", "house", "our/gpt-4o")
    assert (default.key, default.runtime, default.model.sent) == ("gpt-4o@btl", DEFAULT_RUNTIME, "gpt-4o")
    assert default.model.input_usd == pytest.approx(2.5 * PER_MILLION)
    assert found.models["gpt-4o"].input_usd == pytest.approx(1 * PER_MILLION)
    assert found.resolve("our/gpt-4o") == "gpt-4o"


@pytest.mark.parametrize(
    ("deployment", "prices"),
    [
        ("", (2.5, 10.0, 1.25)),
        ("input = 1", (1.0, 10.0, None)),
        ("output = 1", (2.5, 1.0, 1.25)),
        ("cached = 0.5", (2.5, 10.0, 0.5)),
    ],
)
def test_what_a_deployment_does_not_price_has_the_models_price(
    tmp_path: Path, deployment: str, prices: tuple[float | None, ...]
) -> None:
    found = catalog(
        tmp_path,
        PLAIN,
        "cached = 1.25",
        '[[models."gpt-4o".deployments]]\nruntime = "house"',
        deployment,
        HOUSE,
    )
    (at,) = found.at("gpt-4o")
    assert at.key == "gpt-4o@house"
    wanted = [None if price is None else pytest.approx(price * PER_MILLION) for price in prices]
    assert [at.model.input_usd, at.model.output_usd, at.model.cached_usd] == wanted


def test_a_lone_deployment_on_the_default_runtime_keeps_the_models_key(tmp_path: Path) -> None:
    found = catalog(tmp_path, PLAIN, '[[models."gpt-4o".deployments]]\nmodel = "openai/gpt-4o"')
    (at,) = found.at("gpt-4o")
    assert (at.key, at.model.sent, found.models["gpt-4o"].sent) == ("gpt-4o", "openai/gpt-4o", "openai/gpt-4o")


@pytest.mark.parametrize(
    ("deployment", "why"),
    [
        ('runtime = "hose"', "model 'gpt-4o': there is no runtime 'hose'; known are btl, house"),
        ('runtime = ["house"]', "model 'gpt-4o': there is no runtime ['house']; known are btl, house"),
        ('model = "a\\nb"', "model 'gpt-4o': model is the name that the runtime btl has for it"),
        ("runtime = 5", "model 'gpt-4o': there is no runtime 5; known are btl, house"),
        ("price = 5", "model 'gpt-4o': unknown keys ['price'] of a deployment; known are "),
        ("model = 5", "model 'gpt-4o': model is the name that the runtime btl has for it"),
        ("input = -1", "model 'gpt-4o': input must be a price in USD per 1,000,000 tokens, 0 or more"),
        ("context = 0", "model 'gpt-4o': context must be a positive whole number of tokens"),
        ('[[models."gpt-4o".deployments]]', "model 'gpt-4o': two deployments on the runtime btl; "),
    ],
)
def test_a_bad_deployment_is_said_in_one_sentence(tmp_path: Path, deployment: str, why: str) -> None:
    text = said(tmp_path, PLAIN, '[[models."gpt-4o".deployments]]', deployment, HOUSE)
    assert text.startswith(why) and "\n" not in text


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (("x = " + "[" * 5_000 + "]" * 5_000, PLAIN), "nested too deeply"),
        ((PLAIN, '[models.""]\ninput = 1\noutput = 1'), "model '': a name is up to 200 visible characters"),
        ((PLAIN, '[models."a\\nb"]\ninput = 1\noutput = 1'), "a name is up to 200 visible characters"),
        (
            (PLAIN, ON_BOTH, HOUSE, '[models."gpt-4o@house"]\ninput = 1\noutput = 1'),
            "model 'gpt-4o@house': so the deployment of 'gpt-4o' is called; rename the model",
        ),
    ],
    ids=["deep", "no name", "two lines", "a deployment's key"],
)
def test_a_catalog_that_cannot_be_read_is_one_sentence(tmp_path: Path, parts: tuple[str, ...], why: str) -> None:
    text = said(tmp_path, *parts)
    assert why in text and "\n" not in text


@pytest.mark.parametrize(
    "url", ["https://me:p@ss word@host/v1", "me:pass-word-1@host/v1", "https://me:a/pass-word@ho st"]
)
def test_a_password_in_what_is_no_address_is_not_said(url: str) -> None:
    with pytest.raises(ValueError, match="is no address") as caught:
        runtime_of("house", {"base_url": url})
    assert "word" not in str(caught.value)


@pytest.mark.parametrize("value", ["5", "[]", '["house"]', '"house"'])
def test_deployments_that_are_no_tables_are_said(tmp_path: Path, value: str) -> None:
    text = said(tmp_path, PLAIN, f"deployments = {value}", HOUSE)
    assert text == "model 'gpt-4o': deployments are tables like [[models.\"gpt-4o\".deployments]]"


KEY = "sk-" + "a1b2" * 8
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no URL": ({}, "base_url 'None' is no address; write it like https://host/v1"),
    "no scheme": ({"base_url": "host/v1"}, "base_url 'host/v1' is no address"),
    "another scheme": ({"base_url": "ftp://host/v1"}, "base_url 'ftp://host/v1' is no address"),
    "no port": ({"base_url": "http://host:x/v1"}, "base_url 'http://host:x/v1' is no address"),
    "a space": ({"base_url": "http://a b/v1"}, "base_url 'http://a b/v1' is no address"),
    "a number": ({"base_url": 5}, "base_url '5' is no address"),
    "a password": ({"base_url": "https://me:pass-word-1@host/v1"}, "base_url has a user or password in it"),
    "a dialect": ({"dialect": "chat"}, "dialect must be one of openai-chat, openai-responses, anthropic-messages"),
    "a key": ({"key_env": KEY}, "key_env is the name of an environment variable, never the key itself"),
    "another key": ({"api_key": "x"}, "unknown keys ['api_key']; known are "),
    "a time-out": ({"gap_timeout_s": 0}, "gap_timeout_s is a number of seconds, more than 0"),
    "a switch": ({"connect_timeout_s": True}, "connect_timeout_s is a number of seconds, more than 0"),
    "no table": ({"headers": "x"}, "headers is a table of names and values"),
    "no header": ({"headers": {"a b": "x"}}, "header 'a b' is no name and value of a header"),
    "two headers": ({"headers": {"x-a": "1\r\nx-b: 2"}}, "header 'x-a' is no name and value of a header"),
    "ours": ({"headers": {"Host": "x"}}, "header Host is set by Arbiter itself"),
    "a secret": ({"headers": {"x-tenant": KEY}}, "header x-tenant looks like a secret; write it as $NAME"),
    "random": ({"headers": {"x-tenant": "abc123def456ghi789"}}, "header x-tenant looks like a secret; write it as"),
    "by its name": ({"headers": {"api-key": "letmein"}}, "header api-key looks like a secret; write it as $NAME"),
    "a bearer": ({"headers": {"Authorization": "Bearer x"}}, "header Authorization looks like a secret; write it as"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_runtime_is_said_in_one_sentence_without_a_secret(name: str) -> None:
    table, why = BAD[name]
    good = {} if name == "no URL" else {"base_url": "https://host/v1"}
    with pytest.raises(ValueError) as caught:
        runtime_of("house", {**good, **table})
    text = str(caught.value)
    assert text.startswith(f"runtime 'house': {why}") and "\n" not in text
    assert KEY not in text and "pass-word-1" not in text and "letmein" not in text


@pytest.mark.parametrize("name", ["btl", "Two Words", "a@b", "", "x" * 41, "-x"])
def test_names_of_runtimes_are_plain_and_the_default_ones_is_taken(tmp_path: Path, name: str) -> None:
    text = said(tmp_path, PLAIN, f'[runtimes."{name}"]\nbase_url = "https://host/v1"')
    assert text.startswith(f"runtime {name[:60]!r}: ")


def test_runtimes_that_are_no_tables_are_said(tmp_path: Path) -> None:
    assert said(tmp_path, "runtimes = 5", PLAIN) == "runtimes are tables like [runtimes.NAME]"
    assert said(tmp_path, "runtimes.house = 5", PLAIN).startswith("runtime 'house': unknown keys 5; known are ")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_taken(dialect: str) -> None:
    assert runtime_of("house", {"base_url": "https://host/v1", "dialect": dialect}).dialect == dialect
    assert dialect in CLIENTS, "and there is a client of it"


@pytest.mark.parametrize(
    "given", ["https://host/v1/", " https://host/v1 ", "https://host/v1/chat/completions", "https://host/v1?x=1"]
)
def test_the_address_that_is_meant_is_read(given: str) -> None:
    assert runtime_of("house", {"base_url": given}).base_url == "https://host/v1"


@pytest.mark.parametrize(
    "value", ["2023-06-01", "output-128k-2025-02-19", "https://example.com/app", "My App", "$TENANT", "Bearer $TENANT"]
)
def test_headers_that_are_no_secrets_are_taken(value: str) -> None:
    assert runtime_of("house", {"base_url": "https://host/v1", "headers": {"x-a": value}}).headers == {"x-a": value}


def test_key_and_headers_come_from_the_environment_and_are_hidden_from_then_on(tmp_path: Path) -> None:
    house = HOUSE + 'key_env = "HOUSE_KEY"\nheaders = { X-Tenant = "$HOUSE_TENANT", X-App = "arbiter" }\n'
    given = settings(tmp_path, PLAIN, house, HOUSE_KEY=" Bearer house-key-123456 ", HOUSE_TENANT="tenant-9f8e7d6c5b4a")
    config = catalog_of(given).runtimes["house"]
    assert config.key(given.environment) == "house-key-123456"
    assert config.sent_headers(given.environment) == {"x-tenant": "tenant-9f8e7d6c5b4a", "x-app": "arbiter"}
    client_of(config, given)
    assert secrets.hide("house-key-123456 of tenant-9f8e7d6c5b4a") == "[key] of [key]"
    assert "house-key" not in repr(given) and "house-key" not in repr(config)


def test_a_key_may_stand_in_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HOUSE_KEY=from-the-file-1\nOTHER=x\n")
    read = load_settings({"OTHER": "y"}, tmp_path / ".env")
    assert (read.environment["HOUSE_KEY"], read.environment["OTHER"]) == ("from-the-file-1", "y")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('key_env = "HOUSE_KEY"', "the environment variable HOUSE_KEY (key_env) is not set"),
        ('headers = { x-a = "$TENANT" }', "the environment variable TENANT (header x-a) is not set"),
        ('dialect = "not-yet"', ""),
    ],
)
def test_a_variable_that_is_missing_is_said(tmp_path: Path, more: str, why: str) -> None:
    given = settings(tmp_path, PLAIN, HOUSE + more, HOUSE_KEY=" ")
    with pytest.raises(ValueError, match="runtime 'house': ") as caught:
        client_of(catalog_of(given).runtimes["house"], given)
    assert why in str(caught.value)


def test_the_time_outs_of_a_runtime_are_its_own_or_those_of_the_settings(tmp_path: Path) -> None:
    given = settings(tmp_path, PLAIN, HOUSE + "gap_timeout_s = 7", ARBITER_CONNECT_TIMEOUT_S="3")
    timeouts = client_of(catalog_of(given).runtimes["house"], given)._timeouts
    assert (timeouts.connect_s, timeouts.first_byte_s, timeouts.gap_s) == (3.0, 30.0, 7.0)


def test_the_sandbox_does_not_answer_beside_real_runtimes(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="names the runtimes house, but without GATEWAY_API_KEY the sandbox answers"):
        catalog_of(settings(tmp_path, PLAIN, HOUSE, GATEWAY_API_KEY=""))


def listed(found: Catalog, **lists: list[str]) -> Catalog:
    """After these lists were read, `btl` being that of the default runtime."""
    for runtime, names in lists.items():
        rows = [{"id": name} for name in names]
        found = found.refreshed(rows) if runtime == DEFAULT_RUNTIME else found.relisted(runtime, rows)
    return found


MINI = '[models."gpt-4o-mini"]\ninput = 0.15\noutput = 0.6\n'
ONLY_THERE = '[models."house-model"]\ninput = 1\noutput = 1\n[[models."house-model".deployments]]\nruntime = "house"\n'


def test_a_deployment_that_its_runtime_does_not_list_is_out_and_the_other_stays(tmp_path: Path) -> None:
    both = catalog(tmp_path, PLAIN, ON_BOTH, MINI, HOUSE)
    there = listed(both, btl=["gpt-4o", "gpt-4o-mini"], house=["another"])
    assert [(at.key, at.model.listed) for at in there.at("gpt-4o")] == [("gpt-4o@house", False), ("gpt-4o@btl", True)]
    assert there.models["gpt-4o"].input_usd == pytest.approx(2.5 * PER_MILLION) and "gpt-4o" in there.names
    back = listed(there, house=["our/gpt-4o"], btl=["gpt-4o-mini"])
    assert [(at.key, at.model.listed) for at in back.at("gpt-4o")] == [("gpt-4o@house", True), ("gpt-4o@btl", False)]
    assert back.names == ("gpt-4o", "gpt-4o-mini") and back.baseline == "gpt-4o"
    gone = listed(back, house=["another"])
    assert gone.names == ("gpt-4o-mini",) and gone.baseline == "gpt-4o-mini"
    assert listed(gone, btl=["gpt-4o", "gpt-4o-mini"]).baseline == "gpt-4o"


def test_what_only_another_runtime_lists_does_not_join(tmp_path: Path) -> None:
    found = listed(catalog(tmp_path, PLAIN, ON_BOTH, HOUSE), house=["our/gpt-4o", "unheard-of"], btl=["gpt-4o", "new"])
    assert found.names == ("gpt-4o", "new")
    assert found.report is not None and (found.report.joined, found.report.absent) == (("new",), ())


def test_a_model_of_another_runtime_alone_is_never_asked_of_the_default_one(tmp_path: Path) -> None:
    found = listed(catalog(tmp_path, PLAIN, ONLY_THERE, HOUSE), btl=["gpt-4o", "house-model"])
    assert [at.key for at in found.at("house-model")] == ["house-model@house"]
    assert found.names == ("gpt-4o", "house-model")
    assert listed(found, house=["x"], btl=["gpt-4o", "house-model"]).names == ("gpt-4o",)


def test_what_a_runtime_states_is_of_its_deployment_alone(tmp_path: Path) -> None:
    found = catalog(tmp_path, PLAIN, ON_BOTH, HOUSE)
    row = {"id": "our/gpt-4o", "pricing": {"prompt": "0.000003", "completion": "0.000012"}, "context_length": 32_000}
    after = listed(found.relisted("house", [row]), btl=["gpt-4o"])
    default, house = after.at("gpt-4o")
    assert (default.key, default.model.context_tokens) == ("gpt-4o@btl", 128_000)
    assert (house.model.input_usd, house.model.context_tokens) == (pytest.approx(3 * PER_MILLION), 32_000)
    assert after.models["gpt-4o"].input_usd == pytest.approx(2.5 * PER_MILLION)
    assert after.models["gpt-4o"].context_tokens == 128_000


def test_what_the_operator_took_out_stays_out_whichever_list_comes(tmp_path: Path) -> None:
    out = {"gpt-4o": ModelEdit({"routable": False})}
    found = listed(catalog(tmp_path, PLAIN, ON_BOTH, MINI, HOUSE).edited(out), btl=["gpt-4o", "gpt-4o-mini"])
    assert listed(found, house=["our/gpt-4o"]).names == ("gpt-4o-mini",)


def test_a_list_that_names_no_chat_model_changes_nothing(tmp_path: Path) -> None:
    found = catalog(tmp_path, PLAIN, ON_BOTH, HOUSE)
    assert found.relisted("house", [{"id": "text-embedding-3-small"}]) is found


@pytest.mark.parametrize(
    ("at", "model", "keys"),
    [
        (0, "llama-3.3-70b-instruct", ["@house", "@openrouter"]),
        (1, "claude-sonnet-4.5", ["@btl-messages"]),
    ],
)
def test_the_examples_of_the_docs_are_catalogs(tmp_path: Path, at: int, model: str, keys: list[str]) -> None:
    text = (PACKAGED.parent / "web" / "content" / "configuration.md").read_text("utf-8")
    example = re.findall(r"```toml\n(.*?)```", text.partition("## Several runtimes")[2], re.DOTALL)[at]
    (tmp_path / "catalog.toml").write_text(example)
    found = load_catalog(tmp_path / "catalog.toml", baseline=model)
    assert [one.key for one in found.at(model)] == [f"{model}{key}" for key in keys]
    environment = {"OPENROUTER_API_KEY": "k", "GATEWAY_API_KEY": "k"}
    assert all(one.key(environment) in ("", "k") for one in found.runtimes.values())


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ('[models."auto"]\ninput = 1\noutput = 1\n', "model 'auto': by this name callers leave the choice to Arbiter"),
        ('[models." Arbiter "]\ninput = 1\noutput = 1\n', "by this name callers leave the choice to Arbiter"),
        ('[models."x"]\ninput = 1\noutput = 1\naliases = ["Auto"]\n', "model 'x': by the alias 'Auto' callers leave"),
        ('[models."x"]\ninput = 1\noutput = 1\naliases = ["GPT-4o"]\n', "'GPT-4o' is a name of the model 'gpt-4o'"),
        ('[models."GPT-4o"]\ninput = 1\noutput = 1\n', "so the model 'gpt-4o' is called, too"),
        (
            '[models."x"]\ninput = 1\noutput = 1\naliases = ["z"]\n[models."y"]\ninput = 1\noutput = 1\naliases = ["z"]\n',
            "model 'y': the alias 'z' is a name of the model 'x'",
        ),
    ],
)
def test_a_name_stands_for_one_model_and_none_goes_by_arbiters_own(tmp_path: Path, parts: str, told: str) -> None:
    assert told in said(tmp_path, PLAIN, parts)


def test_models_that_are_called_the_same_by_the_runtime_are_both_there(tmp_path: Path) -> None:
    own = '[models."dear"]\ninput = 9\noutput = 9\n[[models."dear".deployments]]\nmodel = "gpt-4o"\n'
    after = catalog(tmp_path, own, PLAIN).refreshed([{"id": "gpt-4o"}])
    assert after.names == ("dear", "gpt-4o")
    assert after.resolve("gpt-4o") == after.resolve("GPT-4O") == "gpt-4o"
