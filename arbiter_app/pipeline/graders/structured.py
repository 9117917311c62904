"""Is the answer valid in the format that was asked for: JSON (and its schema), YAML, CSV, a table?"""

from __future__ import annotations

import csv
import io
import re
from itertools import islice
from typing import Any

import orjson
import yaml

from arbiter_app.pipeline.graders.schema import schema_fault
from arbiter_app.pipeline.types import Grade

MAX_JSON_CHARS = 1_000_000
MAX_YAML_CHARS = 20_000
MAX_TABLE_CHARS = 60_000
MAX_FENCES = 16

_FENCED = re.compile(r"```[ \t]*([\w-]*)[^\n]*\n(.*?)```", re.DOTALL)
_FORMATS = (
    ("json", re.compile(r"\bjson\b", re.IGNORECASE)),
    ("yaml", re.compile(r"\bya?ml\b", re.IGNORECASE)),
    ("csv", re.compile(r"\bcsv\b|comma[- ]separated", re.IGNORECASE)),
    ("table", re.compile(r"\btable\b|\btabular\b|\bcolumns\b", re.IGNORECASE)),
)
_ROW = re.compile(r"^\s*\|.*\|\s*$|^[^|\n]+(?:\|[^|\n]*)+$")
_RULE = re.compile(r"^\s*\|?[\s:|-]*-[\s:|-]*\|?\s*$")


def wanted_format(ask: str) -> str:
    """The format a prompt asks for by name; empty when none that can be checked."""
    found = [(match.start(), name) for name, pattern in _FORMATS if (match := pattern.search(ask[:8_000]))]
    return min(found)[1] if found else ""


def grade_structured(ask: str, answer: str, *, json_required: bool = False, schema: Any = None) -> Grade:
    """1 when the answer is valid, 0 when it is not, 0.3 when it is JSON that does not satisfy its schema."""
    wanted = "json" if json_required or schema is not None else wanted_format(ask)
    if wanted == "json":
        return _grade_json(answer, schema, strict=json_required or schema is not None)
    if wanted == "yaml":
        return _grade_yaml(answer)
    if wanted == "csv":
        return _grade_csv(answer)
    if wanted == "table":
        return _grade_table(answer)
    return Grade(None, "no format that can be checked was asked for", "none")


def _grade_json(answer: str, schema: Any, *, strict: bool) -> Grade:
    if len(answer) > MAX_JSON_CHARS:
        return Grade(None, "the answer is too long to check", "none")
    text = answer.strip()
    fenced = _fenced(answer, ("json", "jsonc", ""))
    whole = _loads(text)
    parsed = whole if whole is not None or strict else next((v for v in map(_loads, fenced) if v is not None), None)
    if (
        parsed is None
        and strict
        and (inner := next((v for v in map(_loads, fenced) if v is not None), None)) is not None
    ):
        return (
            Grade(0.4, "valid JSON, but wrapped in a code fence where JSON alone was asked for")
            if inner
            else _bad_json()
        )
    if parsed is None:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) > 1 and all(_loads(line) is not None for line in lines[:200]):
            return Grade(1.0, "valid JSON, one value a line")
        return _bad_json()
    if schema is None:
        return Grade(1.0, "valid JSON")
    fault = schema_fault(parsed[0], schema)
    if fault is None:
        return Grade(None, "the schema cannot be checked within bounds", "none")
    return Grade(0.3, f"valid JSON, but {fault}") if fault else Grade(1.0, "valid JSON that satisfies its schema")


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
    if any(len(text) > MAX_YAML_CHARS for text in candidates):
        return Grade(None, "the answer is too long to check", "none")
    faults = [_yaml_fault(text) for text in candidates]
    return (
        Grade(1.0, "valid YAML") if any(not fault for fault in faults) else Grade(0.0, f"not valid YAML: {faults[0]}")
    )


def _yaml_fault(text: str) -> str:
    """Reads the events only: nothing is built, so aliases cannot blow up."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    collection = False
    try:
        for event in yaml.parse(text, Loader=loader):
            collection = collection or isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return str(getattr(error, "problem", None) or "it does not parse")
    return "" if collection else "it holds no mapping or list"


def _grade_csv(answer: str) -> Grade:
    candidates = _fenced(answer, ("csv", "text", "")) or [answer.strip()]
    text = max(candidates, key=len)
    if len(text) > MAX_TABLE_CHARS:
        return Grade(None, "the answer is too long to check", "none")
    try:
        rows = [row for row in csv.reader(io.StringIO(text.strip()), skipinitialspace=True, strict=True) if row]
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
        return Grade(None, "the answer is too long to check", "none")
    lines = answer.splitlines()
    for at, line in enumerate(lines[1:], 1):
        if "-" in line and "|" in line and _RULE.match(line) and _ROW.match(lines[at - 1]):
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
    fences = islice(_FENCED.finditer(answer[:MAX_JSON_CHARS]), MAX_FENCES)
    return [fence.group(2) for fence in fences if fence.group(1).lower() in languages]
