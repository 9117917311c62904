"""The sandbox's state: faults, price multipliers and skill changes that tests and demos set, and what was called."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field, fields
from decimal import Decimal
from functools import lru_cache
from typing import Any

from arbiter_app.catalog import Catalog
from arbiter_app.pipeline.types import PICO_PER_USD, Json, Task
from arbiter_app.pool.rates import rates_of
from arbiter_app.runtime.sandbox.judging import FAIR, Taste
from arbiter_app.runtime.sandbox.prompt_cache import FRESH, CacheUse, PromptCache
from arbiter_app.runtime.sandbox.skills import DEFAULT_SKILL, REASONING, SKILLS, TASKS, Skill

KEPT_PAYLOADS = 100
KEPT_BYTES = 64 * 1024
TYPICAL_TOKENS = {Task.CODE: (60, 90), Task.MATH: (40, 20), Task.STRUCTURED: (60, 40), Task.FACTUAL: (30, 90)}


@dataclass(slots=True)
class Fault:
    """How a model misbehaves: for the next `count` calls (None: all), each with chance `rate`.

    Before the answer: `stall_s` waits, `close` hangs up, `status` refuses (with `retry_after`), `body` is said under
    status 200 in place of the answer, of content type `content_type`. In the answer: `drip_s` waits between its pieces
    (16 bytes, or one event), `cut_after` hangs up after so many bytes or events, `error_after` puts an error frame there,
    `no_usage` and `no_charge` leave out what the answer says of its cost.
    """

    status: int = 0
    rate: float = 1.0
    count: int | None = None
    stall_s: float = 0.0
    drip_s: float = 0.0
    cut_after: int | None = None
    error_after: int | None = None
    retry_after: str | None = None
    body: str | None = None
    content_type: str = "application/json"
    close: bool = False
    no_usage: bool = False
    no_charge: bool = False

    @property
    def slow(self) -> bool:
        """Whether the answer comes in pieces, or breaks off."""
        return bool(self.drip_s) or self.cut_after is not None or self.error_after is not None


FAULT_FIELDS = frozenset(spec.name for spec in fields(Fault))


@dataclass(slots=True)
class World:
    """Everything the simulated runtime knows. `latency` scales its waits; 0 answers at once."""

    catalog: Catalog
    seed: int = 7
    latency: float = 1.0
    faults: dict[str, Fault] = field(default_factory=dict)
    multipliers: dict[str, float] = field(default_factory=dict)
    skills: dict[str, Skill] = field(default_factory=lambda: {**SKILLS, **REASONING})
    taste: Taste = FAIR
    calls: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    payloads: deque[Json] = field(default_factory=lambda: deque(maxlen=KEPT_PAYLOADS))
    open_requests: int = 0
    hung_up: int = 0
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    prompts: PromptCache = field(default_factory=PromptCache)
    cached_tokens: int = 0
    """Of all prompts, that were read from the cache."""

    def skill(self, model: str) -> Skill:
        """The skill of a model; an unknown one is middling."""
        return self.skills.get(model, DEFAULT_SKILL)

    def fault(self, model: str) -> Fault | None:
        """The fault that strikes this call, if any; counts it down. `*` strikes every model without its own."""
        fault = self.faults.get(model) or self.faults.get("*")
        if fault is None or fault.count == 0 or self.rng.random() >= fault.rate:
            return None
        if fault.count is not None:
            fault.count -= 1
        return fault

    def charge_usd(self, model: str, tokens_in: int, tokens_out: int, cache: CacheUse = FRESH) -> Decimal:
        """The exact charge of one call in USD; what was read from the cache, or written to it, at its own rates."""
        facts = self.catalog.models[model]
        listed = price_usd(facts.input_usd) * tokens_in + price_usd(facts.output_usd) * tokens_out
        if cache.read or cache.written:
            rates = rates_of(facts)
            beyond = cache.read * (rates.cached - rates.input) + cache.written * (rates.cache_write - rates.input)
            listed += beyond / PICO_PER_USD
        multiplier = self.multipliers.get(model)
        return listed if multiplier is None else listed * Decimal(repr(multiplier))

    def change_skill(self, model: str, factor: float, task: Task | None = None) -> None:
        """From now on a model is `factor` times as good as it is now, at one task or at all."""
        self.skills[model] = self.skill(model).scaled(factor, task)

    def called(self, model: str, kind: str, payload: Json, size: int) -> None:
        """Note a call; large payloads are counted and not kept."""
        self.calls[model] += 1
        self.kinds[kind] += 1
        if size <= KEPT_BYTES:
            self.payloads.append(payload)

    def reset(self) -> None:
        """Back to how the world began."""
        self.faults.clear()
        self.multipliers.clear()
        self.skills = {**SKILLS, **REASONING}
        self.taste = FAIR
        self.calls.clear()
        self.kinds.clear()
        self.payloads.clear()
        self.hung_up = 0
        self.prompts.forget()
        self.cached_tokens = 0
        self.rng = random.Random(self.seed)

    def truth(self) -> list[dict[str, Any]]:
        """The ground truth per task, difficulty and model: expected quality, and the cost of a typical request."""
        return [
            self._truth(model_id, task, hard)
            for model_id in self.catalog.models
            for task in TASKS
            for hard in (False, True)
        ]

    def _truth(self, model: str, task: Task, hard: bool) -> dict[str, Any]:
        tokens_in, tokens_out = TYPICAL_TOKENS.get(task, (30, 90))
        skill = self.skill(model)
        if task in (Task.FACTUAL, Task.OPEN):
            tokens_out = round(tokens_out * skill.wordy * (1.5 if hard else 1.0))
        return {
            "model": model,
            "task": task.value,
            "hard": hard,
            "quality": skill.quality(task, hard),
            "usd": float(self.charge_usd(model, tokens_in, tokens_out)),
            "input_usd_per_token": float(self.charge_usd(model, 1, 0)),
            "output_usd_per_token": float(self.charge_usd(model, 0, 1)),
        }


@lru_cache(maxsize=1024)
def price_usd(usd_per_token: float) -> Decimal:
    """The catalog's price as the decimal that was written there."""
    return (Decimal(repr(usd_per_token * PICO_PER_USD)).quantize(Decimal("0.000001")) / PICO_PER_USD).normalize()
