"""Who takes a part (baseline, classifier, judge) that the catalog gives to a model which the runtime does not list."""

from __future__ import annotations

import re
from collections.abc import Sequence

from arbiter_app.pipeline.types import Model

TYPICAL_TOKENS = (1_000, 300)
BASELINE_FACTOR = 4.0
"""A stand-in for the baseline serves real traffic: one dearer than this many times the wanted one's price is not taken."""
_SMALL = re.compile(r"mini|nano|small|lite|flash|haiku|tiny|instant|(?<![\d.])[0-9](?:\.\d+)?b(?![a-z])", re.I)
_TINY = re.compile(r"(?<![\d.])[0-3](?:\.\d+)?b(?![a-z])|tiny", re.I)
_THINKS = re.compile(r"(?:^|[-_/])(?:o[134]|r1|qwq)(?:[-_]|$)|think|reason", re.I)
_SIZE = re.compile(r"(\d{1,4}(?:\.\d+)?)b(?![a-z])", re.I)


def typical_usd(model: Model) -> float:
    """Price of a typical request at list prices."""
    return TYPICAL_TOKENS[0] * model.input_usd + TYPICAL_TOKENS[1] * model.output_usd


def strongest(models: Sequence[Model], wanted_usd: float) -> Model:
    """The dearest that is not far dearer than the wanted one; where no price is known, the largest by its name."""
    priced = [model for model in models if model.priced and typical_usd(model) > 0]
    within = [model for model in priced if typical_usd(model) <= BASELINE_FACTOR * wanted_usd]
    if within:
        return max(within, key=typical_usd)
    if priced:
        return min(priced, key=typical_usd)
    return max(models, key=lambda model: (not _SMALL.search(model.id), _size(model.id), model.context_tokens or 0))


def cheapest_first(models: Sequence[Model]) -> tuple[Model, ...]:
    """By price, and behind all others those that are tiny, or think at length before they say one word."""
    return tuple(
        sorted(models, key=lambda one: (bool(_TINY.search(one.id)), bool(_THINKS.search(one.id)), typical_usd(one)))
    )


def _size(name: str) -> float:
    return max((float(found) for found in _SIZE.findall(name)), default=0.0)
