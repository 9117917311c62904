"""`/sandbox/*`: tests and demos script the simulated runtime, and read what is true in it and what was called.

POST /sandbox/faults   {"model": M or "*", fields of `world.Fault`}; without fields the model's fault is lifted
POST /sandbox/prices   {"model": M, "multiplier": X}
POST /sandbox/skill    {"model": M, "factor": X, "task": T (optional)}
POST /sandbox/judge    {"noise": sd, "bias": mean error, "arbitrary": share of random scores,
                       "first": what the first of several answers is preferred by}, each optional
POST /sandbox/reset    everything back to the beginning
GET  /sandbox/truth    expected quality and cost of every model per task and difficulty
POST /sandbox/truth    a chat request: what each model would answer to it: exact quality and charge
GET  /sandbox/calls    counters, requests under way, callers that hung up, and the last payloads
"""

from __future__ import annotations

from typing import Any

from arbiter_app.pipeline.types import Json, Task
from arbiter_app.runtime.sandbox.answers import bucket_of
from arbiter_app.runtime.sandbox.judging import Taste
from arbiter_app.runtime.sandbox.making import make_answer, refused_request
from arbiter_app.runtime.sandbox.skills import TASKS
from arbiter_app.runtime.sandbox.world import FAULT_FIELDS, Fault, World


class BadControl(ValueError):
    """A control request that cannot be done; the message says why."""


def control(world: World, method: str, path: str, given: Json) -> Json:
    """Do one control request. Raises BadControl, or KeyError for a route that does not exist."""
    return {
        ("POST", "/sandbox/faults"): _faults,
        ("POST", "/sandbox/prices"): _prices,
        ("POST", "/sandbox/skill"): _skill,
        ("POST", "/sandbox/judge"): _judge,
        ("POST", "/sandbox/reset"): _reset,
        ("GET", "/sandbox/truth"): _truth,
        ("POST", "/sandbox/truth"): _truth_of,
        ("GET", "/sandbox/calls"): _calls,
    }[method, path](world, given)


def _faults(world: World, given: Json) -> Json:
    model = str(given.get("model", "*"))
    fault = {key: value for key, value in given.items() if key != "model"}
    unknown = sorted(set(fault) - FAULT_FIELDS)
    if unknown:
        raise BadControl(f"unknown fields {unknown}; known are {sorted(FAULT_FIELDS)}")
    if model != "*":
        _known(world, model)
    if fault:
        world.faults[model] = Fault(**fault)
    else:
        world.faults.pop(model, None)
    return {"status": "ok"}


def _prices(world: World, given: Json) -> Json:
    multiplier = _factor(given, "multiplier")
    world.multipliers[_known(world, given.get("model"))] = multiplier
    return {"status": "ok"}


def _skill(world: World, given: Json) -> Json:
    task = given.get("task")
    if task is not None and task not in [one.value for one in TASKS]:
        raise BadControl(f"unknown task {task!r}")
    world.change_skill(_known(world, given.get("model")), _factor(given, "factor"), Task(task) if task else None)
    return {"status": "ok"}


def _judge(world: World, given: Json) -> Json:
    limits = {"noise": (0.0, 1.0), "bias": (-1.0, 1.0), "arbitrary": (0.0, 1.0), "first": (-1.0, 1.0)}
    for name, value in given.items():
        low, high = limits.get(name, (1.0, 0.0))
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise BadControl(
                f"{name} cannot be {value!r}: noise and arbitrary are 0 to 1, bias and first -1 to 1, others unknown"
            )
    world.taste = Taste(**given)
    return {"status": "ok"}


def _reset(world: World, given: Json) -> Json:
    world.reset()
    return {"status": "ok"}


def _truth(world: World, given: Json) -> Json:
    return {"truth": world.truth(), "baseline": world.catalog.baseline}


def _truth_of(world: World, given: Json) -> Json:
    rows: list[Json] = []
    for model in world.catalog.models:
        refusal = refused_request(world, {**given, "model": model})
        if refusal is not None:
            rows.append({"model": model, "refused": refusal.message})
            continue
        made = make_answer(world, {**given, "model": model}, model)
        charge = made.charges.get("x-btl-customer-charge")
        rows.append({"model": model, "quality": made.said.quality, "charge": charge})
    if all("refused" in row for row in rows):
        raise BadControl(str(rows[0]["refused"]))
    task, hard = bucket_of(given)
    return {"task": task.value, "hard": hard, "truth": rows}


def _calls(world: World, given: Json) -> Json:
    return {
        "calls": dict(world.calls),
        "kinds": dict(world.kinds),
        "open": world.open_requests,
        "hung_up": world.hung_up,
        "cached_tokens": world.cached_tokens,
        "payloads": list(world.payloads),
    }


def _known(world: World, model: Any) -> str:
    if model not in world.catalog.models:
        raise BadControl(f"unknown model {model!r}")
    return str(model)


def _factor(given: Json, name: str) -> float:
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e6:
        raise BadControl(f"{name} must be a number, 0 or more")
    return float(value)
