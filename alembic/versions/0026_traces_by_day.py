"""in PostgreSQL traces are in a partition for each day; those that are there stay together in one

Revision: 0026, after 0025
"""

import time

import sqlalchemy as sa

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

BASE_32 = "0123456789abcdefghjkmnpqrstvwxyz"
DAY = 86_400


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    op.execute("ALTER TABLE decision_trace RENAME TO decision_trace_before")
    op.execute("ALTER INDEX decision_trace_pkey RENAME TO decision_trace_before_pkey")
    op.execute(
        'CREATE TABLE decision_trace (id VARCHAR COLLATE "C" NOT NULL, ts FLOAT NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (id)) '
        "PARTITION BY RANGE (id)"
    )
    op.execute("CREATE TABLE decision_trace_default PARTITION OF decision_trace DEFAULT")
    if connection.execute(sa.text("SELECT 1 FROM decision_trace_before LIMIT 1")).first() is None:
        op.execute("DROP TABLE decision_trace_before")
        return
    day = int(time.time()) // DAY + 1
    until, edge = f"decision_trace_until_{time.strftime('%Y%m%d', time.gmtime(day * DAY))}", _lowest_id(day * DAY)
    op.execute('ALTER TABLE decision_trace_before ALTER COLUMN id TYPE VARCHAR COLLATE "C"')
    beyond = sa.text(
        "WITH beyond AS (DELETE FROM decision_trace_before WHERE id >= :edge RETURNING id, ts, body) "
        "INSERT INTO decision_trace_default SELECT id, ts, body FROM beyond"
    )
    connection.execute(beyond, {"edge": edge})
    op.execute(f"ALTER TABLE decision_trace_before RENAME TO {until}")
    op.execute(f"ALTER INDEX decision_trace_before_pkey RENAME TO {until}_pkey")
    op.execute(f"ALTER TABLE decision_trace ATTACH PARTITION {until} FOR VALUES FROM (MINVALUE) TO ('{edge}')")


def _lowest_id(ts: int) -> str:
    """What sorts before the ids of all decisions from a time on."""
    number = (ts * 1000) << 32
    return "d_" + "".join(BASE_32[(number >> shift) & 31] for shift in range(75, -1, -5))


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")
