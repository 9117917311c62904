"""Prompts and answers that were kept by choice."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class KeptContent(TypedDict):
    """What was asked in a decision, as a chat request, and the message that answered it. Times in unix seconds."""

    decision_id: str
    project_id: str
    made: float
    expires: float
    request: dict[str, Any]
    answer: dict[str, Any]


class SecondAnswer(TypedDict):
    """What another model answered to the same; `cost` in dollars."""

    decision_id: str
    model: str
    answer: dict[str, Any]
    quality: float | None
    cost: float | None
    latency_ms: float | None


class FoundContent(TypedDict):
    """A decision whose content has what was looked for; null where its record was retired."""

    decision_id: str
    project_id: str
    made: float
    task: str | None
    model: str | None
    quality: float | None
    excerpt: str


class FoundContents(TypedDict):
    """What was found, newest first, among the contents that were `searched`; search on with `before` = `next`, null at the end."""

    data: list[FoundContent]
    searched: int
    next: str | None
