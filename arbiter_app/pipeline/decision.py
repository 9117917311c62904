"""One request on its way through the six stages, and the three views of it: caller's block, SQL row, trace."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from arbiter_app.pipeline.cache import CacheKeys
from arbiter_app.pipeline.meaning import Vector
from arbiter_app.pipeline.ports import Reservation, Settlement
from arbiter_app.pipeline.types import (
    PICO_PER_USD,
    UNGRADED,
    UNKNOWN_COST,
    Attempt,
    Capability,
    ChatRequest,
    Classification,
    Completion,
    Cost,
    CostState,
    Eligible,
    Grade,
    Json,
    Mode,
    Timing,
    Usage,
)
from arbiter_app.policy import RoutingAsk, RoutingChoice

_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _BASE32 for second in _BASE32]
# Ids must be unlike each other, not secret: one system call a process instead of one a request.
_RANDOM = random.Random()
os.register_at_fork(after_in_child=_RANDOM.seed)  # or a fork of this process would make the ids that this one makes
_WORST_FIRST = (CostState.UNKNOWN, CostState.ESTIMATED, CostState.COMPUTED, CostState.SETTLED)


def decision_id(now: float) -> str:
    """`d_` and 16 base-32 characters: 48 bits of milliseconds, then 30 random bits. Sorts by time."""
    return _id((int(now * 1000) << 32) | _RANDOM.getrandbits(32))


def lowest_id(ts: float) -> str:
    """What sorts before the ids of all decisions from a time on, and behind those before."""
    return _id(int(ts * 1000) << 32)


def _id(number: int) -> str:
    high, low, pairs = number >> 40, number & 0xFF_FFFF_FFFF, _PAIRS
    return (
        f"d_{pairs[high >> 30 & 1023]}{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}{pairs[high & 1023]}"
        f"{pairs[low >> 30]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}{pairs[low & 1023]}"
    )


@dataclass(frozen=True, slots=True)
class WarmCache:
    """Who served a conversation last: the key of the deployment, the tokens that its provider has in its cache, whether the request
    brings the results of tools that it called, and how many tokens its last prompt had for each that was estimated."""

    deployment: str
    tokens: int
    in_loop: bool
    per_estimated: float = 1.0


@dataclass(frozen=True, slots=True)
class CheapAnswer:
    """The cheap answer that an objective check failed, before a stronger model was asked."""

    completion: Completion
    grade: Grade


@dataclass(slots=True)
class Decision:
    """The growing record of one request. Each stage fills in its part."""

    id: str
    request: ChatRequest
    at: float
    clock0: float
    deadline: float
    classification: Classification | None = None
    eligible: Eligible | None = None
    ask: RoutingAsk | None = None
    """What the policy was asked."""
    choice: RoutingChoice | None = None
    warm: WarmCache | None = None
    """What is still known of who served the conversation last."""
    mode: Mode = Mode.EXPLOIT
    reason: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    failover_from: list[str] = field(default_factory=list)
    served_by: str = ""
    """The model that is answering, once one is."""
    dropped: tuple[str, ...] = ()
    """What could not be carried over to its runtime, beside what could not be to a chat."""
    native: bool = False
    """The request went out as it came, so that nothing had to be carried over."""
    completion: Completion | None = None
    cascade: CheapAnswer | None = None
    grade: Grade = UNGRADED
    judge_pending: bool = False
    judge_cost: Cost | None = None
    cache: str = "off"
    cache_similarity: float | None = None
    cache_keys: CacheKeys | None = None
    vector: Vector | None = None
    baseline_pico: int | None = None
    beyond_pico: int | None = None
    propensity: float | None = None
    timing: Timing = field(default_factory=Timing)
    status: str = "ok"
    error_code: str = ""
    error: str = ""
    degraded: str = ""
    reservation: Reservation | None = None
    """What it may charge to its budgets; None where none limits it."""
    beyond_budget: list[int] = field(default_factory=list)
    """What calls might have cost that did not fit into its budgets, pico-dollars."""
    left_out: tuple[str, ...] = ()
    """Optional fields of the request that the runtime which answered does not take."""
    once: bool = False
    """It may cost one call of a model, and no other."""
    on_record: bool = False
    """Its record is made, or will be, whatever becomes of the request now."""

    @property
    def model(self) -> str:
        """The model that answered, or would have."""
        if self.completion is not None:
            return self.completion.model
        if self.served_by:
            return self.served_by
        return self.choice.model if self.choice is not None else ""

    @property
    def runtime(self) -> str:
        """The runtime that answered, or was asked last; empty where the catalog does not name several."""
        if self.completion is not None and self.completion.runtime:
            return self.completion.runtime
        return self.attempts[-1].runtime if self.attempts else ""

    @property
    def bucket(self) -> str:
        """The bucket this request learns in; empty before it is classified."""
        return self.classification.bucket if self.classification else ""

    @property
    def charges(self) -> list[Cost]:
        """Every charge of this request that is known to have arisen: classifier, losing and serving calls."""
        charges = [attempt.cost for attempt in self.attempts if not attempt.error or attempt.cost.pico is not None]
        if self.classification is not None and self.classification.cost is not None:
            charges.insert(0, self.classification.cost)
        return charges

    @property
    def cost(self) -> Cost:
        """All charges together; its state is the worst of them. A cached answer costs nothing, settled."""
        seen = self.classification
        if len(self.attempts) == 1 and self.completion is not None and (seen is None or seen.cost is None):
            return self.attempts[0].cost  # as it is with most, and asked for several times
        charges = self.charges
        if len(charges) == 1:
            return charges[0]
        if not charges:
            return Cost(0, CostState.SETTLED) if self.cache == "hit" else UNKNOWN_COST
        state = next(state for state in _WORST_FIRST if any(charge.state is state for charge in charges))
        known = [charge.pico for charge in charges if charge.pico is not None]
        return Cost(sum(known) if known else None, state)

    @property
    def saved_pico(self) -> int | None:
        """Estimate of what this call saved against the baseline; None while the baseline is not measured."""
        pico = self.cost.pico
        return None if pico is None or self.baseline_pico is None else self.baseline_pico - pico

    @property
    def reserved_pico(self) -> int:
        """What is reserved of its budgets until it is settled."""
        return 0 if self.reservation is None else self.reservation.pico

    @property
    def settlement(self) -> Settlement | None:
        """What its budgets are charged: what arose, and for an answer whose charge nobody knows all that was reserved."""
        if self.reservation is None:
            return None
        pico = self.cost.pico or 0
        if any(charge.pico is None for charge in self.charges):
            pico = max(pico, self.reservation.pico)
        return self.reservation.settled(pico)

    def failed(self, status: str, code: str, message: str) -> None:
        """Mark the request as not answered: `failed`, or `aborted` when the caller went away."""
        self.status, self.error_code, self.error = status, code, message

    def public(self) -> Json:
        """The `arbiter` object of the response."""
        seen, eligible, request = self.classification, self.eligible, self.request
        cost, baseline = self.cost, self.baseline_pico
        of_chat = () if self.native else request.dropped
        dropped = list(dict.fromkeys((*of_chat, *self.left_out, *self.dropped)))
        return {
            "task": seen.task if seen else None,
            "difficulty": seen.difficulty if seen else None,
            "classified_by": seen.classified_by if seen else None,
            "model": self.model,
            "mode": self.mode,
            "reason": self.reason,
            "decision_id": self.id,
            "quality": self.grade.quality,
            "quality_reason": "judge pending" if self.judge_pending else self.grade.reason,
            "cost": cost.usd,
            "cost_state": cost.state,
            "baseline_cost": None if baseline is None else baseline / PICO_PER_USD,
            "saved": None if cost.pico is None or baseline is None else (baseline - cost.pico) / PICO_PER_USD,
            "tokens_needed": eligible.tokens_needed if eligible else None,
            "eligible_models": len(eligible.models) if eligible else 0,
            "budget_max_cost": request.max_cost_usd,
            "budget_met": eligible.budget_met if eligible else None,
            "latency_ms": round(self.completion.latency_ms, 3) if self.completion else None,
            "overhead_ms": round(self.timing.overhead_ms, 3),
            "max_latency": request.max_latency_s,
            "latency_capped": eligible.latency_capped if eligible else False,
            "cache": self.cache,
            "cache_similarity": self.cache_similarity,
            "failover_from": self.failover_from or None,
            "cascaded_from": self.cascade.completion.model if self.cascade else None,
            "degraded": f"learning is paused: {self.degraded}" if self.degraded else None,
            **({"dropped": dropped} if dropped else {}),
            **({"runtime": self.completion.runtime} if self.completion and self.completion.runtime else {}),
        }

    def row(self) -> dict[str, Any]:
        """The columns of the decision table (see `store.tables.Decision`)."""
        seen, done, cost, eligible = self.classification, self.completion, self.cost, self.eligible
        usage = done.usage if done else None
        return {
            "id": self.id,
            "ts": self.at,
            "request_id": self.request.request_id,
            "key_id": self.request.caller.key_id,
            "conversation": self.request.conversation,
            "task": str(seen.task) if seen else "",
            "difficulty": seen.difficulty if seen else "",
            "bucket": seen.bucket if seen else "",
            "classified_by": str(seen.classified_by) if seen else "",
            "model": self.model,
            "mode": str(self.mode),
            "reason": self.reason,
            "propensity": self.propensity,
            "quality": self.grade.quality,
            "quality_source": self.grade.source,
            "quality_reason": "judge pending" if self.judge_pending else self.grade.reason,
            "cost_pico": cost.pico,
            "answer_cost_pico": done.cost.pico if done else None,
            "classifier_cost_pico": seen.cost.pico if seen and seen.cost else None,
            "judge_cost_pico": self.judge_cost.pico if self.judge_cost else None,
            "cost_state": str(cost.state),
            "baseline_pico": self.baseline_pico,
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": usage.completion_tokens if usage else None,
            "tokens_needed": eligible.tokens_needed if eligible else None,
            "eligible_models": len(eligible.models) if eligible else 0,
            "latency_ms": done.latency_ms if done else None,
            "first_byte_ms": done.first_byte_ms if done else None,
            "overhead_ms": self.timing.overhead_ms,
            "stream": self.request.stream,
            "status": self.status,
            "error_code": self.error_code,
            "cache": self.cache,
            "failover_from": orjson.dumps(self.failover_from).decode() if self.failover_from else None,
            "cascaded_from": self.cascade.completion.model if self.cascade else None,
            "rejected": _names(eligible.rejected) if eligible and eligible.rejected else None,
            "asked_tokens": eligible.prompt_tokens if eligible else None,
            "beyond_pico": self.beyond_pico,
            "learning_cost_pico": None,
            "project_id": self.request.caller.project,
            "runtime": self.runtime,
            "end_user": self.request.end_user,
            "tags": "\n".join(("", *self.request.tags, "")) if self.request.tags else None,
        }

    def trace(self) -> Json:
        """What every stage saw, decided and took, as it is stored (see `expanded`). Holds no prompt and no answer text."""
        seen, eligible, choice, time_ms = self.classification, self.eligible, self.choice, self.timing
        return {
            "request": _request_view(self.request),
            "classify": {"ms": time_ms.classify_ms, **_classify_view(seen)} if seen else None,
            "filter": {"ms": time_ms.filter_ms, **self._filter_view(eligible)} if eligible else None,
            "route": {"ms": time_ms.route_ms, **self._route_view(choice)} if choice else None,
            "call": {
                "ms": time_ms.call_ms,
                "attempts": [_attempt_view(one) for one in self.attempts],
                **_cache_view(self.completion.usage if self.completion else None),
                **({} if self.reservation is None else _reserved_view(self.reservation)),
            },
            "grade": {
                "ms": time_ms.grade_ms,
                **_grade_view(self.grade),
                "cascade": _cascade_view(self.cascade) if self.cascade else None,
            },
            "learn": {"ms": time_ms.learn_ms},
            "total_ms": round(time_ms.total_ms, MS_DIGITS),
            "error": self.error or None,
        }

    def _filter_view(self, eligible: Eligible) -> Json:
        view: Json = {"tokens_needed": eligible.tokens_needed, "prompt_tokens": eligible.prompt_tokens}
        if self.choice is None:
            view["eligible"] = eligible.models
        if eligible.rejected:
            view["rejected"] = eligible.rejected
        if not eligible.budget_met:
            view["budget_met"] = False
        if eligible.latency_capped:
            view["latency_capped"] = True
        if eligible.note:
            view["note"] = eligible.note
        return view

    def _route_view(self, choice: RoutingChoice) -> Json:
        ask = self.ask
        return {
            "mode": self.mode,
            "model": choice.model,
            "reason": self.reason,
            "propensity": self.propensity,
            "seed": choice.seed,
            "candidates": choice.candidates,
            **({"cached_by": ask.cached_by, "cached_tokens": ask.cached_tokens} if ask and ask.cached_tokens else {}),
            **({"segments": ask.segments} if ask and ask.segments else {}),
            **({"shadows": choice.shadows} if choice.shadows else {}),
            **({"dollar_weight": ask.dollar_weight} if ask and ask.dollar_weight != 1.0 else {}),
        }


CANDIDATE = ("model", "n", "quality", "low", "high", "cost", "why_not")
"""What is told of a candidate of the route stage (`policy.Candidate`); stored as a row in this order."""
MS_DIGITS = 3
"""Traces are most of what is stored: nobody asks for less than a microsecond."""
_USUAL: Mapping[str, Json] = {
    "request": {
        "messages": 0,
        "ask_chars": 0,
        "stream": False,
        **{one.value: False for one in Capability},
        **dict.fromkeys(("max_tokens", "max_cost", "max_latency", "allow", "pin")),
    },
    "filter": {"eligible": None, "rejected": {}, "budget_met": True, "latency_capped": False, "note": ""},
}
"""What a stage saw where a stored trace does not say it."""


def expanded(trace: Json) -> Json:
    """A stored trace as it is shown: with what is as usual, and with its candidates by name; these are the eligible models, which are not
    stored twice."""
    trace = {name: {**_USUAL[name], **part} if part and name in _USUAL else part for name, part in trace.items()}
    route, gate = trace.get("route"), trace.get("filter")
    if not route:
        return trace
    named = [
        dict(zip(CANDIDATE, one, strict=True)) if not isinstance(one, dict) else one for one in route["candidates"]
    ]
    if gate and gate["eligible"] is None:
        gate = {**gate, "eligible": [one["model"] for one in named]}
    return {**trace, "filter": gate, "route": {**route, "candidates": named}}


def new_decision(request: ChatRequest, *, timeout_s: float) -> Decision:
    """The empty record of a request that has just arrived; `deadline` is in `time.monotonic()` seconds."""
    now = time.time()
    return Decision(decision_id(now), request, now, time.perf_counter(), time.monotonic() + timeout_s)


def _reserved_view(held: Reservation) -> Json:
    """The budgets that the request is settled with, and what was reserved of them."""
    reserved = {"reserved": held.pico / PICO_PER_USD} if held.pico else {}
    return {"budgets": [budget_id for budget_id, _ in held.places], **reserved}


def _names(models: Iterable[str]) -> str:
    """Names as JSON, sorted, so that equal sets are equal texts."""
    return orjson.dumps(sorted(models)).decode()


def _classify_view(seen: Classification) -> Json:
    cost = seen.cost.usd if seen.cost else None
    return {"task": seen.task, "difficulty": seen.difficulty, "by": seen.classified_by, "rule": seen.rule, "cost": cost}


def _cache_view(usage: Usage | None) -> Json:
    """Tokens of the prompt that the provider read from its cache, and those that it wrote to it; nothing where there were none."""
    if usage is None or not usage.in_cache_tokens:
        return {}
    return {"cached_tokens": usage.cached_tokens, "written_tokens": usage.in_cache_tokens - usage.cached_tokens}


def _attempt_view(one: Attempt) -> Json:
    return {
        "model": one.model,
        "status": one.status,
        "error": one.error or None,
        "ms": round(one.latency_ms, MS_DIGITS),
        "cost": one.cost.usd,
        "cost_state": one.cost.state,
        **({"runtime": one.runtime} if one.runtime else {}),
    }


def _grade_view(grade: Grade) -> Json:
    return {"quality": grade.quality, "reason": grade.reason, "source": grade.source}


def _cascade_view(cheap: CheapAnswer) -> Json:
    return {"model": cheap.completion.model, **_grade_view(cheap.grade)}


def _request_view(request: ChatRequest) -> Json:
    view: Json = {"messages": len(request.messages), "ask_chars": len(request.ask)}
    if request.tags:
        view["tags"] = list(request.tags)
    if request.stream:
        view["stream"] = True
    for one in request.needs:
        view[one.value] = True
    unusual = (
        ("max_tokens", request.max_tokens),
        ("max_cost", request.max_cost_usd),
        ("max_latency", request.max_latency_s),
        ("allow", request.allow and list(request.allow)),
        ("pin", request.pin),
    )
    for name, value in unusual:
        if value is not None:
            view[name] = value
    if request.wish:
        view |= {"objective": request.wish.objective, "tolerance": request.wish.tolerance}
    return view
