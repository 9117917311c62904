"""What a runtime's error body says, whatever its shape: `{"error": {...}}`, a list, JSON inside a string, plain text, HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from arbiter_app.pipeline.completions import first_choice
from arbiter_app.pipeline.plain import is_digits
from arbiter_app.runtime.claims import secrets

MAX_MESSAGE_CHARS = 2_000
MAX_WORD_CHARS = 200
MAX_READ_CHARS = 8_000
"""So much of what is said is looked at; the rest would be somebody's text."""
MAX_DEPTH = 6

_MESSAGES = (
    "message",
    "Message",
    "msg",
    "error_description",
    "detail",
    "raw",
    "title",
    "reason",
    "error_msg",
    "status_msg",
    "faultstring",
)
_CODES = ("code", "error_code", "Code", "__type", "errorCode", "status_code", "errorcode")
_TYPES = ("type", "error_type", "status")
_INNER = (
    "error",
    "errors",
    "message",
    "detail",
    "innererror",
    "metadata",
    "details",
    "cause",
    "response",
    "data",
    "base_resp",
    "fault",
)
_GENERIC = re.compile(r"(?i)(?:provider returned error|upstream error|bad request|error|)\.?$")


@dataclass(slots=True)
class Said:
    """What an error body says, whatever its shape: the outermost code, type and param, and every word of it."""

    messages: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    param: str | None = None
    window: int | None = None
    needs: int | None = None
    markup: bool = False

    @property
    def message(self) -> str:
        """The most telling sentence: the outermost one that is more than a heading."""
        return next((one for one in self.messages if not _GENERIC.match(one)), "")

    @property
    def words(self) -> str:
        """All of it in lower case, to be searched."""
        return _searchable(" ".join([*self.codes, *self.types, *self.messages]))

    @property
    def sentences(self) -> str:
        """The same without codes and types, each message on a line of its own."""
        return _searchable("\n".join(self.messages))


def _searchable(text: str) -> str:
    return text[:MAX_READ_CHARS].lower().replace("\u2019", "'")


def said(body: bytes) -> Said:
    """Read an error body: `{"error": {...}}`, `{"error": "text"}`, a list, JSON inside a string, plain text, HTML."""
    found = Said()
    text = body.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    if text[:1] in ("{", "["):
        try:
            _collect(orjson.loads(text), found, 0)
        except orjson.JSONDecodeError:
            found.messages.append(_clean(text))
    elif re.match(r"(?i)\s*<(?:!doctype|html|head|body|\?xml|center|h1)", text):
        found.markup = True
        title = re.search(r"(?is)<(title|h1)[^>]*>(.*?)</\1>", text[:MAX_READ_CHARS])
        found.messages.append(_clean(f"a page of HTML ({title[2].strip()})" if title else "a page of HTML"))
    elif text:
        found.messages.append(_clean(text))
    return found


def _collect(value: Any, found: Said, depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, str):
        _take_message(value, found, depth)
    elif isinstance(value, list):
        for one in value[:8]:
            _collect(one, found, depth + 1)
    elif isinstance(value, dict):
        _collect_object(value, found, depth)


def _collect_object(value: dict[str, Any], found: Said, depth: int) -> None:
    for key in _CODES:
        _take_code(value.get(key), found)
    for key in _TYPES:
        one = value.get(key)
        if isinstance(one, str) and not is_digits(one):
            found.types.append(_word(one))
        else:
            _take_code(one, found, named=False)
    param = value.get("param")
    if found.param is None and isinstance(param, str) and param:
        found.param = _word(param)
    loc = value.get("loc")
    if found.param is None and isinstance(loc, list):
        found.param = _word(".".join(str(part) for part in loc[:8] if part != "body"))
    found.window = found.window or _count(value.get("n_ctx"))
    found.needs = found.needs or _count(value.get("n_prompt_tokens"))
    for key in _MESSAGES:
        if isinstance(value.get(key), str):
            _take_message(value[key], found, depth)
    choice = first_choice(value)
    if choice is not None and choice.get("error"):
        _collect(choice["error"], found, depth + 1)
    for key in _INNER:
        if value.get(key) and not (key in _MESSAGES and isinstance(value[key], str)):
            _collect(value[key], found, depth + 1)


def _take_message(text: str, found: Said, depth: int) -> None:
    """A sentence; or JSON in a string, as proxies pass on what they were told."""
    stripped = text.strip()
    if stripped[:1] in ("{", "[") and depth < MAX_DEPTH:
        try:
            inner = orjson.loads(stripped)
        except orjson.JSONDecodeError:
            pass
        else:
            _collect(inner, found, depth + 1)
            return
    if stripped:
        found.messages.append(_clean(stripped))


def _take_code(one: Any, found: Said, *, named: bool = True) -> None:
    if isinstance(one, bool):
        return
    if isinstance(one, int) or (isinstance(one, str) and is_digits(one, 5)):
        number = int(one)
        if 400 <= number < 600:
            found.statuses.append(number)
        elif named:
            found.codes.append(str(number)[:12])
    elif isinstance(one, str) and one:
        found.codes.append(_word(one))


def _count(one: Any) -> int | None:
    return one if type(one) is int and 0 < one < 1 << 40 else None


def _clean(text: str) -> str:
    """One bounded sentence without control characters and secrets."""
    kept = "".join(one if one.isprintable() else " " for one in text[: 2 * MAX_MESSAGE_CHARS])
    return secrets.without_foreign(secrets.hide(" ".join(kept.split())))[:MAX_MESSAGE_CHARS]


def _word(text: str) -> str:
    return _clean(text)[:MAX_WORD_CHARS]
