"""roll-ups by hour too, and for everybody together, in the order in which they are read

Revision: 0002, after 0001
"""

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FIVE_MINUTES, HOUR, DAY, MONTH, EVERYBODY = 300, 3_600, 86_400, 30 * 86_400, "*"
COUNTS = (
    "calls",
    "failed",
    "aborted",
    "compared",
    "settled",
    "computed",
    "estimated",
    "unknown",
    "graded",
    "latency_n",
)
BIG = (
    "cost_pico",
    "classifier_pico",
    "judge_pico",
    "baseline_pico",
    "compared_pico",
    "prompt_tokens",
    "completion_tokens",
)
REAL = ("quality_sum", "quality_sq", "latency_sum", "overhead_sum")
ORDER = (
    *("calls", "failed", "aborted", "cost_pico", "classifier_pico", "judge_pico", "baseline_pico", "compared_pico"),
    *("compared", "settled", "computed", "estimated", "unknown", "graded", "quality_sum", "quality_sq"),
    *("prompt_tokens", "completion_tokens", "latency_sum", "latency_n", "overhead_sum"),
)
SUMS = ", ".join(ORDER)
ADDED = ", ".join(f"sum({name})" for name in ORDER)


def upgrade() -> None:
    op.rename_table("rollup", "rollup_0001")
    op.create_table("rollup", *_rollup_columns("resolution key_id start model mode bucket"), sqlite_with_rowid=False)
    _copy("resolution, key_id, start, model, mode, bucket", f"{SUMS}", "")
    hour = f"start - start % {HOUR}"
    own = f"WHERE resolution = {FIVE_MINUTES} GROUP BY key_id, {hour}, model, mode, bucket"
    _copy(f"{HOUR}, key_id, {hour}, model, mode, bucket", ADDED, own)
    month = f"start - start % {MONTH}"
    own = f"WHERE resolution = {DAY} GROUP BY key_id, {month}, model, mode, bucket"
    _copy(f"{MONTH}, key_id, {month}, model, mode, bucket", ADDED, own)
    op.execute(
        f"INSERT INTO rollup (resolution, key_id, start, model, mode, bucket, {SUMS}) "  # noqa: S608
        f"SELECT resolution, '{EVERYBODY}', start, model, mode, bucket, {ADDED} FROM rollup "
        "GROUP BY resolution, start, model, mode, bucket"
    )
    op.create_index("ix_rollup_start", "rollup", ["resolution", "start"])
    op.drop_table("rollup_0001")
    op.rename_table("latency_bin", "latency_bin_0001")
    op.create_table(
        "latency_bin",
        sa.Column("resolution", sa.Integer(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("bin", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("resolution", "start", "model", "bin"),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO latency_bin SELECT resolution, start, model, bin, n FROM latency_bin_0001")
    op.execute(
        f"INSERT INTO latency_bin SELECT {HOUR}, {hour}, model, bin, sum(n) FROM latency_bin_0001 "  # noqa: S608
        f"WHERE resolution = {FIVE_MINUTES} GROUP BY {hour}, model, bin"
    )
    month = f"start - start % {MONTH}"
    op.execute(
        f"INSERT INTO latency_bin SELECT {MONTH}, {month}, model, bin, sum(n) FROM latency_bin_0001 "  # noqa: S608
        f"WHERE resolution = {DAY} GROUP BY {month}, model, bin"
    )
    op.execute(
        f"INSERT INTO latency_bin SELECT resolution, start, '{EVERYBODY}', bin, sum(n) FROM latency_bin "  # noqa: S608
        "GROUP BY resolution, start, bin"
    )
    op.drop_table("latency_bin_0001")
    _index_decisions()


def _index_decisions() -> None:
    op.drop_index("ix_decision_status", "decision")
    unanswered = sa.text("status <> 'ok'")
    op.create_index(
        "ix_decision_unanswered",
        "decision",
        ["status", "seq"],
        sqlite_where=unanswered,
        postgresql_where=unanswered,
    )
    op.drop_index("ix_decision_trace_ts", "decision_trace")
    for name, columns in (
        ("task", ["task", "seq", "model", "mode"]),
        ("model", ["model", "seq", "mode"]),
        ("key", ["key_id", "seq", "task", "model", "mode"]),
    ):
        op.drop_index(f"ix_decision_{name}", "decision")
        op.create_index(f"ix_decision_{name}", "decision", columns)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")


def _copy(keys: str, sums: str, rest: str) -> None:
    op.execute(
        f"INSERT INTO rollup (resolution, key_id, start, model, mode, bucket, {SUMS}) "  # noqa: S608
        f"SELECT {keys}, {sums} FROM rollup_0001 {rest}"
    )


def _rollup_columns(key: str) -> list[sa.Column | sa.PrimaryKeyConstraint]:
    kinds = {"resolution": sa.Integer(), "start": sa.BigInteger()}
    kinds |= dict.fromkeys(COUNTS, sa.Integer()) | dict.fromkeys(BIG, sa.BigInteger()) | dict.fromkeys(REAL, sa.Float())
    columns = [sa.Column(name, kinds.get(name, sa.String()), nullable=False) for name in (*key.split(), *ORDER)]
    return [*columns, sa.PrimaryKeyConstraint(*key.split())]
