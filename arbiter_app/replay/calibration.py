"""The warm start in a replay: some prompts are run on every model before the first request."""

from __future__ import annotations

import math

import numpy as np

from arbiter_app.replay.adapter import ReplayPolicy
from arbiter_app.replay.seeded_stream import SeededStream


def calibrated(seeded: SeededStream, policy: ReplayPolicy, prompts: int) -> float:
    """Teach the policy the outcomes of that many random prompts of the stream on every model that is not dearer than the
    best single one (a dearer model can never be the cheapest that is good enough); returns what it cost in USD."""
    stream, spent = seeded.stream, 0.0
    best_usd = stream.cost[:, seeded.best].mean()
    worthwhile = np.flatnonzero(stream.cost.mean(0) <= best_usd * (1 + 1e-9)).tolist()
    places = np.random.default_rng(20_000 + seeded.seed).permutation(len(stream))[:prompts].tolist()
    for place in places:
        for model in worthwhile:
            usd, tokens = float(stream.cost[place, model]), float(stream.tokens[place, model])
            spent += usd
            policy.calibrate(
                stream.tasks[place],
                stream.prompts[place],
                stream.models[model],
                usd,
                float(stream.quality[place, model]),
                None if math.isnan(tokens) else tokens,
            )
    return spent
