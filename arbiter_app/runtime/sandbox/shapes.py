"""Values that satisfy a JSON schema, as far as everyday schemas go, and values that do not."""

from __future__ import annotations

from typing import Any

from arbiter_app.pipeline.types import Json

MAX_DEPTH = 8
MAX_LENGTH = 1_000
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "ada@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}


def instance_of(schema: Any, root: Json | None = None, depth: int = 0) -> Any:
    """A value that satisfies `schema`: the smallest one that has all declared properties."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return None
    root = schema if root is None else root
    if isinstance(schema.get("$ref"), str):
        return instance_of(_resolved(schema["$ref"], root), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            return instance_of(schema[key][0], root, depth + 1)
    if isinstance(schema.get("allOf"), list):
        merged: Json = {}
        for part in schema["allOf"]:
            merged = {**merged, **part} if isinstance(part, dict) else merged
        return instance_of(merged, root, depth + 1)
    return _typed(schema, root, depth)


def _typed(schema: Json, root: Json, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind in ("object", "dict"):
        inner = schema.get("properties")
        properties = inner if isinstance(inner, dict) else {}
        made = {key: instance_of(part, root, depth + 1) for key, part in properties.items()}
        required = schema.get("required")
        wanted = required if isinstance(required, list) else []
        return made | {key: "x" for key in wanted if isinstance(key, str) and key not in made}
    if kind in ("array", "list", "tuple"):
        count = min(20, max(1, _whole(schema, "minItems", 1)), _whole(schema, "maxItems", 20))
        return [instance_of(schema.get("items", {}), root, depth + 1) for _ in range(count)]
    if kind in ("integer", "number", "float"):
        return _number(schema)
    if kind in ("boolean", "null"):
        return True if kind == "boolean" else None
    return _text(schema)


def broken(value: Any, text: str, *, visibly: bool) -> str:
    """JSON text that fails: cut short when `visibly`, else valid with a required key gone and a type changed."""
    if visibly or not isinstance(value, dict) or not value:
        return text[: max(1, len(text) - 1)].rstrip("}]\"' ") + ","
    first, *others = value
    return "{" + ", ".join(f'"{key}": [[null]]' for key in others) + (f'"not_{first}": 0' if not others else "") + "}"


def _resolved(reference: str, root: Json) -> Any:
    place: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        place = place.get(part) if isinstance(place, dict) else None
    return place


def _number(schema: Json) -> Any:
    step = schema.get("multipleOf")
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    value: Any = 1
    if isinstance(low, int | float) and low >= 1:
        value = low + (1 if "exclusiveMinimum" in schema else 0)
    elif isinstance(high, int | float) and high <= 1:
        value = high - (1 if "exclusiveMaximum" in schema else 0)
    if isinstance(step, int | float) and step > 0:
        value = -(-value // step) * step
    return value


def _text(schema: Json) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[str(schema["format"])]
    least, most = _whole(schema, "minLength", 0), _whole(schema, "maxLength", MAX_LENGTH)
    return ("example" + "e" * max(0, min(least, MAX_LENGTH) - 7))[:most]


def _whole(schema: Json, key: str, default: int) -> int:
    value = schema.get(key, default)
    return value if type(value) is int and value >= 0 else default
