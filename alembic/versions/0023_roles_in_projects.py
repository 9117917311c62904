"""roles of people in projects, and invitations to one

Revision: 0023, after 0022
"""

import sqlalchemy as sa

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "membership",
        sa.Column("person_id", sa.String(), nullable=False, primary_key=True),
        sa.Column("project_id", sa.String(), nullable=False, primary_key=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
    )
    with op.batch_alter_table("invitation") as invitation:
        invitation.add_column(sa.Column("project_id", sa.String(), nullable=False, server_default=""))
        invitation.add_column(sa.Column("role", sa.String(), nullable=False, server_default="operator"))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
