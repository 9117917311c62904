"""Stage 5: how good is the answer? Objective checks only; what has none is unknown here, and may go to the judge."""

from __future__ import annotations

import logging
from typing import Any

from arbiter_app.pipeline.graders.arithmetic import OutOfBounds, contains_value, evaluate, find_expression
from arbiter_app.pipeline.graders.code import grade_code
from arbiter_app.pipeline.graders.edits import edit_format
from arbiter_app.pipeline.graders.structured import grade_structured
from arbiter_app.pipeline.graders.toolcalls import grade_tool_calls
from arbiter_app.pipeline.messages import offered
from arbiter_app.pipeline.rules import has_choices
from arbiter_app.pipeline.thoughts import says_more
from arbiter_app.pipeline.types import ChatRequest, Classification, Completion, Grade, Task

log = logging.getLogger("arbiter.grade")

MAX_ANSWER_CHARS = 2_000_000
_OFFERS = frozenset({"tools", "functions"})


def grade(request: ChatRequest, seen: Classification, done: Completion) -> Grade:
    """The objective grade of an answer, with its reason; quality None when there is no check. Never raises."""
    try:
        return _grade(request, seen, done)
    except Exception:
        # A defect of a grader must not cost the caller the answer: the grade is unknown, and the log says why.
        log.exception("a grader failed", extra={"request_id": request.request_id})
        return Grade(None, "the grader failed", "none")


def _grade(request: ChatRequest, seen: Classification, done: Completion) -> Grade:
    if done.aborted:
        return Grade(None, "the answer broke off", "none")
    if refused(done):
        return Grade(None, "the model refused", "none")
    if request.max_tokens == 0:
        return Grade(None, "no answer was asked for", "none")
    if done.large:
        return Grade(None, "the answer is too long to check", "none")
    asked_format, schema = response_format(request)
    by_tools = _grade_tools(request, done) if done.tool_calls or not _OFFERS.isdisjoint(request.payload) else None
    if by_tools is not None and not (asked_format and done.text):
        return by_tools
    if not done.text.strip():
        return _without_text(done)
    if len(done.text) > MAX_ANSWER_CHARS:
        return Grade(None, "the answer is too long to check", "none")
    cut_off = done.finish_reason == "length"
    if asked_format:
        return grade_structured(request.ask, done.text, json_required=True, schema=schema, cut_off=cut_off)
    if seen.task is Task.STRUCTURED:
        return _unless_edit(grade_structured(request.ask, done.text, cut_off=cut_off), done.text, document=True)
    if seen.task is Task.CODE:
        return _unless_edit(grade_code(request.ask, done.text, cut_off=cut_off), done.text)
    if seen.task is Task.MATH:
        return _grade_math(request.ask, done.text, cut_off=cut_off)
    return Grade(None, "no objective check for this kind of answer", "none")


def _unless_edit(found: Grade, answer: str, *, document: bool = False) -> Grade:
    """The grade, unless it finds fault with what is an agent's edit of a file: whether that is right is unknown.

    `document`: a document was asked for, not code.
    """
    if found.quality is None or found.quality == 1.0:
        return found
    edits = edit_format(answer, document=document)
    return Grade(None, f"an edit of files ({edits})", "none") if edits else found


def refused(done: Completion) -> bool:
    """Whether the model, or a filter, would not answer."""
    choices = done.body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return done.finish_reason == "content_filter" or bool(isinstance(message, dict) and message.get("refusal"))


def _without_text(done: Completion) -> Grade:
    if done.finish_reason == "length":
        return Grade(None, "cut off before the answer began", "none")
    if says_more(done.body):
        return Grade(None, "the answer is no text", "none")
    return Grade(0.0, "the answer is empty")


def _grade_tools(request: ChatRequest, done: Completion) -> Grade | None:
    """The grade of an answer to a request that offers tools; None when the text is what counts."""
    tools, choice = offered(request.payload)
    if done.tool_calls:
        if not tools:
            return Grade(None, "a tool call where no tools were offered", "none")
        if done.finish_reason == "length":
            return Grade(None, "the tool call is cut off", "none")
        return grade_tool_calls(done.tool_calls, tools, must_call=_named_tool(choice))
    if not tools or choice == "none":
        return None
    if choice == "required" or _named_tool(choice):
        return Grade(0.1, "a tool call was required and none was made")
    if done.text.strip():
        # The work may have been done by earlier calls, and a question back is fair: prose is no fault here.
        return Grade(None, "an answer in words where tools were offered", "none")
    return None


def _named_tool(choice: Any) -> str:
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else ""


def response_format(request: ChatRequest) -> tuple[bool, Any]:
    """Whether the request demands JSON, and its schema if it carries one."""
    asked = request.payload.get("response_format")
    if not isinstance(asked, dict) or asked.get("type") not in ("json_object", "json_schema"):
        return False, None
    inner = asked.get("json_schema")
    return True, inner.get("schema") if isinstance(inner, dict) else None


def _grade_math(ask: str, answer: str, *, cut_off: bool) -> Grade:
    expression = find_expression(ask)
    if expression is None:
        return Grade(None, "no plain arithmetic in the prompt to check against", "none")
    if has_choices(ask):
        return Grade(None, "the answer may be a letter", "none")
    try:
        expected = evaluate(expression.text)
    except OutOfBounds as error:
        return Grade(None, f"not evaluated: {error}", "none")
    shown = str(expected)
    if len(shown) > 40:
        shown = f"{shown[:20]}..."
    found = contains_value(answer, expected, besides=expression.text)
    if found is None:
        return Grade(None, f"expected {shown}, not found in the parts of a long answer that were read", "none")
    if cut_off and not found:
        return Grade(None, f"expected {shown}, not found before the answer was cut off", "none")
    return Grade(1.0, f"expected {shown}, found") if found else Grade(0.0, f"expected {shown}, not found")
