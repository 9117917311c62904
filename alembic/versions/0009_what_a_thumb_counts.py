"""whose a thumb is, in which conversation, and whether it counts for the choice

Revision: 0009, after 0008
"""

import sqlalchemy as sa

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("feedback") as feedback:
        feedback.add_column(sa.Column("owner", sa.String(), nullable=False, server_default=""))
        feedback.add_column(sa.Column("conversation", sa.String(), nullable=False, server_default=""))
        feedback.add_column(sa.Column("counted", sa.Boolean(), nullable=False, server_default=sa.true()))
        feedback.create_index("ix_feedback_owner", ["owner"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
