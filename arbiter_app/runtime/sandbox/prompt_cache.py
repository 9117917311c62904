"""The simulated provider's cache of prompts: what was sent to a model within five minutes need not be read anew.

As with providers, a prefix counts from 1,024 tokens on, ends with a message, and is kept anew by each use. Unmarked prompts are cached by
themselves, and writing costs nothing; where `cache_control` marks stand, what is up to the last of them is, and writing is paid for.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson

from arbiter_app.pipeline.types import Json

LEAST_TOKENS = 1_024
KEPT_S = 300.0
MOST = 20_000
_MARK = b'"cache_control"'


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Tokens of one prompt that were read from the cache, and that were written to it for a price."""

    read: int = 0
    written: int = 0


FRESH = CacheUse()


@dataclass(slots=True)
class PromptCache:
    """The prefixes by model, each until when it is kept, in seconds of the clock that is passed in."""

    _until: OrderedDict[bytes, float] = field(default_factory=OrderedDict)

    def use(self, model: str, payload: Json, sizes: list[int], now: float) -> CacheUse:
        """Send a prompt: `sizes` are the tokens of its tools and of each message, in this order."""
        prefixes = list(_prefixes(model, payload, sizes))
        marked = [(digest, tokens) for digest, tokens, mark in prefixes if mark]
        kept = [
            one for one in (marked or [(digest, tokens) for digest, tokens, _ in prefixes]) if one[1] >= LEAST_TOKENS
        ]
        read = max((tokens for digest, tokens in kept if self._until.get(digest, 0.0) > now), default=0)
        for digest, _ in kept:
            self._until[digest] = now + KEPT_S
            self._until.move_to_end(digest)
        while len(self._until) > MOST:
            self._until.popitem(last=False)
        last = kept[-1][1] if kept else 0
        return CacheUse(min(read, sum(sizes) - 1), max(0, last - read) if marked else 0)

    def forget(self) -> None:
        """Keep nothing."""
        self._until.clear()


def _prefixes(model: str, payload: Json, sizes: list[int]) -> Iterator[tuple[bytes, int, bool]]:
    """For each message: the digest of the prompt up to its end, the tokens of that, and whether a mark stands in it."""
    digest = hashlib.blake2b(model.encode(), digest_size=12)
    tokens = 0
    parts = [payload.get("tools") or payload.get("functions") or [], *payload["messages"]]
    for part, size in zip(parts, sizes, strict=True):
        raw = orjson.dumps(part)
        digest.update(orjson.dumps(_unmarked(part)) if _MARK in raw else raw)
        tokens += size
        yield digest.digest(), tokens, _MARK in raw


def _unmarked(value: object) -> object:
    """A value without marks: they move on with each turn, and what they mark stays the same."""
    if isinstance(value, list):
        return [_unmarked(one) for one in value]
    if isinstance(value, dict):
        return {name: _unmarked(inner) for name, inner in value.items() if name != "cache_control"}
    return value
