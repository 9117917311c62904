"""Stage 2: facts fail with their number, wishes fall back to the nearest, and every dropped model has a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from arbiter_app.pipeline.errors import ContextLengthExceeded, NoCapableModel, Unprocessable
from arbiter_app.pipeline.filter import eligible
from arbiter_app.pipeline.tokens import TokenRatios, estimate_messages, estimate_tokens
from arbiter_app.pipeline.types import IN_WORDS, Caller, Capability, ChatRequest, Eligible, Model, Role, capabilities
from arbiter_app.services.rows.models import Abilities

SMALL = Model("small", 1e-7, 1e-7, 1_000)
LARGE = Model("large", 1e-6, 1e-6, 100_000, can=capabilities({"vision": True}))
BARE = Model("bare", 0.0, 0.0, 50_000, can=frozenset())
POOL = (SMALL, LARGE, BARE)
REQUEST = ChatRequest("r", Caller("k", Role.CALLER), {}, [{"role": "user", "content": "hi"}], "hi", "")


def gates(tokens_in: int = 100, pool: tuple[Model, ...] = POOL, sick: tuple[str, ...] = (), **fields: Any) -> Eligible:
    return eligible(
        replace(REQUEST, **fields),
        pool,
        tokens_in=tokens_in,
        expected_cost=lambda model: {"small": 0.01, "large": 1.0}.get(model.id),
        expected_latency_s=lambda model: {"small": 1.0, "large": 9.0}.get(model),
        quarantined=lambda model: model in sick,
        ratios=TokenRatios(),
    )


def test_everything_fits_a_small_request() -> None:
    assert gates().models == ("small", "large", "bare")
    assert gates().rejected == {}


def test_the_window_counts_prompt_and_answer() -> None:
    found = gates(900, max_tokens=200)
    assert found.models == ("large", "bare")
    assert found.rejected["small"] == "needs 1,100 tokens, window 1,000"
    assert found.tokens_needed == 1_100


def test_no_window_is_an_error_with_the_largest() -> None:
    with pytest.raises(ContextLengthExceeded, match="100000 tokens"):
        gates(200_000)


def test_unknown_windows_are_tried_only_when_no_known_one_holds() -> None:
    dark = Model("dark", 0.0, 0.0, None)
    assert "dark" in gates(100, (*POOL, dark)).models
    assert "dark" not in gates(10_000, (*POOL, dark)).models
    alone = gates(200_000, (*POOL, dark))
    assert alone.models == ("dark",)
    assert "window unknown" in alone.note


def test_capabilities_are_facts() -> None:
    assert gates(needs=frozenset({Capability.VISION})).models == ("large",)
    assert gates(needs=frozenset({Capability.TOOLS})).models == ("small", "large")
    assert gates(needs=frozenset({Capability.JSON_SCHEMA})).rejected["bare"] == "cannot do response_format json_schema"
    with pytest.raises(NoCapableModel, match="image input"):
        gates(needs=frozenset({Capability.VISION}), allow=("small", "bare"))


def test_allow_list_and_pin() -> None:
    assert gates(allow=("bare",)).models == ("bare",)
    assert gates(pin="large").models == ("large",)
    with pytest.raises(Unprocessable, match="'nobody'"):
        gates(allow=("nobody",))
    with pytest.raises(Unprocessable, match="'nobody'"):
        gates(pin="nobody")
    with pytest.raises(ContextLengthExceeded):
        gates(5_000, pin="small")


def test_the_cost_ceiling_lets_the_cheapest_serve_when_nobody_meets_it() -> None:
    assert gates(max_cost_usd=0.5).models == ("small",)
    assert gates(max_cost_usd=0.5).budget_met
    beyond = gates(max_cost_usd=0.001)
    assert beyond.models == ("small",)
    assert not beyond.budget_met


def test_the_latency_ceiling_lets_untimed_models_pass() -> None:
    found = gates(max_latency_s=2.0)
    assert found.models == ("small", "bare")
    assert found.latency_capped
    assert not gates(max_latency_s=20.0).latency_capped


def test_quarantine_is_a_gate_unless_everybody_is_in_it() -> None:
    assert gates(sick=("small",)).models == ("large", "bare")
    everybody = gates(sick=("small", "large", "bare"))
    assert everybody.models == ("small", "large", "bare")
    assert "quarantined" in everybody.note


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("The quick brown fox jumps over the lazy dog. " * 10, 95, 130),
        ("def add(a, b):\n    return a + b\n" * 10, 105, 180),
        ("フランスの首都はどこですか" * 10, 70, 190),
        ("\U0001f600" * 20, 18, 80),
        ("1234567890" * 10, 90, 120),
        ("", 0, 0),
    ],
)
def test_tokens_are_estimated_per_script(text: str, least: int, most: int) -> None:
    assert least <= estimate_tokens(text) <= most


def test_long_texts_are_sampled() -> None:
    text = "The quick brown fox jumps over the lazy dog. "
    assert estimate_tokens(text * 20_000) == pytest.approx(estimate_tokens(text * 20) * 1_000, rel=0.1)


def test_images_and_tools_count() -> None:
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x" * 100_000}}]}]
    assert 1_000 < estimate_messages(picture) < 1_500
    plain = [{"role": "user", "content": "hi"}]
    assert estimate_messages(plain, [{"function": {"name": "f" * 400}}]) > estimate_messages(plain) + 50


def test_ratios_follow_usage_within_bounds() -> None:
    ratios = TokenRatios()
    assert ratios.of("m") == 1.0
    for _ in range(300):
        ratios.record("m", estimated=1_000, real=1_500)
    assert ratios.of("m") == pytest.approx(1.5, abs=0.02)
    for _ in range(300):
        ratios.record("m", estimated=10, real=1_000_000)
    assert ratios.of("m") == 3.0


def test_every_capability_has_its_words_and_is_shown_by_the_api() -> None:
    assert list(IN_WORDS) == list(Capability)
    assert list(Abilities.__annotations__) == [one.value for one in Capability]
