"""What was really saved: the sandbox answers every request of every model in one way only, so the baseline can be asked
afterwards, in a world of the same seed, about the very requests that were routed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from arbiter_app.catalog_file import catalog_of
from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.sandbox.making import make_answer
from arbiter_app.runtime.sandbox.world import World
from arbiter_app.settings import Settings

NOTHING = Decimal(0)


class NoTruth(ValueError):
    """The truth cannot be told; the message says why."""


@dataclass(frozen=True, slots=True)
class Truth:
    """True baseline spend and saving in USD, of everything the report counts; `interval` is the report's, in USD."""

    baseline: Decimal
    saved: Decimal
    interval: tuple[Decimal, Decimal] | None

    @property
    def inside(self) -> bool:
        """Whether the report's interval holds the true saving."""
        return self.interval is not None and self.interval[0] <= self.saved <= self.interval[1]


def world_of(settings: Settings) -> World:
    """The sandbox's world as these settings make it, untouched."""
    catalog = catalog_of(settings)
    return World(catalog, seed=settings.sandbox_seed)


def truth(world: World, asked: Mapping[str, Json], recorded: Mapping[str, Json], report: Json) -> Truth:
    """From the requests and the recorded decisions by id, and a report over exactly these. Raises NoTruth.

    Where the report claims nothing, because the baseline was never measured in a bucket, both sides count the same.
    """
    if report["calls"] != len(recorded):
        raise NoTruth("the report covers other calls, too; start with --fresh")
    if recorded and all(row["answer_cost"] is None for row in recorded.values()):
        raise NoTruth("no answer has a known cost: another runtime answered")
    measured = {row["bucket"] for row in report["by_bucket"] if row["measured_calls"]}
    baseline = NOTHING
    for decision_id, row in recorded.items():
        if row["bucket"] not in measured:
            baseline += row["cost"] or NOTHING
        elif row["status"] == "ok" and row["cost"] is not None:
            baseline += _charge(world, asked[decision_id], world.catalog.baseline)
            _check(world, asked[decision_id], row)
    interval = report["interval_usd"]
    saved = baseline - Decimal(report["actual_spend_exact"])
    return Truth(baseline, saved, None if interval is None else (Decimal(interval[0]), Decimal(interval[1])))


def told(found: Truth) -> str:
    """The truth beside the report, in one sentence."""
    share = 100 * found.saved / found.baseline if found.baseline else NOTHING
    true = f"ground truth: the baseline would have cost ${found.baseline:.6f}, so ${found.saved:.6f} ({share:.1f} %) were saved"
    if found.interval is None:
        return f"{true}; the report states no interval"
    low, high = found.interval
    return f"{true}; the report's interval is ${low:.6f} to ${high:.6f}: {'inside' if found.inside else 'NOT inside'}"


def _check(world: World, body: Json, row: Json) -> None:
    """Hold this world against what was charged."""
    if row["answer_cost"] and row["cache"] != "hit" and _charge(world, body, row["model"]) != row["answer_cost"]:
        raise NoTruth("another sandbox (or runtime) answered than the one of these settings")


def _charge(world: World, body: Json, model: str) -> Decimal:
    found = world.catalog.model(model)
    if found.base not in world.catalog.models:
        raise NoTruth(f"the sandbox has no model {model}: another runtime answered")
    setting = found.setting.members if found.setting is not None else {}
    asked = {**body, **setting, "model": found.base}
    return Decimal(make_answer(world, asked, found.base).charges["x-btl-customer-charge"])
