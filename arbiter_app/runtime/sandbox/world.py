"""The sandbox's state: faults, price multipliers and skill changes that tests and demos set, and what was called."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from arbiter_app.catalog import Catalog
from arbiter_app.pipeline.types import Json, Task
from arbiter_app.runtime.sandbox.skills import SKILLS, TASKS, Skill

DEFAULT_SKILL = Skill((0.85,) * 5, (0.65,) * 5, 300, 1.2)


@dataclass(slots=True)
class Fault:
    """How a model misbehaves: for the next `count` calls (None: all), each with chance `rate`."""

    status: int = 0
    rate: float = 1.0
    count: int | None = None
    stall_s: float = 0.0
    drip_s: float = 0.0
    cut_after: int | None = None
    retry_after: str | None = None
    body: str | None = None
    close: bool = False


@dataclass(slots=True)
class World:
    """Everything the simulated runtime knows. `latency` scales its waits; 0 answers at once."""

    catalog: Catalog
    seed: int = 7
    latency: float = 1.0
    faults: dict[str, Fault] = field(default_factory=dict)
    multipliers: dict[str, float] = field(default_factory=dict)
    skills: dict[str, Skill] = field(default_factory=lambda: dict(SKILLS))
    calls: Counter[str] = field(default_factory=Counter)
    payloads: deque[Json] = field(default_factory=lambda: deque(maxlen=200))
    open_requests: int = 0
    hung_up: int = 0
    rng: random.Random = field(default_factory=lambda: random.Random(7))

    def skill(self, model: str) -> Skill:
        """The skill of a model; an unknown one is middling."""
        return self.skills.get(model, DEFAULT_SKILL)

    def fault(self, model: str) -> Fault | None:
        """The fault that strikes this call, if any; counts it down."""
        fault = self.faults.get(model) or self.faults.get("*")
        if fault is None or self.rng.random() >= fault.rate:
            return None
        if fault.count is not None:
            if fault.count <= 0:
                return None
            fault.count -= 1
        return fault

    def charge_usd(self, model: str, tokens_in: int, tokens_out: int) -> Decimal:
        """The exact charge of one call in USD."""
        facts = self.catalog.models[model]
        per_million = Decimal(repr(facts.input_usd * 1e6)).quantize(Decimal("0.000001")) * tokens_in
        per_million += Decimal(repr(facts.output_usd * 1e6)).quantize(Decimal("0.000001")) * tokens_out
        return per_million / 1_000_000 * Decimal(repr(self.multipliers.get(model, 1.0)))

    def change_skill(self, model: str, factor: float) -> None:
        """From now on a model is only `factor` times as good."""
        known = self.skill(model)
        easy = tuple(value * factor for value in known.easy)
        hard = tuple(value * factor for value in known.hard)
        self.skills[model] = replace(known, easy=easy, hard=hard)  # type: ignore[arg-type]

    def reset(self) -> None:
        """Back to how the world began."""
        self.faults.clear()
        self.multipliers.clear()
        self.skills = dict(SKILLS)
        self.calls.clear()
        self.payloads.clear()
        self.hung_up = 0
        self.rng = random.Random(self.seed)

    def truth(self) -> list[dict[str, Any]]:
        """The ground truth: expected quality of every model per task and difficulty, and its prices."""
        return [
            {
                "model": model.id,
                "task": task.value,
                "hard": hard,
                "quality": self.skill(model.id).quality(Task(task), hard),
                "input_usd_per_token": model.input_usd * self.multipliers.get(model.id, 1.0),
                "output_usd_per_token": model.output_usd * self.multipliers.get(model.id, 1.0),
            }
            for model in self.catalog.models.values()
            for task in TASKS
            for hard in (False, True)
        ]
