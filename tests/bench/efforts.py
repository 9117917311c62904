"""`python -m tests.bench.efforts`: what settings as candidates save, over the sandbox, whose curves of effort are known.

A pool of a few priced models at several efforts serves some requests a task in an order drawn by the seed, on an empty store, everything that is
asked beside answers charged. Every (model, effort) alone answers the same requests; the cheapest that is as good as what Arbiter's
callers got is the best fixed one. The same without variants stands beside.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from arbiter_app.bench.client import Client
from arbiter_app.bench.workload import workload
from arbiter_app.catalog import Catalog
from arbiter_app.catalog_file import load_catalog
from arbiter_app.pipeline.types import Json, Model, Task
from arbiter_app.runtime.sandbox.answers import bucket_of
from arbiter_app.runtime.sandbox.making import make_answer
from arbiter_app.runtime.sandbox.world import World
from arbiter_app.settings import load_settings
from tests.conftest import FAST, OPERATOR, Running

POOL = """\
baseline = "claude-opus-4-6"
classifier = "deepseek-v4-flash"
judge = "deepseek-v4-pro"

[models."claude-opus-4-6"]
input = 5.0
output = 25.0
context = 200_000
{opus}

[models."claude-haiku-4-5"]
input = 1.0
output = 5.0
context = 200_000
{haiku}

[models."deepseek-v4-flash"]
input = 0
output = 0
routable = false

[models."deepseek-v4-pro"]
input = 0
output = 0
routable = false
"""
VARIANTS = {
    "opus": 'effort = "high"\nvariants = ["none", "low", "medium"]',
    "haiku": 'effort = "none"\nvariants = ["low", "medium", "high"]',
}
BASELINE = "claude-opus-4-6"
TASKS = tuple(Task)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one way to serve the requests cost, learning included, and how good its answers were, 0 to 1."""

    usd: Decimal
    quality: float


def catalog_of(directory: Path, variants: bool) -> Path:
    """The pool as a file."""
    path = directory / "catalog.toml"
    path.write_text(POOL.format(**(VARIANTS if variants else dict.fromkeys(VARIANTS, ""))))
    return path


def asks(per_task: int, seed: int) -> list[Json]:
    """So many requests of each task, in an order drawn by the seed."""
    found: dict[Task, list[Json]] = defaultdict(list)
    for ask in workload(40 * per_task, seed, 0.0):
        task, _ = bucket_of(ask.body)
        if len(found[task]) < per_task:
            found[task].append({**ask.body, "arbiter_no_cache": True})
    assert all(len(found[task]) == per_task for task in TASKS)
    several = [body for task in TASKS for body in found[task]]
    random.Random(seed).shuffle(several)
    return several


def answered(world: World, model: Model, body: Json) -> Outcome:
    """What a model, at its setting, says to a request."""
    setting = model.setting.members if model.setting is not None else {}
    given = {name: value for name, value in body.items() if not name.startswith("arbiter_")}
    made = make_answer(world, {**given, **setting, "model": model.base}, model.base)
    return Outcome(Decimal(made.charges["x-btl-customer-charge"]), made.said.quality)


def fixed(world: World, catalog: Catalog, bodies: list[Json]) -> dict[str, list[Outcome]]:
    """What every candidate says to each request."""
    return {model.id: [answered(world, model, body) for body in bodies] for model in catalog.pool}


def together(parts: Sequence[Outcome]) -> Outcome:
    """What several answers cost, and their mean quality."""
    return Outcome(sum((one.usd for one in parts), Decimal(0)), statistics.fmean(one.quality for one in parts))


def routed(
    directory: Path, world: World, variants: bool, bodies: list[Json], late: int, seed: int
) -> tuple[Outcome, Outcome]:
    """What Arbiter's callers got, and those from the request `late` on, with all that was spent, learning included."""
    directory.mkdir()
    catalog = load_catalog(catalog_of(directory, variants), baseline=BASELINE)
    environ = {
        "ARBITER_CATALOG": str(directory / "catalog.toml"),
        "ARBITER_SHADOW": "on",
        "ARBITER_CASCADE": "off",
        "BASELINE_MODEL": BASELINE,
        "ARBITER_SHADOW_PER_S": "1000",
        "ARBITER_DB": str(directory / "arbiter.db"),
    }
    parts, before = [], Decimal(0)
    with running({**FAST, **environ}) as one, closing(Client(one.url, OPERATOR)) as client:
        one.arbiter.router._rng, one.arbiter.judging._rng = random.Random(seed), random.Random(seed)
        for at, body in enumerate(bodies):
            if at == late:
                before = Decimal(client.get("/v1/report")["actual_spend_exact"])
            answer = client.chat(body)
            assert answer.status == 200, answer.error
            got = answered(world, catalog.model(answer.arbiter["model"]), body)
            assert got.usd == answer.arbiter["cost"], (got, answer.arbiter)
            one.settle()  # as where requests come slower than they are learned from
            parts.append(got)
        spent = Decimal(client.get("/v1/report")["actual_spend_exact"])
    return replace(together(parts), usd=spent), replace(together(parts[late:]), usd=spent - before)


@contextmanager
def running(environ: dict[str, str]) -> Iterator[Running]:
    """An Arbiter in this process."""
    one = Running(load_settings(environ, None))
    try:
        yield one
    finally:
        one.stop()


def best_fixed(alone: dict[str, Outcome], quality: float) -> str:
    """The cheapest candidate that is as good; the best one where none is."""
    able = {name: one for name, one in alone.items() if one.quality >= quality}
    return min(able, key=lambda name: able[name].usd) if able else max(alone, key=lambda name: alone[name].quality)


def saving(what: str, got: Outcome, alone: dict[str, Outcome]) -> float:
    """How much less Arbiter cost than the best fixed candidate on the same requests; prints it."""
    name = best_fixed(alone, got.quality)
    share = 1 - float(got.usd / alone[name].usd)
    print(
        f"  {what:<22} ${got.usd:.4f} at quality {got.quality:.3f}; {name} ${alone[name].usd:.4f} at {alone[name].quality:.3f}: {share:6.1%} less",
        flush=True,
    )
    return share


def main(given: argparse.Namespace) -> None:
    """Measure and print."""
    found: dict[str, list[float]] = {"all requests": [], "the last third": []}
    with tempfile.TemporaryDirectory() as place:
        catalog = load_catalog(catalog_of(Path(place), True), baseline=BASELINE)
        world = World(catalog)
        for seed in range(1, given.seeds + 1):
            bodies = asks(given.per_task, seed)
            alone, late = fixed(world, catalog, bodies), 2 * len(bodies) // 3
            print(f"seed {seed}: {len(bodies)} requests")
            everything = {name: together(parts) for name, parts in alone.items()}
            end = {name: together(parts[late:]) for name, parts in alone.items()}
            whole, last = routed(Path(place) / f"with-{seed}", world, True, bodies, late, seed)
            found["all requests"].append(saving("all requests", whole, everything))
            found["the last third"].append(saving("the last third", last, end))
            plain, _ = routed(Path(place) / f"without-{seed}", world, False, bodies, late, seed)
            saving("all, without variants", plain, everything)
    for what, savings in found.items():
        print(f"{what}: {statistics.fmean(savings):.1%} less than the best fixed one, at least {min(savings):.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.efforts", description=__doc__)
    parser.add_argument("--per-task", type=int, default=300, help="requests of each task")
    parser.add_argument("--seeds", type=int, default=6, help="orders, each on an empty store")
    main(parser.parse_args())
