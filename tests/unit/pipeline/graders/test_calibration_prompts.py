"""A calibration's prompts: each bad line is named with its number and why; each check grades what it says."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import orjson
import pytest

from arbiter_app.pipeline.errors import Unprocessable
from arbiter_app.pipeline.graders.calibration import MAX_ITEMS, grade_item, parse_item, parse_items
from arbiter_app.pipeline.types import UNKNOWN_COST, Classification, ClassifiedBy, Completion, Grade, Task
from arbiter_app.services.prompt_runner import request_of

BAD = {
    "{": "line 2 is no JSON",
    "[1]": "line 2: must be an object",
    '{"prompt": "x", "answer": "y"}': "line 2: unknown field 'answer'; known are prompt,",
    '{"task": "math"}': "line 2: needs either prompt or messages",
    '{"prompt": "x", "messages": []}': "line 2: needs either prompt or messages",
    '{"prompt": " "}': "line 2: prompt must be a text",
    '{"messages": ["hello"]}': "line 2: messages must be a list of objects",
    '{"prompt": "x", "task": "chess"}': "line 2: unknown task 'chess'; known are code, math",
    '{"prompt": "x", "max_tokens": 0}': "line 2: max_tokens must be",
    '{"prompt": "x", "reference": "a", "regex": "b"}': "line 2: reference and regex together",
    '{"prompt": "x", "regex": "("}': "line 2: regex cannot be read",
    '{"prompt": "x", "schema": {"type": 7}}': "line 2: schema is no JSON schema",
    '{"prompt": "x", "reference": ["a"]}': "line 2: reference must be a text",
    orjson.dumps({"prompt": "x", "reference": "a" * 301}).decode(): "line 2: reference has 301 characters, 300 are",
}


@pytest.mark.parametrize("line", BAD)
def test_a_bad_line_is_named(line: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        parse_items(f'{{"prompt": "fine"}}\n{line}\n')
    assert caught.value.message.startswith(BAD[line])


def test_none_and_too_many_are_refused_and_empty_lines_are_not() -> None:
    assert len(parse_items('\n{"prompt": "a"}\n\n{"prompt": "b"}\n')) == 2
    for text, why in (("\n \n", "there is no prompt"), ('{"prompt": "a"}\n' * (MAX_ITEMS + 1), "more than 500")):
        with pytest.raises(Unprocessable, match=why):
            parse_items(text)


def graded(answer: str, finish: str = "stop", **given: Any) -> Grade:
    item = parse_item({"prompt": "Say it", **given})
    body = {"choices": [{"message": {"content": answer}}]}
    done = Completion("m", body, answer, [], None, UNKNOWN_COST, 1.0, 1.0)
    seen = Classification(Task.FACTUAL, False, ClassifiedBy.RULES, "")
    return grade_item(item, request_of(item, "r"), seen, replace(done, finish_reason=finish))


@pytest.mark.parametrize(
    ("given", "answer", "quality"),
    [
        ({"reference": "Lima"}, "It is  LIMA, of course.", 1.0),
        ({"reference": "new  York"}, "In New\nYork.", 1.0),
        ({"reference": "Lima"}, "Limassol", 0.0),
        ({"reference": 1200}, "That makes 1,200.", 1.0),
        ({"reference": "2.5"}, "12.5", 0.0),
        ({"regex": r"^\d{4}$"}, "1808", 1.0),
        ({"regex": r"^\d{4}$"}, "in 1808", 0.0),
        ({"schema": {"type": "object", "required": ["a"]}}, '{"a": 1}', 1.0),
        ({"schema": {"type": "object", "required": ["a"]}}, "no", 0.0),
        ({"reference": "Lima"}, "  ", 0.0),
    ],
)
def test_checks_grade_what_they_say(given: dict[str, Any], answer: str, quality: float) -> None:
    assert graded(answer, **given).quality == quality


def test_what_was_cut_off_or_takes_too_long_is_unknown() -> None:
    assert graded("The capital of Peru is", "length", reference="Lima").quality is None
    began = time.thread_time()
    grade = graded("a" * 5_000 + "!", regex=r"(a|aa)+$")
    assert grade.quality in (0.0, None)
    assert time.thread_time() - began < 5
