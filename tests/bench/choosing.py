"""CPU of one decision: `python -m tests.bench.choosing`. The policy alone, with 24 models and 20 buckets, seeded, trials asked beside answers.

Prompts have five lengths, and cost in proportion. Prints `choose` and `record` in microseconds, as medians over blocks of
requests (reading the clock around each would cost more than what is measured), and their ratio to inverting one matrix of
the pool's size in the same run, so that two machines can be compared. Of each block the quickest of several equal lives counts, taken in turn,
so that what else the machine does is left out of it.
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

MODELS, BUCKETS, BLOCK, BLOCKS, LIVES = 24, 20, 200, 40, 3
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
    kinds = (
        ("choose + record", ASKS, True),
        ("... without a grade", ASKS, False),
        ("... five segments a bucket", TOLD_APART, True),
    )
    lives = [[_lived_us(asks, graded) for _, asks, graded in kinds] for _ in range(LIVES)]
    blocks = [[ASKS[0]] * BLOCK for _ in range(BLOCKS)]
    unit = min(_each_us(block, lambda _: np.linalg.inv(np.eye(MODELS) + 0.1)) for block in blocks)
    for at, (name, _, graded) in enumerate(kinds):
        for what, of in (name, 0), (f"{name}, record beside", 1):
            if of == 0 or graded:
                took_us = median(map(min, zip(*[life[at][of] for life in lives], strict=True)))
                print(f"{what:42s} {took_us:6.0f} us, {took_us / unit:5.1f} inversions of {MODELS} x {MODELS}")


def _lived_us(asks: Sequence[RoutingAsk], graded: bool) -> tuple[list[float], list[float]]:
    """What a request takes in each block of one life, and what a call beside it does once its grade is known."""
    policy = build("arbiter", catalog=FACTS, baseline=NAMES[-1], settings=PolicySettings())
    draw, grades, decided, beside = random.Random(7), random.Random(8) if graded else None, list[float](), list[float]()
    for _ in range(BLOCKS):
        waiting: list[Observation] = []
        block = [draw.choice(asks) for _ in range(BLOCK)]
        decided.append(_each_us(block, lambda ask, waiting=waiting: waiting.extend(_request(policy, ask, grades))))
        beside.append(_each_us(waiting, policy.record) if waiting else 0.0)
    return decided, beside


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
