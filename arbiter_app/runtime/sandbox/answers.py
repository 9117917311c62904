"""What a simulated model says: right with the chance of its skill, otherwise wrong in a way a grader can see.

Deterministic in (seed, model, messages). Nothing in an answer marks it as good or bad: code parses or does not, numbers
are right or not, prose has sentences of substance or filler. So graders and the sandbox's judge (`judging.py`) read the
quality off the text, as they would with a real model.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass, replace
from typing import Any

import orjson

from arbiter_app.pipeline.types import Json, Task
from arbiter_app.runtime.sandbox import agent, prose, shapes, sums
from arbiter_app.runtime.sandbox.code import code_answer
from arbiter_app.runtime.sandbox.effort import UNTHINKING, effort_of, quality_at, thought_tokens
from arbiter_app.runtime.sandbox.prompted import marked_fields, schema_in
from arbiter_app.runtime.sandbox.skills import Skill
from arbiter_app.runtime.sandbox.tasks import ask_of, format_of, is_hard, task_of

_KEYS = re.compile(r"\b(?:keys|fields|columns|properties)\b:?\s+((?:[\w\"'`]+(?:,\s*|\s+and\s+|,\s+and\s+))+[\w\"'`]+)")
_NAME = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class SimulatedAnswer:
    """A simulated answer: its text or tool calls, how good this very answer is (0..1), and what was thought before it, signed."""

    text: str
    tool_calls: list[Json]
    quality: float
    thought: str = ""
    signed: tuple[Json, ...] = ()
    stopped: str = ""
    """The stop sequence that ended it."""


def bucket_of(payload: Json) -> tuple[Task, bool]:
    """The true task and difficulty of a request in the simulated world."""
    messages = payload["messages"]
    ask = ask_of(messages)
    shaped = _json_wanted(payload) or schema_in(messages) is not None or bool(marked_fields(messages))
    return task_of(ask, json_asked=shaped), is_hard(ask)


def answer(payload: Json, model: str, skill: Skill, seed: int, *, tools: bool = True, nth: int = 0) -> SimulatedAnswer:
    """What this model says to this request, the `nth` time that it is asked for; `tools`: whether it can call any.

    It thinks before, and signs that, where it is asked to (`effort.py`).
    """
    said, effort = _said(payload, model, skill, seed, tools, nth), effort_of(payload, skill)
    if said.thought or effort in UNTHINKING:
        return said
    task, hard = bucket_of(payload)
    thought = f"This is {'hard' if hard else 'easy'} {task} work. I answer step by step."
    more = " Let me look at that again, from another side, before I say so."
    thought += more * round(4 * thought_tokens(hard, effort) / len(more))
    return replace(said, thought=thought, signed=tuple(agent.signed(model, thought)))


def _said(payload: Json, model: str, skill: Skill, seed: int, tools: bool, nth: int) -> SimulatedAnswer:
    ask = ask_of(payload["messages"])
    task, hard = bucket_of(payload)
    again = (str(nth),) if nth else ()
    rng = rng_of(seed, model, orjson.dumps(payload["messages"]), *again)
    chance = quality_at(skill, task, hard, effort_of(payload, skill))
    good = rng.random() < chance
    step = agent.next_step(payload) if tools else None
    if step is not None:
        calls = [_call(step.tool, agent.arguments(step), rng)] if step.tool else []
        return SimulatedAnswer(step.text, calls, 1.0, step.thought, tuple(agent.signed(model, step.thought)))
    if tools and _may_call(payload):
        return SimulatedAnswer("", [_tool_call(_functions(payload), _choice(payload), good, rng)], float(good))
    if task is Task.STRUCTURED:
        return SimulatedAnswer(_structured(payload, ask, good, rng), [], float(good))
    if task is Task.CODE:
        return SimulatedAnswer(code_answer(ask, good, hard), [], float(good))
    if task is Task.MATH:
        return SimulatedAnswer(_math(ask, good, rng), [], float(good))
    count = round((9 if hard else 6) * skill.wordy)
    substance = min(count, int(chance * count + rng.random()))
    return SimulatedAnswer(prose.write(ask, substance, count, rng), [], substance / count)


def rng_of(seed: int, *parts: str | bytes) -> random.Random:
    """A generator that depends on nothing but the seed and the parts."""
    digest = hashlib.blake2b(digest_size=8, key=str(seed).encode())
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return random.Random(int.from_bytes(digest.digest(), "big"))


def _math(ask: str, good: bool, rng: random.Random) -> str:
    run = sums.find_sum(ask)
    try:
        value = sums.solve(run) if run is not None else None
    except sums.Unsolved:
        value = None
    off = 0 if good else rng.choice([-13, -7, -3, 2, 6, 11])
    if run is None or value is None:
        number = sums.truth_number(ask) + off
        return f"Taking the quantities one after the other, and keeping track of each, the result comes to {number}."
    return f"{run} = {sums.written(value + off)}"


def _structured(payload: Json, ask: str, good: bool, rng: random.Random) -> str:
    keys = _asked_keys(ask)
    schema, marked = _schema(payload), marked_fields(payload["messages"])
    if marked and not _json_wanted(payload):
        shown = marked if good else marked[1:]
        return "\n\n".join(
            [f"[[ ## {name} ## ]]\n{shapes.instance_of(kind)}" for name, kind in shown] + ["[[ ## completed ## ]]"]
        )
    wanted = "json" if _json_wanted(payload) or schema is not None else format_of(ask)
    if wanted == "yaml":
        lines = [f"{key}: example" for key in keys]
        return "```yaml\n" + "\n".join(lines if good else [*lines, "items: [a, b", "  - c: d: e"]) + "\n```"
    if wanted == "csv":
        rows = [",".join(keys), *(",".join(f"{key}{n}" for key in keys) for n in (1, 2))]
        return "```csv\n" + "\n".join(rows if good else [rows[0], rows[1] + ",extra,extra", "only"]) + "\n```"
    if wanted == "table":
        rows = [f"| {' | '.join(keys)} |", "|" + "---|" * len(keys), f"| {' | '.join('a' for _ in keys)} |"]
        return "\n".join(rows) if good else "; ".join(f"{key} is a" for key in keys)
    value = shapes.instance_of(schema) if schema is not None else dict.fromkeys(keys, "example")
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    if not good:
        text = shapes.broken(value, text, visibly=schema is None or rng.random() < 0.5)
    return text if _json_wanted(payload) else f"```json\n{text}\n```"


def _asked_keys(ask: str) -> list[str]:
    match = _KEYS.search(ask[:4_000])
    named = [word for word in _NAME.findall(match.group(1)) if word != "and"] if match else []
    return list(dict.fromkeys(named))[:12] or ["name", "value"]


def _functions(payload: Json) -> list[Json]:
    """What may be called: `tools`, or `functions`, as that was before."""
    return [tool["function"] for tool in payload.get("tools") or ()] or payload.get("functions") or []


def _choice(payload: Json) -> Any:
    """What is to be called, in either form."""
    return payload.get("tool_choice") if payload.get("tools") else payload.get("function_call")


def _tool_call(functions: list[Json], choice: Any, good: bool, rng: random.Random) -> Json:
    wanted = choice.get("function", choice).get("name") if isinstance(choice, dict) else None
    function = next((one for one in functions if one.get("name") == wanted), functions[0])
    value = shapes.instance_of(function.get("parameters") or {"type": "object"})
    arguments = orjson.dumps(value).decode()
    if not good:
        arguments = shapes.broken(value, arguments, visibly=rng.random() < 0.5)
    return _call(function.get("name"), arguments, rng)


def _call(name: Any, arguments: str, rng: random.Random) -> Json:
    called = {"name": name, "arguments": arguments}
    return {"id": f"call_{rng.getrandbits(40):010x}", "type": "function", "function": called}


def _may_call(payload: Json) -> bool:
    choice = _choice(payload)
    asked = payload["messages"][-1].get("role") == "user" or choice == "required" or isinstance(choice, dict)
    return bool(_functions(payload)) and choice != "none" and asked


def _json_wanted(payload: Json) -> bool:
    asked = payload.get("response_format")
    return isinstance(asked, dict) and asked.get("type") in ("json_object", "json_schema")


def _schema(payload: Json) -> Json | None:
    asked = payload.get("response_format")
    stated = asked.get("json_schema") if isinstance(asked, dict) else None
    schema = stated.get("schema") if isinstance(stated, dict) else None
    return schema if isinstance(schema, dict) else schema_in(payload["messages"])
