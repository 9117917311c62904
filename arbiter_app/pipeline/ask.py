"""Arbiter's own questions to a free model (classifier, judge), through the same runtime client as everything else."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson

from arbiter_app.pipeline.call import Meter
from arbiter_app.pipeline.ports import Runtime, RuntimeFault
from arbiter_app.pipeline.types import Cost, Model


class Asker:
    """Asks one model one question: `await ask(system, user)` gives its text and what it cost. Raises RuntimeFault."""

    def __init__(
        self,
        runtime: Runtime,
        meter: Meter,
        model: Callable[[], Model],
        multiplier_of: Callable[[str], float],
        *,
        timeout_s: float,
        max_tokens: int,
        charged: Callable[[str, Cost], None],
    ) -> None:
        self._runtime = runtime
        self._meter = meter
        self._model = model
        self._multiplier_of = multiplier_of
        self._timeout_s = timeout_s
        self._max_tokens = max_tokens
        self._charged = charged

    async def ask(self, system: str, user: str) -> tuple[str, Cost]:
        """The model's answer to one system and one user message."""
        model = self._model()
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        payload = {"model": model.id, "messages": messages, "temperature": 0, "max_tokens": self._max_tokens}
        deadline = time.monotonic() + self._timeout_s
        reply = await self._runtime.complete(orjson.dumps(payload), deadline=deadline)
        try:
            text = reply.json["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError) as error:
            raise RuntimeFault("protocol", f"{model.id}: the answer has no text") from error
        cost = self._meter.cost_of(reply.headers, reply.json, model, multiplier=self._multiplier_of(model.id))
        self._charged(model.id, cost)
        return str(text), cost
