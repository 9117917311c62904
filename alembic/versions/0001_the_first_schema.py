"""the first schema

Revision: 0001, after
"""

import sqlalchemy as sa

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ts", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("old_unit", sa.Float(), nullable=True),
        sa.Column("new_unit", sa.Float(), nullable=True),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_key_email"), ["email"], unique=False)

    op.create_table(
        "counter",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "decision",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("ts", sa.Float(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("conversation", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("difficulty", sa.String(), nullable=False),
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("classified_by", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("propensity", sa.Float(), nullable=True),
        sa.Column("quality", sa.Float(), nullable=True),
        sa.Column("quality_source", sa.String(), nullable=False),
        sa.Column("quality_reason", sa.String(), nullable=False),
        sa.Column("cost_pico", sa.BigInteger(), nullable=True),
        sa.Column("answer_cost_pico", sa.BigInteger(), nullable=True),
        sa.Column("classifier_cost_pico", sa.BigInteger(), nullable=True),
        sa.Column("judge_cost_pico", sa.BigInteger(), nullable=True),
        sa.Column("cost_state", sa.String(), nullable=False),
        sa.Column("baseline_pico", sa.BigInteger(), nullable=True),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("tokens_needed", sa.Integer(), nullable=True),
        sa.Column("eligible_models", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("first_byte_ms", sa.Float(), nullable=True),
        sa.Column("overhead_ms", sa.Float(), nullable=False),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("error_code", sa.String(), nullable=False),
        sa.Column("cache", sa.String(), nullable=False),
        sa.Column("failover_from", sa.String(), nullable=True),
        sa.Column("cascaded_from", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    with op.batch_alter_table("decision", schema=None) as batch_op:
        batch_op.create_index("ix_decision_key", ["key_id", "seq"], unique=False)
        batch_op.create_index("ix_decision_mode", ["mode", "seq"], unique=False)
        batch_op.create_index("ix_decision_model", ["model", "seq"], unique=False)
        batch_op.create_index("ix_decision_status", ["status", "seq"], unique=False)
        batch_op.create_index("ix_decision_task", ["task", "seq"], unique=False)
        batch_op.create_index("ix_decision_ts", ["ts"], unique=False)

    op.create_table(
        "decision_trace",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("ts", sa.Float(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("decision_trace", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_decision_trace_ts"), ["ts"], unique=False)

    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ts", sa.Float(), nullable=False),
        sa.Column("decision_id", sa.String(), nullable=True),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("rating", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_feedback_decision_id"), ["decision_id"], unique=False)

    op.create_table(
        "latency_bin",
        sa.Column("resolution", sa.Integer(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("bin", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("resolution", "start", "model", "bin"),
    )
    op.create_table(
        "policy_state",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "rollup",
        sa.Column("resolution", sa.Integer(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("aborted", sa.Integer(), nullable=False),
        sa.Column("cost_pico", sa.BigInteger(), nullable=False),
        sa.Column("classifier_pico", sa.BigInteger(), nullable=False),
        sa.Column("judge_pico", sa.BigInteger(), nullable=False),
        sa.Column("baseline_pico", sa.BigInteger(), nullable=False),
        sa.Column("compared_pico", sa.BigInteger(), nullable=False),
        sa.Column("compared", sa.Integer(), nullable=False),
        sa.Column("settled", sa.Integer(), nullable=False),
        sa.Column("computed", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.Integer(), nullable=False),
        sa.Column("unknown", sa.Integer(), nullable=False),
        sa.Column("graded", sa.Integer(), nullable=False),
        sa.Column("quality_sum", sa.Float(), nullable=False),
        sa.Column("quality_sq", sa.Float(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("latency_sum", sa.Float(), nullable=False),
        sa.Column("latency_n", sa.Integer(), nullable=False),
        sa.Column("overhead_sum", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("resolution", "start", "bucket", "model", "mode", "key_id"),
    )
    op.create_table(
        "statistic",
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("calls", sa.Float(), nullable=False),
        sa.Column("tries", sa.Float(), nullable=False),
        sa.Column("graded", sa.Float(), nullable=False),
        sa.Column("quality_sum", sa.Float(), nullable=False),
        sa.Column("quality_sq", sa.Float(), nullable=False),
        sa.Column("votes", sa.Float(), nullable=False),
        sa.Column("votes_sum", sa.Float(), nullable=False),
        sa.Column("cost_n", sa.Float(), nullable=False),
        sa.Column("cost_usd", sa.Float(), nullable=False),
        sa.Column("cost_sq", sa.Float(), nullable=False),
        sa.Column("unit_n", sa.Float(), nullable=False),
        sa.Column("unit_sum", sa.Float(), nullable=False),
        sa.Column("unit_sq", sa.Float(), nullable=False),
        sa.Column("tokens_in", sa.Float(), nullable=False),
        sa.Column("tokens_out", sa.Float(), nullable=False),
        sa.Column("latency_n", sa.Float(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("explore_n", sa.Float(), nullable=False),
        sa.Column("explore_usd", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "model"),
    )
    op.create_table(
        "usage",
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("start", sa.Float(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "kind"),
    )


def downgrade() -> None:
    op.drop_table("usage")
    op.drop_table("statistic")
    op.drop_table("rollup")
    op.drop_table("policy_state")
    op.drop_table("latency_bin")
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_feedback_decision_id"))

    op.drop_table("feedback")
    with op.batch_alter_table("decision_trace", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_decision_trace_ts"))

    op.drop_table("decision_trace")
    with op.batch_alter_table("decision", schema=None) as batch_op:
        batch_op.drop_index("ix_decision_ts")
        batch_op.drop_index("ix_decision_task")
        batch_op.drop_index("ix_decision_status")
        batch_op.drop_index("ix_decision_model")
        batch_op.drop_index("ix_decision_mode")
        batch_op.drop_index("ix_decision_key")

    op.drop_table("decision")
    op.drop_table("counter")
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_key_email"))

    op.drop_table("api_key")
    op.drop_table("alert")
