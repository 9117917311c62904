"""Fields of a request that carry no meaning for the answer: keys of caches, marks of what is to be cached, who asks, what is kept.

Clients send them to whoever they were made for. A runtime that refuses one is asked once again without them, before another model is.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.ports import Refusal, Refused
from arbiter_app.pipeline.types import ChatRequest, Json

MARK = "cache_control"
"""Stands in messages, their parts, and tools."""
FIELDS = (
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "metadata",
    "store",
    "user",
    "stream_options",
)
WITHOUT = "without"
"""Among members of our own: the names of those that are left out (`ChatRequest.body`)."""
_COMMON = frozenset({"metadata", "store", "user"})
"""Words that a refusal may use of something else: they count where they are called a field."""
_MARKED = f'"{MARK}"'
_HOLDERS = ("messages", "tools")


def refused(refusal: Refusal | None, request: ChatRequest) -> frozenset[str]:
    """The optional fields of a request that a refusal is about; empty where it is about anything else."""
    if refusal is None or refusal.means not in (Refused.UNSUPPORTED, Refused.INVALID):
        return frozenset()
    return frozenset(name for name in present(request) if _is_named(name, refusal))


def present(request: ChatRequest) -> tuple[str, ...]:
    """The optional fields that a runtime is sent with a request."""
    sent = request.written.keys() | ({"stream_options"} if request.stream else set())
    marked = any(_MARKED in request.written.get(holder, "") for holder in _HOLDERS)
    return (*[name for name in FIELDS if name in sent], *([MARK] if marked else []))


def without(request: ChatRequest, names: Collection[str], own: Json) -> Json:
    """Our own members of a request that is sent without some optional fields."""
    made = {**own, WITHOUT: frozenset(names) - {MARK}}
    if MARK not in names:
        return made
    for holder in _HOLDERS:
        given = own.get(holder, request.written.get(holder))
        text = orjson.dumps(given) if isinstance(given, orjson.Fragment) else given
        text = text.encode() if isinstance(text, str) else text
        if text is not None and _MARKED.encode() in text:
            made[holder] = orjson.Fragment(exact_json.dumps(_unmarked(exact_json.exact(text), 3)))
    return made


def _is_named(name: str, refusal: Refusal) -> bool:
    if name in re.split(r"[.\[\]]+", refusal.param or ""):
        return True
    words = refusal.message.lower()
    if name in _COMMON:
        return re.search(rf"(?:parameters?|arguments?|fields?|propert\w+|supplied)\b\W+{name}\b", words) is not None
    return re.search(rf"(?<![\w.]){name}\b|[\w\]]\.{name}\b", words) is not None


def _unmarked(value: Any, levels: int) -> Any:
    """Messages or tools without the marks; what is deeper is the work itself, and may be named like anything."""
    if isinstance(value, list):
        return [_unmarked(one, levels) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: inner for name, inner in value.items() if name != MARK}
    return {
        name: _unmarked(inner, levels - 1) if name == "content" and levels else inner for name, inner in kept.items()
    }
