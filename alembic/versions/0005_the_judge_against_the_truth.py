"""sums over pairs of a judge's score and the truth about the same answer; a thumb keeps the score it answers to

Revision: 0005, after 0004
"""

import sqlalchemy as sa

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SUMS = ("n", "agreed", "score", "truth", "score_sq", "truth_sq", "product")


def upgrade() -> None:
    op.create_table(
        "agreement",
        *(sa.Column(name, sa.String(), nullable=False, primary_key=True) for name in ("judge", "task", "against")),
        *(sa.Column(name, sa.Float(), nullable=False) for name in SUMS),
    )
    with op.batch_alter_table("feedback") as feedback:
        feedback.add_column(sa.Column("score", sa.Float(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
