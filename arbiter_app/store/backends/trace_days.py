"""The traces of a PostgreSQL, a partition a day: what is old goes with its day, whole, and leaves nothing to be cleaned up.

Decisions' ids sort by time, so they are what traces are partitioned by: an id is unique, and looked for in one partition. Partitions are
made for days to come. What fits into none (of a clock that is days ahead, or an id of another form) is in one for all else, and what was
there before there were days in one up to a day; from these two single rows are deleted.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from arbiter_app.moments import moment
from arbiter_app.pipeline.decision import lowest_id

log = logging.getLogger("arbiter.store")

TABLE = "decision_trace"
DAY = 86_400
AHEAD = 4
"""Days for which partitions are made, today's included: one of so many hourly tries finds nobody in its way."""
WAIT_MS = 200
"""How long writers wait for a reader of the whole table (a dump, say) to let a partition come or go; then another hour will do."""
_NO_LOCK = "55P03"
_DAY, _UNTIL = re.compile(rf"{TABLE}_(\d{{8}})"), re.compile(rf"{TABLE}_until_(\d{{8}})")
_NAMES = """
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'decision_trace'::regclass ORDER BY relname
"""


def missing(connection: Connection, now: float) -> bool:
    """Whether partitions have to be made for the days to come."""
    there = set(_names(connection))
    return any(f"{TABLE}_{_name(day)}" not in there for day in range(_day(now), _day(now) + AHEAD))


def make(connection: Connection, first: float, last: float) -> int:
    """Make the partitions of the days from one time to another that are not there; how many were made.

    In a transaction that no other writer shares. A day of which there are traces already stays where those are.
    """
    there, count = _names(connection), 0
    until = max([match[1] for name in there if (match := _UNTIL.fullmatch(name))], default="")
    for day in range(_day(first), _day(last) + 1):
        new = f"{TABLE}_{_name(day)}" not in there and _name(day) >= until
        if new and not _filled(connection, day):
            count += _unless_held(connection, partial(_make, connection, day))
    return count


def drop(connection: Connection, before: float) -> int:
    """Drop the partitions of which every day was over by then; how many went."""
    edge, count = _name(_day(before)), 0
    for name in _names(connection):
        day, until = _DAY.fullmatch(name), _UNTIL.fullmatch(name)
        if (day and day[1] < edge) or (until and until[1] <= edge):
            count += _unless_held(connection, partial(connection.exec_driver_sql, f"DROP TABLE {name}"))
    return count


def by_row(connection: Connection) -> list[str]:
    """The partitions from which single rows are deleted."""
    return [name for name in _names(connection) if not _DAY.fullmatch(name)]


def _names(connection: Connection) -> list[str]:
    return list(connection.exec_driver_sql(_NAMES).scalars())


def _make(connection: Connection, day: int) -> None:
    bounds = f"FROM ('{lowest_id(day * DAY)}') TO ('{lowest_id((day + 1) * DAY)}')"
    connection.exec_driver_sql(f"CREATE TABLE {TABLE}_{_name(day)} PARTITION OF {TABLE} FOR VALUES {bounds}")


def _filled(connection: Connection, day: int) -> bool:
    """Whether traces of a day that has no partition are somewhere."""
    query = f"SELECT 1 FROM {TABLE} WHERE id >= %s AND id < %s LIMIT 1"  # noqa: S608 - a name of our own
    return connection.exec_driver_sql(query, (lowest_id(day * DAY), lowest_id((day + 1) * DAY))).first() is not None


def _unless_held(connection: Connection, change: Callable[[], object]) -> bool:
    """Change the table, unless somebody holds it."""
    before = connection.exec_driver_sql("SELECT current_setting('lock_timeout')").scalar_one()
    try:
        with connection.begin_nested():
            connection.exec_driver_sql("SELECT set_config('lock_timeout', %s, true)", (str(WAIT_MS),))
            change()
            connection.exec_driver_sql("SELECT set_config('lock_timeout', %s, true)", (before,))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NO_LOCK:
            raise
        log.info("the partitions of traces stay as they are for an hour: somebody reads all of them")
        return False
    return True


def _day(ts: float) -> int:
    """The number of a time's day, counted from 1970."""
    return int(moment(ts).timestamp()) // DAY


def _name(day: int) -> str:
    return f"{moment(day * DAY):%Y%m%d}"
