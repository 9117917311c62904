"""PostgreSQL: a server that Arbiters on several machines share. Its driver is psycopg 3, of `requirements-postgresql.txt`."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import util
from select import POLLIN, poll
from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    URL,
    Column,
    Connection,
    Dialect,
    Engine,
    Table,
    bindparam,
    cast,
    column,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler

from arbiter_app.store.backends import trace_days
from arbiter_app.store.backends.backend import TAUGHT, Backend, InsertRows, Row, StoreUnusable, Taught, upsert
from arbiter_app.store.backends.channel import Channel
from arbiter_app.store.backends.server import ServerState, server_state
from arbiter_app.store.db_errors import in_words

DRIVER = "psycopg"
ONE_WRITER = 0x41524249544552
"""Key of the advisory lock under which processes write in turns: `seq` is then the order of commits, and filing, limits and
late grades are as exact as under SQLite's one writer."""
CONNECT_S = 5
UNHEARD_MS = 5_000
"""After so long without a sign of the other machine, a connection to it is given up."""
IDLE_MS = 10_000
"""The server ends a transaction in which nothing happened for so long: its process was stopped, or its machine is gone."""
SESSION = {
    **{"application_name": "arbiter", "jit": "off", "idle_in_transaction_session_timeout": str(IDLE_MS)},
    **{"statement_timeout": "0", "lock_timeout": "0", "idle_session_timeout": "0"},
    **{"default_transaction_isolation": "read committed", "extra_float_digits": "1"},
}
"""What holds in our sessions, whatever the server's administrator has set for others: bounds on time are Arbiter's own, and numbers are
told whole. Plans are not compiled: that takes longer than any of these queries."""
SINCE_17 = {"transaction_timeout": "0"}
FIT = """
SELECT pg_backend_pid(), current_setting('server_encoding'), current_setting('server_version_num')::int, pg_is_in_recovery(),
       (SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_read_only') = 'on', current_schema(),
       current_schema() IS NOT NULL AND has_schema_privilege(current_schema(), 'CREATE')
"""
OLDEST = 140_000


class _WideColumns(PGDDLCompiler):
    """What migrations call an integer has 64 bits, as it has in SQLite."""

    def get_column_specification(self, column: Column[Any], **kwargs: Any) -> str:
        made = str(super().get_column_specification(column, **kwargs))  # type: ignore[no-untyped-call]
        name, kind, rest = made.partition(" INTEGER")
        return f"{name} BIGINT{rest}" if kind else made.replace(" SERIAL", " BIGSERIAL")


class PostgresqlBackend(Backend):
    """A database of a PostgreSQL server. A committed transaction survives a power cut, unless durability is `relaxed`."""

    insert = staticmethod(postgresql.insert)
    name = "postgresql"
    begins_at = "0009"
    in_one_pass = True
    counts_teaching = traces_by_day = True
    patience_s = 5.0  # hosts write in turns

    def __init__(self, url: URL) -> None:
        """Raises StoreUnusable for a URL that names another driver, or no database."""
        super().__init__(url)
        driver = url.drivername.partition("+")[2]
        if driver not in ("", DRIVER):
            raise StoreUnusable(f"ARBITER_DB names the driver {driver}; write postgresql://, which takes {DRIVER}")
        if not url.database:
            raise StoreUnusable(f"ARBITER_DB names no database; write it like {self.shown.rstrip('/')}/arbiter")

    @property
    def shown(self) -> str:
        """The URL, without the password."""
        return self.url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)

    def engine(self, *, durability: str = "strict", read_only: bool = False, connections: int = 1) -> Engine:
        """Sessions that look for the server before each use, so that they outlive its restart."""
        if util.find_spec(DRIVER) is None:
            raise StoreUnusable(
                f"{self.shown} needs the driver {DRIVER}; install it with "
                f"`{sys.executable} -m pip install -r requirements-postgresql.txt`"
            )
        network = {
            "connect_timeout": CONNECT_S,
            "client_encoding": "utf8",
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": UNHEARD_MS,
        }
        engine = create_engine(
            self.url.set(drivername=f"postgresql+{DRIVER}"),
            connect_args={name: value for name, value in network.items() if name not in self.url.query},
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=read_only,
            use_native_hstore=False,
            **({"isolation_level": "REPEATABLE READ"} if read_only else {}),  # one snapshot for all that a read asks
        )
        engine.dialect.ddl_compiler = _WideColumns
        session = SESSION | ({"synchronous_commit": "off"} if durability == "relaxed" else {})
        session |= {"default_transaction_read_only": "on"} if read_only else {}

        @event.listens_for(engine, "connect")
        def _on_connect(connection: Any, _record: Any) -> None:
            connection.adapters.register_loader("numeric", _number_loader())
            ours = session | (SINCE_17 if connection.info.server_version >= 170_000 else {})
            connection.execute(f"SELECT {', '.join(['set_config(%s, %s, false)'] * len(ours))}", _flat(ours))
            connection.commit()

        return engine

    def before_migrating(self, revision: str | None, head: str) -> None:
        """A server is backed up by its own tools, before an upgrade of Arbiter."""

    def migrate_alone(self, connection: Connection) -> None:
        """Nobody writes meanwhile."""
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ONE_WRITER})")

    def strangers(self, connection: Connection) -> str:
        """Who may make triggers is a matter of the server's own rights."""
        return ""

    def unfit(self, engine: Engine) -> str:
        """A standby, a database or a user that may not write, an encoding that lacks characters, or a pooler of transactions."""
        with engine.connect() as connection:
            pid, encoding, version, follows, read_only, schema, may_make = connection.exec_driver_sql(FIT).one()
            connection.commit()
            with engine.connect() as other:  # the one before is open, and at rest
                same = other.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() == pid
        found = {
            "is a pooler that gives a session to each transaction; name one in session mode, or the server itself": same,
            f"is PostgreSQL {version // 10_000}, too old; 14 and later will do": version < OLDEST,
            "is a standby, and takes no writes; name its primary": follows,
            "takes no writes: default_transaction_read_only is on there": read_only and not follows,
            f"has the encoding {encoding}; make the database with ENCODING 'UTF8'": encoding != "UTF8",
            "has no schema to be in: look at its user's search_path": schema is None,
            f"does not let its user make tables in the schema {schema}; let that user own the database": not may_make,
        }
        return next((f"{self.shown} {why}" for why, holds in found.items() if holds), "")

    def unsound(self, connection: Connection) -> str:
        """A server looks after its files itself."""
        connection.exec_driver_sql("SELECT 1")
        return ""

    def in_words(self, error: Exception) -> str:
        """What the server or the driver says, in one line."""
        said = in_words(error)
        if self.url.password:
            said = said.replace(str(self.url.password), "***")
        return f"{self.shown} cannot be used: {said}"

    def writing(self, connection: Connection, patience_s: float) -> None:
        """A bound on waiting for others, also where it is a table that they hold."""
        connection.exec_driver_sql(f"SELECT set_config('lock_timeout', '{round(patience_s * 1000)}', false)")
        connection.commit()

    def begin(self, connection: Connection, patience_s: float) -> None:
        """Take the lock of the one writer; the end of the transaction, or of this process, gives it back."""
        connection.begin()
        with self.in_one_go(connection):
            _driver(connection).execute(f"SELECT pg_advisory_xact_lock({ONE_WRITER})")

    def pass_through(self, connection: Connection, inserts: Callable[[], None]) -> None:
        """The transaction in one pipeline; the driver's own begin and commit would each wait for what was sent."""
        connection.begin()
        driver = _driver(connection)
        driver.autocommit = True
        try:
            with driver.pipeline():
                driver.execute("BEGIN")
                driver.execute(f"SELECT pg_advisory_xact_lock({ONE_WRITER})")
                inserts()
                driver.execute("COMMIT")
        finally:
            with contextlib.suppress(Exception):  # the connection is gone
                driver.rollback()
                driver.autocommit = False
        connection.commit()  # nothing is sent for this: SQLAlchemy is told

    def commit(self, connection: Connection) -> None:
        """Commit."""
        connection.commit()

    def roll_back(self, connection: Connection) -> None:
        """Roll back."""
        connection.rollback()

    def ended(self, connection: Connection) -> bool:
        """Whether the end is there to be read: with a last word before it, or without."""
        line, look, lost = _driver(connection).pgconn, poll(), connection.dialect.loaded_dbapi.Error
        try:
            look.register(line.socket, POLLIN)
            while look.poll(0):
                line.consume_input()
        except lost:
            return True
        return False

    def cut(self, connection: Connection) -> None:
        """Shut the socket down."""
        with (
            contextlib.suppress(Exception),  # it was closed meanwhile
            socket.socket(fileno=os.dup(_driver(connection).fileno())) as line,
        ):
            line.shutdown(socket.SHUT_RDWR)

    def after_copying(self, connection: Connection) -> None:
        """Each sequence goes on behind the largest number of its column."""
        owned = connection.exec_driver_sql(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND column_default LIKE 'nextval(%%'"
        ).all()
        for name, numbered in owned:
            last = f"(SELECT coalesce(max({numbered}), 0) FROM {name})"  # noqa: S608 - names of our own
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{name}', '{numbered}'), {last} + 1, false)"
            )

    def channel(self, hear: Callable[[str, Any], None], joined: Callable[[], None]) -> Channel | None:
        """Over LISTEN and NOTIFY."""
        return Channel(self.engine(), hear, joined)

    @staticmethod
    def days_missing(connection: Connection, now: float) -> bool:
        """Of the days that are made ahead."""
        return trace_days.missing(connection, now)

    @staticmethod
    def make_days(connection: Connection, first: float, last: float | None = None) -> int:
        """A partition a day."""
        to_come = first + (trace_days.AHEAD - 1) * trace_days.DAY
        return trace_days.make(connection, first, to_come if last is None else last)

    @staticmethod
    def drop_days(connection: Connection, before: float) -> int:
        """Each with its partition."""
        return trace_days.drop(connection, before)

    @staticmethod
    def traces_by_row(connection: Connection) -> list[str]:
        """Those that are no day's."""
        return trace_days.by_row(connection)

    @staticmethod
    def server(connection: Connection) -> ServerState | None:
        """Its own account."""
        return server_state(connection)

    @staticmethod
    def clock(connection: Connection) -> float:
        """The server's."""
        return float(connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())::float").scalar_one())

    @staticmethod
    def taught(connection: Connection) -> Taught:
        """Every teaching is counted, also that of this process."""
        found = connection.exec_driver_sql("SELECT value FROM counter WHERE name = %s", (TAUGHT,)).scalar()
        return 0, int(found or 0)

    @staticmethod
    def in_one_go(connection: Connection) -> AbstractContextManager[object]:
        """A pipeline: statements go out without waiting for the one before. Within one they go on in that: to begin another one there
        waits for what was sent, and so does its end."""
        driver = _driver(connection)
        pipeline: AbstractContextManager[object] = nullcontext() if driver.pgconn.pipeline_status else driver.pipeline()
        return pipeline

    @staticmethod
    def inserting(
        dialect: Dialect, target: Table, columns: Sequence[str], add: Iterable[str], put: Iterable[str]
    ) -> InsertRows:
        """Rows travel as one JSON text: one statement, prepared once, for any number of them."""
        typed = [column(name, target.c[name].type) for name in columns]
        rows = func.json_to_recordset(cast(bindparam("rows"), JSON)).table_valued(*typed, name="given")
        rows = rows.render_derived(with_types=True)
        insert = postgresql.insert(target).from_select(list(columns), select(*[rows.c[name] for name in columns]))
        names = ["".join(name) for name in columns]  # SQLAlchemy's own kind of text is no key for orjson
        sql = str(upsert(insert, target, add, put).compile(dialect=dialect))

        def run(connection: Connection, rows: Sequence[Row]) -> None:
            told = orjson.dumps([dict(zip(names, row, strict=True)) for row in rows], default=_hexadecimal)
            _driver(connection).execute(sql, {"rows": told.decode()})

        return run


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _flat(pairs: dict[str, str]) -> list[str]:
    return [word for pair in pairs.items() for word in pair]


def _hexadecimal(value: object) -> str:
    """Bytes as PostgreSQL reads them. Raises TypeError for anything else that JSON does not know."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(f"{type(value).__name__} cannot be stored")


def _number_loader() -> type[Any]:
    """Sums of 64-bit integers come as NUMERIC, which has no bound: whole ones as int, exactly."""
    from psycopg.adapt import Loader

    class Number(Loader):
        def load(self, data: Any) -> int | float:
            text = bytes(data)
            try:
                return int(text)
            except ValueError:
                return float(text)

    return Number
