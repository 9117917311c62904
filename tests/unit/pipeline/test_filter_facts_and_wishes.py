"""Stage 2 at its edges: pins, an empty pool, prices nobody knows, and ratios learned per model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from arbiter_app.catalog_file import load_catalog
from arbiter_app.dialects.openai_chat import parse
from arbiter_app.pipeline.errors import BadRequest, ContextLengthExceeded, NoCapableModel, Unprocessable
from arbiter_app.pipeline.filter import eligible, everybody
from arbiter_app.pipeline.tokens import TokenRatios
from arbiter_app.pipeline.types import Caller, Capability, ChatRequest, Eligible, Model, Role, capabilities

NARROW = Model("narrow", 1e-6, 1e-6, 1_000)
WIDE = Model("wide", 1e-6, 1e-6, 10_000, can=capabilities({"vision": True}))
DARK = Model("dark", 1e-6, 1e-6, None)
REQUEST = ChatRequest("r", Caller("k", Role.CALLER), {}, [{"role": "user", "content": "hi"}], "hi", "")


def gates(
    tokens_in: int = 100,
    pool: tuple[Model, ...] = (NARROW, WIDE),
    costs: dict[str, float] | None = None,
    seconds: dict[str, float] | None = None,
    sick: tuple[str, ...] = (),
    ratios: TokenRatios | None = None,
    **fields: Any,
) -> Eligible:
    """What the gates say; what is said without looking at them must be the same."""
    found = eligible(
        replace(REQUEST, **fields),
        pool,
        tokens_in=tokens_in,
        expected_cost=lambda model: (costs or {}).get(model.id),
        expected_latency_s=lambda model: (seconds or {}).get(model),
        quarantined=lambda model: model in sick,
        ratios=ratios or TokenRatios(),
    )
    assert sick or quick(tokens_in, pool, **fields) in (None, found)
    return found


def quick(tokens_in: int = 100, pool: tuple[Model, ...] = (NARROW, WIDE), **fields: Any) -> Eligible | None:
    least = min((model.context_tokens or 0 for model in pool), default=0)
    return everybody(replace(REQUEST, **fields), tuple(model.id for model in pool), least, tokens_in)


def test_the_gates_are_passed_over_only_where_they_stop_nobody() -> None:
    assert quick() == gates() == Eligible(("narrow", "wide"), {}, 100, 100)
    assert quick(max_tokens=500) == gates(max_tokens=500) == Eligible(("narrow", "wide"), {}, 600, 100)
    assert quick(333) == gates(333)  # three tokens of the model for one of the estimate, and one to spare
    assert quick(334) is None
    assert quick(pool=()) is quick(pool=(WIDE, DARK)) is None
    asks = (
        {"needs": frozenset({Capability.VISION})},
        {"needs": frozenset({Capability.AUDIO})},
        {"needs": frozenset({Capability.VIDEO})},
        {"needs": frozenset({Capability.TOOLS})},
        {"needs": frozenset({Capability.JSON_SCHEMA})},
    )
    bounds = {"pin": "wide"}, {"allow": ("wide",)}, {"max_cost_usd": 1.0}, {"max_latency_s": 1.0}
    assert [quick(**one) for one in (*asks, *bounds)] == [None] * 9


def test_a_pin_that_cannot_serve_says_why() -> None:
    with pytest.raises(NoCapableModel, match="narrow cannot do image input") as found:
        gates(pin="narrow", needs=frozenset({Capability.VISION}))
    assert (found.value.status, found.value.code, found.value.param) == (400, "no_capable_model", "arbiter_pin")
    with pytest.raises(ContextLengthExceeded, match=r"1000 tokens.*of narrow"):
        gates(2_000, pin="narrow")


def test_a_pin_serves_over_the_ceiling_and_says_so() -> None:
    over = gates(pin="wide", max_cost_usd=0.1, costs={"wide": 0.5})
    assert (over.models, over.budget_met) == (("wide",), False)
    assert gates(pin="wide", max_cost_usd=1.0, costs={"wide": 0.5}).budget_met
    assert gates(pin="wide", sick=("wide",)).models == ("wide",)


def test_names_that_are_not_known_are_the_callers_mistake() -> None:
    with pytest.raises(Unprocessable, match="narrow, wide") as found:
        gates(allow=("wide", "wid"))
    assert (found.value.param, found.value.status) == ("arbiter_models", 422)
    with pytest.raises(Unprocessable) as found:
        gates(pin="wid")
    assert found.value.param == "arbiter_pin"


def test_a_pool_without_models_is_an_error_in_words() -> None:
    with pytest.raises(NoCapableModel, match="switched off"):
        gates(pool=())


def test_the_window_is_measured_with_what_was_learned_of_the_model() -> None:
    ratios = TokenRatios()
    for _ in range(200):
        ratios.record("narrow", estimated=1_000, real=1_400)
    assert gates(800).models == ("narrow", "wide")
    assert gates(800, ratios=ratios).models == ("wide",)


def test_a_price_nobody_knows_is_not_within_a_ceiling() -> None:
    found = gates(max_cost_usd=1.0, costs={"narrow": 0.5})
    assert found.models == ("narrow",)
    assert "cost ceiling of $1" in found.rejected["wide"]
    assert gates(max_cost_usd=1.0).budget_met is False


def test_when_all_are_slow_the_fastest_serves() -> None:
    found = gates(max_latency_s=1.0, seconds={"narrow": 5.0, "wide": 3.0})
    assert (found.models, found.latency_capped) == (("wide",), True)
    assert "latency ceiling of 1 s" in found.rejected["narrow"]


def test_every_model_is_served_or_has_a_reason() -> None:
    pool = (NARROW, WIDE, DARK)
    found = gates(5_000, pool, sick=("wide",))
    assert found.models == ("wide",)
    assert set(found.models) | set(found.rejected) == {"narrow", "wide", "dark"}
    assert "quarantined" in found.note


def test_an_answer_that_would_not_fit_counts_against_the_window() -> None:
    with pytest.raises(ContextLengthExceeded, match="10050 tokens .100 in the messages, 9950 in the completion"):
        gates(100, max_tokens=9_950)


PARTS = {
    "image": ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}, "vision"),
    "document": (
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        "vision",
    ),
    "audio": ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, "audio"),
    "video": ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}}, "video"),
}


@pytest.mark.parametrize(("part", "ability"), PARTS.values(), ids=PARTS)
def test_a_part_that_is_no_text_goes_to_the_models_that_can_read_it(part: Any, ability: str) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, part]}]
    request = parse(orjson.dumps({"messages": messages}), Caller("k", Role.CALLER), "r")
    pool = list(load_catalog(None, baseline="gpt-4o").models.values())
    found = eligible(
        request,
        pool,
        tokens_in=100,
        expected_cost=lambda model: 0.0,
        expected_latency_s=lambda model: None,
        quarantined=lambda model: False,
        ratios=TokenRatios(),
    )
    assert set(found.models) == {model.id for model in pool if ability in model.can}
    assert 0 < len(found.models) < len(pool)


def test_a_pin_outside_of_the_list_is_a_contradiction_that_names_both() -> None:
    with pytest.raises(BadRequest) as refused:
        gates(pin="narrow", allow=("wide",))
    assert (refused.value.status, refused.value.param) == (400, "arbiter_pin")
    assert "'narrow'" in refused.value.message and "'wide'" in refused.value.message
    assert gates(pin="narrow", allow=("wide", "narrow")).models == ("narrow",)
