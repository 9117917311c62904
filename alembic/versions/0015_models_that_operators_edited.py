"""models that operators edited

Revision: 0015, after 0014
"""

import sqlalchemy as sa

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_edit",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("model"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
