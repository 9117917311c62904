"""What one call cost: read from the runtime's own statements first, computed or estimated only where it says nothing.

settled    x-btl-customer-charge header, or usage.cost in the body
computed   usage x catalog price
estimated  learned mean of the bucket, when usage is missing
unknown    none of these; never zero
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from arbiter_app.pipeline.types import PICO_PER_USD, UNKNOWN_COST, Cost, CostState, Json, Model, Usage

CHARGE_HEADER = "x-btl-customer-charge"
BENCHMARK_HEADER = "x-btl-benchmark-cost"
SAVED_HEADER = "x-btl-saved"
TIER_HEADER = "x-btl-cache-tier"

_MAX_CHARGE_USD = Decimal(100_000)
_MAX_TOKENS = 1 << 40


def pico_of(stated: object, multiplier: float = 1.0, *, signed: bool = False) -> int | None:
    """Exact pico-dollars of an amount stated in USD (string or number); None when it is no sensible amount."""
    if stated is None or isinstance(stated, bool):
        return None
    try:
        amount = Decimal(str(stated).strip())
    except InvalidOperation:
        return None
    if not amount.is_finite() or abs(amount) > _MAX_CHARGE_USD or (amount < 0 and not signed):
        return None
    return int((amount * PICO_PER_USD * Decimal(repr(multiplier))).to_integral_value())


def usage_of(body: Json) -> Usage | None:
    """Token counts of an answer; None when they are missing or make no sense."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    tokens_in, tokens_out = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if isinstance(tokens_in, bool) or isinstance(tokens_out, bool):
        return None
    if not isinstance(tokens_in, int) or not isinstance(tokens_out, int):
        return None
    sane = 0 <= tokens_in < _MAX_TOKENS and 0 <= tokens_out < _MAX_TOKENS
    return Usage(tokens_in, tokens_out) if sane else None


def cost_of(
    headers: Mapping[str, str],
    body: Json,
    model: Model,
    *,
    multiplier: float = 1.0,
    learned_usd: float | None = None,
) -> Cost:
    """The cost of one answer and how it is known. `multiplier` is the demo price override; it scales every source."""
    charge = pico_of(headers.get(CHARGE_HEADER), multiplier)
    if charge is None and isinstance(body.get("usage"), dict):
        charge = pico_of(body["usage"].get("cost"), multiplier)
    if charge is not None:
        benchmark = pico_of(headers.get(BENCHMARK_HEADER))
        saved = pico_of(headers.get(SAVED_HEADER), signed=True)
        return Cost(charge, CostState.SETTLED, benchmark, saved, headers.get(TIER_HEADER))
    usage = usage_of(body)
    if usage is not None:
        return Cost(_computed(usage, model, multiplier), CostState.COMPUTED)
    if learned_usd is not None:
        return Cost(round(learned_usd * PICO_PER_USD), CostState.ESTIMATED)
    return UNKNOWN_COST


def _computed(usage: Usage, model: Model, multiplier: float) -> int:
    listed = usage.prompt_tokens * model.input_usd + usage.completion_tokens * model.output_usd
    return round(listed * multiplier * PICO_PER_USD)
