"""Searching the response cache by meaning: for `factual` and `open` prompts, when an embeddings endpoint is configured."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import numpy as np
from numpy.typing import NDArray

from arbiter_app.pipeline.cache import CacheKeys
from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.pipeline.types import Task

log = logging.getLogger("arbiter.cache")

TASKS = frozenset({Task.FACTUAL, Task.OPEN})
MAX_PER_PARTITION = 500

Vector = NDArray[np.float32]


class MeaningIndex:
    """Unit vectors of kept prompts, by partition (caller, system prompt, tools, format and parameters)."""

    def __init__(self, embed: Callable[[str], Awaitable[list[float]]], *, threshold: float, entries: int) -> None:
        self._embed = embed
        self._threshold = threshold
        self._entries = entries
        self._vectors: OrderedDict[str, tuple[str, Vector]] = OrderedDict()
        self._partitions: dict[str, dict[str, Vector]] = {}

    def __len__(self) -> int:
        return len(self._vectors)

    async def vector(self, task: Task, ask: str) -> Vector | None:
        """The unit vector of a prompt that may be searched by meaning; None otherwise, and when the endpoint fails."""
        if task not in TASKS or not ask:
            return None
        try:
            found = np.asarray(await self._embed(ask), dtype=np.float32)
        except RuntimeFault as fault:
            log.info("no embedding: %s", fault.message)
            return None
        length = float(np.linalg.norm(found))
        return found / length if np.isfinite(length) and length > 0 else None

    def nearest(self, partition: str, vector: Vector) -> tuple[str, float] | None:
        """The cache key most similar to a vector within its partition, with the cosine; None under the threshold."""
        best, best_cosine = "", self._threshold
        for near, known in self._partitions.get(partition, {}).items():
            cosine = float(known @ vector) if known.shape == vector.shape else 0.0
            if cosine >= best_cosine:
                best, best_cosine = near, cosine
        return (best, best_cosine) if best else None

    def keep(self, keys: CacheKeys, vector: Vector) -> None:
        """Remember the vector of a prompt whose answer was kept."""
        self.drop(keys.near)
        partition = self._partitions.setdefault(keys.shape, {})
        if len(partition) >= MAX_PER_PARTITION:
            self.drop(next(iter(partition)))
        self._partitions.setdefault(keys.shape, {})[keys.near] = vector
        self._vectors[keys.near] = (keys.shape, vector)
        while len(self._vectors) > self._entries:
            self.drop(next(iter(self._vectors)))

    def drop(self, near: str) -> None:
        """Forget one prompt."""
        shape, _ = self._vectors.pop(near, ("", None))
        partition = self._partitions.get(shape)
        if partition is not None:
            partition.pop(near, None)
            if not partition:
                del self._partitions[shape]

    def forget(self) -> None:
        """Forget everything."""
        self._vectors.clear()
        self._partitions.clear()
