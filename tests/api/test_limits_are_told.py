"""What is left of a key's limits stands on every answer; ceilings take every number that means something."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from arbiter_app.api.limits import duration, headers
from arbiter_app.catalog_file import load_catalog
from arbiter_app.store.usage import Window
from tests.conftest import Running, running
from tests.waiting import until

FREE = {
    name
    for name, model in load_catalog(None, baseline="gpt-4o", baseline_context=128_000).models.items()
    if model.routable and model.input_usd == model.output_usd == 0
}
ASK = {"messages": [{"role": "user", "content": "Calculate 7 * 6"}], "arbiter_no_cache": True}


def told(answer: httpx.Response) -> tuple[str | None, str | None]:
    return tuple(answer.headers.get(f"x-ratelimit-{name}-requests") for name in ("limit", "remaining"))  # type: ignore[return-value]


def test_answers_count_down_and_refusals_do_not_count(tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_LIMIT_6H="3", ARBITER_LIMIT_WEEK="100") as one, one.client(one.caller()) as caller:
        post: Any = lambda **more: caller.post("/v1/chat/completions", json={**ASK, **more})  # noqa: E731
        first = post()
        assert told(first) == ("3", "2")
        assert re.fullmatch(r"5h59m\d+s|6h0m0s", first.headers["x-ratelimit-reset-requests"])
        assert told(post(stream=True)) == ("3", "1")
        refused = post(arbiter_models=["no-such-model"])
        assert (refused.status_code, told(refused)) == (422, ("3", "1"))
        assert told(post()) == ("3", "0")
        over = post()
        assert (over.status_code, told(over)) == (429, ("3", "0"))
        assert caller.get("/v1/key").json()["used_6h"] == 3
        assert told(one.chat("Calculate 1 + 1")) == (None, None)  # an operator has no limits


def test_what_no_model_was_asked_for_does_not_count_in_any_dialect(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "Calculate 7 * 6"}]
    search = {"max_tokens": 5, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    pins = {"arbiter_pin": "gpt-4o", "arbiter_models": ["gpt-4o-mini"]}
    with running(tmp_path, ARBITER_LIMIT_6H="3") as one, one.client(one.caller()) as caller:
        for path, body in (
            ("/v1/messages", {"messages": said, **search}),
            ("/v1/responses", {"input": "Calculate 7 * 6", "tools": [{"type": "web_search"}]}),
            ("/v1/chat/completions", {"messages": said, **pins}),
            ("/v1/messages", {"messages": said, "max_tokens": 5, **pins}),
            ("/v1/completions", {"prompt": "Calculate 7 * 6", **pins}),
        ):
            refused = caller.post(path, json=body)
            assert (refused.status_code, told(refused)) == (400, ("3", "3")), path
        assert caller.get("/v1/key").json()["used_6h"] == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (0.2, "1s"),
        (41, "41s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (3_612, "1h0m12s"),
        (604_800, "168h0m0s"),
    ],
)
def test_durations_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_window_of_which_least_is_left_is_told() -> None:
    windows = {"six_hours": Window(1, 60.0), "week": Window(598, 120.0)}
    assert dict(headers(windows, {"six_hours": 50, "week": 600})) == {
        b"x-ratelimit-limit-requests": b"600",
        b"x-ratelimit-remaining-requests": b"2",
        b"x-ratelimit-reset-requests": b"2m0s",
    }
    assert headers({}, {}) == []


@pytest.mark.parametrize(
    "ceiling",
    [b"0", b"-0", b"0.0", b"1e-400", b"1e-300", b"1e300", b"1e400", b"123456789012345678901234567890", b"null"],
)
def test_every_amount_is_a_ceiling(gateway: Running, ceiling: bytes) -> None:
    body = (
        b'{"messages": [{"role": "user", "content": "Calculate 2 * 9"}], "arbiter_no_cache": true, "arbiter_max_cost": %b}'
        % ceiling
    )
    answer = gateway.http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 200, answer.text
    if float(ceiling.replace(b"null", b"1")) == 0:
        arbiter = answer.json()["arbiter"]
        assert (arbiter["budget_max_cost"], arbiter["budget_met"], arbiter["eligible_models"]) == (0, True, len(FREE))
        assert arbiter["model"] in FREE


def test_where_nothing_is_free_nothing_serves_for_nothing_and_it_is_said(own_gateway: Running) -> None:
    until(lambda: own_gateway.arbiter.status.runtime_seen_at is not None)  # its list replaces the catalog once
    catalog = own_gateway.arbiter.catalog
    models = {name: replace(one, input_usd=one.input_usd or 1e-9) for name, one in catalog.models.items()}
    own_gateway.arbiter.catalog_holder.now = replace(catalog, models=models)
    answer = own_gateway.chat("Calculate 3 * 9", arbiter_max_cost=0, arbiter_no_cache=True)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "no_capable_model", "arbiter_max_cost")


@pytest.mark.parametrize("value", [b"true", b"-1", b"-1e-300", b'"0"', b"[]", b"{}", b'"' + b"9" * 9_000 + b'"'])
@pytest.mark.parametrize("field", ["arbiter_max_cost", "arbiter_max_latency"])
def test_what_is_no_amount_is_refused_in_a_short_sentence(gateway: Running, field: str, value: bytes) -> None:
    body = b'{"messages": [{"role": "user", "content": "x"}], "%b": %b}' % (field.encode(), value)
    answer = gateway.http.post("/v1/chat/completions", content=body)
    assert answer.status_code in (400, 422)
    assert len(answer.json()["error"]["message"]) < 300


def test_ten_thousand_unknown_names_are_not_said_back(gateway: Running) -> None:
    answer = gateway.chat("x", arbiter_models=[f"model-{at}" for at in range(10_000)])
    message = answer.json()["error"]["message"]
    assert answer.status_code == 422
    assert "'model-0'" in message and "9,995 more" in message and len(message) < 2_000
