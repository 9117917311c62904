"""The `response` object of an answer, and the items of its output."""

from __future__ import annotations

from typing import Any

from arbiter_app.dialects.openai_responses.tools import Tool, input_of, own_tools
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.tokens import estimate_tokens
from arbiter_app.pipeline.types import Json, Usage

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is not whole, by the chat's `finish_reason`."""
IN_PROGRESS = "in_progress"


def response(decision: Decision, status: str, output: list[Json], **own: Any) -> Json:
    """The response at a stage of its life, with our `own` members. It is stored only where contents are kept."""
    asked = decision.request.repeated
    return {
        "id": f"resp_{named(decision)}",
        "object": "response",
        "created_at": int(decision.at),
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "max_tool_calls": None,
        "model": decision.model,
        "output": output,
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "previous_response_id": asked.get("previous_response_id"),
        "prompt_cache_key": asked.get("prompt_cache_key"),
        "reasoning": {"effort": None, "summary": None, **asked.get("reasoning", {})},
        "safety_identifier": asked.get("safety_identifier"),
        "service_tier": asked.get("service_tier", "default"),
        "store": asked.get("store", False),
        "temperature": asked.get("temperature", 1.0),
        "text": {"format": {"type": "text"}, **asked.get("text", {})},
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": asked.get("tools", []),
        "top_p": asked.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": None,
        "user": asked.get("user"),
        "metadata": asked.get("metadata", {}),
        **own,
    }


def finished(decision: Decision, output: list[Json], finish: object) -> Json:
    """The response at its end, with the `arbiter` object: completed, or incomplete and why."""
    why = INCOMPLETE.get(finish) if isinstance(finish, str) else None
    return response(
        decision,
        "incomplete" if why else "completed",
        output,
        incomplete_details={"reason": why} if why else None,
        usage=usage(decision, output),
        arbiter=decision.public(),
    )


def failed(decision: Decision, error: ArbiterError) -> Json:
    """The response whose stream broke; its error has one of the few codes that strict clients know."""
    code = {400: "invalid_prompt", 429: "rate_limit_exceeded"}.get(error.status, "server_error")
    return response(decision, "failed", [], error={"code": code, "message": error.message})


def usage(decision: Decision, output: list[Json]) -> Json:
    """The tokens of an answer, cached ones among those of the input. Estimates where the runtime stated none."""
    done, gate = decision.completion, decision.eligible
    used = done.usage if done is not None else None
    if used is None:
        told = sum(estimate_tokens(text) for item in output for text in _texts(item))
        used = Usage(gate.prompt_tokens if gate is not None else 0, told)
    written = used.written_tokens + used.written_1h_tokens
    return {
        "input_tokens": used.prompt_tokens,
        "input_tokens_details": {"cached_tokens": used.cached_tokens, "cache_write_tokens": written},
        "output_tokens": used.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.prompt_tokens + used.completion_tokens,
    }


def _texts(item: Json) -> list[str]:
    """What a model wrote in an item of its output."""
    if item["type"] in ("message", "reasoning"):
        parts = item.get("content") or item.get("summary") or []
        return [text for part in parts if (text := part.get("text") or part.get("refusal"))]
    return [text] if (text := item.get("input") or item.get("arguments")) else []


def named(decision: Decision) -> str:
    """What the ids of a response and its items have in common."""
    return decision.id.removeprefix("d_")


def tools_of(decision: Decision) -> dict[str, Tool]:
    """The caller's own tools by their names in a chat."""
    return {tool.function: tool for tool in own_tools(decision.request.repeated.get("tools"))}


def reasoning(item_id: str, texts: list[str], signed: str = "") -> Json:
    """An item of reasoning: what a model showed of its thinking, as a summary, which is what clients show, and what it signed."""
    summary = [{"type": "summary_text", "text": text} for text in texts]
    item: Json = {"id": item_id, "type": "reasoning", "summary": summary}
    return {**item, "encrypted_content": signed} if signed else item


def message(item_id: str, status: str, content: list[Json]) -> Json:
    """An item of what a model says."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


def output_text(text: str) -> Json:
    """A part of a message: text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal(text: str) -> Json:
    """A part of a message: why a model does not answer."""
    return {"type": "refusal", "refusal": text}


def call(item_id: str, status: str, call_id: str, name: str, tool: Tool | None, arguments: str) -> Json:
    """A call of a function, or of the custom tool that a function stands for."""
    custom = tool is not None and tool.kind == "custom"
    return {
        "id": item_id,
        "type": "custom_tool_call" if custom else "function_call",
        "status": status,
        "call_id": call_id,
        "name": tool.name if tool is not None else name,
        **({"namespace": tool.namespace} if tool is not None and tool.namespace else {}),
        **({"input": input_of(arguments) if arguments else ""} if custom else {"arguments": arguments}),
    }
