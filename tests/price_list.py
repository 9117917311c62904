"""Writes `arbiter_app/pool/price_list.json` from the pinned package genai-prices: `python -m tests.price_list`.

The package itself is no part of the product: it takes 80 MB of memory in each process and brings a second HTTP client.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib import metadata

from genai_prices.data import providers
from genai_prices.types import ClauseEquals, ClauseOr, ModelInfo, TieredPrices

from arbiter_app.pool.price_list import FILE

SPECIAL = {
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "input_audio": "input_audio_mtok",
    "cached_audio": "cache_audio_read_mtok",
    "output_audio": "output_audio_mtok",
    "input_image": "input_image_mtok",
    "output_image": "output_image_mtok",
    "reasoning": "output_reasoning_mtok",
}
"""Kinds of tokens as `arbiter_app.pool.rates` names them, and the package."""
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
MAKERS = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "deepseek",
    "x-ai",
    "cohere",
    "meta",
    "moonshotai",
    "zai",
    "minimax",
)
"""Who makes a model says what it costs; after them routers and hosts, most used first."""
HOSTS = ("openrouter", "together", "groq", "fireworks", "aws", "azure", "cerebras", "novita")
EMBEDDING = re.compile(r"embed")
"""Models whose answers are not paid for by the token."""
FOREIGN = ("cursor", "github-copilot", "elevenlabs", "voyageai", "typesafe")
"""Prices of other units, or of no chats."""


def render() -> str:
    """The whole file: one row a line, `[provider, name, USD per million in, out, window, those of special tokens]`."""
    order = [*MAKERS, *HOSTS]
    ranked = sorted(providers, key=lambda one: (order.index(one.id) if one.id in order else len(order), one.id))
    rows = [
        [provider.id, name, *prices, model.context_window, *_special(model)]
        for provider in ranked
        if provider.id not in FOREIGN
        for model in provider.models
        if (prices := _prices(model)) is not None
        for name in sorted(set(_names(model)))
    ]
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    return f'{{"source":"genai-prices {metadata.version("genai-prices")}","rows":[\n{lines}\n]}}\n'


def _prices(model: ModelInfo) -> tuple[float, float] | None:
    priced = model.get_prices(AS_OF)
    sides = [_base(priced.input_mtok), _base(priced.output_mtok)]
    if sides[0] and not sides[1] and EMBEDDING.search(model.id):
        return sides[0], 0.0
    return (sides[0], sides[1]) if sides[0] and sides[1] else None


def _special(model: ModelInfo) -> list[dict[str, float]]:
    """What tokens of special kinds cost, where any have a price of their own."""
    priced = model.get_prices(AS_OF)
    found = {kind: _base(getattr(priced, name)) for kind, name in SPECIAL.items()}
    known = {kind: usd for kind, usd in found.items() if usd is not None}
    return [known] if known else []


def _base(price: Decimal | TieredPrices | None) -> float | None:
    return None if price is None else float(price.base if isinstance(price, TieredPrices) else price)


def _names(model: ModelInfo) -> Iterator[str]:
    """The model's id, and what else it is called exactly."""
    yield model.id.lower()
    clauses = model.match.or_ if isinstance(model.match, ClauseOr) else [model.match]
    yield from (one.equals.lower() for one in clauses if isinstance(one, ClauseEquals))


if __name__ == "__main__":
    FILE.write_text(render(), "utf-8")
