"""How a database's server is: its connections, its clock, and how far standbys are behind."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import Connection

ASK = """
SELECT current_setting('server_version'),
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(current_setting('reserved_connections', true)::int, 0),
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' OR backend_type IS NULL),
       (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'arbiter' AND datname = current_database()),
       pg_is_in_recovery(),
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float
"""
STANDBYS = """
SELECT application_name, state, extract(epoch FROM replay_lag)::float, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint
FROM pg_stat_replication ORDER BY application_name, pid
"""


@dataclass(frozen=True, slots=True)
class Standby:
    """A copy that follows. `lag_s` is how long its last change took to be there, `lag_bytes` what it lacks now; None: not told."""

    name: str
    state: str
    lag_s: float | None
    lag_bytes: int | None


@dataclass(frozen=True, slots=True)
class ServerState:
    """`most` connections can be opened by ordinary users, `used` are open, `ours` of them Arbiter's in this database.

    `skew_s` is how far the server's clock is ahead of this machine's, give or take `skew_known_s`. `follows`: it is a standby itself, `lag_s`
    behind (None: not told).
    """

    version: str
    most: int
    used: int
    ours: int
    skew_s: float
    skew_known_s: float
    follows: bool
    lag_s: float | None
    standbys: tuple[Standby, ...]


def server_state(connection: Connection) -> ServerState:
    """Ask a PostgreSQL."""
    version, most, used, ours, follows, lag_s = connection.exec_driver_sql(ASK).one()
    rows = [] if follows else connection.exec_driver_sql(STANDBYS).all()
    before = time.time()
    there = float(connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())::float").scalar_one())
    after = time.time()
    standbys = tuple(Standby(str(name), state or "not told", lag, lacks) for name, state, lag, lacks in rows)
    skew_s, known_s = there - (before + after) / 2, (after - before) / 2
    return ServerState(version.split()[0], most, used, ours, skew_s, known_s, follows, lag_s, standbys)
