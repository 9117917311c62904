"""The simulated embedding models: vectors of length one that depend on the text alone, the same text the same vector."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import numpy as np
import orjson

from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.sandbox.answers import rng_of
from arbiter_app.runtime.sandbox.refusal import SandboxRefusal
from arbiter_app.runtime.sandbox.wire import tokens_of

MODELS = {
    "text-embedding-3-small": (1_536, Decimal("0.02e-6")),
    "text-embedding-3-large": (3_072, Decimal("0.13e-6")),
}
"""Numbers in a vector, and USD a token."""
MOST_TEXTS = 2_048


def embedded(payload: Json) -> tuple[Json, dict[str, str]]:
    """The answer to a request for embeddings, and the headers that state its charge. Raises SandboxRefusal."""
    name, given = str(payload.get("model")), payload.get("input")
    if name not in MODELS:
        raise SandboxRefusal(404, f"the model {name!r} does not exist", "model_not_found")
    whole, usd = MODELS[name]
    size = payload.get("dimensions") or whole
    if type(size) is not int or not 1 <= size <= whole:
        raise SandboxRefusal(400, f"dimensions must be a number from 1 to {whole}", "invalid_dimensions")
    texts = _texts(given)
    tokens = sum(len(one) if isinstance(one, list) else tokens_of(one) for one in texts)
    plain = payload.get("encoding_format", "float") != "base64"
    data = [
        {"object": "embedding", "index": at, "embedding": _vector(one, size, plain)} for at, one in enumerate(texts)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": name, "usage": usage}, {
        "x-btl-customer-charge": f"{usd * tokens:f}"
    }


def _texts(given: Any) -> list[Any]:
    """The texts: strings, or lists of tokens."""
    tokens = isinstance(given, list) and bool(given) and all(type(one) is int for one in given)
    texts = [given] if isinstance(given, str) or tokens else given
    good = (
        isinstance(texts, list)
        and 0 < len(texts) <= MOST_TEXTS
        and all(isinstance(one, str | list) and one for one in texts)
    )
    if not good:
        raise SandboxRefusal(400, f"input must hold 1 to {MOST_TEXTS} texts, none of them empty", "invalid_input")
    return list(texts)


def _vector(text: Any, size: int, plain: bool) -> list[float] | str:
    rng = np.random.default_rng(rng_of(0, orjson.dumps(text)).getrandbits(64))
    drawn = rng.standard_normal(size, dtype=np.float32)
    vector = drawn / np.linalg.norm(drawn)
    return vector.tolist() if plain else base64.b64encode(vector.tobytes()).decode()
