"""what was known at an alert, and what came of it

Revision: 0007, after 0006
"""

import sqlalchemy as sa

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("alert") as alert:
        alert.add_column(sa.Column("known", sa.String(), nullable=True))
        alert.add_column(sa.Column("outcome", sa.String(), nullable=True))
        alert.add_column(sa.Column("settled", sa.Float(), nullable=True))
    op.execute("UPDATE alert SET settled = ts")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
