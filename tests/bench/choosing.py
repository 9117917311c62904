"""CPU of one decision: `python -m tests.bench.choosing`. The policy alone, with 14 models and 10 buckets, seeded.

Prints the medians of `choose` and of `record` in microseconds, and their ratio to a plain numpy inversion of one matrix
of the pool's size in the same run, so that two machines can be compared.
"""

from __future__ import annotations

import random
import time
from statistics import median

import numpy as np

from arbiter_app.policy import Ask, ModelFacts, Observation, PolicySettings, build

MODELS, BUCKETS, REQUESTS = 14, 10, 6000


def main() -> None:
    """Run and print."""
    models = tuple(f"model-{at:02d}" for at in range(MODELS))
    facts = {model: ModelFacts(1e-7 * 1.5**at, 4e-7 * 1.5**at) for at, model in enumerate(models)}
    policy = build("arbiter", catalog=facts, baseline=models[-1], settings=PolicySettings())
    draw, chose, recorded = random.Random(7), [], []
    for at in range(REQUESTS):
        bucket = f"bucket-{draw.randrange(BUCKETS)}"
        started = time.thread_time()
        choice = policy.choose(Ask(bucket, "a prompt", models, 900, 250), float(at), at)
        chosen = time.thread_time()
        place = models.index(choice.model)
        quality = float(draw.random() < 0.6 + 0.02 * place)
        usd = 900 * facts[choice.model].input_usd_per_token + 250 * facts[choice.model].output_usd_per_token
        seen = Observation(bucket, choice.model, "a prompt", usd, 900, 250, quality, mode=choice.mode, now=float(at))
        before = time.thread_time()
        policy.record(seen)
        recorded.append(time.thread_time() - before)
        chose.append(chosen - started)
    unit = median(_inversion() for _ in range(2000))
    for name, took in (
        ("choose", chose),
        ("record", recorded),
        ("both", [sum(one) for one in zip(chose, recorded, strict=True)]),
    ):
        print(f"{name:8s} {1e6 * median(took):6.0f} us, {median(took) / unit:5.1f} inversions of {MODELS} x {MODELS}")


def _inversion() -> float:
    matrix = np.eye(MODELS) + 0.1
    started = time.thread_time()
    np.linalg.inv(matrix)
    return time.thread_time() - started


if __name__ == "__main__":
    main()
