"""The response cache: a repeated prompt is answered from memory, without a model.

Exact and near-identical prompts hit (letter case, spacing and closing punctuation of the latest ask do not count).
Entries are partitioned by caller, system prompt, tools, format and every other parameter of the request; only
well-graded, finished answers get in; count, bytes and age are bounded. Keys are digests: no prompt text is kept.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import orjson

from arbiter_app.pipeline.types import ChatRequest, Grade, Json
from arbiter_app.policy.values import value

_IGNORED = frozenset({"model", "messages", "stream", "stream_options", "user", "metadata", "store"})
MAX_CACHED_BYTES = 256_000


@value
class Cached:
    """A kept answer: its body as bytes, the model that gave it, its grade, the bucket, and when it was kept (seconds)."""

    body: bytes
    model: str
    grade: Grade
    kept: float
    exact: int


@value
class Keys:
    """A hash of the latest ask as it stands, and digests of the request with its near-identical form, and without it."""

    exact: int
    near: str
    shape: str


def keys_of(request: ChatRequest) -> Keys | None:
    """The cache keys of a request; None when it must not be cached (opted out, pinned, n > 1) or is too big to repeat."""
    payload = request.payload
    if (
        request.body_bytes > MAX_CACHED_BYTES
        or request.no_cache
        or request.pin is not None
        or payload.get("n", 1) not in (1, None)
    ):
        return None
    kept = {key: value for key, value in payload.items() if key not in _IGNORED}
    allow = sorted(request.allow) if request.allow is not None else None
    shape = _digest([request.caller.key_id, allow, kept, request.messages[:-1], _without_text(request.messages[-1])])
    last = request.messages[-1].get("content")
    exact = hash(last if isinstance(last, str) else orjson.dumps(last))
    return Keys(exact, _digest([shape, _normalised(last)]), shape)


class ResponseCache:
    """Least-recently-used answers by near-identical key. All methods are O(1); `now` is in seconds."""

    def __init__(self, *, entries: int, max_bytes: int, ttl_s: float, min_quality: float) -> None:
        self._entries = entries
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._min_quality = min_quality
        self._kept: OrderedDict[str, Cached] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, keys: Keys, now: float) -> tuple[Cached, float] | None:
        """The kept answer and its similarity (1.0 exact, 0.99 near-identical); None when there is none."""
        hit = self.at(keys.near, now)
        return None if hit is None else (hit, 1.0 if hit.exact == keys.exact else 0.99)

    def at(self, near: str, now: float) -> Cached | None:
        """The kept answer under one key, if it is young enough."""
        hit = self._kept.get(near)
        if hit is None:
            return None
        if now - hit.kept > self._ttl_s:
            self._drop(near)
            return None
        self._kept.move_to_end(near)
        return hit

    def put(self, keys: Keys, body: bytes, model: str, grade: Grade, now: float) -> bool:
        """Keep an answer (its JSON) if it is graded well enough; says whether it was kept."""
        if grade.quality is None or grade.quality < self._min_quality or self._entries == 0:
            return False
        if len(body) > self._max_bytes // 16:
            return False
        kept = bytes(memoryview(body))  # a copy of its length: what orjson gives holds four kilobytes
        self._drop(keys.near)
        self._kept[keys.near] = Cached(kept, model, grade, now, keys.exact)
        self._bytes += len(kept)
        while len(self._kept) > self._entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))
        return True

    def forget(self) -> None:
        """Drop everything."""
        self._kept.clear()
        self._bytes = 0

    def _drop(self, key: str) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._bytes -= len(gone.body)


def _digest(value: object) -> str:
    packed = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(packed, digest_size=16).hexdigest()


def _without_text(message: Json) -> Json:
    return {key: value for key, value in message.items() if key != "content"}


def _normalised(content: object) -> object:
    if isinstance(content, str):
        return " ".join(content.split()).rstrip(".!? ").casefold()
    return content
