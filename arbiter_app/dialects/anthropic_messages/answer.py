"""A whole answer as Anthropic's message, and what a stream of one says in the same words: why it ended, and its usage."""

from __future__ import annotations

from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.dialects.reasoning import Carried, details_of, extra_of, grouped, sealed
from arbiter_app.dialects.translation import body_of
from arbiter_app.pipeline.completions import first_choice
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.messages import content_text
from arbiter_app.pipeline.tokens import estimate_tokens
from arbiter_app.pipeline.types import Json, Usage

REASONS = {"length": "max_tokens", "content_filter": "refusal"}
"""Why an answer ended, beside its end and a call of a tool."""
MALFORMED = "malformed_arguments"
"""Holds what a model wrote where a tool's input should be and is no JSON object."""


def message(decision: Decision) -> Json:
    """The message of a finished answer, for `exact_json.line`: numbers in the inputs of tools are as the model wrote them."""
    choice = first_choice(body_of(decision.completion)) or {}
    said = choice.get("message")
    said = said if isinstance(said, dict) else {}
    blocks = _blocks(decision, said)
    called = any(block["type"] == "tool_use" for block in blocks)
    reason, sequence = ended(decision, choice.get("finish_reason"), choice.get("stop_reason"), called=called)
    return {
        **head(decision),
        "content": blocks,
        "stop_reason": "refusal" if said.get("refusal") else reason,
        "stop_sequence": sequence,
        "usage": usage(decision),
    }


def head(decision: Decision) -> Json:
    """The members that a message begins with."""
    return {
        "id": f"msg_{decision.id.removeprefix('d_')}",
        "type": "message",
        "role": "assistant",
        "model": decision.model,
    }


def call_id(decision: Decision, stated: object, number: int) -> str:
    """The id of a call: the model's, else one that is made up."""
    return stated if type(stated) is str and stated.strip() else f"toolu_{decision.id.removeprefix('d_')}_{number}"


def ended(decision: Decision, finish: object, matched: object, *, called: bool) -> tuple[str, str | None]:
    """Why an answer ended, and at which of the caller's stop sequences. Runtimes that call tools say `stop` of it, too."""
    if isinstance(finish, str) and finish in REASONS:
        return REASONS[finish], None
    if called:
        return "tool_use", None
    stops = decision.request.payload.get("stop") or ()
    return ("stop_sequence", matched) if isinstance(matched, str) and matched in stops else ("end_turn", None)


def usage(decision: Decision) -> Json:
    """The tokens of an answer. Those that were read from a cache, or written to one, are not among `input_tokens`. Estimates where the
    runtime stated none."""
    done, gate = decision.completion, decision.eligible
    used = done.usage if done is not None else None
    if used is None:
        told = estimate_tokens(done.text) if done is not None and done.text else 0
        used = Usage(gate.prompt_tokens if gate is not None else 0, told)
    minutes, hour = used.written_tokens, used.written_1h_tokens
    return {
        "input_tokens": used.fresh_tokens,
        "cache_creation_input_tokens": minutes + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour},
        "cache_read_input_tokens": used.cached_tokens,
        "output_tokens": used.completion_tokens,
    }


def _blocks(decision: Decision, said: Json) -> list[Json]:
    groups = grouped(details_of(said)) if decision.request.show_thoughts else []
    calls = said.get("tool_calls")
    calls = calls if isinstance(calls, list) else []
    before = [one.get("id") for one in calls if isinstance(one, dict)]
    blocks = _thoughts(decision, said, [group for group in groups if group[0].get("before") not in before])
    refused = said.get("refusal")
    text = content_text(said.get("content")) or (refused if isinstance(refused, str) else "")
    if text:
        blocks.append({"type": "text", "text": text})
    functions = [(call.get("id"), call.get("function")) for call in calls if isinstance(call, dict)]
    if said.get("function_call"):
        functions.append((None, said["function_call"]))
    for number, (stated, function) in enumerate(functions):
        if isinstance(function, dict):
            first = [group for group in groups if stated is not None and group[0].get("before") == stated]
            blocks += [signed(decision, group) for group in (*first, *_extra(decision, said, number))]
            called = {"id": call_id(decision, stated, number), "name": str(function.get("name") or "")}
            blocks.append({"type": "tool_use", **called, "input": _input(function.get("arguments"))})
    return blocks


def _thoughts(decision: Decision, said: Json, groups: list[list[Json]]) -> list[Json]:
    """What the model thought before it said anything: a block for each thing that it signed, one for all where it signed nothing."""
    carried = Carried()
    thinking = carried.add(said) if decision.request.show_thoughts else ""
    if not details_of(said) and decision.request.show_thoughts:
        details = carried.taken()
        return [signed(decision, details, thinking)] if details else []
    blocks = [signed(decision, group) for group in groups]
    if not thinking or any(block["type"] == "thinking" for block in blocks):
        return blocks
    if blocks:
        return [signed(decision, groups[0], thinking), *blocks[1:]]
    return []  # it was thought later, and stands there


def signed(decision: Decision, details: list[Json], thinking: str = "") -> Json:
    """A block of what a model thought and signed, in another dialect."""
    told = thinking or "\n\n".join(text for one in details if (text := one.get("text") or one.get("summary")))
    seal = sealed(decision.model, details)
    if told:
        return {"type": "thinking", "thinking": told, "signature": seal}
    return {"type": "redacted_thinking", "data": seal}


def _extra(decision: Decision, said: Json, number: int) -> list[list[Json]]:
    calls = said.get("tool_calls")
    if not decision.request.show_thoughts or not isinstance(calls, list) or number >= len(calls):
        return []
    extra = extra_of(calls[number]) if isinstance(calls[number], dict) else []
    return [extra] if extra else []


def _input(arguments: Any) -> Json:
    if isinstance(arguments, dict):
        return arguments
    text = arguments if isinstance(arguments, str) else ""
    try:
        given: Any = orjson.loads(text) if text.strip() else {}
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        return {MALFORMED: text}
    numbers: Json = exact_json.whole(exact_json.exact(text.encode())) if given else given
    return numbers
