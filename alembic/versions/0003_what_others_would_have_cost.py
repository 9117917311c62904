"""what a decision tells about the models that were not asked: its prompt's size, its charge beyond that, who could not serve

Revision: 0003, after 0002
"""

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("decision") as decision:
        decision.add_column(sa.Column("rejected", sa.String(), nullable=True))
        decision.add_column(sa.Column("asked_tokens", sa.Integer(), nullable=True))
        decision.add_column(sa.Column("beyond_pico", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("rollup") as rollup:
        for name in ("asked", "sized", "priced"):
            rollup.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
        for name in ("asked_tokens", "beyond_pico"):
            rollup.add_column(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
        rollup.add_column(sa.Column("beyond_sq", sa.Float(), nullable=False, server_default="0"))
    answered = "calls - failed - aborted - unknown"
    op.execute(f"UPDATE rollup SET asked = CASE WHEN {answered} > 0 THEN {answered} ELSE 0 END")  # noqa: S608


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
