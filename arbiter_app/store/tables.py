"""The schema. Money is integer pico-dollars (1e-12 USD), times are unix seconds, unknown is NULL."""

from __future__ import annotations

from collections.abc import Sequence
from types import new_class

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Numeric, String, Table, UniqueConstraint
from sqlmodel import Field, SQLModel

from arbiter_app.policy import FIELDS, agreement


class StoredDecision(SQLModel, table=True):
    """One request. `seq` orders them; the trace lives in its own table so that feeds never read it.

    It has no index but that of its id: what feeds are narrowed by is filed in batches (see `LISTS` and `projections`).
    """

    __tablename__ = "decision"
    seq: int | None = Field(default=None, primary_key=True)
    id: str = Field(unique=True)
    ts: float
    request_id: str
    key_id: str
    conversation: str
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
    quality_reason: str
    cost_pico: int | None = Field(sa_type=BigInteger)
    answer_cost_pico: int | None = Field(sa_type=BigInteger)
    classifier_cost_pico: int | None = Field(sa_type=BigInteger)
    judge_cost_pico: int | None = Field(sa_type=BigInteger)
    cost_state: str
    baseline_pico: int | None = Field(sa_type=BigInteger)
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
    failover_from: str | None
    cascaded_from: str | None
    rejected: str | None = None
    """JSON list of the pool's models that could not serve; NULL where every model could."""
    asked_tokens: int | None = None
    """The prompt in tokens as Arbiter itself estimates it, the same whichever model serves; NULL for a cached answer."""
    beyond_pico: int | None = Field(default=None, sa_type=BigInteger)
    """The answers' charges less the asked model's list price of `asked_tokens`; NULL where they do not measure a model."""
    learning_cost_pico: int | None = Field(default=None, sa_type=BigInteger)
    """What the models charged that were asked beside the answer, to learn; NULL where none was. Not part of `cost_pico`."""
    project_id: str = "default"
    runtime: str = ""
    """The runtime that was asked last, where the catalog names several."""
    end_user: str = ""
    """For whom the caller says that it asked; empty where it does not say."""
    tags: str | None = None
    """Tags of the request, each between line ends; NULL where it has none."""


class StoredShadow(SQLModel, table=True):
    """A model that was asked beside an answer, once for each decision: what that cost and scored. The answer is not kept."""

    __tablename__ = "shadow"
    decision_id: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    ts: float
    status: str
    error: str
    cost_pico: int | None = Field(sa_type=BigInteger)
    cost_state: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: float
    quality: float | None
    quality_source: str
    quality_reason: str


class DecisionTrace(SQLModel, table=True):
    """What every stage saw, as JSON."""

    __tablename__ = "decision_trace"
    id: str = Field(primary_key=True)
    ts: float
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


def _sums(name: str, keys: Sequence[str], fields: Sequence[str]) -> type[SQLModel]:
    """A table of additive sums: a text column a key, a number a field. A new field needs a migration."""
    columns = {key: Field(primary_key=True) for key in keys} | dict.fromkeys(fields, 0.0)
    types = {**dict.fromkeys(keys, str), **dict.fromkeys(fields, float)}
    body = {"__module__": __name__, "__tablename__": name.lower(), "__annotations__": types, **columns}
    return new_class(name, (SQLModel,), {"table": True}, lambda made: made.update(body))


Statistic = _sums("Statistic", ("bucket", "model"), FIELDS)
"""Additive statistics of one model in one bucket: the fields of `policy.ModelStats`."""
Agreement = _sums("Agreement", ("judge", "task", "against"), agreement.FIELDS)
"""A judge's scores against the truth about the same answers: the sums of `policy.agreement.Pairs`."""


class Calibration(SQLModel, table=True):
    """An operator's prompts to be run on every model: `body` holds them and the models as JSON. Outcomes are decisions."""

    __tablename__ = "calibration"
    id: str = Field(primary_key=True)
    created: float
    changed: float
    state: str
    note: str
    max_usd: float
    estimate_usd: float
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Content(SQLModel, table=True):
    """A response that is kept for the key that asked for it, or an item of its output, until it expires; or what was asked and answered
    in one decision of a project that keeps it.

    `response_id` is the response it belongs to, `size` the length of its `body` in bytes (see `services.contents`). `project_id` is
    that of a decision's content, whose `id` is the decision's (see `services.exchanges`); empty otherwise, as `response_id` is then.
    """

    __tablename__ = "content"
    __table_args__ = (
        Index("ix_content_expires", "expires", "size"),
        Index("ix_content_response", "key_id", "response_id"),
        Index("ix_content_project", "project_id", "id"),
    )
    key_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    response_id: str
    made: float
    expires: float
    size: int
    encrypted: bool
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    project_id: str = Field(default="", sa_column_kwargs={"server_default": ""})


class AuditEntry(SQLModel, table=True):
    """An administrative act: who did what to which subject. `before` and `after` are JSON, NULL for nothing. Never changed, never removed."""

    __tablename__ = "audit"
    id: int | None = Field(default=None, primary_key=True)
    ts: float
    key_id: str
    email: str
    action: str
    subject: str = Field(index=True)
    before: str | None = None
    after: str | None = None


class StoredModelEdit(SQLModel, table=True):
    """What operators say of a model over the catalog's file, as JSON (see `pool.edits`)."""

    __tablename__ = "model_edit"
    model: str = Field(primary_key=True)
    changed: float
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class PolicyState(SQLModel, table=True):
    """Non-additive state of the policy."""

    __tablename__ = "policy_state"
    key: str = Field(primary_key=True)
    value: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Project(SQLModel, table=True):
    """What keys belong to; `timezone` (IANA) is that of its budgets' periods. The one of the id `default` is always there.

    What its keys ask and are answered is kept for `content_hours` (0: not at all) without what `redact` names, a JSON list of rules
    (`services.redaction`).
    """

    __tablename__ = "project"
    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    timezone: str
    created: float
    changed: float
    content_hours: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    redact: str = Field(default="[]", sa_column_kwargs={"server_default": "[]"})


class ApiKey(SQLModel, table=True):
    """A key: its public id, the SHA-256 digest of the whole key, and who holds it. The key itself is nowhere.

    `origin` is the id of the key that this one replaces, the first of the line; empty where there is none. `models` is a JSON list
    of those that it may use, NULL for all; `tolerance` of quality is its own, NULL for the policy's.
    """

    __tablename__ = "api_key"
    id: str = Field(primary_key=True)
    digest: str = Field(unique=True)
    role: str
    email: str = Field(index=True)
    label: str
    status: str
    created: float
    changed: float
    project_id: str = "default"
    origin: str = ""
    expires: float | None = None
    models: str | None = None
    tolerance: float | None = None
    last_used: float | None = None


class StoredSession(SQLModel, table=True):
    """A browser that is signed in: SHA-256 digests of its cookie and of the code that it fetches that with, and whose it is.

    Its ids are never used again: what is new has the highest.
    """

    __tablename__ = "session"
    __table_args__ = {"sqlite_autoincrement": True}
    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    key_id: str = Field(index=True)
    role: str
    began: float
    ends: float
    ticket: str | None = Field(default=None, unique=True)


class Person(SQLModel, table=True):
    """Somebody who signs in without a key; `email` in lower case. Never removed: the audit log names people by id."""

    __tablename__ = "person"
    id: str = Field(primary_key=True)
    email: str = Field(unique=True)
    name: str
    role: str
    created: float
    changed: float
    disabled: bool = False


class Membership(SQLModel, table=True):
    """The role of a person in a project: viewer, member or owner."""

    __tablename__ = "membership"
    person_id: str = Field(primary_key=True)
    project_id: str = Field(primary_key=True)
    role: str
    created: float


class Invitation(SQLModel, table=True):
    """A link that lets somebody in once: the SHA-256 digest of its code. Gone once it was used.

    `role` is what they become: an operator, or one of `Membership` in the project.
    """

    __tablename__ = "invitation"
    id: str = Field(primary_key=True)
    digest: str = Field(unique=True)
    email: str
    created: float
    expires: float
    project_id: str = ""
    role: str = "operator"


class StoredBudget(SQLModel, table=True):
    """A limit in dollars: of a `key`, a `project` or a `tag` (`scope`), whose id or text is `subject`, in each `period`.

    Periods begin by `timezone`. `soft` is the share of the limit from which on requests are routed thriftier. `counted_*` is what the
    period that began at `counted_start` had cost by calls from before it was set, and the `seq` up to which they were looked for.
    """

    __tablename__ = "budget"
    __table_args__ = (UniqueConstraint("scope", "subject", "period"),)
    id: str = Field(primary_key=True)
    scope: str
    subject: str
    period: str
    timezone: str
    limit_pico: int = Field(sa_type=BigInteger)
    soft: float
    created: float
    changed: float
    counted_start: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    counted_calls: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    counted_pico: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    counted_seq: int | None = Field(default=None, sa_type=BigInteger)


class BudgetPeriod(SQLModel, table=True):
    """What was charged to a budget in the period that began at `start`, and by how many settlements."""

    __tablename__ = "budget_period"
    budget_id: str = Field(primary_key=True)
    start: int = Field(primary_key=True, sa_type=BigInteger)
    spent_pico: int = Field(sa_type=BigInteger)
    settled: int


class StoredReservation(SQLModel, table=True):
    """What a request in work may charge to a budget, at most. It counts until it is settled, or expires."""

    __tablename__ = "reservation"
    budget_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    start: int = Field(sa_type=BigInteger)
    pico: int = Field(sa_type=BigInteger)
    expires: float


class UsageWindow(SQLModel, table=True):
    """Routed requests of a key in one window (`six_hours` or `week`), counted from `start`."""

    __tablename__ = "usage"
    key_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    start: float
    used: int


class Feedback(SQLModel, table=True):
    """A human's thumb. `score` is what the judge had said of the answer by then; `owner` the e-mail address of the key that gave
    it, or else the key; `counted` whether it counts for the choice (see `feedback.add_feedback`).
    """

    __tablename__ = "feedback"
    id: int | None = Field(default=None, primary_key=True)
    ts: float
    decision_id: str | None = Field(default=None, index=True)
    key_id: str
    bucket: str
    model: str
    rating: str
    score: float | None = None
    owner: str = Field(default="", index=True)
    conversation: str = ""
    counted: bool = True


class Alert(SQLModel, table=True):
    """Something moved: a price, a quality, or the pool. `known` and `outcome` are JSON: what was known, what came of it.

    `settled` is when traffic had settled; NULL while that is open.
    """

    __tablename__ = "alert"
    id: int | None = Field(default=None, primary_key=True)
    ts: float
    kind: str
    task: str
    bucket: str
    model: str
    old_unit: float | None
    new_unit: float | None
    direction: str
    reason: str
    known: str | None = None
    outcome: str | None = None
    settled: float | None = None


class NotificationRule(SQLModel, table=True):
    """Who is told of which kinds of events (`events`, JSON), and how. `secrets` is JSON, see `services.notification_rules`.

    `shown` is what may be shown of the address; `held` counts what was held back since something was last sent.
    """

    __tablename__ = "notification_rule"
    id: str = Field(primary_key=True)
    name: str
    channel: str
    events: str
    error_share: float
    shown: str
    encrypted: bool
    secrets: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    muted_until: float
    held: int
    created: float
    changed: float


class Notification(SQLModel, table=True):
    """One message for one rule, until it was `sent` or is `dead`; `once` names what it tells, so that no rule is told twice.

    It is tried again at `due`; until `leased` it is in the hands of one process. `body` is JSON.
    """

    __tablename__ = "notification"
    __table_args__ = (
        Index("ix_notification_due", "state", "due"),
        Index("ix_notification_once", "rule_id", "once", unique=True),
    )
    seq: int | None = Field(default=None, primary_key=True)
    id: str = Field(unique=True)
    rule_id: str
    kind: str
    subject: str
    once: str
    state: str
    made: float
    due: float
    leased: float
    attempts: int
    said: str
    ended: float | None
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class WriterMark(SQLModel, table=True):
    """The last batch of a writer that was committed, in the transaction of that batch: of a process by a name that it drew, or of a
    journal by its id. A batch whose number is not higher, or whose writer is `closed`, fails.

    So one whose commit is in doubt is either known to be written, or will never be. `at` is when the mark was moved.
    """

    __tablename__ = "writer_mark"
    writer: str = Field(primary_key=True)
    number: int = Field(sa_type=BigInteger)
    closed: bool
    at: float


class StoredHost(SQLModel, table=True):
    """A host that serves from this database: `name` as operators know it, `id` drawn at each start. `body` is JSON, see `services.fleet`.

    Times are by the database's clock: `started`, and `seen`, when it last said how it is. The row goes when the host ends in good order.
    """

    __tablename__ = "host"
    id: str = Field(primary_key=True)
    name: str
    started: float
    seen: float
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Counter(SQLModel, table=True):
    """A named count that survives restarts, e.g. `classified.rules`."""

    __tablename__ = "counter"
    name: str = Field(primary_key=True)
    value: int = Field(sa_type=BigInteger)


class Rollup(SQLModel, table=True):
    """Sums over decisions per time slot, key, model, mode and bucket: what reports read instead of decisions.

    `key_id` is a key, `*` and the id of a project, or `*` for everybody; `resolution` is in seconds, 0 while open (see `rollup_math`).
    The primary key is the table's own order, so that a range of slots is read in one sweep.
    """

    __tablename__ = "rollup"
    __table_args__ = {"sqlite_with_rowid": False}
    resolution: int = Field(primary_key=True)
    key_id: str = Field(primary_key=True)
    start: int = Field(primary_key=True, sa_type=BigInteger)
    model: str = Field(primary_key=True)
    mode: str = Field(primary_key=True)
    bucket: str = Field(primary_key=True)
    calls: int = 0
    failed: int = 0
    aborted: int = 0
    cost_pico: int = Field(default=0, sa_type=BigInteger)
    classifier_pico: int = Field(default=0, sa_type=BigInteger)
    judge_pico: int = Field(default=0, sa_type=BigInteger)
    baseline_pico: int = Field(default=0, sa_type=BigInteger)
    compared_pico: int = Field(default=0, sa_type=BigInteger)
    compared: int = 0
    settled: int = 0
    computed: int = 0
    estimated: int = 0
    unknown: int = 0
    graded: int = 0
    quality_sum: float = 0.0
    quality_sq: float = 0.0
    prompt_tokens: int = Field(default=0, sa_type=BigInteger)
    completion_tokens: int = Field(default=0, sa_type=BigInteger)
    latency_sum: float = 0.0
    latency_n: int = 0
    overhead_sum: float = 0.0
    asked: int = 0
    sized: int = 0
    asked_tokens: int = Field(default=0, sa_type=BigInteger)
    priced: int = 0
    beyond_pico: int = Field(default=0, sa_type=BigInteger)
    beyond_sq: float = 0.0
    learning_pico: int = Field(default=0, sa_type=BigInteger)


class Slot(SQLModel, table=True):
    """What charts over time show of one slot, for one key, one project or for everybody, as JSON (see `rollup_math.Slot`).

    `key_id` and `resolution` as in `Rollup`.
    """

    __tablename__ = "slot"
    __table_args__ = {"sqlite_with_rowid": False}
    resolution: int = Field(primary_key=True)
    key_id: str = Field(primary_key=True)
    start: int = Field(primary_key=True, sa_type=BigInteger)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Span(SQLModel, table=True):
    """When the decisions from `first` to `last` (by seq) began: finds a time among them without an index of times."""

    __tablename__ = "span"
    last: int = Field(primary_key=True)
    first: int
    earliest: float
    latest: float


class LateGrade(SQLModel, table=True):
    """What adds to the sums after a decision: a grade that came once it was filed, or a charge of a model that was asked beside
    it (then `model` is that one, and `mode` is shadow). The sums take it in with the next slice."""

    __tablename__ = "late_grade"
    id: int | None = Field(default=None, primary_key=True)
    key_id: str
    start: int = Field(sa_type=BigInteger)
    bucket: str
    model: str
    mode: str
    judge_pico: int = Field(sa_type=BigInteger)
    graded: int
    quality_sum: float
    quality_sq: float
    learning_pico: int = Field(default=0, sa_type=BigInteger)
    project_id: str = "default"
    runtime: str = ""
    end_user: str = ""
    tags: str | None = None


class AttributedSpend(SQLModel, table=True):
    """Sums by whom decisions were for: per quarter of an hour and per UTC day (`resolution`, seconds), project, key, model and runtime.

    Of `kind` `all` each decision is in one row; of `tag` in one for each of its tags, of `user` in one where an end user is named:
    `value` is that one, empty for those beyond what is counted apart (see `attribution`).
    """

    __tablename__ = "attributed_spend"
    __table_args__ = {"sqlite_with_rowid": False}
    kind: str = Field(primary_key=True)
    resolution: int = Field(primary_key=True)
    start: int = Field(primary_key=True, sa_type=BigInteger)
    project_id: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    key_id: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    runtime: str = Field(primary_key=True)
    calls: int = 0
    failed: int = 0
    aborted: int = 0
    cost_pico: int = Field(default=0, sa_type=BigInteger)
    judge_pico: int = Field(default=0, sa_type=BigInteger)
    learning_pico: int = Field(default=0, sa_type=BigInteger)
    baseline_pico: int = Field(default=0, sa_type=BigInteger)
    compared_pico: int = Field(default=0, sa_type=BigInteger)
    compared: int = 0
    prompt_tokens: int = Field(default=0, sa_type=BigInteger)
    completion_tokens: int = Field(default=0, sa_type=BigInteger)
    graded: int = 0
    quality_sum: float = 0.0
    latency_sum: float = 0.0
    latency_n: int = 0


class AttributedName(SQLModel, table=True):
    """A tag or an end user (`kind`) of a project that is counted apart on a UTC day, which began at `day`."""

    __tablename__ = "attributed_name"
    __table_args__ = {"sqlite_with_rowid": False}
    kind: str = Field(primary_key=True)
    project_id: str = Field(primary_key=True)
    day: int = Field(primary_key=True, sa_type=BigInteger)
    value: str = Field(primary_key=True)


class ListedLabel(SQLModel, table=True):
    """The decisions with one label, in order: `project:`, `runtime:`, `user:` or `tag:` and what it is (see `labels`)."""

    __tablename__ = "listed_by_label"
    __table_args__ = {"sqlite_with_rowid": False}
    label: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)


def _list(name: str, column: str, *others: str) -> Table:
    """The decisions with one value of a column, in order. With the `others`, two values are met without opening rows."""
    keys = Column(column, String, primary_key=True), Column("seq", Integer, primary_key=True, autoincrement=False)
    met = [Column(other, String, nullable=False) for other in others]
    return Table(f"listed_by_{name}", SQLModel.metadata, *keys, *met, sqlite_with_rowid=False)


LISTS = {
    "status": _list("status", "status", "key_id", "task", "model", "mode"),
    "key_id": _list("key", "key_id", "task", "model", "mode"),
    "task": _list("task", "task", "model", "mode"),
    "model": _list("model", "model", "mode"),
    "mode": _list("mode", "mode"),
}
"""By the column they list: those not answered by status, and all by key, task, model and mode. The narrowest first."""


def table(model: type[SQLModel]) -> Table:
    """The SQLAlchemy table of a model."""
    found = model.__table__  # type: ignore[attr-defined]
    assert isinstance(found, Table)
    return found


def _fit_postgresql() -> None:
    """An integer has 64 bits there, too, as it always has in SQLite; sums of money have no bound."""
    sums = table(Rollup), table(AttributedSpend)
    for made in SQLModel.metadata.tables.values():
        for column in made.columns:
            if type(column.type) is Integer:
                column.type = Integer().with_variant(BigInteger(), "postgresql")
            elif type(column.type) is BigInteger and made in sums and not column.primary_key:
                column.type = BigInteger().with_variant(Numeric(), "postgresql")


_fit_postgresql()
