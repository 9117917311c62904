"""decisions are listed and summed in slices: lists instead of indexes, and slots for charts

Revision: 0004, after 0003
"""

from itertools import groupby

import orjson
import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DAY, EVERYBODY, OPEN = 86_400, "*", 0
RESOLUTIONS = (300, 3_600, DAY, 30 * DAY)
SLICE = 512
BATCH = 2_000
LISTS = {
    "status": ("status", "key_id", "task", "model", "mode"),
    "key": ("key_id", "task", "model", "mode"),
    "task": ("task", "model", "mode"),
    "model": ("model", "mode"),
    "mode": ("mode",),
}
KEY = ("resolution", "key_id", "start", "model", "mode", "bucket")
SERIES_SUMS = ("calls", "cost_pico", "judge_pico", "baseline_pico", "compared_pico", "compared")


def upgrade() -> None:
    _create_tables()
    _list_decisions()
    _fold_what_is_open()
    _fill_slots(op.get_bind())
    op.drop_table("latency_bin")
    op.drop_index("ix_rollup_start", "rollup")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the migration")


def _create_tables() -> None:
    op.create_table(
        "slot",
        sa.Column("resolution", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("key_id", sa.String(), primary_key=True),
        sa.Column("start", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "span",
        sa.Column("last", sa.Integer(), primary_key=True),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("earliest", sa.Float(), nullable=False),
        sa.Column("latest", sa.Float(), nullable=False),
    )
    op.create_table(
        "late_grade",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        *[sa.Column(name, sa.String(), nullable=False) for name in ("bucket", "model", "mode")],
        sa.Column("judge_pico", sa.BigInteger(), nullable=False),
        sa.Column("graded", sa.Integer(), nullable=False),
        *[sa.Column(name, sa.Float(), nullable=False) for name in ("quality_sum", "quality_sq")],
    )
    for name, (column, *others) in LISTS.items():
        op.create_table(
            f"listed_by_{name}",
            sa.Column(column, sa.String(), primary_key=True),
            sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),
            *[sa.Column(other, sa.String(), nullable=False) for other in others],
            sqlite_with_rowid=False,
        )


def _list_decisions() -> None:
    """The lists are read off the indexes that they replace, in their order."""
    for name, (column, *others) in LISTS.items():
        columns = ", ".join((column, "seq", *others))
        which = "WHERE status <> 'ok'" if name == "status" else ""
        op.execute(
            f"INSERT INTO listed_by_{name} ({columns}) SELECT {columns} FROM decision {which} ORDER BY {column}, seq"  # noqa: S608
        )
    for name in ("task", "model", "mode", "key", "unanswered", "ts"):
        op.drop_index(f"ix_decision_{name}", "decision")
    edges = f"SELECT max(seq), min(seq), min(ts), max(ts) FROM decision GROUP BY (seq - 1) / {SLICE}"  # noqa: S608
    op.execute(f"INSERT INTO span (last, first, earliest, latest) {edges}")
    for name in ("store.listed", "store.summed"):
        op.execute(f"INSERT INTO counter (name, value) SELECT '{name}', max(seq) FROM decision HAVING count(*) > 0")  # noqa: S608


def _fold_what_is_open() -> None:
    """Sums that had not been folded into the slots of every resolution yet are now."""
    names = [column["name"] for column in sa.inspect(op.get_bind()).get_columns("rollup")]
    sums = [name for name in names if name not in KEY]
    added = ", ".join(f"{name} = rollup.{name} + excluded.{name}" for name in sums)
    for resolution in RESOLUTIONS:
        for key in ("key_id", f"'{EVERYBODY}'"):
            group = f"{key}, start - start % {resolution}, model, mode, bucket"
            op.execute(
                f"INSERT INTO rollup ({', '.join((*KEY, *sums))}) "  # noqa: S608
                f"SELECT {resolution}, {group}, {', '.join(f'sum({name})' for name in sums)} FROM rollup "
                f"WHERE resolution = {OPEN} GROUP BY {group} ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {added}"
            )
    op.execute(f"DELETE FROM rollup WHERE resolution = {OPEN}")  # noqa: S608


def _fill_slots(connection: sa.Connection) -> None:
    """One slot for all roll-ups of a stretch of time and a key."""
    query = sa.text(
        f"SELECT resolution, key_id, start, model, mode, {', '.join(f'sum({name})' for name in SERIES_SUMS)} "  # noqa: S608
        "FROM rollup GROUP BY resolution, key_id, start, model, mode"
    )
    latencies = _latencies(connection)
    ready = []
    for address, rows in groupby(connection.execute(query), key=lambda row: row[:3]):
        latency = latencies.get((address[0], address[2]), {}) if address[1] == EVERYBODY else {}
        ready.append((*address, orjson.dumps(_slot(rows, latency))))
        if len(ready) == BATCH:
            _store(connection, ready)
            ready = []
    _store(connection, ready)


def _slot(rows: object, latency: dict) -> dict:
    total, models, modes = [0] * len(SERIES_SUMS), {}, {}
    for _, _, _, model, mode, *sums in rows:
        total = [known + new for known, new in zip(total, sums, strict=True)]
        models[model] = models.get(model, 0) + sums[SERIES_SUMS.index("cost_pico")]
        modes[mode] = modes.get(mode, 0) + sums[SERIES_SUMS.index("calls")]
    return {"sums": total, "models": models, "modes": modes, "latency": latency}


def _latencies(connection: sa.Connection) -> dict:
    """Everybody's histograms by resolution and start, with those that had not been folded yet."""
    found: dict = {}
    folded = f"SELECT resolution, start, bin, n FROM latency_bin WHERE resolution > {OPEN} AND model = '{EVERYBODY}'"  # noqa: S608
    opened = f"SELECT start, bin, sum(n) FROM latency_bin WHERE resolution = {OPEN} GROUP BY start, bin"  # noqa: S608
    for resolution, start, at, n in connection.execute(sa.text(folded)):
        found.setdefault((resolution, start), {})[str(at)] = n
    for start, at, n in connection.execute(sa.text(opened)):
        for resolution in RESOLUTIONS:
            histogram = found.setdefault((resolution, start - start % resolution), {})
            histogram[str(at)] = histogram.get(str(at), 0) + n
    return found


def _store(connection: sa.Connection, ready: list) -> None:
    columns = ("resolution", "key_id", "start", "body")
    slots = sa.table("slot", *[sa.column(name) for name in columns])
    if ready:
        connection.execute(slots.insert(), [dict(zip(columns, row, strict=True)) for row in ready])
