"""What routing cost, and what it would have cost: sums, with what is sure of them."""

from __future__ import annotations

from typing_extensions import TypedDict

from arbiter_app.services.rows.estimates import Interval, Placebos
from arbiter_app.services.rows.policy import LicenceRow, Outlook
from arbiter_app.services.rows.spending import BudgetRow


class Money(TypedDict):
    """Spend against what the baseline would have charged."""

    calls: int
    actual_spend: float
    actual_spend_exact: str
    baseline_spend: float
    saved: float
    saved_pct: float | None


class GroupSums(Money):
    """Sums of a group of calls. What was asked beside answers (`learning_spend`, in `actual_spend`) is listed under the model that
    was asked and the mode `shadow`, and is no call."""

    mean_quality: float | None
    measured_calls: int
    graded: int
    failed: int
    learning_spend: float


class BucketRow(GroupSums):
    """Sums of a kind of prompt."""

    bucket: str


class ModelRow(GroupSums):
    """Sums of a model."""

    model: str


class ModeRow(GroupSums):
    """Sums of a reason to choose."""

    mode: str


class AgreementRow(TypedDict):
    """How often the judge and the truth are on one side of 0.5, with the 95 % interval; its mean error; and what one
    judged grade weighs against an objective one."""

    task: str
    against: str
    n: int
    agreement: float
    low: float
    high: float
    bias: float
    weight: float | None


class JudgeTrust(TypedDict):
    """The judge, in all and by task."""

    model: str
    objective: AgreementRow | None
    people: AgreementRow | None
    by_task: list[AgreementRow]


class ReactionTrust(TypedDict):
    """What the next turn says of an answer, seen in `tools` or `words`: pairs with other grades of the same answers, the share of them on one
    side of 0.5, and what one reaction weighs against an objective grade."""

    seen_in: str
    task: str
    n: int
    agreement: float
    weight: float


class Certainty(TypedDict):
    """How sure a saving is: intervals of `saved_pct` and of `saved`, null while they cannot be stated."""

    interval: Interval | None
    interval_usd: Interval | None
    proven: bool


class QualityDifference(TypedDict):
    """Mean quality of the routed calls less that of those held out."""

    quality_difference: float | None
    quality_interval: Interval | None


class HoldoutReport(Certainty, QualityDifference):
    """What the randomised holdout alone says."""

    calls: int
    spend: float
    routed_calls: int
    compared_calls: int
    saved: float | None
    saved_pct: float | None


class CostStates(TypedDict):
    """Calls by how their charge is known."""

    settled: int
    computed: int
    estimated: int
    unknown: int


class Exploration(TypedDict):
    """What was chosen to learn something: shares of the routed requests, and of the baseline's dollars; with their caps."""

    explore_calls: int
    explore_spend: float
    explore_share: float | None
    explore_cap: float | None
    explore_usd_share: float | None
    explore_usd_cap: float | None


class ReportSums(Money, Certainty, Exploration):
    """Calls, spend, baseline and saving of a period (`until`: now where it is null), with a breakdown."""

    since: float | None
    until: float | None
    baseline_model: str
    unmeasured_calls: int
    learning_spend: float
    learning_spend_exact: str
    calibrate_spend: float
    failed: int
    aborted: int
    classifier_spend: float
    judge_spend: float
    judge: JudgeTrust
    reactions: list[ReactionTrust]
    holdout_calls: int
    holdout: HoldoutReport
    cost_states: CostStates
    mean_quality: float | None
    graded: int
    outlook: Outlook | None
    licences: list[LicenceRow]
    mean_latency_ms: float | None
    mean_overhead_ms: float | None
    by_bucket: list[BucketRow]
    by_model: list[ModelRow]
    by_mode: list[ModeRow]


class ReportAnswer(ReportSums):
    """A period's report, with the budgets of what it is about as they are now: of everything, of the project, or of the key and its
    project."""

    placebos: Placebos
    budgets: list[BudgetRow]


class TimeSlot(TypedDict):
    """Sums of one time slot, which begins at `ts`."""

    ts: int
    calls: int
    spend: float
    learning: float
    baseline: float
    measured_calls: int
    models: dict[str, float]
    modes: dict[str, int]
    p50_ms: float | None
    p95_ms: float | None


class TimeSeries(TypedDict):
    """Slots of equal length, oldest first."""

    bucket_seconds: int
    data: list[TimeSlot]
