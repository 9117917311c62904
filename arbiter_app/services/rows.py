"""What can be read of Arbiter, as types: made by the services, shown by the pages, answered by the API, whose description
is made of these by pydantic. They are plain dicts, as they are stored, pushed and sent between processes.

Money is USD, times are unix seconds, `_ms` milliseconds, `_pct` a per cent, shares and qualities 0 to 1; None is unknown.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

Interval = Annotated[list[float], Field(min_length=2, max_length=2, description="95 % interval: its two ends")]


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


class Estimated(TypedDict):
    """Cost a call in USD and quality, with their intervals; null where there is no estimate."""

    cost: float | None
    cost_interval: Interval | None
    quality: float | None
    quality_interval: Interval | None


class PlaceboLine(Estimated):
    """One rule of routing on the traffic that was seen."""

    name: str
    calls: int
    covered: float
    effective_sample_size: float | None
    refused: str | None


class Placebos(TypedDict):
    """The routing, and what it must beat."""

    calls: int
    lines: list[PlaceboLine]


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


class ReportAnswer(ReportSums):
    """A period's report, with the budgets of what it is about as they are now: of everything, of the project, or of the key and its
    project."""

    placebos: Placebos
    budgets: list[BudgetRow]


class RoutedEstimate(Estimated):
    """The same calls as they were routed."""

    effective_sample_size: float | None


class ModelShare(TypedDict):
    """The share of the calls that a model would get."""

    model: str
    share: float


class WhatIfEstimate(Estimated):
    """Another rule on the same traffic; `refused` says why there is no estimate."""

    policy: str
    calls: int
    covered: float
    refused: str | None
    effective_sample_size: float | None
    as_routed: RoutedEstimate
    models: list[ModelShare]


class WhatIfAnswer(WhatIfEstimate):
    """What was asked, and the answer."""

    tolerance: float
    without: list[str]
    days: float | None


class KnownModel(TypedDict):
    """What is known of a model in a bucket: `n` grades, quality with its 95 % interval, means of a call; and what is proven by its `pairs` with
    the baseline: whether it has a licence, by how much it is worse at most (null: nothing yet), and how many more pairs a licence is
    expected to take (null: it has one, or none is expected)."""

    model: str
    n: float
    calls: float
    quality: float | None
    low: float | None
    high: float | None
    avg_cost: float | None
    avg_latency_ms: float | None
    chosen: bool
    licensed: bool
    pairs: float
    at_most_worse: float | None
    pairs_to_go: float | None


class Outlook(TypedDict):
    """What is expected to be saved once more is known, in per cent of the baseline, with a likely range (8 in 10); and about how many more
    requests until the saving of this period is proven (null: it is, or nobody can tell)."""

    saved_pct: float
    likely: Interval
    requests_to_go: float | None


class LicenceRow(TypedDict):
    """What pairs with the baseline prove of a model in a bucket, at 95 % however often one looks: whether it is worse by no more than the
    tolerance, and by how much at most (null: nothing yet)."""

    bucket: str
    model: str
    licensed: bool
    pairs: float
    at_most_worse: float | None


class SegmentRow(TypedDict):
    """A segment of a bucket for which choices are made by itself: the requests whose `feature` has this `value`, the chance that it differs from
    the others, the weight of its grades, and the model that would be chosen now, with its quality."""

    bucket: str
    feature: str
    value: str
    chance: float
    n: float
    model: str
    quality: float | None


class PolicyTable(TypedDict):
    """What has been learned, by bucket; `segments` only for operators."""

    policy: str
    baseline: str
    buckets: dict[str, list[KnownModel]]
    segments: list[SegmentRow]


class DecisionRow(TypedDict):
    """One routed request."""

    seq: int
    id: str
    ts: float
    request_id: str | None
    key_id: str | None
    conversation: str | None
    task: str
    difficulty: str
    bucket: str
    classified_by: str
    model: str
    mode: str
    reason: str
    propensity: float | None
    quality: float | None
    quality_source: str
    quality_reason: str | None
    cost_state: str
    prompt_tokens: int | None
    completion_tokens: int | None
    tokens_needed: int | None
    eligible_models: int
    latency_ms: float | None
    first_byte_ms: float | None
    overhead_ms: float
    stream: bool
    status: str
    error_code: str
    cache: str
    failover_from: list[str] | None
    cascaded_from: str | None
    rejected: list[str]
    asked_tokens: int | None
    project_id: str | None
    runtime: str
    end_user: str | None
    tags: list[str] | None
    cost: float | None
    answer_cost: float | None
    classifier_cost: float | None
    judge_cost: float | None
    learning_cost: float | None
    baseline: float | None
    saved: float | None


class Trace(TypedDict, total=False):
    """What each stage saw, decided and took, as far as it went."""

    request: dict[str, Any] | None
    classify: dict[str, Any] | None
    filter: dict[str, Any] | None
    route: dict[str, Any] | None
    call: dict[str, Any] | None
    grade: dict[str, Any] | None
    learn: dict[str, Any] | None


class ShadowRow(TypedDict):
    """A model that was asked beside an answer, to learn: what that cost and scored. Its answer is not kept."""

    model: str
    ts: float
    status: str
    error: str
    cost: float | None
    cost_state: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: float
    quality: float | None
    quality_source: str
    quality_reason: str


class TracedDecision(DecisionRow):
    """One decision, whole; its trace is null once it has been retired."""

    shadows: list[ShadowRow]
    trace: Trace | None


class DecisionList(TypedDict):
    """A page of decisions, newest first; `next` is where to page on, null at the end."""

    data: list[DecisionRow]
    next: int | None


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


class RemovedAnswer(TypedDict):
    """What is gone."""

    id: str
    deleted: bool


class State(TypedDict):
    """Pool, counters, alerts, overrides, cache and mode."""

    mode: str
    policy: str
    baseline_model: str
    pool_size: int
    pool_notes: list[str]
    classifier: dict[str, int]
    decisions: int
    alerts: list[AlertRow]
    active_price_overrides: dict[str, float]
    cache_entries: int
    cache_mode: str
    cache_hits: int
    quarantined: dict[str, dict[str, Any]]
    learning: dict[str, float | None]
    store: str


class DeploymentRow(TypedDict):
    """A model on one runtime: its list prices there in USD per 1,000,000 tokens, and how it fared.

    `calls`, `failed`, `latency_ms` (mean, of a whole answer) and `cost_per_thousand` (USD a thousand tokens, as charged) are of
    the newest decisions that the model answered. It rests for `resting_s` more seconds after what `reason` says. `serving`: it
    would be asked first now.
    """

    key: str
    runtime: str
    runtime_name: str
    input_per_million: float | None
    output_per_million: float | None
    price_from: str
    context: int | None
    listed: bool
    serving: bool
    calls: int
    failed: int
    latency_ms: float | None
    cost_per_thousand: float | None
    resting_s: float
    reason: str


class Abilities(TypedDict):
    """Which capabilities a model has: a field for each of `pipeline.types.Capability`."""

    vision: bool
    audio: bool
    video: bool
    tools: bool
    json_schema: bool


class CatalogModel(Abilities):
    """A model of the catalog, with list prices in USD per 1,000,000 tokens: of several deployments, of the cheapest listed. `variants` are the
    ids of the same model at other settings of how hard it is to think."""

    id: str
    input_per_million: float | None
    output_per_million: float | None
    price_from: str
    runtime_name: str
    state: str
    context: int | None
    baseline: bool
    routable: bool
    variants: list[str]


class DeployedModel(CatalogModel):
    """The same with its `deployments`, where it has several, or one on a runtime that the catalog names."""

    deployments: NotRequired[list[DeploymentRow]]


class FactSources(TypedDict):
    """Which layer each fact of a model came from: `catalog` (the file), `runtime` (its list), `operator`, `library` (the price list that
    comes with Arbiter), or `unknown`."""

    price: str
    context: str
    capabilities: str
    routable: str


class EditedModel(DeployedModel):
    """A model as operators see it: with where its facts come from, and what they said of it (`edit`, by the catalog's keys)."""

    sources: FactSources
    edit: dict[str, Any]
    retired: bool


class OfferedModel(Abilities):
    """A model that a runtime lists and nobody has added, at the price that it would have."""

    id: str
    runtime: str
    runtime_name: str
    input_per_million: float | None
    output_per_million: float | None
    price_from: str
    context: int | None


class PoolModels(TypedDict):
    """The pool, and what could join it."""

    data: list[EditedModel]
    new: list[OfferedModel]


class PriceChange(TypedDict):
    """What a price list changes of a model: a key of the catalog, before and after; null is not known. `new`: the model is not there yet."""

    model: str
    key: str
    before: Any
    after: Any
    new: bool


class PriceFileAnswer(TypedDict):
    """How many models a price list names, what it changes, and whether that was done."""

    models: int
    changes: list[PriceChange]
    applied: bool


class PriceList(TypedDict):
    """The catalog."""

    data: list[DeployedModel]


class ListedModel(TypedDict):
    """A model of OpenAI's list; of `auto` and the presets nothing more is known. `variant_of` is the model of a variant."""

    id: str
    object: str
    created: int
    owned_by: str
    routable: bool
    input_per_million: NotRequired[float | None]
    output_per_million: NotRequired[float | None]
    price_from: NotRequired[str]
    runtime_name: NotRequired[str]
    state: NotRequired[str]
    context: NotRequired[int | None]
    vision: NotRequired[bool]
    audio: NotRequired[bool]
    video: NotRequired[bool]
    tools: NotRequired[bool]
    json_schema: NotRequired[bool]
    baseline: NotRequired[bool]
    variants: NotRequired[list[str]]
    variant_of: NotRequired[str]


class CandidateRow(TypedDict):
    """An eligible model as the policy saw it: graded weight, quality with 95 % interval, expected cost in USD; `why_not` is empty
    for the one that was chosen."""

    model: str
    n: float
    quality: float | None
    low: float | None
    high: float | None
    cost: float | None
    why_not: str


class RouteBudget(TypedDict):
    """What budgets do to a decision: what is left of the tightest, what the first model of the order would reserve of it, how many times
    as much a dollar weighs, and that a soft limit is passed, in a sentence."""

    remaining_usd: float
    reserves_usd: float
    dollar_weight: float
    warning: str


class RouteAnswer(TypedDict):
    """A decision that was not carried out. Costs are in USD, expected; `order` is the one in which models would be asked. `budget` is
    null where none limits it; what might cost more than it leaves is among the `rejected`."""

    object: str
    model: str
    mode: str
    reason: str
    task: str
    difficulty: str
    classified_by: str
    prompt_tokens: int
    tokens_needed: int
    budget_met: bool
    latency_capped: bool
    expected_cost: float | None
    baseline: str
    baseline_cost: float | None
    order: list[str]
    candidates: list[CandidateRow]
    rejected: dict[str, str]
    budget: RouteBudget | None


class ModelList(TypedDict):
    """OpenAI's list of models."""

    object: str
    data: list[ListedModel]


class AuditRow(TypedDict):
    """An administrative act: who did what to which subject, what that was before and is after; null for nothing."""

    id: int
    ts: float
    key_id: str
    email: str
    action: str
    subject: str
    before: Any
    after: Any


class AuditList(TypedDict):
    """A page of the audit log, newest first; `next` is where to page on, null at the end."""

    data: list[AuditRow]
    next: int | None


class CalibrationHead(TypedDict):
    """A calibration, its money and its state."""

    id: str
    created: float
    changed: float
    max_usd: float
    estimate_usd: float
    state: str
    note: str


class CalibrationCell(TypedDict):
    """What a calibration found of a model for one kind of prompt."""

    bucket: str
    model: str
    n: int
    graded: int
    judged: int
    quality: float | None
    mean_cost: float | None


class CalibrationView(CalibrationHead):
    """A calibration with its progress and table."""

    prompts: int
    models: int
    total: int
    done: int
    failed: int
    failures: list[str]
    spent_usd: float
    table: list[CalibrationCell]


class CalibrationList(TypedDict):
    """The newest calibrations."""

    data: list[CalibrationHead]


class VoteAnswer(TypedDict):
    """A thumb that counts."""

    status: str
    decision_id: str | None
    task: str
    model: str
    rating: str


class PriceAnswer(TypedDict):
    """A price override."""

    model: str
    multiplier: float
    active: bool


class ResetAnswer(TypedDict):
    """Everything learned is gone."""

    status: str


class MintedSecret(TypedDict):
    """A new key, shown this once."""

    api_key: str


class KeyUsage(TypedDict):
    """A key and its use against its limits, null where there is none."""

    key_id: str
    email: str
    role: str
    status: str
    used_6h: int
    limit_6h: int | None
    used_week: int
    limit_week: int | None


class KeyStatus(TypedDict):
    """The state of a key after a change."""

    key_id: str
    status: str


class KeyRow(TypedDict):
    """A stored key without its secret. `expires` in unix seconds, null for never; `models` that it may use, null for all;
    `tolerance` of quality, null for the operator's; `origin` the first of the keys that it takes the place of, empty for none."""

    key_id: str
    email: str
    label: str
    role: str
    status: str
    created: float
    project_id: str
    origin: str
    expires: float | None
    models: list[str] | None
    tolerance: float | None


class KeyEntry(KeyRow):
    """The same with when it was used last, unix seconds; null for never."""

    last_used: float | None


class KeyList(TypedDict):
    """Stored keys, in the order in which they were made."""

    data: list[KeyEntry]


class MintedEntry(TypedDict):
    """A new key with its secret, shown this once."""

    api_key: str
    key: KeyEntry


class ProjectRow(TypedDict):
    """A project: what keys belong to. Budgets' periods begin by its `timezone`.

    What its keys ask and are answered is kept for `content_hours` (0: not at all), without what the rules of `redact` name.
    """

    id: str
    name: str
    timezone: str
    created: float
    keys: int
    content_hours: float
    redact: list[str]


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


class PersonRow(TypedDict):
    """Somebody who signs in without a key. `disabled`: may not at the moment. `projects`: ids, and the roles there."""

    id: str
    email: str
    name: str
    role: str
    created: float
    disabled: bool
    projects: dict[str, str]


class MemberRow(TypedDict):
    """Somebody with a role in a project: viewer, member or owner; null once it was taken."""

    id: str
    email: str
    name: str
    role: str | None
    disabled: bool


class InvitationRow(TypedDict):
    """A link that has not been used, and the role that it gives: operator, or one in a project."""

    id: str
    email: str
    created: float
    expires: float
    project_id: str
    role: str


class MadeInvitation(InvitationRow):
    """A new link: `path` is where it leads to at this Arbiter, with its code, shown this once."""

    path: str


class PeopleList(TypedDict):
    """Everybody, in the order in which they came, and the links that still work."""

    data: list[PersonRow]
    invitations: list[InvitationRow]


class MemberList(TypedDict):
    """Who has a role in a project, and for its owners the links to it that still work."""

    data: list[MemberRow]
    invitations: list[InvitationRow]


class Withdrawn(TypedDict):
    """A link that works no longer."""

    id: str
    withdrawn: bool


class ProjectList(TypedDict):
    """Projects, in the order in which they were made."""

    data: list[ProjectRow]


class BudgetList(TypedDict):
    """Budgets, in the order in which they were made."""

    data: list[BudgetRow]


class Removed(TypedDict):
    """What is no more."""

    status: str


class PricePoint(TypedDict):
    """What a thousand tokens cost in one decision, USD."""

    ts: float
    model: str
    task: str
    cost: float | None


class ProcessLoad(TypedDict):
    """The load of one process of a host: requests in work and waiting, answered and CPU cores used since a few seconds ago, resident
    memory, writes not committed yet, and how long ago it last took in what others learned. The process 0 has the pages."""

    process: str
    running: int
    queued: int
    requests_per_s: float | None
    cpu_cores: float | None
    memory_bytes: int
    store_pending: int
    learned_age_s: float


class HostRow(TypedDict):
    """A host by its own account, `silent_s` seconds ago. `state` is serving, paused (the database refuses its writes), draining or silent.

    `requests_per_s`, `cpu_cores` and the like are sums over its `processes`, `learned_age_s` is the longest; `clock_ahead_s` is against
    the database's clock; `leads` says that it does the housekeeping for all.
    """

    id: str
    name: str
    version: str
    schema_revision: str
    state: str
    trouble: str
    leads: bool
    started: float
    silent_s: float
    clock_ahead_s: float | None
    running: int
    queued: int
    requests_per_s: float | None
    cpu_cores: float | None
    memory_bytes: int
    learned_age_s: float
    journal_entries: int
    journal_bytes: int
    processes: list[ProcessLoad]


class StandbyRow(TypedDict):
    """A copy of the database that follows; None: the server does not tell."""

    name: str
    state: str
    lag_s: float | None
    lag_bytes: int | None


class DatabaseRow(TypedDict):
    """The database that hosts share: `used` of `most` connections are open, `ours` of them Arbiter's; None for a file, or while it cannot
    be asked (`trouble` says why)."""

    kind: str
    version: str | None
    used: int | None
    most: int | None
    ours: int | None
    standbys: list[StandbyRow]
    trouble: str


class HostList(TypedDict):
    """Every host that serves from the database, by name, and that database."""

    data: list[HostRow]
    database: DatabaseRow


class HealthAnswer(TypedDict):
    """That Arbiter lives, and what it lacks; `uptime_s` in seconds."""

    status: str
    version: str
    mode: str
    uptime_s: float
    store: str
    journal: str
    learning: str
    runtime: str
    neighbour: str


class ReadyAnswer(TypedDict):
    """Whether Arbiter takes work, or why not."""

    status: str
    reasons: list[str]


class BaseAnswer(TypedDict):
    """Who answers at a base URL, and where the routes are: paths."""

    name: str
    version: str
    base_url: str
    reference: str
    openapi: str


class DeletedResponse(TypedDict):
    """A kept response that is gone."""

    id: str
    object: str
    deleted: bool


class TokenCount(TypedDict):
    """Tokens of a prompt."""

    input_tokens: int
