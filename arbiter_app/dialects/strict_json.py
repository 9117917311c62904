"""What a caller sends as JSON: strict, of a size that is handled in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
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
_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    exact_json.Written: "a number",
}


def load_json(body: bytes, *, halves: bool = False, most: int = MAX_VALUES) -> Any:
    """Strict JSON. Raises BadRequest: NaN, Infinity, bad UTF-8, lone surrogates, too many values, too many levels.

    `halves`: take half a surrogate pair (as U+FFFD) and any number: what JSON's grammar allows. `most`: values of a body.
    """
    _hold_count(body, most)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            if not halves:
                raise error
            value = exact_json.by_grammar(body)
        except ValueError:
            raise BadRequest(f"the body is not valid JSON: {_why(body) or error}", code="invalid_json") from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and isinstance(value, dict | list) and _is_deep(value):
        raise BadRequest(f"the body is nested deeper than {MAX_DEPTH} levels", code="invalid_json")
    return value


class Unusual(Exception):
    """What is written in no usual form: it has to be read with more care."""


class History(NamedTuple):
    """What was said before, as `messages` of a chat; the names of what was `dropped`, and whether a model may have `signed` in it."""

    messages: list[Json]
    dropped: tuple[str, ...]
    signed: bool


class Members(NamedTuple):
    """A request: its members as they are `written`, and those that were `given`, without the one that is its `history` where that could be read."""

    written: Mapping[str, str]
    given: Json
    history: History | None


def load_members(body: bytes, history: str, read: Callable[[str], History]) -> Members:
    """Strict JSON whose member `history` may be read by itself, unless `read` raises Unusual. Raises BadRequest as `load_json` does."""
    _hold_count(body, MAX_VALUES)
    written: Mapping[str, str] = {}
    try:
        written = exact_json.members(body)
        made = read(written[history])
        rest = {name: text for name, text in written.items() if name != history}
        return Members(written, load_json(exact_json.of_members(rest), halves=True), made)
    except (Unusual, msgspec.DecodeError, KeyError, ValueError, RecursionError):
        given = load_json(body, halves=True)
    if not isinstance(given, dict):
        raise BadRequest(f"the body must be a JSON object, not {kind(given)}", code="invalid_json")
    return Members(written or exact_json.members(body), given, None)


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    return _KINDS.get(type(value), "null")


def hold_flat(written: str) -> None:
    """Raises Unusual for JSON that may be nested deeper than is allowed."""
    if len(written) > 2 * MAX_DEPTH and written.count("{") + written.count("[") > MAX_DEPTH:
        raise Unusual


def _hold_count(body: bytes, most: int) -> None:
    if len(body) > most and _values(body, most) > most:
        raise BadRequest(f"the body holds more than {most:,} JSON values", code="invalid_json")


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
