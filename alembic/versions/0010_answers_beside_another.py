"""calls beside an answer, and grades of prompts that the baseline answered, too

Revision: 0010, after 0009
"""

import sqlalchemy as sa

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

COLUMNS = ("shadow_n", "paired", "paired_sum", "paired_sq", "beside_sum", "beside_sq", "paired_product")


def upgrade() -> None:
    with op.batch_alter_table("statistic") as statistic:
        for name in COLUMNS:
            statistic.add_column(sa.Column(name, sa.Float(), nullable=False, server_default="0"))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
