"""What is sent, and what came of sending it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad it is; PagerDuty and Slack show it in their own ways."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message. `id` stays the same when it is sent again; `ts` is when it happened, unix seconds; `html` may be empty. `where` says to people
    in a line when it happened, and where more is to be seen."""

    id: str
    kind: str
    subject: str
    ts: float
    severity: Severity
    title: str
    text: str
    html: str = ""
    where: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SendResult:
    """Whether it arrived; else `said` is why, in a sentence without secrets, `final` that trying again would not help, and
    `retry_after_s` how long the receiver wants to be left alone."""

    ok: bool
    said: str = ""
    final: bool = False
    retry_after_s: float | None = None
