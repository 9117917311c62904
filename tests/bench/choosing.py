"""CPU of one decision: `python -m tests.bench.choosing`. The policy alone, with 24 models and 20 buckets, seeded, trials asked beside answers.

Prompts have five lengths, and cost in proportion. Prints `choose` and `record` in microseconds, as medians over blocks of
requests (reading the clock around each would cost more than what is measured), and their ratio to inverting one matrix of
the pool's size in the same run, so that two machines can be compared.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import TypeVar

import numpy as np

from arbiter_app.policy import Beside, ModelFacts, Observation, Policy, PolicySettings, RoutingAsk, Trials, build

MODELS, BUCKETS, BLOCK, BLOCKS = 24, 20, 200, 40
T = TypeVar("T")
NAMES = tuple(f"model-{at:02d}" for at in range(MODELS))
FACTS = {model: ModelFacts(1e-7 * 1.5**at, 4e-7 * 1.5**at) for at, model in enumerate(NAMES)}
LENGTHS = (60, 200, 400, 900, 2_500)
ASKS = [
    RoutingAsk(
        f"bucket-{at}",
        "a prompt",
        NAMES,
        length,
        250,
        trials=Trials.SHADOW,
    )
    for at in range(BUCKETS)
    for length in LENGTHS
]

TOLD_APART = [replace(ask, segments=(("key", "one"), ("system", str(ask.tokens_in)))) for ask in ASKS]
"""The same with a system prompt for each length, which makes no difference to anybody's quality."""


def main() -> None:
    """Run and print."""
    policy = build("arbiter", catalog=FACTS, baseline=NAMES[-1], settings=PolicySettings())
    draw = random.Random(7)
    asks = [[draw.choice(ASKS) for _ in range(BLOCK)] for _ in range(BLOCKS)]
    decided, beside = _lived_us(policy, asks, draw)
    ungraded, _ = _lived_us(policy, asks, None)
    other = build("arbiter", catalog=FACTS, baseline=NAMES[-1], settings=PolicySettings())
    apart, _ = _lived_us(other, [[draw.choice(TOLD_APART) for _ in range(BLOCK)] for _ in range(BLOCKS)], draw)
    unit = median(_each_us(block, lambda _: np.linalg.inv(np.eye(MODELS) + 0.1)) for block in asks)
    for name, took_us in (
        ("choose + record", decided),
        ("... without a grade", ungraded),
        ("... five segments a bucket", apart),
        ("record what was asked beside", beside),
    ):
        print(f"{name:30s} {took_us:6.0f} us, {took_us / unit:5.1f} inversions of {MODELS} x {MODELS}")


def _lived_us(policy: Policy, asks: list[list[RoutingAsk]], draw: random.Random | None) -> tuple[float, float]:
    """What a request takes, and what a call beside it does once its grade is known, as medians over blocks."""
    decided, beside = [], []
    for block in asks:
        waiting: list[Observation] = []
        decided.append(_each_us(block, lambda ask, waiting=waiting: waiting.extend(_request(policy, ask, draw))))
        if waiting:
            beside.append(_each_us(waiting, policy.record))
    return median(decided), median(beside)


def _each_us(block: Sequence[T], work: Callable[[T], object]) -> float:
    started = time.thread_time()
    for one in block:
        work(one)
    return 1e6 * (time.thread_time() - started) / len(block)


def _request(policy: Policy, ask: RoutingAsk, draw: random.Random | None) -> list[Observation]:
    """One request; what the calls beside it will show."""
    choice = policy.choose(ask, 0.0, 1)
    served = _seen(ask, choice.model, choice.mode, None, draw)
    policy.record(served)
    known = Beside(choice.model, served.quality)
    return [_seen(ask, model, "shadow", known, draw) for model in choice.shadows]


def _seen(ask: RoutingAsk, model: str, mode: str, beside: Beside | None, draw: random.Random | None) -> Observation:
    facts = FACTS[model]
    quality = None if draw is None else float(draw.random() < 0.6 + 0.014 * NAMES.index(model))
    usd = facts.list_usd(ask.tokens_in, ask.tokens_out)
    return Observation(
        bucket=ask.bucket,
        model=model,
        prompt=ask.prompt,
        cost_usd=usd,
        tokens_in=ask.tokens_in,
        tokens_out=ask.tokens_out,
        quality=quality,
        mode=mode,
        asked_tokens=ask.tokens_in,
        beside=beside,
        segments=ask.segments,
    )


if __name__ == "__main__":
    main()
