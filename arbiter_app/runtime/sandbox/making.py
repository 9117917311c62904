"""From a request to a simulated answer: what is refused, what is said, what it costs."""

from __future__ import annotations

import time
from dataclasses import replace

import orjson

from arbiter_app.pipeline.types import Capability, Json, Model
from arbiter_app.runtime.sandbox.agent import check_signed
from arbiter_app.runtime.sandbox.answers import SimulatedAnswer, answer, rng_of
from arbiter_app.runtime.sandbox.judging import service
from arbiter_app.runtime.sandbox.prompt_cache import FRESH, CacheUse
from arbiter_app.runtime.sandbox.refusal import SandboxRefusal
from arbiter_app.runtime.sandbox.tasks import text_of
from arbiter_app.runtime.sandbox.wire import Choice, SandboxAnswer, tokens_of
from arbiter_app.runtime.sandbox.world import Fault, World

MESSAGE_TOKENS = 4
IMAGE_TOKENS = 800
MOST_CHOICES = 128


def refused_request(world: World, payload: Json) -> SandboxRefusal | None:
    """Why a real runtime would refuse this request; None when it would not."""
    messages, tools, functions = payload.get("messages"), payload.get("tools"), payload.get("functions")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        return SandboxRefusal(400, "messages must be a list of messages", "invalid_messages")
    if not all(one.get("role") in ("system", "developer", "user", "assistant", "tool", "function") for one in messages):
        return SandboxRefusal(400, "a message has an unknown role", "invalid_messages")
    model = world.catalog.models.get(str(payload.get("model")))
    if model is None:
        return SandboxRefusal(404, f"the model {payload.get('model')!r} does not exist", "model_not_found")
    if tools is not None and not (isinstance(tools, list) and all(map(_is_tool, tools))):
        return SandboxRefusal(400, "tools must be a list of functions", "invalid_tools")
    if functions is not None and not (isinstance(functions, list) and all(map(_is_function, functions))):
        return SandboxRefusal(400, "functions must be a list of functions", "invalid_functions")
    if type(payload.get("n") or 1) is not int or not 1 <= (payload.get("n") or 1) <= MOST_CHOICES:
        return SandboxRefusal(400, f"n must be a number from 1 to {MOST_CHOICES}", "invalid_n")
    if Capability.VISION not in model.can and any(map(_has_image, messages)):
        return SandboxRefusal(400, f"{model.id} does not take images", "unsupported_image")
    try:
        check_signed(model.id, messages)
    except SandboxRefusal as refused:
        return refused
    return _too_long(model, payload)


def make_answer(
    world: World, payload: Json, model: str, fault: Fault | None = None, *, cache: CacheUse = FRESH
) -> SandboxAnswer:
    """The answer of this model to a request that is not refused; `cache` says what of its prompt the provider had."""
    found = service(payload, world.seed, world.taste)
    facts = world.catalog.models[model]
    tokens_in, tokens_out, thought, choices = prompt_tokens(payload), 0, 0, []
    for nth in range(payload.get("n") or 1):
        skill = world.skill(model)
        said = (
            found[1]
            if found
            else answer(payload, model, skill, world.seed, tools=Capability.TOOLS in facts.can, nth=nth)
        )
        said, tokens, finish = _limited(_stopped(said, payload.get("stop")), payload)
        thought += tokens_of(said.thought)
        tokens_out += tokens + tokens_of(said.thought)
        choices.append(Choice(said, finish, old_form=not payload.get("tools")))
    usage: Json = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    if cache.read or cache.written:
        usage["prompt_tokens_details"] = {"cached_tokens": cache.read, "cache_write_tokens": cache.written}
    if thought:
        usage["completion_tokens_details"] = {"reasoning_tokens": thought}
    charges = _charges(world, model, tokens_in, tokens_out, cache)
    return SandboxAnswer(
        id=f"chatcmpl-{rng_of(0, model, orjson.dumps(payload['messages'])).getrandbits(60):015x}",
        model=model,
        choices=choices,
        logprobs=payload.get("logprobs") is True,
        encrypted="reasoning.encrypted_content" in (payload.get("include") or ()),
        usage={} if fault is not None and fault.no_usage else usage,
        charges={} if fault is not None and fault.no_charge else charges,
    )


def prompt_tokens(payload: Json) -> int:
    """Tokens of the whole prompt: messages with their roles, images at a flat number, tool definitions."""
    return sum(prompt_sizes(payload))


def prompt_sizes(payload: Json) -> list[int]:
    """Tokens of the tool definitions, with a few for the prompt itself, and then of each message."""
    tools = [tokens_of(orjson.dumps(payload[name]).decode()) for name in ("tools", "functions") if payload.get(name)]
    messages = [
        MESSAGE_TOKENS + tokens_of(text_of(message.get("content"))) + IMAGE_TOKENS * _has_image(message)
        for message in payload["messages"]
    ]
    return [3 + sum(tools), *messages]


def cache_use(world: World, payload: Json, model: str) -> CacheUse:
    """What the provider has of this prompt now; it has all of it from now on."""
    used = world.prompts.use(model, payload, prompt_sizes(payload), time.monotonic())
    world.cached_tokens += used.read
    return used


def _stopped(said: SimulatedAnswer, stop: object) -> SimulatedAnswer:
    """The answer up to the first of the sequences that are to stop it."""
    marks = [one for one in (stop if isinstance(stop, list) else [stop]) if isinstance(one, str) and one]
    ends = [(at, mark) for mark in marks if (at := said.text.find(mark)) >= 0]
    return replace(said, text=said.text[: min(ends)[0]], stopped=min(ends)[1]) if ends else said


def _limited(said: SimulatedAnswer, payload: Json) -> tuple[SimulatedAnswer, int, str]:
    """The answer cut to the limit that the request states, its tokens, and why it ends."""
    tokens_out = tokens_of(said.text) if said.text else tokens_of(orjson.dumps(said.tool_calls).decode())
    limit = payload.get("max_completion_tokens") or payload.get("max_tokens")
    if said.tool_calls:
        return said, tokens_out, "tool_calls"
    if type(limit) is not int or limit <= 0 or tokens_out <= limit:
        return said, tokens_out, "stop"
    return replace(said, text=said.text.encode()[: limit * 4].decode("utf-8", "ignore")), limit, "length"


def _charges(world: World, model: str, tokens_in: int, tokens_out: int, cache: CacheUse) -> dict[str, str]:
    charge = world.charge_usd(model, tokens_in, tokens_out, cache)
    benchmark = world.charge_usd(world.catalog.baseline, tokens_in, tokens_out)
    return {
        "x-btl-customer-charge": f"{charge:f}",
        "x-btl-benchmark-cost": f"{benchmark:f}",
        "x-btl-saved": f"{benchmark - charge:f}",
        "x-btl-cache-tier": "prompt" if cache.read else "none",
    }


def _too_long(model: Model, payload: Json) -> SandboxRefusal | None:
    if model.context_tokens is None or (needed := prompt_tokens(payload)) <= model.context_tokens:
        return None
    said = f"this model's window is {model.context_tokens} tokens, the messages are {needed}"
    return SandboxRefusal(400, said, "context_length_exceeded")


def _is_tool(tool: object) -> bool:
    return isinstance(tool, dict) and _is_function(tool.get("function"))


def _is_function(function: object) -> bool:
    return isinstance(function, dict) and bool(function.get("name"))


def _has_image(message: Json) -> bool:
    parts = message.get("content")
    return isinstance(parts, list) and any(isinstance(one, dict) and one.get("type") == "image_url" for one in parts)
