"""The response cache as a part of the lifecycle: a kept answer in the place of stages 2 to 4, and what is kept afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson

from arbiter_app.pipeline.cache import Cached, CacheKeys, ResponseCache
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.meaning import MeaningIndex
from arbiter_app.pipeline.ports import SharedAnswers
from arbiter_app.pipeline.types import ChatRequest, Completion, Cost, CostState, Grade, Mode


class CachedAnswers:
    """Answers decisions from the cache: to the same prompt, or, with `meaning`, to one that means the same; with `shared`, also what
    other hosts have kept."""

    def __init__(
        self,
        cache: ResponseCache | None,
        meaning: MeaningIndex | None,
        keys: Callable[[ChatRequest], CacheKeys | None],
        shared: SharedAnswers | None = None,
    ) -> None:
        self._shared = shared
        self._cache = cache
        self._meaning = meaning
        self._keys = keys

    def begin(self, decision: Decision) -> None:
        """Whether this request may be answered from here, and under which keys."""
        decision.cache_keys = self._keys(decision.request) if self._cache is not None else None
        decision.cache = "off" if decision.cache_keys is None else "miss"

    async def look_up(self, decision: Decision) -> bool:
        """Fill in a kept answer, if there is one; the wait for an embedding counts as waiting for a model."""
        keys, seen = decision.cache_keys, decision.classification
        if self._cache is None or keys is None or seen is None:
            return False
        hit = self._cache.get(keys, time.monotonic())
        if hit is None and self._shared is not None:
            with decision.timing.waiting():
                hit = await self._of_another_host(self._cache, self._shared, keys)
        if hit is None and self._meaning is not None:
            started = time.perf_counter()
            decision.vector = await self._meaning.vector(seen.task, decision.request.ask)
            decision.timing.waited_ms += (time.perf_counter() - started) * 1000
            found = self._meaning.nearest(keys.shape, decision.vector) if decision.vector is not None else None
            kept = self._cache.at(found[0], time.monotonic()) if found is not None else None
            hit = (kept, found[1]) if kept is not None and found is not None else None
        if hit is not None:
            _serve(decision, *hit)
        return hit is not None

    def keep(self, decision: Decision) -> None:
        """Offer a finished answer to the cache (again when a late grade has come)."""
        done, keys = decision.completion, decision.cache_keys
        if self._cache is None or keys is None or done is None or decision.cache != "miss":
            return
        if done.large or done.finish_reason not in ("stop", "tool_calls"):
            return
        body = done.raw or orjson.dumps(done.body)
        kept = self._cache.put(keys, body, done.model, decision.grade, time.monotonic())
        own = self._cache.at(keys.near, time.monotonic()) if kept and self._shared is not None else None
        if self._shared is not None and own is not None:
            self._shared.put(keys.near, own.packed())
        if kept and self._meaning is not None and decision.vector is not None:
            self._meaning.keep(keys, decision.vector)

    async def _of_another_host(
        self, cache: ResponseCache, shared: SharedAnswers, keys: CacheKeys
    ) -> tuple[Cached, float] | None:
        """What another host has kept, which is kept here, too, from then on."""
        packed = await shared.get(keys.near)
        found = None if packed is None else Cached.unpacked(packed, time.monotonic())
        if found is not None:
            cache.hold(keys.near, found)
        return cache.get(keys, time.monotonic())


def _serve(decision: Decision, kept: Cached, similarity: float) -> None:
    """Fill in the decision of a kept answer: no model was asked and nothing was charged."""
    body = orjson.loads(kept.body)
    decision.mode, decision.cache, decision.cache_similarity = Mode.CACHE, "hit", similarity
    decision.reason = f"the same prompt was answered by {kept.model} before, graded {kept.grade.quality:.2f}"
    decision.grade = Grade(kept.grade.quality, kept.grade.reason, "cache")
    text = body["choices"][0]["message"].get("content")
    decision.completion = Completion(
        model=kept.model,
        body=body,
        raw=kept.body,
        text=text if isinstance(text, str) else "",
        tool_calls=[],
        usage=None,
        cost=Cost(0, CostState.SETTLED),
        latency_ms=0.0,
        first_byte_ms=0.0,
        finish_reason="stop",
    )
