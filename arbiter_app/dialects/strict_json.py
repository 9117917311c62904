"""What a caller sends as JSON: strict, of a size that is handled in milliseconds."""

from __future__ import annotations

from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.errors import BadRequest
from arbiter_app.pipeline.types import Json

MAX_VALUES = 50_000
"""JSON values in one body. Parsing a value costs up to 0.3 us, so that this bounds how long a parse takes."""
MAX_DEPTH = 200
"""Levels of nesting: a little under what orjson can write again."""
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x78\x01", b"\x78\x9c", b"\x78\xda")
"""How gzip, zstd and deflate begin."""


def load_json(body: bytes, *, halves: bool = False, most: int = MAX_VALUES) -> Any:
    """Strict JSON. Raises BadRequest: NaN, Infinity, bad UTF-8, lone surrogates, too many values, too many levels.

    `halves`: take half a surrogate pair (as U+FFFD) and any number: what JSON's grammar allows. `most`: values of a body.
    """
    if len(body) > most and _values(body, most) > most:
        raise BadRequest(f"the body holds more than {most:,} JSON values", code="invalid_json")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            if not halves:
                raise error
            value = exact_json.by_grammar(body)
        except ValueError:
            raise BadRequest(f"the body is not valid JSON: {_why(body) or error}", code="invalid_json") from None
    if isinstance(value, dict | list) and _is_deep(value):
        raise BadRequest(f"the body is nested deeper than {MAX_DEPTH} levels", code="invalid_json")
    return value


def _why(body: bytes) -> str:
    """What a body is instead of JSON in UTF-8, where that is plain to see."""
    if body.startswith(_COMPRESSED):
        return "it is compressed; send it as it is"
    return "it is UTF-16; send it as UTF-8" if body.startswith((b"\xff\xfe", b"\xfe\xff")) else ""


def _values(body: bytes, most: int) -> int:
    """About how many values a body holds, never less than half, by counting marks: inside strings only when it must."""
    if (marks := _marks(body)) <= most:
        return marks
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if (quotes := bare.count(b'"')) > 4 * most:
        return quotes // 4
    return _marks(b"".join(bare.split(b'"')[::2]))


def _marks(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _is_deep(value: Json | list[Any]) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for one in level
            for inner in (one.values() if type(one) is dict else one)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True
