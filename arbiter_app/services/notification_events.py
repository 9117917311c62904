"""What operators can be told of. Whoever knows of such an event makes one of these and hands it to `Notifications.tell`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from arbiter_app.channels import Severity

HOUR_S: Final = 3_600.0


class EventKind(StrEnum):
    """Kinds of events, as rules name them and webhooks state them as `type`."""

    PRICE_SHIFT = "price_shift"
    QUALITY_SHIFT = "quality_shift"
    POOL_CHANGE = "pool_change"
    RUNTIME_REFUSAL = "runtime_refusal"
    QUARANTINE = "quarantine"
    BUDGET_50 = "budget_50"
    BUDGET_80 = "budget_80"
    BUDGET_100 = "budget_100"
    ERROR_RATE = "error_rate"
    SAVING_UNPROVEN = "saving_unproven"
    DIGEST_DAILY = "digest_daily"
    DIGEST_WEEKLY = "digest_weekly"


TEST: Final = "test"
"""The kind of the message that the test button sends; no rule needs to name it."""

IN_WORDS: Final[Mapping[str, str]] = {
    EventKind.PRICE_SHIFT: "a price shifts",
    EventKind.QUALITY_SHIFT: "quality shifts",
    EventKind.POOL_CHANGE: "models join or leave",
    EventKind.RUNTIME_REFUSAL: "a runtime refuses",
    EventKind.QUARANTINE: "a model is quarantined",
    EventKind.BUDGET_50: "50 % of a budget is spent",
    EventKind.BUDGET_80: "80 % of a budget is spent",
    EventKind.BUDGET_100: "a budget is spent",
    EventKind.ERROR_RATE: "the error rate is high",
    EventKind.SAVING_UNPROVEN: "the saving is no longer proven",
    EventKind.DIGEST_DAILY: "daily digest",
    EventKind.DIGEST_WEEKLY: "weekly digest",
    TEST: "test",
}

QUIET_S: Final[Mapping[str, float]] = {
    EventKind.QUARANTINE: HOUR_S,
    EventKind.ERROR_RATE: HOUR_S,
    EventKind.SAVING_UNPROVEN: 24 * HOUR_S,
}
"""For so long a rule is not told again of the same kind and subject; the others are told of every event once."""


@dataclass(frozen=True, slots=True)
class NotificationEvent:
    """Something operators can be told of.

    `subject` is what it is about (a model, a key, a project); `once` names this very event, the same in every process that
    sees it: nobody is told it twice. `title` is one line, `text` some sentences, `html` the same where text is not enough, `data` the figures
    for programs (USD, shares 0 to 1). `share` is what a rule's `error_share` is compared with.
    """

    kind: EventKind
    subject: str
    once: str
    title: str
    text: str
    severity: Severity = Severity.WARNING
    html: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    share: float | None = None


def budget_event(
    *, subject: str, period: str, share: float, spent_usd: float, limit_usd: float, renews: str = ""
) -> NotificationEvent:
    """The event of a budget of which `share` (0.5 to 1) is spent.

    `subject` names whose budget it is, `period` which one (`2026-11`, `2026-11-29`): each of 50, 80 and 100 % is told once a period.
    `renews` says when it begins anew.
    """
    kinds = {1.0: EventKind.BUDGET_100, 0.8: EventKind.BUDGET_80, 0.5: EventKind.BUDGET_50}
    reached = next((least for least in kinds if share >= least), 0.5)
    left = f"${max(0.0, limit_usd - spent_usd):,.2f} of ${limit_usd:,.2f} is left"
    return NotificationEvent(
        kind=kinds[reached],
        subject=subject,
        once=f"{kinds[reached]}:{subject}:{period}",
        title=f"{100 * reached:.0f} % of the budget of {subject} is spent",
        text=f"{left}, for {period}{f'; it renews {renews}' if renews else ''}.",
        severity=Severity.CRITICAL if reached == 1.0 else Severity.WARNING,
        data={"period": period, "spent_usd": spent_usd, "limit_usd": limit_usd, "share": share},
    )
