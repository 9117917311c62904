"""What happened, and who was told."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict


class AlertRow(TypedDict):
    """What moved, and what came of it."""

    id: int
    ts: float
    kind: str
    task: str
    bucket: str
    model: str
    old_unit: float | None
    new_unit: float | None
    direction: str
    reason: str
    known: Annotated[dict[str, Any] | None, Field(description="calls, graded and votes when it was raised")]
    outcome: Annotated[
        dict[str, Any] | None,
        Field(
            description="what came of it so far: requests, trials and what they cost, shares by model before and after, "
            "after how many requests traffic had moved, USD a request before, after, and with the model of the alert"
        ),
    ]
    settled: float | None
    moved: str
    then: str
    summary: str


class AlertList(TypedDict):
    """Alerts, newest first."""

    data: list[AlertRow]


class NotificationRuleRow(TypedDict):
    """Who is told of which `events`, and how. `address` is so much of it as may be shown; `held` counts messages held back since one
    was sent; `error_share` is from which share of failed requests (0 to 1) `error_rate` is told."""

    id: str
    name: str
    channel: str
    address: str
    encrypted: bool
    events: list[str]
    error_share: float
    muted_until: float | None
    held: int
    created: float
    changed: float


class MadeNotificationRule(NotificationRuleRow):
    """A new rule. A webhook's signing secret is shown this once."""

    signing_secret: str | None


class NotificationRuleList(TypedDict):
    """Every rule, oldest first."""

    data: list[NotificationRuleRow]


class NotificationRow(TypedDict):
    """A message for a rule: `state` is waiting, sent or dead; `said` is why the last try failed, `due` when the next one is, `held`
    how many were held back before it."""

    seq: int
    id: str
    rule_id: str
    kind: str
    subject: str
    state: str
    title: str
    text: str
    made: float
    due: float | None
    attempts: int
    said: str
    ended: float | None
    held: int


class NotificationList(TypedDict):
    """A page of messages, newest first; `next` is where to page on, null at the end."""

    data: list[NotificationRow]
    next: int | None
