"""sums of money have no bound on PostgreSQL, as they have none in SQLite

Revision: 0017, after 0016
"""

import sqlalchemy as sa

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

SUMS = (
    *("cost_pico", "classifier_pico", "judge_pico", "baseline_pico", "compared_pico", "beyond_pico", "learning_pico"),
    *("prompt_tokens", "completion_tokens", "asked_tokens"),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name in SUMS:
            op.alter_column("rollup", name, type_=sa.Numeric())


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
