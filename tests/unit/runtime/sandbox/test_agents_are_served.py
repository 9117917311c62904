"""The simulated models as a coding agent meets them: they follow its tools, think and sign, and their prompts are cached."""

from __future__ import annotations

import json
from typing import Any

import pytest

from arbiter_app.catalog_file import load_catalog
from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.cost import cost_of
from arbiter_app.runtime.sandbox.agent import next_step, signature
from arbiter_app.runtime.sandbox.making import SandboxRefusal, cache_use, make_answer, prompt_tokens, refused_request
from arbiter_app.runtime.sandbox.prompt_cache import KEPT_S, CacheUse, PromptCache
from arbiter_app.runtime.sandbox.world import World

ASK = "Change beta to gamma in notes.txt, run `cat notes.txt`, and report."


def tool(name: str, *properties: str, **more: Any) -> Json:
    shape = {"type": "object", "properties": dict.fromkeys(properties, {"type": "string"}) | more}
    return {"type": "function", "function": {"name": name, "parameters": shape}}


CLAUDE = [
    tool("Bash", "command", "description"),
    tool("Read", "file_path"),
    tool("Edit", "file_path", "old_string", "new_string"),
    tool("Web", "url"),
]
OPENCODE = [tool("bash", "command"), tool("read", "filePath"), tool("edit", "filePath", "oldString", "newString")]
CODEX = [tool("exec_command", "cmd"), tool("plan", "steps")]
EXPECTED: dict[str, tuple[list[Json], list[tuple[str, Json]]]] = {
    "Claude Code": (
        CLAUDE,
        [
            ("Read", {"file_path": "notes.txt"}),
            ("Edit", {"file_path": "notes.txt", "old_string": "beta", "new_string": "gamma"}),
            ("Bash", {"command": "cat notes.txt", "description": "Run a command"}),
        ],
    ),
    "opencode": (
        OPENCODE,
        [
            ("read", {"filePath": "notes.txt"}),
            ("edit", {"filePath": "notes.txt", "oldString": "beta", "newString": "gamma"}),
            ("bash", {"command": "cat notes.txt"}),
        ],
    ),
    "Codex": (
        CODEX,
        [
            ("exec_command", {"cmd": "cat notes.txt"}),
            ("exec_command", {"cmd": "sed -i 's/beta/gamma/' notes.txt"}),
            ("exec_command", {"cmd": "cat notes.txt"}),
        ],
    ),
    "a list of words": (
        [tool("shell", command={"type": "array"})],
        [
            ("shell", {"command": ["bash", "-lc", "cat notes.txt"]}),
            ("shell", {"command": ["bash", "-lc", "sed -i 's/beta/gamma/' notes.txt"]}),
            ("shell", {"command": ["bash", "-lc", "cat notes.txt"]}),
        ],
    ),
}


def wrapped(ask: str) -> list[Json]:
    """The human's words as agents send them, behind reminders, with a system message after them."""
    reminder = {"type": "text", "text": "<system-reminder>Change nothing in other.txt.</system-reminder>"}
    asked = {"role": "user", "content": [reminder, {"type": "text", "text": ask}]}
    return [{"role": "system", "content": "Be brief."}, asked, {"role": "system", "content": "Tools are ready."}]


@pytest.fixture
def world() -> World:
    return World(load_catalog(None, baseline="gpt-4o"), latency=0)


def said(world: World, payload: Json, model: str = "gpt-4o") -> Json:
    """The message of an answer."""
    assert refused_request(world, {**payload, "model": model}) is None
    message: Json = json.loads(make_answer(world, payload, model).body())["choices"][0]["message"]
    return message


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("model", ["gpt-4o", "deepseek-v4-flash"])
def test_the_work_is_done_step_by_step_by_the_tools_that_are_offered(world: World, name: str, model: str) -> None:
    tools, expected = EXPECTED[name]
    messages, called = wrapped(ASK), []
    for _ in expected:
        answer = said(world, {"messages": messages, "tools": tools}, model)
        (call,) = answer["tool_calls"]
        called.append((call["function"]["name"], json.loads(call["function"]["arguments"])))
        messages += [answer, {"role": "tool", "tool_call_id": call["id"], "content": "alpha\ngamma"}]
    assert called == expected
    last = said(world, {"messages": messages, "tools": tools}, model)
    assert (
        "tool_calls" not in last
        and "changed beta to gamma in notes.txt" in last["content"]
        and "alpha" in last["content"]
    )
    messages += [last, {"role": "user", "content": "Thank you. What did you do?"}]
    assert "changed beta to gamma" in said(world, {"messages": messages, "tools": tools}, model)["content"]


@pytest.mark.parametrize(
    "payload",
    [
        {"messages": wrapped(ASK)},
        {"messages": wrapped(ASK), "tools": [tool("forecast", "city")]},
        {"messages": wrapped(ASK), "tools": CLAUDE, "tool_choice": "none"},
        {"messages": wrapped(ASK), "tools": CLAUDE, "tool_choice": "required"},
    ],
)
def test_others_are_served_as_before(payload: Json) -> None:
    assert next_step(payload) is None


def test_a_thought_is_signed_and_refused_by_another_model(world: World) -> None:
    answer = said(world, {"messages": wrapped(ASK), "tools": CLAUDE})
    (detail,) = answer["reasoning_details"]
    assert detail["text"] == answer["reasoning_content"] and detail["signature"] == signature("gpt-4o", detail["text"])
    messages = [*wrapped(ASK), answer]
    assert refused_request(world, {"messages": messages, "model": "gpt-4o"}) is None
    refused = refused_request(world, {"messages": messages, "model": "gpt-4.1"})
    assert isinstance(refused, SandboxRefusal) and (refused.status, "signature" in refused.message) == (400, True)


LONG = [{"role": "system", "content": "word " * 1_000}, {"role": "user", "content": "What is 2 + 3?"}]


def test_a_prefix_that_was_sent_within_five_minutes_is_cached() -> None:
    cache, sizes = PromptCache(), [3, 1_200, 20]
    assert cache.use("m", {"messages": LONG}, sizes, 0.0) == CacheUse()
    longer = [*LONG, {"role": "assistant", "content": "5"}, {"role": "user", "content": "And 3 + 4?"}]
    assert cache.use("m", {"messages": longer}, [*sizes, 10, 10], KEPT_S - 1) == CacheUse(1_223)
    assert cache.use("other", {"messages": LONG}, sizes, KEPT_S) == CacheUse()
    assert cache.use(
        "m", {"messages": [LONG[0], {"role": "user", "content": "Else?"}]}, sizes, 2 * KEPT_S - 2
    ) == CacheUse(1_203)
    assert cache.use("m", {"messages": longer}, [*sizes, 10, 10], 4 * KEPT_S) == CacheUse()


def test_short_prompts_are_never_cached_and_never_all_of_one() -> None:
    cache = PromptCache()
    for _ in range(2):
        assert cache.use("m", {"messages": LONG}, [3, 900, 20], 0.0) == CacheUse()
    cache.use("m", {"messages": LONG}, [3, 1_200, 20], 0.0)
    assert cache.use("m", {"messages": LONG}, [3, 1_200, 20], 1.0) == CacheUse(1_222)


def test_marked_prompts_pay_for_what_is_written_up_to_the_mark() -> None:
    def marked(at: int) -> list[Json]:
        mark = {"cache_control": {"type": "ephemeral"}}
        return [
            {**one, "content": [{"type": "text", "text": one["content"], **(mark if number == at else {})}]}
            for number, one in enumerate(LONG)
        ]

    cache = PromptCache()
    assert cache.use("m", {"messages": marked(0)}, [3, 1_200, 20], 0.0) == CacheUse(0, 1_203)
    assert cache.use("m", {"messages": marked(0)}, [3, 1_200, 20], 1.0) == CacheUse(1_203, 0)


def test_usage_and_charge_have_the_arithmetic_of_the_cache(world: World) -> None:
    payload = {"messages": LONG}
    first = make_answer(world, payload, "gpt-4o", cache=cache_use(world, payload, "gpt-4o"))
    second = make_answer(world, payload, "gpt-4o", cache=cache_use(world, payload, "gpt-4o"))
    total = prompt_tokens(payload)
    assert second.usage["prompt_tokens_details"] == {"cached_tokens": total - 1, "cache_write_tokens": 0}
    assert "prompt_tokens_details" not in first.usage and world.cached_tokens == total - 1
    model = world.catalog.models["gpt-4o"]
    for one in (first, second):
        charged, computed = (cost_of(headers, {"usage": one.usage}, model).pico for headers in (one.charges, {}))
        assert charged == computed
    world.reset()
    assert cache_use(world, payload, "gpt-4o") == CacheUse() and world.cached_tokens == 0
