"""A Responses request as a chat request: read here, and then by the door of the chat route."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects import openai_chat
from arbiter_app.dialects.history import odd_ids
from arbiter_app.dialects.openai_responses import typed
from arbiter_app.dialects.openai_responses.items import chat_messages, with_own_ids
from arbiter_app.dialects.openai_responses.refusals import mistyped, object_of, text_of, unsupported, wrong
from arbiter_app.dialects.openai_responses.thinking import settled
from arbiter_app.dialects.openai_responses.tools import chat_tools, offers_hosted
from arbiter_app.dialects.reasoning import RESPONSES, native_of
from arbiter_app.dialects.strict_json import History, load_members
from arbiter_app.dialects.translation import Dropped, exactly
from arbiter_app.pipeline.native import NativeRequest
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import Caller, ChatRequest, Json

MAX_NAME_CHARS = 60
CACHE_OPTIONS = "prompt_cache_options"
ENCRYPTED = "reasoning.encrypted_content"
REFUSED = {
    "previous_response_id": "Arbiter keeps no contents (ARBITER_KEEP_CONTENT_HOURS is off), so that there is nothing to go on from; send "
    "the whole conversation as input",
    "conversation": "Arbiter keeps no conversations; send the whole of it as input, or go on from previous_response_id, where contents "
    "are kept (ARBITER_KEEP_CONTENT_HOURS)",
    "background": "Arbiter answers at once and keeps nothing to be fetched later; leave it out, and stream the answer",
    "prompt": "Arbiter has no templates of prompts; send its text as instructions and input",
}
"""Members that a request would mean something else without, and what to do instead."""
ACCEPTED = ("store", "client_metadata", "truncation", "stream_options", "tool_choice", "tools", "parallel_tool_calls")
"""Members that are read elsewhere, or ask for what is the case or does not matter."""
PASSED_AS_TEXT = ("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier")
_SCHEMAS = ("tools", "text")
"""Members with schemas, in which any number may stand; those and `_NUMBERS` go on as they were written."""
_NUMBERS = ("temperature", "top_p")
REPEATED = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "user",
)
"""Members of a request that its answer repeats."""


def parse(body: bytes, caller: Caller, request_id: str) -> ChatRequest:
    """One Responses request. Raises BadRequest, and Unprocessable for a wrong `arbiter_*` field."""
    dropped = Dropped()
    written, given, history = load_members(body, "input", typed.history)
    made = translated(given, dropped, history)

    def exact() -> Json:
        said = _members(exactly(given, written, _SCHEMAS), Dropped())
        numbers = {name: exact_json.Written(written[name]) for name in _NUMBERS if name in made}
        return {**said, **numbers, "messages": made["messages"]}

    more: Json = {
        "dropped": dropped.names,
        "repeated": {name: given[name] for name in REPEATED if given.get(name) is not None},
        "native": _native(written, made["messages"], signed=history is None or history.signed),
        "storable": given.get("store") is not False,
        "untranslatable": dropped.untranslatable,
        "hosted": offers_hosted(given.get("tools")),
        "stored": given.get("store") is True,
    }
    if _prewarms(given):
        more["max_tokens"] = 0
    metadata, key = given.get("metadata"), given.get("prompt_cache_key")
    if key and not (isinstance(metadata, dict) and metadata.get("conversation_id") is not None):
        more |= {"named": True, "conversation": openai_chat.conversation_of(key)}
    return openai_chat.translated(made, caller, request_id, len(body), exactly=exact, **more)


def _native(written: Mapping[str, str], messages: list[Json], *, signed: bool) -> NativeRequest:
    native = native_of(RESPONSES, written, "input", settle=settled, signed=signed)
    if odd_ids(messages):
        return native.with_history(with_own_ids(exact_json.exact(native.members["input"].encode())))
    return native


def translated(given: Json, dropped: Dropped, history: History | None = None) -> Json:
    """The chat request that a Responses request means, of which the history may have been read already. Raises BadRequest."""
    for name, why in REFUSED.items():
        if given.get(name) not in (None, False):
            raise unsupported(name, why)
    made = _members(given, dropped)
    if history is None:
        messages = chat_messages(given.get("input"), dropped)
    else:
        messages = history.messages
        dropped.all(history.dropped)
    if given.get("instructions") is not None:
        messages.insert(0, {"role": "system", "content": text_of(given["instructions"], "instructions")})
    if given.get("truncation") == "auto":
        dropped.add("truncation")
    return {**made, "messages": messages}


def _members(given: Json, dropped: Dropped) -> Json:
    """All but what was said."""
    made: Json = {}
    for name, value in given.items():
        if name.startswith("arbiter_"):
            made[name] = value
        elif value is None or name in ACCEPTED or name in ("input", "instructions"):
            continue
        elif name in MEMBERS:
            made |= MEMBERS[name](value, name, dropped)
        else:
            dropped.add(name[:MAX_NAME_CHARS])
    return {**made, **chat_tools(given, dropped)}


def _switch(value: Any, where: str, _: Dropped) -> Json:
    if not isinstance(value, bool):
        raise mistyped(where, "true or false", value)
    return {where: value}


def _text(value: Any, where: str, _: Dropped) -> Json:
    return {where: text_of(value, where)}


def _number(value: Any, where: str, _: Dropped) -> Json:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise mistyped(where, "a number", value)
    return {where: value}


def _max_output_tokens(value: Any, where: str, _: Dropped) -> Json:
    if type(value) is not int:
        raise mistyped(where, "a whole number", value)
    if value < 1:
        raise wrong(where, f"must be above 0, not {quoted(value, 40)}", "integer_below_min_value")
    return {"max_completion_tokens": value}


def _metadata(value: Any, where: str, _: Dropped) -> Json:
    return {where: object_of(value, where)}


def _prewarms(given: Json) -> bool:
    return object_of(given.get(CACHE_OPTIONS), CACHE_OPTIONS).get("prewarm") is True


def _cache_options(value: Any, where: str, dropped: Dropped) -> Json:
    if _prewarms({where: value}):
        why = "fills the prompt cache of a runtime of Responses and asks for no answer, which no model that may serve this can do"
        dropped.cannot(unsupported(f"{where}.prewarm", why))
    dropped.add(where)
    return {}


def _include(value: Any, where: str, dropped: Dropped) -> Json:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise wrong(where, "must be a list of strings", "invalid_type")
    for one in value:
        if one != ENCRYPTED:  # which is given wherever there is any
            dropped.add(f"include.{one[:MAX_NAME_CHARS]}")
    return {}


def _reasoning(value: Any, where: str, dropped: Dropped) -> Json:
    asked = object_of(value, where)
    dropped.rest(asked, ("effort", "summary", "generate_summary"), f"{where}.")
    effort = asked.get("effort")
    return {} if effort is None else {"reasoning_effort": text_of(effort, f"{where}.effort")}


def _text_form(value: Any, where: str, dropped: Dropped) -> Json:
    asked = object_of(value, where)
    dropped.rest(asked, ("format", "verbosity"), f"{where}.")
    made: Json = {}
    if asked.get("verbosity") is not None:
        made["verbosity"] = text_of(asked["verbosity"], f"{where}.verbosity")
    form = object_of(asked.get("format"), f"{where}.format")
    if not form or form.get("type") == "text":
        return made
    if form.get("type") == "json_object":
        return made | {"response_format": {"type": "json_object"}}
    if form.get("type") != "json_schema":
        raise wrong(
            f"{where}.format.type", f"must be text, json_object or json_schema, not {quoted(form.get('type'), 40)}"
        )
    if not isinstance(form.get("schema"), dict):
        raise mistyped(f"{where}.format.schema", "a JSON schema", form.get("schema"))
    text_of(form.get("name"), f"{where}.format.name")
    told = {name: form[name] for name in ("name", "schema", "strict", "description") if form.get(name) is not None}
    return made | {"response_format": {"type": "json_schema", "json_schema": told}}


def _moderation(value: Any, where: str, dropped: Dropped) -> Json:
    if object_of(value, where):
        why = "has the answer checked by its provider, which no model that may serve this can do"
        dropped.cannot(unsupported(where, why))
    return {}


MEMBERS: dict[str, Callable[[Any, str, Dropped], Json]] = {
    "model": _text,
    "stream": _switch,
    "temperature": _number,
    "top_p": _number,
    "max_output_tokens": _max_output_tokens,
    "metadata": _metadata,
    "include": _include,
    CACHE_OPTIONS: _cache_options,
    "reasoning": _reasoning,
    "text": _text_form,
    "moderation": _moderation,
    **dict.fromkeys(PASSED_AS_TEXT, _text),
}
