"""What models turned out not to be able to: windows that are smaller than listed, parameters that they refuse.

A runtime states both when it refuses a request. That is a claim: a window has to be plausible, and everything is forgotten
again after a while. Pure bookkeeping over a clock that is passed in (seconds, monotonic).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from arbiter_app.pipeline.types import Json, Model

LEAST_WINDOW = 1_000
"""No chat model has a smaller one, in tokens."""
WINDOW_S = 86_400.0
LACK_S = 600.0
MOST_LACKS = 1_000
_EVERYWHERE = frozenset({"messages", "model", "stream", "stream_options", "user", "metadata", "store"})
_WORDS = {"tool": "tools", "function": "tools", "schema": "response_format", "json": "response_format"}


class Limits:
    """What is known of each model beyond the catalog."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[int, float]] = {}
        self._served: dict[str, int] = {}
        self._lacks: dict[tuple[str, str], float] = {}

    @property
    def known(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self._windows or self._lacks)

    def served(self, model: str, prompt_tokens: int) -> None:
        """A model answered a prompt of this size: its window is no smaller."""
        if prompt_tokens > self._served.get(model, 0):
            self._served[model] = prompt_tokens

    def learn_window(self, model: Model, window: int, most_needed: float, now: float) -> bool:
        """Believe a smaller window, as stated when a request was refused; False where it is not plausible.

        `most_needed`: the most tokens that the request can have needed, however they are counted.
        """
        known = self.window_of(model, now)
        if window < LEAST_WINDOW or window <= self._served.get(model.id, 0) or window > most_needed:
            return False
        if known is None or window < known:
            self._windows[model.id] = (window, now + WINDOW_S)
        return True

    def window_of(self, model: Model, now: float) -> int | None:
        """The window in tokens: the listed one, or a smaller one that was learned; None while it is not known."""
        learned, until = self._windows.get(model.id, (0, 0.0))
        if not learned or now >= until:
            return model.context_tokens
        return learned if model.context_tokens is None else min(learned, model.context_tokens)

    def applied(self, models: Sequence[Model], now: float) -> Sequence[Model]:
        """These models with the windows that were learned."""
        if not self._windows:
            return models
        for name in [name for name, (_, until) in self._windows.items() if now >= until]:
            del self._windows[name]
        return [replace(model, context_tokens=self.window_of(model, now)) for model in models]

    def learn_lack(self, model: str, payload: Json, param: str | None, message: str, now: float) -> None:
        """Remember for a while which field of the request the model refused, if it is said."""
        feature = refused_field(payload, param, message)
        if feature is not None and len(self._lacks) < MOST_LACKS:
            self._lacks[model, feature] = now + LACK_S

    def lacking(self, payload: Json, now: float) -> Mapping[str, str]:
        """The models that refused a field which this request has, and the field."""
        if not self._lacks:
            return {}
        for key in [key for key, until in self._lacks.items() if now >= until]:
            del self._lacks[key]
        return {model: feature for model, feature in self._lacks if feature in payload}

    def forget(self) -> None:
        """Start anew (operator reset)."""
        self._windows.clear()
        self._served.clear()
        self._lacks.clear()


def refused_field(payload: Json, param: str | None, message: str) -> str | None:
    """The field of the request that a refusal is about; None where that is not clear."""
    named = re.split(r"[.\[]", param, maxsplit=1)[0] if param else ""
    asked = {key for key in payload if key not in _EVERYWHERE}
    if named in asked:
        return named
    words = message.lower()
    for key in sorted(asked, key=len, reverse=True):
        if re.search(rf"\b{re.escape(key.lower())}\b", words):
            return key
    return next((field for word, field in _WORDS.items() if word in words and field in asked), None)
