"""The response cache: a repeated prompt is answered from memory, without a model.

A request hits that is the same byte for byte: every message and parameter (also `user`, and those that only a runtime of the caller's
own dialect knows), the caller, its allow-list and its wishes for quality. It
may be answered from here only where it asks for no randomness (temperature 0, or a seed), or for the cache; or where the
operator serves all from it. Near-identical prompts are a setting. Only well-graded, finished answers get in; count, bytes
and age are bounded. Keys are digests: no prompt text is kept.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass

import orjson

from arbiter_app.pipeline.never_sent import OWN
from arbiter_app.pipeline.types import ChatRequest, Grade, Json

_IGNORED = frozenset({"model", "messages", "stream", "stream_options", "store"})
_PLAIN_WORDS = re.compile(r"\s*[^\W\d_]+(?:[ ,'-]+[^\W\d_]+)*\s*[.?]?\s*")
"""A line of words, whose spacing and full stop no answer depends on; in anything else it may."""
MAX_CACHED_BYTES = 256_000
MAX_NEAR_CHARS = 500


@dataclass(frozen=True, slots=True)
class Cached:
    """A kept answer: its body as bytes, the model that gave it, its grade, the bucket, and when it was kept (seconds)."""

    body: bytes
    model: str
    grade: Grade
    kept: float
    exact: int

    def packed(self) -> bytes:
        """The same for other hosts, but for when it was kept: a line of JSON, and the body."""
        about = {
            "model": self.model,
            "quality": self.grade.quality,
            "reason": self.grade.reason,
            "exact": f"{self.exact:x}",
        }
        return orjson.dumps(about) + b"\n" + self.body

    @classmethod
    def unpacked(cls, packed: bytes, now: float) -> Cached | None:
        """What another host has packed; None for anything else."""
        line, newline, body = packed.partition(b"\n")
        try:
            about, answer = orjson.loads(line), orjson.loads(body)
            grade = Grade(float(about["quality"]), str(about["reason"]))
            found = cls(body, str(about["model"]), grade, now, int(about["exact"], 16))
            whole = (
                bool(newline)
                and isinstance(answer["choices"][0]["message"], dict)
                and 0 <= float(about["quality"]) <= 1
            )
        except (ValueError, TypeError, KeyError, IndexError):
            return None
        return found if whole else None


@dataclass(frozen=True, slots=True)
class CacheKeys:
    """A number that tells the request as it stands, and digests of it with its near-identical form (where there is one), and without it."""

    exact: int
    near: str
    shape: str


def keys_of(request: ChatRequest, *, everybody: bool = False, near: bool = False) -> CacheKeys | None:
    """The cache keys of a request; None when it must not be cached, or is too big to repeat.

    That is when it opted out, is pinned, wants several answers or what no chat can say, or, unless `everybody`, may be answered differently each
    time. `near`: a near-identical prompt may hit, too.
    """
    payload = request.payload
    if (
        request.body_bytes > MAX_CACHED_BYTES
        or request.no_cache
        or request.untranslatable is not None
        or request.pin is not None
        or payload.get("n", 1) not in (1, None)
        or not (everybody or request.cache or _asks_for_the_same(payload))
    ):
        return None
    allow = sorted(request.allow) if request.allow is not None else None
    kept = sorted((name, text) for name, text in request.written.items() if name not in _IGNORED)
    shape = [request.caller.key_id, allow, request.objective, request.tolerance, kept, _native(request)]
    exact = _digest([shape, request.written.get("messages")])
    last = request.messages[-1]
    normal = _normalised(last.get("content")) if near else None
    others = [request.messages[:-1], {key: value for key, value in last.items() if key != "content"}]
    partition = _digest([shape, others])
    return CacheKeys(int(exact, 16), exact if normal is None else _digest([partition, normal]), partition)


def _native(request: ChatRequest) -> list[tuple[str, str]]:
    """The members of a request in another dialect, each as it was written, but for its history, which the chat has."""
    native = request.native
    if native is None:
        return []
    left_out = {*_IGNORED, native.history}
    return sorted(one for one in native.members.items() if one[0] not in left_out and not one[0].startswith(OWN))


def _asks_for_the_same(payload: Json) -> bool:
    """Whether the caller wants no randomness: temperature 0, or a seed."""
    temperature = payload.get("temperature")
    cold = isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature == 0
    return cold or payload.get("seed") is not None


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

    def get(self, keys: CacheKeys, now: float) -> tuple[Cached, float] | None:
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

    def put(self, keys: CacheKeys, body: bytes, model: str, grade: Grade, now: float) -> bool:
        """Keep an answer (its JSON) if it is graded well enough; says whether it was kept."""
        if grade.quality is None or grade.quality < self._min_quality or self._entries == 0:
            return False
        if len(body) > self._max_bytes // 16:
            return False
        kept = bytes(memoryview(body))  # a copy of its length: what orjson gives holds four kilobytes
        self.hold(keys.near, Cached(kept, model, grade, now, keys.exact))
        return True

    def hold(self, near: str, cached: Cached) -> None:
        """Keep an answer that is good enough; the least recently used give way."""
        self._drop(near)
        self._kept[near] = cached
        self._bytes += len(cached.body)
        while len(self._kept) > self._entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

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


def _normalised(content: object) -> str | None:
    """A line of plain words without what no answer depends on; None for everything else."""
    if isinstance(content, str) and len(content) <= MAX_NEAR_CHARS and _PLAIN_WORDS.fullmatch(content):
        return " ".join(content.split()).rstrip(".? ")
    return None
