"""models asked beside an answer: what that cost and scored

Revision: 0016, after 0015
"""

import sqlalchemy as sa

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shadow",
        sa.Column("decision_id", sa.String(), nullable=False, primary_key=True),
        sa.Column("model", sa.String(), nullable=False, primary_key=True),
        sa.Column("ts", sa.Float(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("cost_pico", sa.BigInteger(), nullable=True),
        sa.Column("cost_state", sa.String(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("quality", sa.Float(), nullable=True),
        sa.Column("quality_source", sa.String(), nullable=False),
        sa.Column("quality_reason", sa.String(), nullable=False),
    )
    with op.batch_alter_table("decision") as decision:
        decision.add_column(sa.Column("learning_cost_pico", sa.BigInteger(), nullable=True))
    for name in ("rollup", "late_grade"):
        with op.batch_alter_table(name) as sums:
            sums.add_column(sa.Column("learning_pico", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
