"""Shapes of answers that a prompt asks for in words: JSON by a schema, or fields between marks.

That is how instructor, LangChain, the AI SDK and DSPy ask models that have no `response_format`, and their first example
is what a visitor of the sandbox tries.
"""

from __future__ import annotations

import json
import re
from typing import Any

from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.sandbox.tasks import text_of

READ_CHARS = 20_000
MOST_OBJECTS = 40
_DECODER = json.JSONDecoder()
_MARKED = re.compile(r"respond with the corresponding output fields.{0,2000}", re.IGNORECASE | re.DOTALL)
_LISTED = re.compile(
    r"respond with a json object in the following order of fields:?(.{0,2000})", re.IGNORECASE | re.DOTALL
)
_MARK = re.compile(r"`?\[\[ ## (\w+) ## \]\]`?((?: \(must be formatted as a valid Python (?:int|float|bool)\))?)")
_FIELD = re.compile(r"`(\w+)`((?: \(must be formatted as a valid Python (?:int|float|bool)\))?)")


def schema_in(messages: list[Json]) -> Json | None:
    """The JSON schema that the prompt asks the answer to follow: the last one in it; None when there is none."""
    for text in _texts(messages):
        if "schema" in text.lower() and (found := _last_schema(text)) is not None:
            return found
    listed = next((match for text in _texts(messages) if (match := _LISTED.search(text))), None)
    if listed is None:
        return None
    return {"type": "object", "properties": {name: _kind(must) for name, must in _FIELD.findall(listed[1])}}


def marked_fields(messages: list[Json]) -> list[tuple[str, Json]]:
    """The fields that the answer is to have between marks, in order, each with a schema of its value."""
    asked = next((match[0] for text in _texts(messages) if (match := _MARKED.search(text))), "")
    return [(name, _kind(must)) for name, must in _MARK.findall(asked) if name != "completed"]


def _texts(messages: list[Json]) -> list[str]:
    """What may say so: the last message of the user, and the instructions."""
    asks = [one for one in messages if one.get("role") == "user"][-1:]
    rules = [one for one in messages if one.get("role") in ("system", "developer")]
    return [text_of(one.get("content"))[:READ_CHARS] for one in (*asks, *rules)]


def _last_schema(text: str) -> Json | None:
    found, at = None, 0
    for _ in range(MOST_OBJECTS):
        at = text.find("{", at)
        if at < 0:
            break
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        if _is_schema(value):
            found = value
    return found


def _is_schema(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return isinstance(value.get("properties"), dict) or "$ref" in value or value.get("type") in ("object", "array")


def _kind(must: str) -> Json:
    words = must.rstrip(")").rsplit(" ", 1)[-1]
    return {"type": {"int": "integer", "float": "number", "bool": "boolean"}.get(words, "string")}
