"""The last gate before routing, where budgets limit a request: what a model may cost at its dearest has to fit into what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from arbiter_app.pipeline.ceilings import Ceilings
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.ports import Reservation, Spending
from arbiter_app.pipeline.types import ChatRequest, Deployment, Eligible, Model


@dataclass(frozen=True, slots=True)
class BudgetGate:
    """`at` gives the deployments of a model; `questions` the models that may be asked for the task, their characters and room.

    What is looked at here is what this process knows; it is exact once it is reserved, when the model is called.
    """

    spending: Spending
    ceilings: Ceilings
    at: Callable[[str], tuple[Deployment, ...]]
    question: Callable[[], tuple[Model, int, int]]

    async def may_ask(self, reservation: Reservation) -> bool:
        """Whether a model may be asked for the task: what that costs at most is reserved."""
        model, chars, room = self.question()
        return await reservation.cover(self.ceilings.question_pico(chars, room, model))

    async def within(self, decision: Decision, reservation: Reservation, eligible: Eligible) -> Eligible:
        """The models that fit. Raises BudgetExceeded where none does."""
        spent = decision.cost.pico or 0
        most = {model: self.least(decision.request, decision.bucket, model) + spent for model in eligible.models}
        if max(most.values()) > reservation.left_pico:
            await reservation.look()
        left = reservation.left_pico
        fitting = tuple(model for model in eligible.models if most[model] <= left)
        if not fitting:
            raise reservation.exceeded(min(most.values()))
        if len(fitting) == len(eligible.models):
            return eligible
        over = dict.fromkeys(set(most) - set(fitting), "might cost more than the budgets leave")
        return replace(eligible, models=fitting, rejected={**eligible.rejected, **over})

    def least(self, request: ChatRequest, bucket: str, model: str) -> int:
        """The most that a model costs on the cheapest of its runtimes."""
        return min(self.ceilings.pico(request, bucket, at.model) for at in self.at(model))
