"""Where what thinking does is known, choosing the setting with the model costs a third less than the best of them alone, as good answers given."""

from __future__ import annotations

import random
from pathlib import Path

from arbiter_app.catalog_file import load_catalog
from arbiter_app.policy import Beside, Observation, PolicySettings, RoutingAsk, Trials, build
from arbiter_app.runtime.sandbox.answers import bucket_of
from arbiter_app.runtime.sandbox.world import World
from arbiter_app.services.catalog_holder import facts_of
from tests.bench.efforts import BASELINE, Outcome, asks, best_fixed, catalog_of, fixed, together

REQUESTS = 300
"""Of each task."""


def test_settings_cost_less_than_the_best_fixed_one_after_300_requests_a_task(tmp_path: Path) -> None:
    catalog = load_catalog(catalog_of(tmp_path, True), baseline=BASELINE)
    bodies = asks(REQUESTS, 1)
    alone = fixed(World(catalog), catalog, bodies)
    policy = build("arbiter", catalog=facts_of(catalog), baseline=BASELINE, settings=PolicySettings())
    rng, got, pool = random.Random(1), list[Outcome](), tuple(alone)
    for at, body in enumerate(bodies):
        task, hard = bucket_of(body)
        bucket = f"{task}:hard" if hard else str(task)
        choice = policy.choose(RoutingAsk(bucket, "", pool, trials=Trials.SHADOW), float(at), rng.getrandbits(48))
        served, spent = alone[choice.model][at], alone[choice.model][at].usd
        seen = Observation(bucket, choice.model, "", float(served.usd), 40, 90, served.quality, mode=choice.mode)
        policy.record(seen)
        for model in choice.shadows:
            beside = alone[model][at]
            spent += beside.usd
            other = Beside(choice.model, served.quality)
            policy.record(
                Observation(bucket, model, "", float(beside.usd), 40, 90, beside.quality, mode="shadow", beside=other)
            )
        got.append(Outcome(spent, served.quality))
    late = 2 * len(bodies) // 3
    here = together(got[late:])
    others = {name: together(parts[late:]) for name, parts in alone.items()}
    best = others[best_fixed(others, here.quality)]
    assert best.quality >= here.quality and here.quality >= 0.93
    assert 1 - float(here.usd / best.usd) >= 0.30, (here, best)
