"""Among the deployments of a model: the cheapest that is healthy first, those that would refuse last, the gone not at all."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from arbiter_app.catalog import Catalog
from arbiter_app.pipeline.decision import Decision, WarmCache, new_decision
from arbiter_app.pipeline.deployments import Deployments
from arbiter_app.pipeline.health import Health
from arbiter_app.pipeline.limits import LearnedLimits
from arbiter_app.pipeline.ports import Refusal, Refused
from arbiter_app.pipeline.types import (
    DEFAULT_RUNTIME,
    UNKNOWN_COST,
    Caller,
    ChatRequest,
    Completion,
    Deployment,
    Eligible,
    Model,
    Role,
)
from arbiter_app.services.catalog_holder import facts_of

ONE, TWO = Model("one", 3e-6, 3e-6, 10_000), Model("two", 1e-6, 1e-6, 10_000)
CHEAP, DEAR = (
    Deployment("one@cheap", "cheap", replace(ONE, input_usd=1e-6, context_tokens=4_000)),
    Deployment("one@btl", DEFAULT_RUNTIME, ONE),
)


class House:
    """Deployments over a catalog in which `one` has two, and `two` is plain."""

    def __init__(self, several: tuple[Deployment, ...] = (CHEAP, DEAR)) -> None:
        self.catalog = Catalog({"one": ONE, "two": TWO}, "one", "two", "two", deployments={"one": several})
        self.health, self.limits, self.moves = Health(), LearnedLimits(), 0
        self.deployments = Deployments(
            lambda: self.catalog,
            self.health,
            self.limits,
            moved=self._moved,
            dialect_of=lambda name: "openai-chat" if name == DEFAULT_RUNTIME else "anthropic-messages",
            cached_usd=lambda model: model.input_usd / 10,
        )

    def _moved(self) -> None:
        self.moves += 1

    def order(self, *models: str, decision: Decision | None = None) -> list[str]:
        return [at.key for at in self.deployments.order(decision or asked(), models)]

    def price(self) -> float:
        return facts_of(self.catalog, self.deployments.serving)["one"].input_usd_per_token


def asked(tokens_needed: int = 10, **fields: Any) -> Decision:
    messages = [{"role": "user", "content": "Hello."}]
    request = ChatRequest("r", Caller("k", Role.CALLER), {"messages": messages, **fields}, messages, "Hello.", "")
    decision = new_decision(request, timeout_s=10.0)
    decision.eligible = Eligible(("one",), {}, tokens_needed, tokens_needed)
    return decision


def done(key: str, latency_ms: float = 100.0) -> Completion:
    return Completion("one", {}, "", [], None, UNKNOWN_COST, latency_ms, 1.0, deployment=key)


def test_the_cheapest_first_and_then_the_next_model() -> None:
    assert House().order("one", "two") == ["one@cheap", "one@btl", "two"]
    assert House().order("two", "one") == ["two", "one@cheap", "one@btl"]


def test_a_resting_one_is_passed_over_unless_the_model_is_asked_for_alone() -> None:
    house = House()
    house.health.failed("one@cheap", time.monotonic(), "broken")
    assert house.order("one", "two") == ["one@btl", "two"]
    assert house.order("one") == ["one@btl", "one@cheap"]
    house.health.failed("one@btl", time.monotonic(), "broken")
    assert house.order("one", "two") == ["one@cheap", "one@btl", "two"]


def test_a_gone_one_is_asked_only_where_all_are_gone() -> None:
    house = House()
    house.health.lost("one@cheap", time.monotonic(), "no such model")
    assert house.order("one") == ["one@btl"]
    house.health.failed("one@btl", time.monotonic(), "broken")
    assert house.order("one", "two") == ["one@btl", "two"]
    house.health.lost("one@btl", time.monotonic(), "no such model")
    assert house.order("one") == ["one@cheap", "one@btl"] and house.deployments.gone() == {"one"}


def test_one_that_is_not_listed_is_not_asked() -> None:
    house = House((replace(CHEAP, model=replace(CHEAP.model, listed=False)), DEAR))
    assert house.order("one", "two") == ["one@btl", "two"] and house.price() == 3e-6
    house.health.failed("one@btl", time.monotonic(), "broken")
    assert house.deployments.resting(time.monotonic()) == {"one"}


def test_one_that_would_refuse_is_asked_last() -> None:
    house, refused = House(), Refusal(Refused.UNSUPPORTED, 400, "unsupported parameter: seed", param="seed")
    assert house.order("one", "two", decision=asked(seed=1)) == ["one@cheap", "one@btl", "two"]
    house.limits.learn_lack("one@cheap", {"seed": "1"}, refused, time.monotonic())
    assert house.order("one", "two", decision=asked(seed=1)) == ["one@btl", "one@cheap", "two"]
    assert house.order("one", "two") == ["one@cheap", "one@btl", "two"]
    assert house.order("one", "two", decision=asked(tokens_needed=5_000)) == ["one@btl", "one@cheap", "two"]
    assert house.deployments.lacking({"seed": "1"}, time.monotonic()) == {}
    house.limits.learn_lack("one@btl", {"seed": "1"}, refused, time.monotonic())
    assert house.deployments.lacking({"seed": "1"}, time.monotonic()) == {"one": "seed"}


def test_one_whose_window_is_too_small_is_asked_last() -> None:
    assert House().order("one", "two", decision=asked(tokens_needed=5_000)) == ["one@btl", "one@cheap", "two"]
    assert House().order("one", "two", decision=asked(tokens_needed=50_000)) == ["one@cheap", "one@btl", "two"]


def test_a_model_rests_when_all_its_deployments_do_and_has_the_price_of_who_would_serve() -> None:
    house, now = House(), time.monotonic()
    assert house.deployments.resting(now) == frozenset() and (house.price(), house.moves) == (1e-6, 0)
    house.health.failed("one@cheap", now, "broken")
    assert house.deployments.resting(now) == frozenset() and (house.price(), house.moves) == (3e-6, 1)
    assert house.deployments.resting(now) == frozenset() and house.moves == 1
    assert (house.deployments.priced(done("one@btl")), house.deployments.priced(done("one@cheap"))) == (True, False)
    house.health.failed("two", now, "broken")
    house.health.failed("one@btl", now, "broken")
    assert house.deployments.resting(now) == {"one", "two"}
    for key in ("one@cheap", "one@btl", "two"):
        house.health.succeeded(key)
    assert house.deployments.resting(now) == frozenset() and house.price() == 1e-6
    assert (house.deployments.priced(done("one@btl")), house.deployments.priced(done("one@cheap"))) == (False, True)


def test_each_has_its_own_latency_and_window() -> None:
    house, now = House(), time.monotonic()
    house.deployments.timed(done("one@cheap", 900.0))
    house.deployments.timed(done("one@btl", 100.0))
    assert house.deployments.latency_ms("one") == 900.0 and house.deployments.latency_ms("two") is None
    house.health.failed("one@cheap", now, "broken")
    house.deployments.resting(now)
    assert house.deployments.latency_ms("one") == 100.0
    assert house.limits.learn_window(DEAR, 2_000, 1e9, now)
    assert [model.context_tokens for model in house.deployments.fitted((ONE, TWO), now)] == [4_000, 10_000]


def test_a_part_is_asked_of_the_healthy_deployments_of_its_model_and_then_of_another() -> None:
    house = House()
    house.health.failed("one@cheap", time.monotonic(), "broken")
    assert [at.key for at in house.deployments.askable("one")] == ["one@btl", "two"]


@pytest.mark.parametrize(
    ("tokens", "in_loop", "first"),
    [
        (0, False, "one@cheap"),
        (700, False, "one@cheap"),  # 300 x 3 + 700 x 0.3 is more than 1,000 x 1
        (950, False, "one@btl"),
        (950_000, False, "one@btl"),  # as much as the prompt has at most
        (0, True, "one@btl"),
    ],
)
def test_a_conversation_stays_where_its_cache_is_worth_it(tokens: int, in_loop: bool, first: str) -> None:
    decision = asked(1_000)
    decision.warm = WarmCache("one@btl", tokens, in_loop)
    assert House().order("one", decision=decision)[0] == first


@pytest.mark.parametrize(("per_estimated", "first"), [(1.0, "one@cheap"), (0.5, "one@btl")])
def test_the_prompt_is_as_long_as_the_last_one_was_for_its_estimate(per_estimated: float, first: str) -> None:
    decision = asked(2_000)  # of 2,000 uncached 1,050 would be too many, of 1,000 they are 50
    decision.warm = WarmCache("one@btl", 950, False, per_estimated)
    assert House().order("one", decision=decision)[0] == first


def test_a_conversation_leaves_a_deployment_that_rests_or_would_refuse() -> None:
    house, decision = House(), asked(1_000)
    decision.warm = WarmCache("one@btl", 1_000, in_loop=True)
    house.health.failed("one@btl", time.monotonic(), "broken", None)
    assert house.order("one", "two", decision=decision) == ["one@cheap", "two"]
    house, decision = House(), asked(5_000)
    decision.warm = WarmCache("one@cheap", 5_000, in_loop=True)
    house.limits.learn_window(CHEAP, 4_000, 9_000.0, time.monotonic())
    assert house.order("one", decision=decision)[0] == "one@btl"
