"""An operator's own prompts to be run on every model: read from JSON Lines, and how the answers to each are graded.

Each line is an object: `prompt` (text) or `messages`, and optionally `task`, `max_tokens`, and one of `reference` (a text
or number the answer has to contain), `regex` (that has to match somewhere) or `schema` (a JSON schema it has to satisfy).
Without one of them Arbiter's objective checks grade where they can, and the judge where they cannot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from arbiter_app import expressions
from arbiter_app.pipeline.errors import Unprocessable
from arbiter_app.pipeline.grade import grade
from arbiter_app.pipeline.graders.arithmetic import contains_value
from arbiter_app.pipeline.graders.structured import grade_structured
from arbiter_app.pipeline.types import ChatRequest, Classification, Completion, Grade, Json, Task

MAX_ITEMS = 500
MAX_TOKENS = 1_024
MAX_REFERENCE = 300
REGEX_S = 0.03
FIELDS = ("prompt", "messages", "task", "max_tokens", "reference", "regex", "schema")
CHECKS = ("reference", "regex", "schema")
_SPACES = re.compile(r"\s+")
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt: what is asked, its task when the operator says so, the bound of the answer, and at most one check."""

    messages: list[Json]
    task: Task | None
    max_tokens: int
    check: str
    wanted: Any

    @property
    def payload(self) -> Json:
        """The chat request, without its model."""
        asked: Json = {"messages": self.messages, "max_tokens": self.max_tokens}
        if self.check == "schema":
            named = {"name": "answer", "schema": self.wanted}
            asked["response_format"] = {"type": "json_schema", "json_schema": named}
        return asked


def parse_items(text: str) -> list[Item]:
    """The prompts of a JSON Lines text; empty lines are skipped. Raises Unprocessable naming the first bad line."""
    items = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            items.append(parse_item(orjson.loads(line)))
        except orjson.JSONDecodeError as error:
            raise Unprocessable(f"line {number} is no JSON: {error}", param="jsonl") from error
        except ValueError as error:
            raise Unprocessable(f"line {number}: {error}", param="jsonl") from error
        if len(items) > MAX_ITEMS:
            raise Unprocessable(f"more than {MAX_ITEMS} prompts; about 20 a task are enough", param="jsonl")
    if not items:
        raise Unprocessable("there is no prompt in it: one JSON object a line", param="jsonl")
    return items


def parse_item(given: Any) -> Item:
    """One prompt. Raises ValueError saying what is wrong with it."""
    if not isinstance(given, dict):
        raise ValueError('must be an object such as {"prompt": "..."}')
    unknown = [name for name in given if name not in FIELDS]
    if unknown:
        raise ValueError(f"unknown field {unknown[0][:40]!r}; known are {', '.join(FIELDS)}")
    checks = [name for name in CHECKS if given.get(name) is not None]
    if len(checks) > 1:
        raise ValueError(f"{' and '.join(checks)} together; give one of them")
    check = checks[0] if checks else ""
    return Item(_messages(given), _task(given), _bound(given), check, _wanted(check, given[check]) if check else None)


def grade_item(item: Item, request: ChatRequest, seen: Classification, done: Completion) -> Grade:
    """The objective grade of an answer to an item; quality None where only the judge can say."""
    if not item.check:
        return grade(request, seen, done)
    if not done.text.strip():
        return Grade(0.0, "the answer is empty")
    cut_off = done.finish_reason == "length"
    if item.check == "schema":
        return grade_structured(request.ask, done.text, json_required=True, schema=item.wanted, cut_off=cut_off)
    found = _has_reference(done.text, item.wanted) if item.check == "reference" else _matches(done.text, item.wanted)
    if found is None:
        return Grade(None, "the regex took too long on this answer", "none")
    if not found and cut_off:
        return Grade(None, f"the {item.check} was not found before the answer was cut off", "none")
    return Grade(float(found), f"the {item.check} was {'' if found else 'not '}found")


def _has_reference(answer: str, wanted: str) -> bool | None:
    """A number is found however it is written; a text as whole words, whatever its case and spacing."""
    if _NUMBER.fullmatch(wanted):
        return contains_value(answer, Fraction(wanted))
    pattern = rf"(?<!\w){re.escape(_plain(wanted))}(?!\w)"
    return re.search(pattern, _plain(answer)) is not None


def _plain(text: str) -> str:
    return _SPACES.sub(" ", text.casefold()).strip()


def _matches(answer: str, pattern: str) -> bool | None:
    """Whether the pattern is found; None when that takes longer than REGEX_S (`re` could not be stopped, `regex` can), or too much memory."""
    try:
        return expressions.compiled(pattern).search(answer, timeout=REGEX_S) is not None
    except (TimeoutError, MemoryError):
        return None


def _messages(given: Json) -> list[Json]:
    prompt, messages = given.get("prompt"), given.get("messages")
    if (prompt is None) == (messages is None):
        raise ValueError("needs either prompt or messages")
    if prompt is not None:
        if not isinstance(prompt, str) or not prompt.strip():
            raise ValueError("prompt must be a text")
        return [{"role": "user", "content": prompt}]
    sound = isinstance(messages, list) and messages and all(isinstance(one, dict) and "role" in one for one in messages)
    if not sound or messages is None:
        raise ValueError("messages must be a list of objects with a role")
    return list(messages)


def _task(given: Json) -> Task | None:
    task = given.get("task")
    if task is None:
        return None
    if task not in list(Task):
        raise ValueError(f"unknown task {str(task)[:40]!r}; known are {', '.join(Task)}")
    return Task(task)


def _bound(given: Json) -> int:
    tokens = given.get("max_tokens", MAX_TOKENS)
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not 1 <= tokens <= 32_000:
        raise ValueError("max_tokens must be a whole number from 1 to 32000")
    return tokens


def _wanted(check: str, value: Any) -> Any:
    if check == "schema":
        if not isinstance(value, dict):
            raise ValueError("schema must be a JSON schema, an object")
        try:
            Draft202012Validator.check_schema(value)
        except SchemaError as error:
            raise ValueError(f"schema is no JSON schema: {error.message[:200]}") from error
        return value
    if check == "reference" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value}"
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{check} must be a text")
    if check == "reference":
        if len(value) > MAX_REFERENCE:
            raise ValueError(
                f"reference has {len(value)} characters, {MAX_REFERENCE} are the most: name what the answer must contain, "
                "or leave it out and let the judge grade"
            )
        return value.strip()
    try:
        expressions.compiled(value)
    except expressions.Unfit as error:
        raise ValueError(f"regex cannot be read: {error}") from error
    return value
