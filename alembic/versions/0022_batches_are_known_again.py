"""batches whose commit is in doubt are known again

Revision: 0022, after 0021
"""

import sqlalchemy as sa

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "writer_mark",
        sa.Column("writer", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("writer"),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
