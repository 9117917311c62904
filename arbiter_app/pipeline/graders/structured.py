"""Is the answer valid in the format that was asked for: JSON (and its schema), YAML, CSV, a table?"""

from __future__ import annotations

import csv
import io
import re
import time
from typing import Any

import orjson
import yaml

from arbiter_app.pipeline.graders.fences import fenced_blocks
from arbiter_app.pipeline.graders.schema import schema_fault
from arbiter_app.pipeline.types import Grade

MAX_JSON_CHARS = 500_000
MAX_YAML_CHARS = 20_000
YAML_S = 0.02
MAX_TABLE_CHARS = 60_000
MAX_BLOCKS = 16
MAX_JSON_LINES = 200

_NAMES = {"json": "json", "jsonl": "json", "yaml": "yaml", "yml": "yaml", "csv": "csv", "comma": "csv"}
_NAMED = re.compile(r"\b(json|jsonl|ya?ml|csv|comma(?=[- ]separated)|table|tabular|columns)\b", re.IGNORECASE)
# A format that is asked for, as against one that is only mentioned ("convert this CSV to JSON").
_WANTED = re.compile(
    r"\b(?:to|into|as|in|return|returns|output|respond with|reply with|give me|generate|produce|create|make)\s"
    r"(?:(?:an?|the|only|just|valid|single|strict|raw|markdown|array|following|format|of|object|me)\s){0,4}"
    r"(json|jsonl|ya?ml|csv|table|tabular)\b",
    re.IGNORECASE,
)
_RULE_CHARS = frozenset(" \t:|-")
_CUT_OFF = Grade(None, "the answer is cut off", "none")
_TOO_LONG = Grade(None, "the answer is too long to check", "none")


def wanted_format(ask: str) -> str:
    """The format a prompt asks for by name; empty when none that can be checked."""
    head = ask[:8_000]
    match = _WANTED.search(head) or _NAMED.search(head)
    return _NAMES.get(match.group(1).lower(), "table") if match is not None else ""


def grade_structured(
    ask: str, answer: str, *, json_required: bool = False, schema: Any = None, cut_off: bool = False
) -> Grade:
    """1 when the answer is valid, 0 when it is not, 0.3 when it is JSON that does not satisfy its schema.

    `cut_off`: the answer ended at its length limit, so what is invalid about it says nothing of the model.
    """
    grade = _grade(ask, answer, json_required or schema is not None, schema)
    return _CUT_OFF if cut_off and grade.quality is not None and grade.quality < 1 else grade


def _grade(ask: str, answer: str, json_required: bool, schema: Any) -> Grade:
    wanted = "json" if json_required else wanted_format(ask)
    if wanted == "json":
        return _grade_json(answer, schema, strict=json_required)
    if wanted == "yaml":
        return _grade_yaml(answer)
    if wanted == "csv":
        return _grade_csv(answer)
    if wanted == "table":
        return _grade_table(answer)
    return Grade(None, "no format that can be checked was asked for", "none")


def _grade_json(answer: str, schema: Any, *, strict: bool) -> Grade:
    """`strict`: the request itself demands JSON, so a program reads the answer: a fence around it is a fault."""
    if len(answer) > MAX_JSON_CHARS:
        return _TOO_LONG
    parsed = _loads(answer)
    if parsed is None:
        fenced = next(
            (value for value in map(_loads, _fenced(answer, ("json", "jsonc", ""))) if value is not None), None
        )
        if strict or fenced is None:
            return _not_whole(answer, fenced is not None, strict)
        parsed = fenced
    if schema is None:
        return Grade(1.0, "valid JSON")
    fault = schema_fault(parsed[0], schema)
    if fault is None:
        return Grade(None, "the schema cannot be checked within bounds", "none")
    return Grade(0.3, f"valid JSON, but {fault}") if fault else Grade(1.0, "valid JSON that satisfies its schema")


def _not_whole(answer: str, fenced: bool, strict: bool) -> Grade:
    """The grade of an answer that as a whole is no JSON."""
    if fenced:
        return Grade(0.4, "valid JSON, but wrapped in a code fence where JSON alone was asked for")
    if strict:
        return _bad_json()
    lines = [line for line in answer.split("\n") if line.strip()]
    if len(lines) > 1 and all(_loads(line) is not None for line in lines[:MAX_JSON_LINES]):
        return Grade(1.0, "valid JSON, one value a line")
    starts = [at for at in (answer.find("{"), answer.find("[")) if at >= 0]
    ends = max(answer.rfind("}"), answer.rfind("]"))
    if starts and _loads(answer[min(starts) : ends + 1]) is not None:
        return Grade(0.7, "valid JSON, with text around it")
    return _bad_json()


def _bad_json() -> Grade:
    return Grade(0.0, "not valid JSON")


def _loads(text: str) -> tuple[Any] | None:
    """The parsed object or array in a one-tuple (so that `null` differs from a failure)."""
    stripped = text.strip()
    if stripped[:1] not in ("{", "["):
        return None
    try:
        return (orjson.loads(stripped),)
    except (orjson.JSONDecodeError, RecursionError):
        return None


def _grade_yaml(answer: str) -> Grade:
    candidates = _fenced(answer, ("yaml", "yml", "")) or [answer]
    if sum(map(len, candidates)) > MAX_YAML_CHARS:
        return _TOO_LONG
    ends_s = time.thread_time() + YAML_S
    faults = [_yaml_fault(text, ends_s) for text in candidates]
    if "" in faults:
        return Grade(1.0, "valid YAML")
    if None in faults:
        return Grade(None, "the YAML cannot be checked within bounds", "none")
    return Grade(0.0, f"not valid YAML: {faults[0]}")


def _yaml_fault(text: str, ends_s: float) -> str | None:
    """Reads the events only: nothing is built, so aliases cannot blow up. None when `ends_s`, in thread time, comes first."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    collection = False
    try:
        for event in yaml.parse(text, Loader=loader):
            collection = collection or isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent)
            if time.thread_time() > ends_s:
                return None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return str(getattr(error, "problem", None) or "it does not parse")
    return "" if collection else "it holds no mapping or list"


def _grade_csv(answer: str) -> Grade:
    text = max(_fenced(answer, ("csv", "text", "")) or [answer], key=len).strip()
    if len(text) > MAX_TABLE_CHARS:
        return _TOO_LONG
    try:
        rows = [row for row in csv.reader(io.StringIO(text), skipinitialspace=True, strict=True) if row]
    except csv.Error as error:
        return Grade(0.0, f"not valid CSV: {error}")
    widths = {len(row) for row in rows}
    if len(rows) < 2 or widths == {1}:
        return Grade(0.0, "not a CSV table with a header and rows")
    if len(widths) > 1:
        return Grade(0.2, f"CSV rows differ in length: {min(widths)} to {max(widths)} fields")
    return Grade(1.0, f"valid CSV, {len(rows)} rows of {widths.pop()} fields")


def _grade_table(answer: str) -> Grade:
    if len(answer) > MAX_TABLE_CHARS:
        return _TOO_LONG
    lines = answer.split("\n")
    for at, line in enumerate(lines[1:], 1):
        if "-" in line and "|" in line and "|" in lines[at - 1] and _RULE_CHARS.issuperset(line.rstrip("\r")):
            return _table_at(lines, at)
    if "<table" in answer and "</table>" in answer:
        return Grade(1.0, "an HTML table")
    return Grade(0.0, "no table in the answer")


def _table_at(lines: list[str], rule_at: int) -> Grade:
    width = _cells(lines[rule_at - 1])
    rows = []
    for line in lines[rule_at + 1 :]:
        if "|" not in line:
            break
        rows.append(_cells(line))
    if not rows:
        return Grade(0.2, "a table header without rows")
    if any(cells != width for cells in rows):
        return Grade(0.4, f"table rows differ from the header's {width} columns")
    return Grade(1.0, f"a table of {len(rows)} rows and {width} columns")


def _cells(line: str) -> int:
    return line.strip().strip("|").replace("\\|", "").count("|") + 1


def _fenced(answer: str, languages: tuple[str, ...]) -> list[str]:
    return [block.code for block in fenced_blocks(answer)[:MAX_BLOCKS] if block.language in languages]
