"""A decision that was not carried out, as it is told."""

from __future__ import annotations

from arbiter_app.pipeline.budget_gate import BudgetGate
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.ports import Reservation
from arbiter_app.pipeline.route import Router
from arbiter_app.pipeline.types import PICO_PER_USD
from arbiter_app.policy import Candidate
from arbiter_app.services.rows.decisions import CandidateRow, RouteAnswer, RouteBudget


def foretold(decision: Decision, router: Router, baseline: str, budgets: BudgetGate) -> RouteAnswer:
    """What a previewed decision says. Its `order` is the one in which models would be asked."""
    seen, gate, choice = decision.classification, decision.eligible, decision.choice
    if seen is None or gate is None or choice is None:
        raise ValueError("only a decision that was routed can be told")
    order = router.order(decision)
    rows = [_row(one) for one in choice.candidates]
    costs = {row["model"]: row["cost"] for row in rows}
    return {
        "object": "route",
        "model": order[0],
        "mode": str(decision.mode),
        "reason": decision.reason,
        "task": str(seen.task),
        "difficulty": seen.difficulty,
        "classified_by": str(seen.classified_by),
        "prompt_tokens": gate.prompt_tokens,
        "tokens_needed": gate.tokens_needed,
        "budget_met": gate.budget_met,
        "latency_capped": gate.latency_capped,
        "expected_cost": costs.get(order[0]),
        "baseline": baseline,
        "baseline_cost": costs.get(baseline),
        "order": list(order),
        "candidates": rows,
        "rejected": dict(gate.rejected),
        "budget": None if decision.reservation is None else _budget(decision, decision.reservation, order[0], budgets),
    }


def _budget(decision: Decision, limited: Reservation, first: str, budgets: BudgetGate) -> RouteBudget:
    """What budgets do to it."""
    return {
        "remaining_usd": limited.remaining_pico / PICO_PER_USD,
        "reserves_usd": budgets.least(decision.request, decision.bucket, first) / PICO_PER_USD,
        "dollar_weight": limited.dollar_weight,
        "warning": limited.warning,
    }


def _row(one: Candidate) -> CandidateRow:
    return {
        "model": one.model,
        "n": one.n,
        "quality": one.quality,
        "low": one.low,
        "high": one.high,
        "cost": one.cost_usd,
        "why_not": one.why_not,
    }
