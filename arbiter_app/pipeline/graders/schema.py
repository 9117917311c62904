"""JSON schema validation that a hostile schema cannot make slow: counted steps, no remote references, no regexes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import UnknownType, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable

MAX_STEPS = 20_000
BUDGET_S = 0.02
MAX_BYTES = 64_000
# Regular expressions of a caller can take for ever, and uniqueItems is quadratic: they are not checked.
_UNCHECKED = (
    "pattern",
    "patternProperties",
    "format",
    "uniqueItems",
    "$dynamicRef",
    "unevaluatedProperties",
    "unevaluatedItems",
)


class _TooLong(Exception):
    """The validation took more steps than it may."""


class _Steps:
    """What is left of steps and of thread time; shared by the keywords of one validation."""

    left = 0
    ends_s = 0.0

    @classmethod
    def begin(cls, budget_s: float) -> None:
        cls.left, cls.ends_s = MAX_STEPS, time.thread_time() + budget_s

    @classmethod
    def take(cls) -> None:
        cls.left -= 1
        if cls.left < 0 or time.thread_time() > cls.ends_s:
            raise _TooLong


# An empty registry retrieves nothing: a schema that points elsewhere cannot make us fetch it.
_NOTHING_TO_FETCH: Registry[Any] = Registry()


def schema_fault(value: Any, schema: Any, *, budget_s: float = BUDGET_S) -> str | None:
    """Why a value does not satisfy a schema, empty when it does; None when that cannot be told within bounds."""
    if not isinstance(schema, dict | bool):
        return None
    try:
        if len(orjson.dumps(value)) + len(orjson.dumps(schema)) > MAX_BYTES:
            return None
        _Steps.begin(budget_s)
        error = next(iter(_validator()(schema, registry=_NOTHING_TO_FETCH).iter_errors(value)), None)
    except (
        _TooLong,
        RecursionError,
        Unresolvable,
        UnknownType,
        ArithmeticError,
        TypeError,
        ValueError,
        KeyError,
        AttributeError,
        orjson.JSONEncodeError,
    ):
        return None
    if error is None:
        return ""
    where = "/".join(map(str, list(error.absolute_path)[:6])) or "the top level"
    return f"at {where}: {error.message[:160]}"


Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


@cache
def _validator() -> Any:
    kept: Mapping[str, Keyword] = {
        name: _counted(check) for name, check in Draft202012Validator.VALIDATORS.items() if name not in _UNCHECKED
    }
    removed = {name: _nothing for name in _UNCHECKED}
    extend: Callable[..., Any] = validators.extend
    return extend(Draft202012Validator, {**kept, **removed})


def _counted(check: Keyword) -> Keyword:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        _Steps.take()
        for error in check(validator, value, instance, schema) or ():
            _Steps.take()
            yield error

    return counted


def _nothing(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    return iter(())
