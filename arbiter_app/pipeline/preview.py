"""A decision without a call: the first three stages, of which nobody is asked and nothing is recorded."""

from __future__ import annotations

from dataclasses import dataclass

from arbiter_app.pipeline.budget_gate import BudgetGate
from arbiter_app.pipeline.classify import Classifier
from arbiter_app.pipeline.decision import Decision, new_decision
from arbiter_app.pipeline.estimates import LearnedEstimates
from arbiter_app.pipeline.route import Router
from arbiter_app.pipeline.types import ChatRequest, Classification, ClassifiedBy, Task
from arbiter_app.pipeline.wishes import Wishes


@dataclass(frozen=True, slots=True)
class Preview:
    """Says how a request would be served now. Where the rules are unsure and a model would be asked, it counts as an open question."""

    wishes: Wishes
    classifier: Classifier
    estimates: LearnedEstimates
    router: Router
    budgets: BudgetGate
    timeout_s: float

    async def decide(self, request: ChatRequest) -> Decision:
        """The decision with its classification, eligible models and choice, and with the budgets as they are for it, of which nothing is
        reserved. Raises ArbiterError where nobody can serve it, or nothing fits into them."""
        decision = new_decision(self.wishes.applied(request), timeout_s=self.timeout_s)
        seen = self.classifier.try_rules(decision.request)
        if seen is None:
            seen = Classification(Task.OPEN, False, ClassifiedBy.FALLBACK, "")
        decision.classification = seen
        decision.eligible = eligible = self.estimates.eligible(decision)
        if self.budgets.spending.limited and (limited := self.budgets.spending.begin(request)) is not None:
            await limited.look()
            decision.reservation = limited
            decision.eligible = eligible = await self.budgets.within(decision, limited, eligible)
        self.router.route(decision, seen, eligible, tokens_out=self.estimates.tokens_out(decision))
        return decision
