"""who spent it: project, runtime, end user and tags of decisions, and sums by them

Revision: 0021, after 0020
"""

import sqlalchemy as sa

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("decision", "late_grade"):
        with op.batch_alter_table(name) as one:
            one.add_column(sa.Column("project_id", sa.String(), nullable=False, server_default="default"))
            one.add_column(sa.Column("runtime", sa.String(), nullable=False, server_default=""))
            one.add_column(sa.Column("end_user", sa.String(), nullable=False, server_default=""))
            one.add_column(sa.Column("tags", sa.String(), nullable=True))
    # What is known of calls until now: the project that their key is in.
    op.execute(
        "UPDATE decision SET project_id = (SELECT api_key.project_id FROM api_key WHERE api_key.id = decision.key_id) "
        "WHERE key_id IN (SELECT id FROM api_key WHERE project_id <> 'default')"
    )
    _sums()
    op.create_table(
        "attributed_name",
        sa.Column("kind", sa.String(), nullable=False, primary_key=True),
        sa.Column("project_id", sa.String(), nullable=False, primary_key=True),
        sa.Column("day", sa.BigInteger(), nullable=False, primary_key=True),
        sa.Column("value", sa.String(), nullable=False, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "listed_by_label",
        sa.Column("label", sa.String(), nullable=False, primary_key=True),
        sa.Column("seq", _whole(), nullable=False, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO listed_by_label (label, seq) SELECT 'project:' || project_id, seq FROM decision "
        "WHERE project_id <> 'default' AND seq <= (SELECT value FROM counter WHERE name = 'store.listed')"
    )


def _sums() -> None:
    """Money and tokens have no bound on PostgreSQL, as they have none in SQLite."""
    money = sa.Numeric() if op.get_bind().dialect.name == "postgresql" else sa.BigInteger()
    whole = _whole()
    texts = ("project_id", "value", "key_id", "model", "runtime")
    op.create_table(
        "attributed_spend",
        sa.Column("kind", sa.String(), nullable=False, primary_key=True),
        sa.Column("resolution", whole, nullable=False, primary_key=True, autoincrement=False),
        sa.Column("start", sa.BigInteger(), nullable=False, primary_key=True, autoincrement=False),
        *[sa.Column(name, sa.String(), nullable=False, primary_key=True) for name in texts],
        *[sa.Column(name, whole, nullable=False) for name in ("calls", "failed", "aborted")],
        *[
            sa.Column(f"{name}_pico", money, nullable=False)
            for name in ("cost", "judge", "learning", "baseline", "compared")
        ],
        sa.Column("compared", whole, nullable=False),
        *[sa.Column(f"{name}_tokens", money, nullable=False) for name in ("prompt", "completion")],
        sa.Column("graded", whole, nullable=False),
        *[sa.Column(name, sa.Float(), nullable=False) for name in ("quality_sum", "latency_sum")],
        sa.Column("latency_n", whole, nullable=False),
        sqlite_with_rowid=False,
    )


def _whole() -> sa.types.TypeEngine:
    """A whole number of 64 bits, as SQLite's always are."""
    return sa.BigInteger() if op.get_bind().dialect.name == "postgresql" else sa.Integer()


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
