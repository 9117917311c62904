"""Answers that are hard to look at arrive whole, are on record, and are unknown where looking at them would cost too much."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from arbiter_app.pipeline import grade
from arbiter_app.pipeline.thoughts import without_thoughts
from tests.clock import least_cpu_s
from tests.conftest import Running, running
from tests.stranger import Stranger, chunk, plain, stream

MB = 1_000_000
NUMBERED = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
JSON = {"response_format": {"type": "json_object"}}
SCHEMA = {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": NUMBERED}}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": NUMBERED}}
CODE, MATH, TALK = "Write a Python function that adds two numbers.", "Calculate 37 * 24.", "Tell me of the sea."
HOSTILE: dict[str, tuple[str, dict[str, Any], str]] = {
    "100,000 brackets for JSON": (TALK, JSON, "[" * 100_000),
    "100,000 brackets, closed": (TALK, JSON, "[" * 100_000 + "]" * 100_000),
    "10 MB of brackets": (TALK, JSON, "[" * 10 * MB),
    "brackets for code": (CODE, {}, "```python\n" + "(" * 100_000 + "\n```"),
    "nested calls": (CODE, {}, "```python\n" + "f(" * 5_000 + ")" * 5_000 + "\n```"),
    "a million fences": (CODE, {}, "```\n" * 1_000_000),
    "fences in a line": (CODE, {}, "```" * 300_000),
    "many thoughts": (TALK, JSON, "<think></think>" * 60_000 + "{}"),
    "thoughts that open only": (TALK, JSON, "<think>" * 120_000),
    "thoughts of two kinds": (TALK, JSON, "<think></think><thinking></thinking>" * 25_000 + "{}"),
    "thoughts whose letters change": (TALK, JSON, "<think>" + "\u0130" * 100_000 + '</think>{"n": 1}'),
    "white space": (CODE, {}, " \n" * 400_000 + "x"),
    "stars and spaces": (MATH, {}, "* " * 400_000),
    "digits": (MATH, {}, "8" * 5 * MB),
    "fractions": (MATH, {}, "\\frac{1}{" * 90_000),
    "powers of ten": (MATH, {}, "1 x 10^" * 100_000 + "9" * 100_000),
    "minus signs": (MATH, {}, "-" * 900_000),
    "deep JSON for a schema": (TALK, SCHEMA, '{"n":' * 100_000 + "1" + "}" * 100_000),
    "JSON of many members": (TALK, SCHEMA, json.dumps({str(at): at for at in range(60_000)})),
    "digits in JSON": (TALK, SCHEMA, '{"n": ' + "9" * 400_000 + "}"),
    "table rules": ("Make a table of seas.", {}, "|-" * 400_000),
    "aliases of YAML": ("Give me YAML of seas.", {}, "a: &a [x]\n" + "b: [*a,*a,*a]\n" * 60_000),
    "quotes of CSV": ("Give me a CSV of seas.", {}, '"' * 900_000),
    "half characters": (TALK, JSON, "\ud83d" * 100_000),
    "null bytes": (CODE, {}, "```python\n" + "\0" * 100_000 + "\n```"),
}


@pytest.fixture(scope="module")
def over(runtime: Stranger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = {**runtime.settings, "ARBITER_JUDGE_SAMPLE": "0", "ARBITER_CASCADE": "false"}
    with running(tmp_path_factory.mktemp("hostile"), **settings) as one:
        yield one


def ask(over: Running, prompt: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    """The text of the answer, and its `arbiter` object."""
    body = {"messages": [{"role": "user", "content": prompt}], "arbiter_no_cache": True, **fields}
    answer = over.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text[:500]
    if not fields.get("stream"):
        told = answer.json()
        return told["choices"][0]["message"]["content"], told["arbiter"]
    chunks = [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: {")]
    return "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks), chunks[-1]["arbiter"]


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_arrives_whole_and_is_on_record(
    runtime: Stranger, over: Running, name: str, streamed: bool
) -> None:
    prompt, fields, text = HOSTILE[name]
    end = chunk({}, "stop")
    runtime.say = lambda body: (
        stream(chunk({"content": text[: len(text) // 2]}), chunk({"content": text[len(text) // 2 :]}), end)
        if streamed
        else plain({"role": "assistant", "content": text})
    )
    said, told = ask(over, prompt, stream=streamed, **fields)
    assert said == text
    assert over.http.get(f"/v1/decisions/{told['decision_id']}").json()["status"] == "ok"


@pytest.mark.parametrize(
    "arguments", ['{"n":' * 5_000 + "1" + "}" * 5_000, "[" * 100_000, "9" * 200_000, '{"n": 1' + " " * 900_000 + "}"]
)
def test_hostile_arguments_of_a_call_arrive_whole(runtime: Stranger, over: Running, arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    runtime.say = lambda body: plain({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls")
    body = {"messages": [{"role": "user", "content": TALK}], "tools": [TOOL], "arbiter_no_cache": True}
    answer = over.http.post("/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["tool_calls"] == [call]


def test_a_grader_that_raises_makes_the_grade_unknown_and_one_line_in_the_log(
    runtime: Stranger, over: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*given: object, **named: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(grade, "grade_structured", broken)
    runtime.say = lambda body: plain({"role": "assistant", "content": "{}"})
    with caplog.at_level(logging.ERROR, "arbiter"):
        said, told = ask(over, TALK, **JSON)
    assert (said, told["quality"]) == ("{}", None)
    assert [one.message for one in caplog.records if one.name == "arbiter.grade"] == ["a grader failed"]


def test_thoughts_are_passed_over_once() -> None:
    few, many = ("<think></think>" * count + "{}" for count in (2_000, 20_000))
    assert without_thoughts(many) == "{}"
    assert least_cpu_s(lambda: without_thoughts(many)) < 40 * least_cpu_s(lambda: without_thoughts(few))


def test_a_thought_ends_where_it_ends_though_its_letters_get_longer() -> None:
    assert without_thoughts("<think>" + "\u0130" * 20 + '</THINK>{"n": 1}') == '{"n": 1}'
