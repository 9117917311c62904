"""What a simulated model says: right with the chance of its skill, otherwise wrong in a way a grader can see.

Deterministic in (seed, model, prompt). Prose carries its quality in its sentences: substantial ones against filler, so
that the sandbox's judge can read the quality off the text, as a real judge would.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from typing import Any

import orjson

from arbiter_app.pipeline.graders.arithmetic import OutOfBounds, evaluate, find_expression
from arbiter_app.pipeline.graders.structured import wanted_format
from arbiter_app.pipeline.messages import latest_ask
from arbiter_app.pipeline.rules import classify_by_rules, is_hard
from arbiter_app.pipeline.types import Json, Task
from arbiter_app.runtime.sandbox.skills import Skill

SENTENCES = 10

_GOOD = (
    "The main point is that {topic} depends on a few measurable conditions.",
    "A concrete example makes this clear: compare two cases that differ in one respect.",
    "The strongest evidence comes from repeated observation rather than from opinion.",
    "In practice this means starting small, measuring, and keeping what works.",
    "There is one common misunderstanding, and it is worth naming.",
    "The historical background explains why the usual answer took its present form.",
    "Costs and benefits fall on different people, which changes the conclusion.",
    "Two exceptions are well documented and do not weaken the general rule.",
    "A careful reader will ask about the limits, and they are reached at the extremes.",
    "Taken together, these points answer the question about {topic} directly.",
)
_FILLER = (
    "There are many things to consider here.",
    "It really depends on various factors.",
    "Some people think so, others do not.",
    "This is an interesting topic.",
    "In conclusion, it is what it is.",
)
_FILLER_SET = frozenset(_FILLER)

_CODE = {
    "python": "def solve(items):\n    result = []\n    for item in items:\n        result.append(item)\n    return result\n",
    "javascript": "function solve(items) {\n  return items.map((item) => item);\n}\n",
    "typescript": "function solve(items: number[]): number[] {\n  return items.map((item) => item);\n}\n",
    "go": "package main\n\nfunc solve(items []int) []int {\n\treturn items\n}\n",
    "rust": "fn solve(items: Vec<i32>) -> Vec<i32> {\n    items.into_iter().collect()\n}\n",
    "java": "class Solution {\n    int[] solve(int[] items) {\n        return items;\n    }\n}\n",
    "bash": 'for item in "$@"; do\n  echo "$item"\ndone\n',
    "sql": "SELECT name, COUNT(*) AS n FROM items WHERE active = 1 GROUP BY name ORDER BY n DESC;\n",
}
_BROKEN = {
    "python": "def solve(items):\n    for item in items\n        result.append(item\n    return result\n",
    "sql": "SELECT name COUNT(* AS n FROM WHERE GROUP items (;\n",
    "bash": "for item in; do if echo then (\n",
}
_LANGUAGE = re.compile(r"\b(python|javascript|typescript|golang|go|rust|java|bash|shell|sql)\b", re.IGNORECASE)
_WORDS_OF_FACT = re.compile(r"^(?:who|when|where|what|which|why|how|is|are|does|did)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Said:
    """A simulated answer: text or tool calls, and whether it was meant to be good."""

    text: str
    tool_calls: list[Json]
    quality: float


def task_of(payload: Json) -> tuple[Task, bool]:
    """The true task and difficulty of a request in the simulated world."""
    messages = payload.get("messages")
    ask = latest_ask(messages) if isinstance(messages, list) else ""
    asked = payload.get("response_format")
    json_format = isinstance(asked, dict) and str(asked.get("type", "")).startswith("json")
    verdict = classify_by_rules(ask, json_format=json_format)
    if verdict is not None:
        return verdict.task, is_hard(ask)
    return (Task.FACTUAL if _WORDS_OF_FACT.match(ask.strip()) else Task.OPEN), is_hard(ask)


def answer(payload: Json, model: str, skill: Skill, seed: int) -> Said:
    """What this model says to this request."""
    ask = latest_ask(payload["messages"])
    task, hard = task_of(payload)
    rng = rng_of(seed, model, orjson.dumps(payload.get("messages")))
    chance = skill.quality(task, hard)
    good = rng.random() < chance
    tools = payload.get("tools")
    if isinstance(tools, list) and tools and payload.get("tool_choice") != "none" and _last_is_user(payload):
        return Said("", [_tool_call(tools, payload.get("tool_choice"), good, rng)], chance)
    if _json_wanted(payload) or task is Task.STRUCTURED:
        return Said(_structured(payload, ask, good, rng), [], chance)
    if task is Task.CODE:
        return Said(_code(ask, good), [], chance)
    if task is Task.MATH:
        return Said(_math(ask, good, rng), [], chance)
    return Said(_prose(ask, chance, rng), [], chance)


def judged(text: str, seed: int) -> float:
    """The sandbox judge's score of an answer: its share of substantial sentences, with a little noise."""
    lines = [line for line in re.split(r"(?<=[.!?])\s+", text.strip()) if line]
    known = sum(line not in _FILLER_SET for line in lines) / max(1, len(lines))
    noise = rng_of(seed, "judge", text.encode()).gauss(0.0, 0.04)
    return round(min(1.0, max(0.0, known + noise)), 2)


def rng_of(seed: int, *parts: str | bytes) -> random.Random:
    """A generator that depends on nothing but the seed and the parts."""
    digest = hashlib.blake2b(digest_size=8, key=str(seed).encode())
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return random.Random(int.from_bytes(digest.digest(), "big"))


def _math(ask: str, good: bool, rng: random.Random) -> str:
    expression = find_expression(ask)
    try:
        value = evaluate(expression.text) if expression is not None else None
    except OutOfBounds:
        value = None
    if expression is None or value is None:
        number = rng.randrange(10, 500) if good else rng.randrange(501, 999)
        return f"Working through the quantities one at a time gives {number}."
    shown = value if good else value + rng.choice([-3, -1, 2, 7, 11])
    written = str(shown.numerator) if shown.denominator == 1 else f"{float(shown):.4f}"
    return f"{expression.text} = {written}"


def _code(ask: str, good: bool) -> str:
    match = _LANGUAGE.search(ask)
    named = match.group(1).lower() if match else "python"
    language = {"golang": "go", "shell": "bash"}.get(named, named)
    code = _CODE[language] if good else _BROKEN.get(language, _CODE[language].replace("{", "{{(", 1).rstrip("}\n"))
    return f"Here is a solution in {language}:\n\n```{language}\n{code}```\n\nIt runs in linear time."


def _structured(payload: Json, ask: str, good: bool, rng: random.Random) -> str:
    asked = payload.get("response_format")
    schema = asked.get("json_schema", {}).get("schema") if isinstance(asked, dict) else None
    if _json_wanted(payload):
        value = (
            instance_of(schema, rng) if isinstance(schema, dict) else {"name": "example", "value": rng.randrange(100)}
        )
        return orjson.dumps(value).decode() if good else '{"name": "example", "value": '
    wanted = wanted_format(ask)
    if wanted == "yaml":
        return (
            "```yaml\nname: example\nitems:\n  - a\n  - b\n```"
            if good
            else "```yaml\nname: [example\nitems: - a: b: c\n```"
        )
    if wanted == "csv":
        return "```csv\nname,value\na,1\nb,2\n```" if good else "```csv\nname,value\na\nb,2,3\n```"
    if wanted == "table":
        return "| name | value |\n|---|---|\n| a | 1 |\n| b | 2 |" if good else "name: a is 1, and b is 2"
    return '```json\n{"name": "example", "value": 7}\n```' if good else '```json\n{"name": "example", value: }\n```'


def _prose(ask: str, quality: float, rng: random.Random) -> str:
    topic = " ".join(ask.split()[-4:]).strip("?.!") or "this"
    substantial = min(SENTENCES, max(0, int(quality * SENTENCES + rng.random())))
    lines = [line.format(topic=topic) for line in _GOOD[:substantial]]
    lines += [_FILLER[rng.randrange(len(_FILLER))] for _ in range(SENTENCES - substantial)]
    return " ".join(lines)


def _tool_call(tools: list[Any], choice: Any, good: bool, rng: random.Random) -> Json:
    functions = [
        tool["function"] for tool in tools if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
    ]
    wanted = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    function = next(
        (one for one in functions if one.get("name") == wanted), functions[0] if functions else {"name": "none"}
    )
    schema = function.get("parameters")
    arguments = orjson.dumps(instance_of(schema, rng) if isinstance(schema, dict) else {}).decode()
    return {
        "id": f"call_{rng.getrandbits(40):010x}",
        "type": "function",
        "function": {"name": function.get("name"), "arguments": arguments if good else arguments[:-1] + ', "broken'},
    }


def instance_of(schema: Json, rng: random.Random, depth: int = 0) -> Any:
    """A value that satisfies the everyday part of JSON schema."""
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][rng.randrange(len(schema["enum"]))]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        inner = schema.get("properties")
        properties = inner if isinstance(inner, dict) and depth < 6 else {}
        return {key: instance_of(part, rng, depth + 1) for key, part in properties.items() if isinstance(part, dict)}
    if kind == "array":
        part = schema.get("items")
        least = max(1, schema.get("minItems", 1)) if isinstance(schema.get("minItems", 1), int) else 1
        return [instance_of(part, rng, depth + 1) if isinstance(part, dict) else "a" for _ in range(min(least, 20))]
    if kind in ("integer", "number"):
        low = schema.get("minimum", 1)
        return low if isinstance(low, int | float) else 1
    return {"boolean": True, "null": None}.get(str(kind), "x" * max(7, _length(schema)))


def _length(schema: Json) -> int:
    least = schema.get("minLength", 0)
    return min(least, 1_000) if isinstance(least, int) else 0


def _json_wanted(payload: Json) -> bool:
    asked = payload.get("response_format")
    return isinstance(asked, dict) and asked.get("type") in ("json_object", "json_schema")


def _last_is_user(payload: Json) -> bool:
    return bool(payload["messages"]) and payload["messages"][-1].get("role") == "user"
