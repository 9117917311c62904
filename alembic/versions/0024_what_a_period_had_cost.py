"""what a budget's period had cost before the budget was set

Revision: 0024, after 0023
"""

import sqlalchemy as sa

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("budget") as budget:
        for name in ("counted_start", "counted_calls", "counted_pico"):
            budget.add_column(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
        budget.add_column(sa.Column("counted_seq", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
