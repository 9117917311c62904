"""What tokens of a special kind cost: cached ones, those written to a cache, audio, pictures, reasoning.

The first of these that knows: the catalog, or the runtime by its list; the price list, whose rates are taken as shares of the model's
own price, so that they hold at another host's price, too; the providers' documented rules; and where none says anything, the plain
price of the side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from arbiter_app.pipeline.types import PICO_PER_USD, Model
from arbiter_app.pool.price_list import lookup

SPECIAL = (
    "cached",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "cached_audio",
    "output_audio",
    "input_image",
    "output_image",
    "reasoning",
)
"""The kinds, as catalog and price list name them."""
OF_THE_ANSWER = frozenset({"output_audio", "output_image", "reasoning"})
CACHED_SHARE = 0.5
"""What a cached token costs of the full price where nobody says: the dearest of the known rates (0.1 to 0.5)."""
CLAUDE_SHARE = 0.1
"""The same by Anthropic's rule for all its models."""
WRITE_SHARE, WRITE_1H_SHARE = 1.25, 2.0
"""What writing a token to a cache costs, for 5 minutes and for an hour: Anthropic's rule; the first is OpenAI's, too."""
_STEP_PICO = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Rates:
    """Pico-dollars a token, by kind; `input` and `output` are the plain prices."""

    input: Decimal
    output: Decimal
    cached: Decimal
    cache_write: Decimal
    cache_write_1h: Decimal
    input_audio: Decimal
    cached_audio: Decimal
    output_audio: Decimal
    input_image: Decimal
    output_image: Decimal
    reasoning: Decimal


def rates_of(model: Model) -> Rates:
    """The rates of a model."""
    own = tuple(sorted(model.special_usd.items()))
    if model.cached_usd is not None:
        own = (*own, ("cached", model.cached_usd))
    return _rates(model.id, model.input_usd, model.output_usd, own)


@lru_cache(maxsize=1024)
def price(usd_per_token: float) -> Decimal:
    """Pico-dollars a token: the decimal that was written in the catalog, without the dust of its binary form."""
    return Decimal(repr(usd_per_token * PICO_PER_USD)).quantize(_STEP_PICO).normalize()


@lru_cache(maxsize=1024)
def _rates(name: str, input_usd: float, output_usd: float, own: tuple[tuple[str, float], ...]) -> Rates:
    stated, shares = dict(own), _shares(name)

    def rate(kind: str, otherwise: float) -> Decimal:
        if kind in stated:
            return price(stated[kind])
        base = output_usd if kind in OF_THE_ANSWER else input_usd
        return price(base * shares.get(kind, otherwise))

    cached = CLAUDE_SHARE if "claude" in name.lower() else CACHED_SHARE
    return Rates(
        input=price(input_usd),
        output=price(output_usd),
        cached=rate("cached", cached),
        cache_write=rate("cache_write", WRITE_SHARE),
        cache_write_1h=rate("cache_write_1h", WRITE_1H_SHARE),
        input_audio=rate("input_audio", 1.0),
        cached_audio=rate("cached_audio", shares.get("cached", cached)),
        output_audio=rate("output_audio", 1.0),
        input_image=rate("input_image", 1.0),
        output_image=rate("output_image", 1.0),
        reasoning=rate("reasoning", 1.0),
    )


def _shares(name: str) -> Mapping[str, float]:
    """What the price list has for a model, each as a share of the plain price of its side."""
    known = lookup(name)
    sides = {kind: known.output_usd if kind in OF_THE_ANSWER else known.input_usd for kind in known.special_usd}
    return {kind: usd / side for kind, usd in known.special_usd.items() if (side := sides[kind])}
