"""projects, what keys of theirs may do, and budgets in dollars with what is spent and reserved of them

Revision: 0013, after 0012
"""

import sqlalchemy as sa

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    project = op.create_table(
        "project",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False, unique=True),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
    )
    op.bulk_insert(project, [{"id": "default", "name": "default", "timezone": "UTC", "created": 0.0, "changed": 0.0}])
    with op.batch_alter_table("api_key") as key:
        key.add_column(sa.Column("project_id", sa.String(), nullable=False, server_default="default"))
        key.add_column(sa.Column("origin", sa.String(), nullable=False, server_default=""))
        key.add_column(sa.Column("expires", sa.Float(), nullable=True))
        key.add_column(sa.Column("models", sa.String(), nullable=True))
        key.add_column(sa.Column("tolerance", sa.Float(), nullable=True))
        key.add_column(sa.Column("last_used", sa.Float(), nullable=True))
    op.create_table(
        "budget",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("limit_pico", sa.BigInteger(), nullable=False),
        sa.Column("soft", sa.Float(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.UniqueConstraint("scope", "subject", "period"),
    )
    op.create_table(
        "budget_period",
        sa.Column("budget_id", sa.String(), primary_key=True),
        sa.Column("start", sa.BigInteger(), primary_key=True),
        sa.Column("spent_pico", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.Integer(), nullable=False),
    )
    op.create_table(
        "reservation",
        sa.Column("budget_id", sa.String(), primary_key=True),
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("pico", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.Float(), nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
