"""Asking other models beside the answer that the caller gets: of which requests that may be, and what is kept of it.

Such a call (a shadow) is a `Decision` of its own, which is never recorded as one: a request has exactly one record.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.types import UNKNOWN_COST, ChatRequest, Completion

HOSTED = frozenset(
    {"web_search_options", "search_parameters", "plugins", "mcp_servers", "container", "enable_search", "data_sources"}
)
"""Members of a request by which its provider does more than answer: it searches, runs code, or calls servers."""
OWN_TOOLS = frozenset({"function", "custom"})
"""Types of tools that the caller runs."""
_STREAM = frozenset({"stream", "stream_options"})


def kept_from_shadows(decision: Decision, *, in_loop: bool) -> str:
    """Why no other model may be asked beside this request's answer, in words; empty where one may. `in_loop`: it goes on from what
    tools gave."""
    request, seen, hosted = decision.request, decision.classification, "it asks for tools that its provider runs"
    payload = request.payload
    if seen is not None and not seen.teaches:
        return "nothing is learned of it"
    if request.no_shadow:
        return "the caller says so"
    if request.pin is not None:
        return "pinned by the caller"
    if request.hosted or request.untranslatable is not None or not HOSTED.isdisjoint(request.dropped):
        return hosted
    if not HOSTED.isdisjoint(payload) and any([payload.get(name) not in (None, False) for name in HOSTED]):
        return hosted
    tools = payload.get("tools")
    if tools and not (isinstance(tools, list) and all([_own(tool) for tool in tools])):
        return hosted
    if payload.get("store") or request.stored:
        return "it is to be stored"
    if in_loop:
        return "it goes on from what tools gave"
    if payload.get("n", 1) not in (1, None):
        return "it wants several answers"
    return ""


def answer_kept_from_shadows(decision: Decision) -> str:
    """The same once there is an answer: of one that calls tools, the next step depends."""
    done = decision.completion
    if decision.status != "ok" or done is None or decision.cache == "hit":
        return "there is no answer of a model"
    if done.large:
        return "the answer is too long to be looked at"
    return "the answer calls tools" if done.tool_calls else ""


def plain(request: ChatRequest) -> ChatRequest:
    """The request as another model is asked it beside the answer: whole and not streamed, in words that every runtime takes."""
    payload = {name: value for name, value in request.payload.items() if name not in _STREAM}
    written = {name: text for name, text in request.written.items() if name not in _STREAM}
    return replace(request, payload=payload, written=written, stream=False, include_usage=False, native=None)


def bare(done: Completion) -> Completion:
    """An answer without what is not looked at again: it is kept until it is judged, and nowhere."""
    return replace(done, body={}, raw=b"", pieces=(), native=(), hold=None, tool_calls=[])


def shadow_row(asked: Decision, now: float) -> dict[str, Any]:
    """What came of a model that was asked beside an answer, as it is stored (see `store.tables.StoredShadow`)."""
    done = asked.completion
    cost, usage = (done.cost, done.usage) if done is not None else (UNKNOWN_COST, None)
    return {
        "model": asked.model,
        "ts": now,
        "status": asked.status,
        "error": asked.error,
        "cost_pico": cost.pico,
        "cost_state": str(cost.state),
        "prompt_tokens": usage.prompt_tokens if usage is not None else None,
        "completion_tokens": usage.completion_tokens if usage is not None else None,
        "latency_ms": done.latency_ms if done is not None else (time.perf_counter() - asked.clock0) * 1000,
        "quality": asked.grade.quality,
        "quality_source": asked.grade.source,
        "quality_reason": asked.grade.reason,
    }


def _own(tool: object) -> bool:
    return isinstance(tool, dict) and tool.get("type") in OWN_TOOLS
