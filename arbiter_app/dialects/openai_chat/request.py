"""The door of the chat route: bytes in, a frozen `ChatRequest` out, or an error that names the field."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.dialects.strict_json import load_json
from arbiter_app.pipeline.errors import BadRequest, Unprocessable
from arbiter_app.pipeline.messages import latest_ask, offered, system_prompt
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import Caller, ChatRequest, Json

FIELDS = (
    "arbiter_max_cost",
    "arbiter_max_latency",
    "arbiter_no_cache",
    "arbiter_cache",
    "arbiter_models",
    "arbiter_pin",
)
MAX_MESSAGES = 10_000
_IMAGES = ("image_url", "input_image", "image")
_DOCUMENTS = ("file", "input_file", "document")
"""Read by the models that see: their pages are pictures."""
_AUDIO = ("input_audio", "audio_url", "audio")
_VIDEO = ("video_url", "input_video", "video")


def parse(body: bytes, caller: Caller, request_id: str) -> ChatRequest:
    """One chat request. Raises BadRequest for what is no JSON object, Unprocessable for what means nothing."""
    given = load_object(body)
    messages = _messages(given)
    payload = {name: value for name, value in given.items() if name not in FIELDS}
    written = exact_json.members(body.decode())
    system = system_prompt(messages)
    stream, options = given.get("stream"), given.get("stream_options")
    if stream is not None and not isinstance(stream, bool):
        raise Unprocessable("stream must be true or false", param="stream")
    if options is not None and not isinstance(options, dict):
        raise Unprocessable(f"stream_options must be an object, not {_kind(options)}", param="stream_options")
    asked_format = given.get("response_format")
    tools, tool_choice = offered(given)
    return ChatRequest(
        request_id=request_id,
        caller=caller,
        payload=payload,
        written={name: text for name, text in written.items() if name not in FIELDS},
        messages=messages,
        ask=latest_ask(messages),
        system=system,
        stream=bool(stream),
        include_usage=options is not None and options.get("include_usage") is True,
        max_tokens=_max_tokens(given),
        needs_vision=_has_part(messages, *_IMAGES, *_DOCUMENTS),
        needs_audio=_has_part(messages, *_AUDIO),
        needs_video=_has_part(messages, *_VIDEO),
        needs_tools=bool(tools) and tool_choice != "none",
        needs_json_schema=isinstance(asked_format, dict) and asked_format.get("type") == "json_schema",
        max_cost_usd=_amount(given, "arbiter_max_cost", zero=True),
        max_latency_s=_amount(given, "arbiter_max_latency"),
        no_cache=_switch(given, "arbiter_no_cache"),
        cache=_switch(given, "arbiter_cache"),
        allow=_models(given),
        pin=_pin(given),
        conversation=_conversation(given, messages),
        named=_named(given) is not None,
        body_bytes=len(body),
    )


def load_object(body: bytes) -> Json:
    """A JSON object without unknown `arbiter_*` fields."""
    given = load_json(body, halves=True)
    if not isinstance(given, dict):
        raise BadRequest(f"the body must be a JSON object, not {_kind(given)}", code="invalid_json")
    unknown = [name for name in given if name.startswith("arbiter_") and name not in FIELDS]
    if unknown:
        raise Unprocessable(
            f"unknown field {quoted(unknown[0], 60)}; known are {', '.join(FIELDS)}", param=unknown[0][:60]
        )
    return given


def _messages(given: Json) -> list[Json]:
    messages = given.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Unprocessable("messages is required: a list with at least one message", param="messages")
    if len(messages) > MAX_MESSAGES:
        raise Unprocessable(f"messages holds {len(messages)} messages; {MAX_MESSAGES} are the most", param="messages")
    for at, message in enumerate(messages):
        if not isinstance(message, dict):
            raise Unprocessable(f"messages[{at}] must be an object, not {_kind(message)}", param=f"messages[{at}]")
        if not isinstance(message.get("role"), str):
            raise Unprocessable(f"messages[{at}].role must be a string", param=f"messages[{at}].role")
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            raise Unprocessable(
                f"messages[{at}].content must be a string or a list of parts, not {_kind(content)}",
                param=f"messages[{at}].content",
            )
        if isinstance(content, list) and not all(isinstance(part, dict) for part in content):
            raise Unprocessable(
                f"messages[{at}].content holds a part that is no object", param=f"messages[{at}].content"
            )
    return messages


def _amount(given: Json, name: str, *, zero: bool = False) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    try:
        amount = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        amount = math.nan
    if not math.isfinite(amount) or amount < 0 or (amount == 0 and not zero):
        least = "0 or more" if zero else "above 0"
        raise Unprocessable(f"{name} must be a number, {least}, not {quoted(value, 40)}", param=name)
    return abs(amount)  # -0 is 0


def _switch(given: Json, name: str) -> bool:
    value = given.get(name)
    if value is not None and not isinstance(value, bool):
        raise Unprocessable(f"{name} must be true or false, not {quoted(value, 40)}", param=name)
    return value is True


def _models(given: Json) -> tuple[str, ...] | None:
    value = given.get("arbiter_models")
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise Unprocessable("arbiter_models must be a list of model names, at least one", param="arbiter_models")
    return tuple(dict.fromkeys(value))


def _pin(given: Json) -> str | None:
    value = given.get("arbiter_pin")
    if value is not None and (not isinstance(value, str) or not value):
        raise Unprocessable("arbiter_pin must be the name of a model", param="arbiter_pin")
    return value


def _max_tokens(given: Json) -> int | None:
    """The caller's bound on the answer; a nonsensical one is left for the runtime to refuse."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = given.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _has_part(messages: list[Json], *kinds: str) -> bool:
    """Whether a message has a part of one of these kinds."""
    contents = (message.get("content") for message in messages)
    return any(part.get("type") in kinds for content in contents if isinstance(content, list) for part in content)


def _conversation(given: Json, messages: list[Json]) -> str:
    """Which conversation this belongs to: an id the caller sends, or what is said until the first user message.

    Marks of what is to be cached move on with each turn and do not count.
    """
    stated = _named(given)
    if stated is not None:
        return conversation_of(str(stated))
    at = next((at for at, one in enumerate(messages) if one.get("role") == "user"), len(messages))
    first = messages[at].get("content") if at < len(messages) else None
    return conversation_of(system_prompt(messages[:at]), _unmarked(first))


def conversation_of(*what: Any) -> str:
    """The name under which a conversation is known here, made of what tells it from others: JSON values."""
    return hashlib.blake2b(orjson.dumps(what), digest_size=12).hexdigest()


def _unmarked(content: Any) -> Any:
    """A content in one form, whether or not some of it is marked to be cached."""
    if not isinstance(content, list):
        return content
    parts = [{name: value for name, value in part.items() if name != "cache_control"} for part in content]
    return parts[0].get("text") if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts


def _named(given: Json) -> Any:
    """The conversation's id as the caller sends it, None when it sends none."""
    metadata = given.get("metadata")
    return metadata.get("conversation_id") if isinstance(metadata, dict) else None


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
