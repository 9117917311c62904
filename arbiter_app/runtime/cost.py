"""What one call cost: read from the runtime's own statements first, computed or estimated only where it says nothing.

settled    x-btl-customer-charge header, or usage.cost in the body
computed   usage x catalog price
estimated  learned mean of the bucket, when usage is missing
unknown    none of these; never zero
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

from arbiter_app.pipeline.types import PICO_PER_USD, UNKNOWN_COST, Cost, CostState, Json, Model, Usage

CHARGE_HEADER = "x-btl-customer-charge"
BENCHMARK_HEADER = "x-btl-benchmark-cost"
SAVED_HEADER = "x-btl-saved"
TIER_HEADER = "x-btl-cache-tier"

_MAX_CHARGE_USD = Decimal(100_000)
_MAX_TOKENS = 1 << 40
_AMOUNT = re.compile(r"[+-]?(?:\d{1,20}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_PLAIN = re.compile(r"(\d{1,4})\.(\d{1,12})", re.ASCII)
"""What runtimes mostly send, and whole pico-dollars well under the largest charge: read without decimal arithmetic."""
_PICO_DIGITS = 12
_PRICE_STEP_PICO = Decimal("0.000001")


def pico_of(stated: object, multiplier: float = 1.0, *, signed: bool = False) -> int | None:
    """Exact pico-dollars of an amount stated in USD (string or number); None when it is no sensible amount.

    NaN, infinities, junk, more than 100,000 USD, and (unless `signed`) negative amounts are no statement at all.
    """
    if stated is None or isinstance(stated, bool):
        return None
    text = str(stated).strip()
    plain = _PLAIN.fullmatch(text) if multiplier == 1.0 else None
    if plain is not None:
        return int(plain[1]) * PICO_PER_USD + int(plain[2].ljust(_PICO_DIGITS, "0"))
    if not _AMOUNT.fullmatch(text):
        return None
    amount = Decimal(text)
    if abs(amount) > _MAX_CHARGE_USD or (amount < 0 and not signed):
        return None
    pico = amount * PICO_PER_USD if multiplier == 1.0 else amount * PICO_PER_USD * Decimal(repr(multiplier))
    return int(pico.to_integral_value())


def usage_of(body: Json) -> Usage | None:
    """Token counts of an answer; None when they are missing or make no sense."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    tokens_in, tokens_out = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(tokens_in) is not int or type(tokens_out) is not int:
        return None
    sane = 0 <= tokens_in < _MAX_TOKENS and 0 <= tokens_out < _MAX_TOKENS
    return Usage(tokens_in, tokens_out) if sane else None


def cost_of(
    headers: Mapping[str, str],
    answer: Json | Usage | None,
    model: Model,
    *,
    multiplier: float = 1.0,
    learned_usd: float | None = None,
) -> Cost:
    """The cost of one answer and how it is known. `answer` is its body, or the usage alone; headers are lower-case.

    `multiplier` is the demo price override: it scales stated and computed charges. `learned_usd` is a mean of costs
    that were already scaled, and is taken as it is.
    """
    body: Json = answer if isinstance(answer, dict) else {}
    charge = pico_of(headers.get(CHARGE_HEADER), multiplier)
    if charge is None and isinstance(body.get("usage"), dict):
        charge = pico_of(body["usage"].get("cost"), multiplier)
    if charge is not None:
        benchmark = pico_of(headers.get(BENCHMARK_HEADER))
        saved = pico_of(headers.get(SAVED_HEADER), signed=True)
        return Cost(charge, CostState.SETTLED, benchmark, saved, headers.get(TIER_HEADER))
    usage = answer if isinstance(answer, Usage) else usage_of(body)
    if usage is not None:
        return Cost(computed_pico(usage, model, multiplier), CostState.COMPUTED)
    if learned_usd is not None:
        return Cost(round(learned_usd * PICO_PER_USD), CostState.ESTIMATED)
    return UNKNOWN_COST


def computed_pico(usage: Usage, model: Model, multiplier: float = 1.0) -> int:
    """List price of these tokens in pico-dollars, exact for prices of up to twelve decimals per million tokens."""
    listed = usage.prompt_tokens * _price(model.input_usd) + usage.completion_tokens * _price(model.output_usd)
    return int((listed * Decimal(repr(multiplier))).to_integral_value())


@lru_cache(maxsize=1024)
def _price(usd_per_token: float) -> Decimal:
    """Pico-dollars a token: the decimal that was written in the catalog, without the dust of its binary form."""
    return Decimal(repr(usd_per_token * PICO_PER_USD)).quantize(_PRICE_STEP_PICO).normalize()
