"""What one call cost: read from the runtime's own statements first, computed or estimated only where it says nothing.

settled    a charge that the answer states (see `claims.charges`)
computed   usage x catalog price; also where the stated charge is implausible, and then it teaches nothing
estimated  learned mean of the bucket, when usage is missing; usage x a cautious price, where nobody knows the model's, or the answer
           says that it went before others, for a price that is in no list
unknown    none of these; never zero
"""

from __future__ import annotations

from collections.abc import Mapping

from arbiter_app.pipeline import tiers
from arbiter_app.pipeline.types import PICO_PER_USD, UNKNOWN_COST, Cost, CostState, Json, Model, Usage
from arbiter_app.runtime.claims.charges import (
    CHARGE_HEADER,
    ceiling_pico,
    charge_of,
    computed_pico,
    pico_of,
    scaled,
    usage_of,
)

__all__ = ["CHARGE_HEADER", "ceiling_pico", "computed_pico", "cost_of", "cost_with_usage", "pico_of", "usage_of"]


def cost_of(
    headers: Mapping[str, str],
    answer: Json | Usage | None,
    model: Model,
    *,
    multiplier: float = 1.0,
    learned_usd: float | None = None,
) -> Cost:
    """The cost of one answer, of which its body is known, or the usage alone; see `cost_with_usage`."""
    body: Json = answer if isinstance(answer, dict) else {}
    usage = answer if isinstance(answer, Usage) else usage_of(body)
    return cost_with_usage(headers, body, usage, model, multiplier=multiplier, learned_usd=learned_usd)


def cost_with_usage(
    headers: Mapping[str, str],
    body: Json,
    usage: Usage | None,
    model: Model,
    *,
    multiplier: float = 1.0,
    learned_usd: float | None = None,
) -> Cost:
    """The cost of one answer and how it is known. `usage` is what was read in its body; headers are lower-case.

    `multiplier` is the demo price override: it scales stated and computed charges. `learned_usd` is a mean of costs
    that were already scaled, and is taken as it is.
    """
    charge, set_aside = charge_of(headers, body, usage, model)
    if charge is not None:
        return Cost(charge if multiplier == 1.0 else scaled(charge, multiplier), CostState.SETTLED)
    if usage is not None:
        dearer = _times(body)
        state = CostState.COMPUTED if model.priced and dearer == 1.0 else CostState.ESTIMATED
        return Cost(computed_pico(usage, model, multiplier * dearer), state, set_aside=set_aside)
    if learned_usd is not None:
        return Cost(round(learned_usd * PICO_PER_USD), CostState.ESTIMATED, set_aside=set_aside)
    return Cost(None, CostState.UNKNOWN, set_aside=True) if set_aside else UNKNOWN_COST


def _times(body: Json) -> float:
    """How many times its list price an answer costs at most, by what it states of how it was served."""
    stated = body.get("usage")
    usage: Json = stated if isinstance(stated, dict) else {}
    return tiers.times(body.get("service_tier") or usage.get("service_tier"), fast=usage.get("speed") == "fast")
