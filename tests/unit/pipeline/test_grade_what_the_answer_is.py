"""What counts in an answer: its code, its calls, its format; what says nothing of the model stays unknown."""

from __future__ import annotations

import random
import socket
from functools import partial
from typing import Any

import pytest

from arbiter_app.pipeline.grade import grade
from arbiter_app.pipeline.graders.arithmetic import OutOfBounds, evaluate, find_expression
from arbiter_app.pipeline.graders.code import grade_code
from arbiter_app.pipeline.graders.schema import schema_fault
from arbiter_app.pipeline.graders.structured import grade_structured, wanted_format
from arbiter_app.pipeline.graders.toolcalls import grade_tool_calls
from arbiter_app.pipeline.types import (
    UNKNOWN_COST,
    Caller,
    ChatRequest,
    Classification,
    ClassifiedBy,
    Completion,
    Grade,
    Role,
    Task,
)
from tests.clock import least_cpu_s

TOOL = {"type": "function", "function": {"name": "book", "parameters": {"type": "object", "required": ["seats"]}}}
PYTHON = "```python\nprint(1)\n```"
BROKEN = "```python\nprint(1\n```"


def graded(
    task: Task, ask: str, answer: str, calls: Any = (), finish: str = "stop", aborted: str = "", **body: Any
) -> Grade:
    messages = [{"role": "user", "content": ask}]
    request = ChatRequest("r", Caller("k", Role.CALLER), {"messages": messages, **body}, messages, ask, "")
    done = Completion("m", {}, answer, list(calls), None, UNKNOWN_COST, 1.0, 1.0, finish, aborted)
    return grade(request, Classification(task, False, ClassifiedBy.RULES, ""), done)


@pytest.mark.parametrize(
    ("task", "ask", "answer"),
    [
        (Task.CODE, "Write it", BROKEN),
        (Task.CODE, "Write it", "```python\ndef f("),
        (Task.STRUCTURED, "as JSON", '{"a": [1, 2'),
        (Task.STRUCTURED, "as a table", "|a|b|\n|-|"),
        (Task.MATH, "What is 3 * 4?", "First, three times four"),
    ],
)
def test_an_answer_cut_off_by_its_length_limit_says_nothing(task: Task, ask: str, answer: str) -> None:
    assert graded(task, ask, answer, finish="length").quality is None
    assert (graded(task, ask, answer).quality or 0.0) < 0.5


def test_what_a_cut_off_answer_got_right_counts() -> None:
    assert graded(Task.MATH, "What is 3 * 4?", "12, since three times", finish="length").quality == 1.0
    assert graded(Task.CODE, "Write it", f"{PYTHON}\nThis prin", finish="length").quality == 1.0


def test_an_answer_that_broke_off_is_unknown() -> None:
    assert graded(Task.STRUCTURED, "as JSON", "{", aborted="stalled").quality is None


def test_words_where_tools_are_offered_are_no_fault() -> None:
    assert graded(Task.CODE, "Write a parser", "Done, see parser.py.", tools=[TOOL]).quality is None
    assert graded(Task.CODE, "Write a parser", "Done, see parser.py.").quality == 0.1
    assert graded(Task.OPEN, "Book", "Sure.", tools=[TOOL], tool_choice="required").quality == 0.1
    form = {"type": "json_object"}
    assert graded(Task.OPEN, "Book", "Sure.", tools=[TOOL], response_format=form).quality == 0.0


def test_the_tool_that_is_demanded_must_be_called() -> None:
    demanded = {"type": "function", "function": {"name": "book"}}
    call = {"function": {"name": "book", "arguments": '{"seats": 2}'}}
    other = {"function": {"name": "look", "arguments": "{}"}}
    assert graded(Task.OPEN, "Book", "", [call], tools=[TOOL], tool_choice=demanded).quality == 1.0
    assert graded(Task.OPEN, "Book", "", [other], tools=[TOOL], tool_choice=demanded).quality == 0.1
    assert graded(Task.OPEN, "Book", "Done.", tools=[TOOL], tool_choice=demanded).quality == 0.1
    assert graded(Task.OPEN, "Book", "", [call], finish="length", tools=[TOOL]).quality is None
    assert grade_tool_calls([{"function": {"name": ["book"], "arguments": 5}}], [TOOL]).quality == 0.0


@pytest.mark.parametrize(
    ("ask", "answer", "quality"),
    [
        ("Explain what this function makes: f = lambda x: x", "It makes a copy.", None),
        ("Write a regex for digits", r"Use `\d+`.", None),
        ("Write a Python function", "I'm sorry, I can't help with that.", 0.1),
        ("Write a notebook cell", "```python\n!pip install numpy\nimport numpy\n```", 1.0),
        ("Write it in Python", "```python\nx = 1\n```\n```\n$ run\n```", 1.0),
        ("Write it in Python", "```python\nx = 1\n```\n```py\n$ run\n```", 0.6),
        ("Write it", "```bash\necho \x00\n```", None),
        ("Write it", "```js\nconst a = 1;\n```\n```brainfuck\n+++\n```", 1.0),
    ],
)
def test_code_is_held_to_what_was_asked(ask: str, answer: str, quality: float | None) -> None:
    found = grade_code(ask, answer).quality
    assert found == quality or (quality == 0.6 and found is not None and 0 < found <= 0.6)


@pytest.mark.parametrize(
    ("ask", "wanted"),
    [
        ("Convert this CSV to JSON", "json"),
        ("Turn the JSON below into YAML", "yaml"),
        ("Summarise the table as CSV", "csv"),
        ("Give me a markdown table of rivers", "table"),
        ("JSON please", "json"),
        ("a haiku", ""),
    ],
)
def test_the_format_that_is_asked_for_counts_not_the_one_at_hand(ask: str, wanted: str) -> None:
    assert wanted_format(ask) == wanted


def test_json_in_prose_is_worth_something_unless_a_program_reads_it() -> None:
    assert grade_structured("as JSON", 'Here: {"a": 1} Enjoy!').quality == 0.7
    assert grade_structured("as JSON", 'Here: {"a": 1} Enjoy!', json_required=True).quality == 0.0
    assert grade_structured("as JSON", '```json\n{"a": 1}\n```', json_required=True).quality == 0.4


@pytest.mark.parametrize(
    ("ask", "answer", "quality"),
    [
        ("What is 5 * 1?", "5 × 1 = 6", 0.0),
        ("What is 5 * 1?", "5 × 1 = **5**", 1.0),
        ("What is 1/3 + 0?", "\\frac{1}{3}", 1.0),
        ("What is 1234 * 1000?", "$1{,}234{,}000$", 1.0),
        ("What is 15% of 80?", "12", 1.0),
        ("What is 9**9**9**9?", "a lot", None),
        ("What is 10**400 * 10**9?", "1" + "0" * 409, 1.0),
        ("What is 2 + 2?\nA) 3\nB) 4", "B", None),
        ("What is 37 * 24?", "x " * 50_000 + "888", 1.0),
        ("What is 37 * 24?", "x " * 50_000, None),
    ],
)
def test_sums_are_checked_where_results_stand(ask: str, answer: str, quality: float | None) -> None:
    assert graded(Task.MATH, ask, answer).quality == quality


@pytest.mark.parametrize(
    "ask",
    ["What is 2024-01-05?", "What happened on 9/11?", "what is 2 + 3x = 7", "What is 3 + 4 = 8?", "1-2-3", "12", ""],
)
def test_what_is_no_sum_is_not_evaluated(ask: str) -> None:
    assert find_expression(ask) is None


@pytest.mark.parametrize(
    "text", ["(" * 10_000, "1" * 10_000, "-" * 10_000, "3!!!!", "2**4096", "1/3**4000", "400!*" * 60 + "1"]
)
def test_no_intermediate_gets_large(text: str) -> None:
    def refused() -> None:
        with pytest.raises(OutOfBounds):
            evaluate(text)

    assert least_cpu_s(refused) < 0.01


def test_a_schema_fetches_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        at = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        assert schema_fault({}, {"$ref": at}) is None
        assert schema_fault({}, {"$id": at, "$ref": "other.json"}) is None
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "schema", [{"type": "dict"}, {"items": {"multipleOf": 0}}, {"pattern": "("}, {"minimum": "a"}, 5], ids=str
)
def test_a_schema_that_means_nothing_is_no_fault_of_the_answer(schema: Any) -> None:
    assert schema_fault([1], schema) in (None, "")


HOSTILE = {
    "backticks": "`" * 300_000,
    "fences": "```\n" * 80_000,
    "dashes": "a|b\n" + "-" * 59_000 + "x",
    "flow yaml": "```yaml\n" + "[" * 11_000 + "\n```",
    "yaml maps": "```yaml\n" + "{a: " * 2_900 + "\n```",
    "json values": "[" + "1," * 200_000 + "1]",
    "objects": "{}\n" * 100_000,
    "go comments": "```go\n" + "/* " * 2_900 + "\n```",
    "java generics": "```java\n" + "a<b<" * 2_200 + "\n```",
    "java arrows": "```java\n" + "JOIN => " * 500 + "\n```",
    "rust marks": "```rust\n" + "a?" * 4_400 + "\n```",
    "bash zeros": "```bash\n" + "\x00" * 8_900 + "\n```",
    "bash marks": "```bash\n" + "a?" * 4_400 + "\n```",
    "sql": "```sql\n" + "SELECT " * 1_200 + "\n```",
    "python signs": "```python\n" + "-" * 11_000 + "1\n```",
    "python calls": "```python\na" + "()" * 5_500 + "\n```",
    "many blocks": "```js\na b c ; }\n```\n" * 1_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_answer_takes_a_grader_long(name: str) -> None:
    for task, ask in (
        (Task.CODE, "Write it"),
        (Task.STRUCTURED, "as JSON"),
        (Task.STRUCTURED, "as YAML"),
        (Task.STRUCTURED, "as a table"),
    ):
        graded(task, ask, "```go\nx\n```")
        assert least_cpu_s(partial(graded, task, ask, HOSTILE[name])) < 0.09, ask


def test_no_mixture_of_tokens_takes_a_grammar_long() -> None:
    rng = random.Random(7)
    parts = [
        "a ",
        "( ",
        "{ ",
        "/* ",
        "`",
        '"',
        "<a ",
        "a?",
        "x:",
        "fn ",
        "let ",
        "SELECT ",
        "$(",
        "@",
        "=> ",
        "\n",
        "<",
        "::",
    ]
    for language in ("javascript", "typescript", "go", "rust", "java", "bash", "sql"):
        for _ in range(6):
            unit = "".join(rng.choices(parts, k=rng.randint(1, 6)))
            code = f"```{language}\n{(unit * 9_000)[:8_900]}\n```"
            assert least_cpu_s(partial(grade_code, "Write it", code), times=2) < 0.15, (language, unit)


def test_many_calls_share_one_budget() -> None:
    choices = {"anyOf": [{"type": "string"}] * 400}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"items": choices}}}}}
    call = {"function": {"name": "f", "arguments": '{"a": [' + "1," * 2_000 + "1]}"}}
    assert least_cpu_s(partial(grade_tool_calls, [call] * 500, [tool])) < 0.09
