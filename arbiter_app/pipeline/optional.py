"""Fields of a request that carry no meaning for the answer: keys of caches, marks of what is to be cached, who asks, what is kept, and
any that says what is so without it.

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
NEUTRAL: Json = {
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "repetition_penalty": 1,
    "logit_bias": {},
    "logprobs": False,
    "top_logprobs": 0,
    "top_p": 1,
    "min_p": 0,
    "n": 1,
    "stop": [],
    "tools": [],
    "functions": [],
    "service_tier": "auto",
    "modalities": ["text"],
}
"""Values that change nothing; so does null, of any field. Many clients send all that they know, and some servers refuse what they do not."""
_SMALL_CHARS = 40
_NEEDED = frozenset({"messages", "model", "stream"})
WITHOUT = "without"
"""Among members of our own: the names of those that are left out (`ChatRequest.body`)."""
_COMMON = frozenset(
    {"metadata", "store", "user", "n", "stop", "tools", "functions", "logprobs", "modalities", "seed", "audio"}
)
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
    neutral = [name for name, text in request.written.items() if name not in FIELDS and is_neutral(name, text)]
    return (*[name for name in FIELDS if name in sent], *neutral, *([MARK] if marked else []))


def is_neutral(name: str, text: str) -> bool:
    """Whether a field has the value that it has where it is not stated; `text` is its JSON."""
    if name in _NEEDED or len(text) > _SMALL_CHARS:
        return False
    return text == "null" or (name in NEUTRAL and bool(orjson.loads(text) == NEUTRAL[name]))


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
    if "_" in name and name.replace("_", "") in words:  # xAI names fields in camel case
        return True
    if name in _COMMON:
        return (
            re.search(rf"(?:parameters?|arguments?|fields?|propert\w+|supplied|on this model)\b\W+{name}\b", words)
            is not None
        )
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
