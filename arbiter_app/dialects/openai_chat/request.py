"""The door of the chat route: bytes in, a frozen `ChatRequest` out, or an error that names the field."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import orjson

from arbiter_app import exact_json
from arbiter_app.dialects.strict_json import kind, load_json
from arbiter_app.dialects.translation import WrittenLater
from arbiter_app.pipeline.answer_limit import NAMES as LIMITS
from arbiter_app.pipeline.effort import stated_by
from arbiter_app.pipeline.errors import BadRequest, Unprocessable
from arbiter_app.pipeline.messages import latest_ask, offered, system_prompt
from arbiter_app.pipeline.never_sent import CHOOSES
from arbiter_app.pipeline.plain import quoted, whole_of
from arbiter_app.pipeline.types import Caller, Capability, ChatRequest, Json
from arbiter_app.pipeline.wishes import objective_of

T = TypeVar("T")

MAX_MESSAGES = 10_000
_SEEN = ("image_url", "input_image", "image", "file", "input_file", "document")
"""Images, and documents: these are read by the models that see, for their pages are pictures."""
_MEDIA = {
    Capability.VISION: _SEEN,
    Capability.AUDIO: ("input_audio", "audio_url", "audio"),
    Capability.VIDEO: ("video_url", "input_video", "video"),
}
"""What a part of a message has to be for a model to need this."""


def parse(body: bytes, caller: Caller, request_id: str) -> ChatRequest:
    """One chat request. Raises BadRequest for what is no JSON object, Unprocessable for what means nothing."""
    given = load_object(body)
    _hold_messages(given)
    return _read(given, _without_own(exact_json.members(body)), caller, request_id, len(body))


def translated(
    made: Json, caller: Caller, request_id: str, body_bytes: int, *, exactly: Callable[[], Json], **more: Any
) -> ChatRequest:
    """The chat request that one of another dialect means, which was as long, with `more` of its fields. `exactly` makes the same with
    values of `exact_json.exact`. Raises as `parse` does.
    """
    _hold_known(made)
    _hold_few(made["messages"])

    def write() -> dict[str, str]:
        return {name: exact_json.dumps(value).decode() for name, value in _without_own(exactly()).items()}

    return _read(made, WrittenLater(write), caller, request_id, body_bytes, **more)


def _without_own(members: dict[str, T]) -> dict[str, T]:
    if _NOT_SENT.isdisjoint(members):
        return members
    return {name: value for name, value in members.items() if name not in _NOT_SENT}


def _read(
    given: Json, written: Mapping[str, str], caller: Caller, request_id: str, body_bytes: int, **more: Any
) -> ChatRequest:
    """The request in an object, whose members but ours are `written` so, with `more` of its fields."""
    messages = given["messages"]
    payload = _without_own(given)
    system = system_prompt(messages)
    stream, options = given.get("stream"), given.get("stream_options")
    if stream is not None and not isinstance(stream, bool):
        raise Unprocessable("stream must be true or false", param="stream")
    if options is not None and not isinstance(options, dict):
        raise Unprocessable(f"stream_options must be an object, not {kind(options)}", param="stream_options")
    asked_format, metadata = given.get("response_format"), given.get("metadata")
    named = metadata.get("conversation_id") if isinstance(metadata, dict) else None
    tools, tool_choice = offered(given)
    contents = [message.get("content") for message in messages]
    parts = [part.get("type") for content in contents if isinstance(content, list) for part in content]
    needs = {one for one, kinds in _MEDIA.items() if any(part in kinds for part in parts)} if parts else set()
    if tools and tool_choice != "none":
        needs.add(Capability.TOOLS)
    if isinstance(asked_format, dict) and asked_format.get("type") == "json_schema":
        needs.add(Capability.JSON_SCHEMA)
    stated = [(_OWN[field], field) for field, value in given.items() if field in _OWN and value is not None]
    own = {name: read(field, given[field]) for (name, read), field in stated}
    fields: dict[str, Any] = {
        "conversation": _conversation(messages) if named is None else conversation_of(str(named)),
        "named": named is not None,
        "setting": stated_by(given),
        "max_tokens": _max_tokens(given),
        **own,
        **more,
    }
    if not CHOOSES.isdisjoint(given):
        fields["dropped"] = (*fields.get("dropped", ()), *sorted(CHOOSES.intersection(given)))
    return ChatRequest(
        request_id=request_id,
        caller=caller,
        payload=payload,
        written=written,
        messages=messages,
        ask=latest_ask(messages),
        system=system,
        stream=bool(stream),
        include_usage=options is not None and options.get("include_usage") is True,
        needs=frozenset(needs),
        body_bytes=body_bytes,
        **fields,
    )


def load_object(body: bytes) -> Json:
    """A JSON object without unknown `arbiter_*` fields."""
    given = load_json(body, halves=True)
    if not isinstance(given, dict):
        raise BadRequest(f"the body must be a JSON object, not {kind(given)}", code="invalid_json")
    _hold_known(given)
    return given


def _hold_known(given: Json) -> None:
    unknown = [name for name in given if name.startswith("arbiter_") and name not in _OWN]
    if unknown:
        raise Unprocessable(
            f"unknown field {quoted(unknown[0], 60)}; known are {', '.join(FIELDS)}", param=unknown[0][:60]
        )


def _hold_few(messages: list[Any]) -> None:
    if len(messages) > MAX_MESSAGES:
        raise Unprocessable(f"messages holds {len(messages)} messages; {MAX_MESSAGES} are the most", param="messages")


def _hold_messages(given: Json) -> None:
    messages = given.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Unprocessable("messages is required: a list with at least one message", param="messages")
    _hold_few(messages)
    for at, message in enumerate(messages):
        if not isinstance(message, dict):
            raise Unprocessable(f"messages[{at}] must be an object, not {kind(message)}", param=f"messages[{at}]")
        if not isinstance(message.get("role"), str):
            raise Unprocessable(f"messages[{at}].role must be a string", param=f"messages[{at}].role")
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            raise Unprocessable(
                f"messages[{at}].content must be a string or a list of parts, not {kind(content)}",
                param=f"messages[{at}].content",
            )
        if isinstance(content, list) and not all(isinstance(part, dict) for part in content):
            raise Unprocessable(
                f"messages[{at}].content holds a part that is no object", param=f"messages[{at}].content"
            )


def _amount(name: str, value: Any, *, zero: bool = False) -> float:
    try:
        amount = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        amount = math.nan
    if not math.isfinite(amount) or amount < 0 or (amount == 0 and not zero):
        least = "0 or more" if zero else "above 0"
        raise Unprocessable(f"{name} must be a number, {least}, not {quoted(value, 40)}", param=name)
    return abs(amount)  # -0 is 0


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unprocessable(f"{name} must be true or false, not {quoted(value, 40)}", param=name)
    return value


def _models(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise Unprocessable(f"{name} must be a list of model names, at least one", param=name)
    return tuple(dict.fromkeys(value))


def _pin(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Unprocessable(f"{name} must be the name of a model", param=name)
    return value


def _tolerance(name: str, value: Any) -> float:
    amount = _amount(name, value, zero=True)
    if amount > 1:
        raise Unprocessable(f"{name} must be a number from 0 to 1, not {quoted(value, 40)}", param=name)
    return amount


_OWN: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "arbiter_max_cost": ("max_cost_usd", partial(_amount, zero=True)),
    "arbiter_max_latency": ("max_latency_s", _amount),
    "arbiter_no_cache": ("no_cache", _switch),
    "arbiter_no_shadow": ("no_shadow", _switch),
    "arbiter_cache": ("cache", _switch),
    "arbiter_models": ("allow", _models),
    "arbiter_pin": ("pin", _pin),
    "arbiter_tolerance": ("tolerance", _tolerance),
    "arbiter_objective": ("objective", objective_of),
}
"""Our own fields: how the request calls them, and who reads what the caller sends."""
FIELDS = tuple(_OWN)
_NOT_SENT = CHOOSES | _OWN.keys()


def _max_tokens(given: Json) -> int | None:
    """The caller's bound on the answer, the larger of two: runtimes differ in which they take, and in what they take for a number. A
    nonsensical one is left for the runtime to refuse.
    """
    values = [value for name in LIMITS if (value := given.get(name)) is not None]
    stated = [value if type(value) is int else whole_of(value) or 0 for value in values]
    return max([number for number in stated if number > 0], default=None)


def _conversation(messages: list[Json]) -> str:
    """Which conversation this belongs to, where the caller does not say: by what is said until the first user message.

    Marks of what is to be cached move on with each turn and do not count.
    """
    at = next((at for at, one in enumerate(messages) if one.get("role") == "user"), len(messages))
    first = messages[at].get("content") if at < len(messages) else None
    system = system_prompt(messages[:at]) if at else ""
    return conversation_of(system, _unmarked(first) if isinstance(first, list) else first)


def conversation_of(*what: Any) -> str:
    """The name under which a conversation is known here, made of what tells it from others: JSON values."""
    return hashlib.blake2b(orjson.dumps(what), digest_size=12).hexdigest()


def _unmarked(content: list[Json]) -> Any:
    """A content in one form, whether or not some of it is marked to be cached."""
    parts = [{name: value for name, value in part.items() if name != "cache_control"} for part in content]
    return parts[0].get("text") if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts
