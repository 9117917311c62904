"""Decisions: what was chosen for a request, and what became of it."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class DecisionRow(TypedDict):
    """One routed request."""

    seq: int
    id: str
    ts: float
    request_id: str | None
    key_id: str | None
    conversation: str | None
    task: str
    difficulty: str
    bucket: str
    classified_by: str
    model: str
    mode: str
    reason: str
    propensity: float | None
    quality: float | None
    quality_source: str
    quality_reason: str | None
    cost_state: str
    prompt_tokens: int | None
    completion_tokens: int | None
    tokens_needed: int | None
    eligible_models: int
    latency_ms: float | None
    first_byte_ms: float | None
    overhead_ms: float
    stream: bool
    status: str
    error_code: str
    cache: str
    failover_from: list[str] | None
    cascaded_from: str | None
    rejected: list[str]
    asked_tokens: int | None
    project_id: str | None
    runtime: str
    end_user: str | None
    tags: list[str] | None
    cost: float | None
    answer_cost: float | None
    classifier_cost: float | None
    judge_cost: float | None
    learning_cost: float | None
    baseline: float | None
    saved: float | None


class Trace(TypedDict, total=False):
    """What each stage saw, decided and took, as far as it went."""

    request: dict[str, Any] | None
    classify: dict[str, Any] | None
    filter: dict[str, Any] | None
    route: dict[str, Any] | None
    call: dict[str, Any] | None
    grade: dict[str, Any] | None
    learn: dict[str, Any] | None


class ShadowRow(TypedDict):
    """A model that was asked beside an answer, to learn: what that cost and scored. Its answer is not kept."""

    model: str
    ts: float
    status: str
    error: str
    cost: float | None
    cost_state: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: float
    quality: float | None
    quality_source: str
    quality_reason: str


class TracedDecision(DecisionRow):
    """One decision, whole; its trace is null once it has been retired."""

    shadows: list[ShadowRow]
    trace: Trace | None


class DecisionList(TypedDict):
    """A page of decisions, newest first; `next` is where to page on, null at the end."""

    data: list[DecisionRow]
    next: int | None


class CandidateRow(TypedDict):
    """An eligible model as the policy saw it: graded weight, quality with 95 % interval, expected cost in USD; `why_not` is empty
    for the one that was chosen."""

    model: str
    n: float
    quality: float | None
    low: float | None
    high: float | None
    cost: float | None
    why_not: str


class RouteBudget(TypedDict):
    """What budgets do to a decision: what is left of the tightest, what the first model of the order would reserve of it, how many times
    as much a dollar weighs, and that a soft limit is passed, in a sentence."""

    remaining_usd: float
    reserves_usd: float
    dollar_weight: float
    warning: str


class RouteAnswer(TypedDict):
    """A decision that was not carried out. Costs are in USD, expected; `order` is the one in which models would be asked. `budget` is
    null where none limits it; what might cost more than it leaves is among the `rejected`."""

    object: str
    model: str
    mode: str
    reason: str
    task: str
    difficulty: str
    classified_by: str
    prompt_tokens: int
    tokens_needed: int
    budget_met: bool
    latency_capped: bool
    expected_cost: float | None
    baseline: str
    baseline_cost: float | None
    order: list[str]
    candidates: list[CandidateRow]
    rejected: dict[str, str]
    budget: RouteBudget | None


class VoteAnswer(TypedDict):
    """A thumb that counts."""

    status: str
    decision_id: str | None
    task: str
    model: str
    rating: str


class TokenCount(TypedDict):
    """Tokens of a prompt."""

    input_tokens: int
