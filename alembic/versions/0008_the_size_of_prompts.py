"""what calls cost against the length of their prompts

Revision: 0008, after 0007
"""

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("statistic") as statistic:
        for name in ("sized_n", "sized_usd", "sized_sq", "size_sum", "size_sq", "size_usd"):
            statistic.add_column(sa.Column(name, sa.Float(), nullable=False, server_default="0"))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
