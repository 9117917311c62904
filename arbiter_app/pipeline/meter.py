"""What reads money out of answers, as the core needs it (`runtime.cost`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from arbiter_app.pipeline.types import Cost, Json, Model, Usage


class Meter(Protocol):
    """Reads usage and charge out of an answer (`runtime.cost`)."""

    def cost_of(self, headers: Mapping[str, str], answer: Json, model: Model, *, multiplier: float = 1.0) -> Cost: ...

    def cost_with_usage(
        self,
        headers: Mapping[str, str],
        body: Json,
        usage: Usage | None,
        model: Model,
        *,
        multiplier: float = 1.0,
        learned_usd: float | None = None,
    ) -> Cost: ...

    def usage_of(self, body: Json, sent_bytes: int | None = None) -> Usage | None: ...

    def computed_pico(self, usage: Usage, model: Model, multiplier: float = 1.0) -> int: ...

    def ceiling_pico(
        self,
        tokens_in: int,
        tokens_out: int,
        model: Model,
        multiplier: float = 1.0,
        *,
        cache: bool = False,
        media: bool = False,
    ) -> int: ...
