"""The most that a call may cost, before it is made: what is reserved of a budget. On the high side, so that a charge stays under it."""

from __future__ import annotations

import math
from collections.abc import Callable

from arbiter_app.pipeline import tiers
from arbiter_app.pipeline.meter import Meter
from arbiter_app.pipeline.optional import MARK
from arbiter_app.pipeline.plain import whole_of
from arbiter_app.pipeline.tokens import TokenRatios, estimate_messages, estimate_tokens
from arbiter_app.pipeline.types import PICO_PER_USD, Capability, ChatRequest, Cost, CostState, Json, Model, Usage

UNSTATED_TOKENS_OUT = 16_384
"""Tokens of an answer whose caller sets no limit to it: it is sent with this one (see `answer_limit`)."""
PROMPT_MARGIN, PROMPT_TOKENS = 1.5, 64
"""How far a prompt may be longer than is estimated, and what runtimes wrap it in: estimates are on the high side already ..."""
MEDIA_TOKENS = 32_768
"""... but for pictures, sound and documents, of which nobody knows the size beforehand."""
LEVEL_MARGIN = 1.25
"""How far the charge of a call may be over the mean, where a model is charged dearer than it is listed."""
UNPRICED_PICO = PICO_PER_USD // 1_000_000
"""What a token is taken to cost at most whose price nobody knows: five times the dearest embedding's."""
_FAST = '"fast"'
_ESTIMATED = frozenset({"messages", "tools"})
"""Members of a request whose tokens are estimated; of the others, a character is taken for one."""
_SEVERAL = ("n", "best_of")
"""How many answers are made of one prompt."""
_MEDIA = frozenset({Capability.VISION, Capability.AUDIO, Capability.VIDEO})


class Ceilings:
    """`multiplier_of` is the demo price override, `level_of` what a model is charged in a bucket, relative to its list price."""

    def __init__(
        self,
        meter: Meter,
        ratios: TokenRatios,
        *,
        multiplier_of: Callable[[str], float],
        level_of: Callable[[str, str], float | None],
    ) -> None:
        self._meter = meter
        self._ratios = ratios
        self._multiplier_of = multiplier_of
        self._level_of = level_of

    def pico(self, request: ChatRequest, bucket: str, model: Model) -> int:
        """The most that one call of a model for this request is taken to cost, in pico-dollars."""
        tokens_in = self._prompt_tokens(request, model)
        level = self._level_of(bucket, model.id) or 0.0
        times = self._multiplier_of(model.base) * max(1.0, LEVEL_MARGIN * level if level > 1 else 1.0)
        hurry = request.native is not None and request.native.members.get("speed") == _FAST
        times *= tiers.times(request.payload.get("service_tier"), fast=hurry)
        return self._meter.ceiling_pico(
            tokens_in,
            self._answer_tokens(request, model, tokens_in),
            model,
            times,
            cache=any(MARK in text for text in request.written.values()),
            media=bool(request.needs & _MEDIA),
        )

    def tokens_pico(self, tokens: int, model: Model) -> int:
        """The same of so many tokens of prompt and no answer; at a cautious price where nobody knows the model's."""
        pico = self._meter.ceiling_pico(tokens, 0, model, self._multiplier_of(model.base))
        return pico if model.priced else max(pico, tokens * UNPRICED_PICO)

    def question_pico(self, asked_chars: int, room: int, model: Model) -> int:
        """The same of a question of Arbiter's own: of so many characters, with room for so many tokens."""
        return self._meter.ceiling_pico(2 * asked_chars + PROMPT_TOKENS, room, model, self._multiplier_of(model.base))

    def received(self, request: ChatRequest, model: Model, body: Json, most_pico: int) -> Cost:
        """What an answer is taken to cost whose usage nobody states: by what was received of it, never over what was reserved."""
        said = body.get("choices")
        usage = Usage(
            estimate_messages(request.messages, request.payload.get("tools")),
            estimate_tokens(_spoken(said)) if said else 0,
        )
        pico = self._meter.computed_pico(usage, model, self._multiplier_of(model.base))
        return Cost(min(pico, most_pico), CostState.ESTIMATED)

    def _prompt_tokens(self, request: ChatRequest, model: Model) -> int:
        estimated = estimate_messages(request.messages, request.payload.get("tools"))
        most = math.ceil(estimated * max(1.0, self._ratios.of(model.base)) * PROMPT_MARGIN) + PROMPT_TOKENS
        others = sum(len(text) for name, text in request.written.items() if name not in _ESTIMATED)
        return most + others + (MEDIA_TOKENS if request.needs & _MEDIA else 0)

    def answer_tokens(self, request: ChatRequest, model: Model) -> int:
        """The most tokens that one answer is taken to have: what its caller allows, else UNSTATED_TOKENS_OUT, within the window."""
        return self._stated(request, model, self._prompt_tokens(request, model))

    def _stated(self, request: ChatRequest, model: Model, tokens_in: int) -> int:
        if request.max_tokens is not None:
            return request.max_tokens
        window = model.context_tokens
        return UNSTATED_TOKENS_OUT if window is None else min(UNSTATED_TOKENS_OUT, max(1, window - tokens_in))

    def _answer_tokens(self, request: ChatRequest, model: Model, tokens_in: int) -> int:
        stated = self._stated(request, model, tokens_in)
        return stated * max(1, *(whole_of(request.payload.get(name)) or 1 for name in _SEVERAL))


def _spoken(choices: object) -> str:
    """All text in the choices of an answer: what was said, thought and called."""
    if isinstance(choices, str):
        return choices
    if isinstance(choices, dict):
        return "\n".join(_spoken(inner) for inner in choices.values())
    return "\n".join(map(_spoken, choices)) if isinstance(choices, list) else ""
