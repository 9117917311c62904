"""contents of decisions, where a project keeps them

Revision: 0020, after 0019
"""

import sqlalchemy as sa

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("project", sa.Column("content_hours", sa.Float(), nullable=False, server_default="0"))
    op.add_column("project", sa.Column("redact", sa.String(), nullable=False, server_default="[]"))
    op.add_column("content", sa.Column("project_id", sa.String(), nullable=False, server_default=""))
    op.create_index("ix_content_project", "content", ["project_id", "id"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
