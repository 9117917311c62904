"""Budgets, and who spent what."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict


class BudgetRow(TypedDict):
    """A budget in its present period, USD: what is spent, reserved by calls in work, and left; `began` and `renews` in unix
    seconds, null where it has no period. Of what is spent, `counted_usd` was charged for `counted_calls` calls from before it was set. A
    dollar weighs `dollar_weight` times as much as without it."""

    id: str
    scope: str
    subject: str
    period: str
    timezone: str
    limit_usd: float
    soft: float
    spent_usd: float
    counted_usd: float
    counted_calls: int
    reserved_usd: float
    left_usd: float
    dollar_weight: float
    began: float | None
    renews: float | None


class PeriodSums(TypedDict):
    """What a period cost, and its calls."""

    spend: float
    calls: int


class SpendCause(TypedDict):
    """A cause of a change in spend: `volume` (more calls), `keys`, `tasks`, `models` (other ones), `size` (longer calls), or `price`."""

    cause: str
    change: float


class SpendGroup(TypedDict):
    """A task, model or key in both periods; an empty name stands for all others together."""

    name: str
    before: float
    after: float
    change: float
    calls_before: int
    calls: int


class SpendChangeAnswer(TypedDict):
    """A period beside the one before: the change in spend, its causes, which add up to it, and by whom; keys for operators alone."""

    since: int
    until: int
    before: PeriodSums
    after: PeriodSums
    change: float
    causes: list[SpendCause]
    by_task: list[SpendGroup]
    by_model: list[SpendGroup]
    by_key: list[SpendGroup]


class SpendRow(TypedDict):
    """Sums of a group of calls; `spend` has what judges and models asked beside answers charged in it. Of the group there is what was
    asked for, with the names of projects and keys; an empty tag or user stands for all those that are not counted apart. `ts` is
    when its time slot begins, where there are any."""

    project: NotRequired[str]
    project_name: NotRequired[str]
    key: NotRequired[str]
    key_name: NotRequired[str]
    tag: NotRequired[str]
    user: NotRequired[str]
    model: NotRequired[str]
    runtime: NotRequired[str]
    ts: NotRequired[int]
    calls: int
    failed: int
    aborted: int
    graded: int
    prompt_tokens: int
    completion_tokens: int
    spend: float
    spend_exact: str
    judge_spend: float
    learning_spend: float
    baseline_spend: float
    mean_quality: float | None
    mean_latency_ms: float | None


class SpendAnswer(TypedDict):
    """Who spent it between two times: groups, the dearest first (by time, where slots were asked for), `others` together, and the total,
    to which groups by tag need not add up. `most_tags` and `most_users` of a project are counted apart on a day."""

    since: int
    until: int
    by: list[str]
    bucket_seconds: int | None
    total: SpendRow
    data: list[SpendRow]
    others: SpendRow | None
    most_tags: int
    most_users: int


class BudgetList(TypedDict):
    """Budgets, in the order in which they were made."""

    data: list[BudgetRow]
