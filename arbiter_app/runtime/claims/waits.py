"""How long a runtime asks to be left alone: in a header, in a member of its error, or only in words.

All come in seconds here, from 0 to a day. Forms: `Retry-After` (seconds, a date, or a duration), `retry-after-ms` (OpenAI,
Azure), Gemini's `RetryInfo`, `retry_after` and its kin, OpenRouter's `X-RateLimit-Reset`, Hugging Face's `estimated_time`; in
words "try again in 1m30s" (OpenAI, Groq), "retry after 20 seconds" (Azure), "please wait 42 seconds" (GitHub), dates.
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from arbiter_app.runtime.claims.said import said

MOST_S = 86_400.0
"""Longer waits are taken for this one."""
MAX_READ_BYTES = 64 * 1024
_EPOCH_S, _EPOCH_MS = 1e9, 1e12
"""Numbers from here on are times and no durations."""

_UNITS = (
    ("ms", 0.001, r"ms|msecs?|milliseconds?|\u6beb\u79d2"),
    ("s", 1.0, r"s|secs?|seconds?|\u79d2\u949f?"),
    ("m", 60.0, r"m|mins?|minutes?|\u5206\u949f?"),
    ("h", 3_600.0, r"h|hrs?|hours?|\u5c0f\u65f6"),
    ("d", 86_400.0, r"d|days?|\u5929"),
)
_NUMBER = r"\d{1,15}(?:\.\d{1,12})?"
_PIECE = re.compile(
    rf"({_NUMBER})\s*(?:" + "|".join(f"(?P<{name}>{words})" for name, _, words in _UNITS) + r")(?![a-z])"
)
_DURATION = rf"{_PIECE.pattern}(?:[\s,]{{0,2}}(?:and\s)?{_PIECE.pattern})*"
_DURATION = re.sub(r"\?P<\w+>", "?:", _DURATION)
_DATE = r"\d{4}-\d\d-\d\d(?:[t\s]|\sat\s)\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?\s?(?:z|utc|gmt|[+-]\d\d:?\d\d)?"
_WORDS = re.compile(
    rf"""\b(?:try|retry|retrying|again|wait|waiting|resets?|available|access|retry[_-]?(?:after|delay))\b(?:\s(?:again|for|in|after|at|on|until|about|around
    |approximately|least|another|seconds:)(?!\w)|[:~={{]|\s){{0,6}}\s?(?:(?P<date>{_DATE})|(?P<duration>{_DURATION})|(?P<bare>{_NUMBER})(?=[.,;!)}}\s]*$|[.;!)]\s|\s\}}))""",
    re.VERBOSE,
)
_CHINESE = re.compile(rf"(?P<duration>{_DURATION})\s?(?:\u540e|\u4e4b\u540e|\u4ee5\u540e)")
_MEMBERS = re.compile(
    r'"(?P<name>retry_?delay|retry[_-]?after(?:[_-]?(?P<ms>ms|millis\w*|seconds|secs?|s))?|estimated_time|wait_seconds|x-ratelimit-reset)"'
    r'\s*:\s*(?:\{\s*"seconds"\s*:\s*)?"?(?P<value>[^",{}\[\]]{1,40})',
    re.IGNORECASE,
)


def wait_s(headers: Mapping[str, str], body: bytes) -> float | None:
    """The seconds that an error asks to wait; None where it asks for none. What a header says counts before the rest."""
    return next(_stated(headers, body), None)


def seconds_of(stated: str | None) -> float | None:
    """Seconds of a wait: a number of seconds, a duration (`1m30s`), or the time of its end in any common form; None for others."""
    text = (stated or "").strip().lower()
    try:
        seconds = float(text)
    except ValueError:
        return _bounded(_from_words(text))
    if seconds >= _EPOCH_S:
        seconds = (seconds / 1_000 if seconds >= _EPOCH_MS else seconds) - time.time()
    return _bounded(seconds)


def _stated(headers: Mapping[str, str], body: bytes) -> Iterator[float]:
    milliseconds = seconds_of(headers.get("retry-after-ms"))
    if milliseconds is not None:
        yield milliseconds / 1_000
    header = seconds_of(headers.get("retry-after"))
    if header is not None:
        yield header
    read = body[:MAX_READ_BYTES]
    for member in _MEMBERS.finditer(read.decode("utf-8", "replace").replace("\\", "")):
        value = seconds_of(member["value"])
        if value is not None:
            yield value / 1_000 if (member["ms"] or "").lower().startswith("m") else value
    words = said(read).words
    for found in (*_WORDS.finditer(words), *_CHINESE.finditer(words)):
        parts = found.groupdict()
        value = seconds_of(parts.get("date") or parts.get("duration") or parts.get("bare"))
        if value is not None:
            yield value


def _from_words(text: str) -> float | None:
    """A duration or a date."""
    if re.fullmatch(_DURATION, text):
        return sum(float(one[1]) * next(size for name, size, _ in _UNITS if one[name]) for one in _PIECE.finditer(text))
    if re.fullmatch(_DATE, text):
        day, clock = text[:10], re.sub(r"\s|z|utc|gmt", "", re.sub(r"^(?:t|\s(?:at\s)?)", "", text[10:]))
        try:
            moment = datetime.fromisoformat(f"{day}T{clock}")
        except ValueError:
            return None
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() - time.time()
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


def _bounded(seconds: float | None) -> float | None:
    return None if seconds is None or math.isnan(seconds) else min(MOST_S, max(0.0, seconds))
