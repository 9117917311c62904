"""What is PostgreSQL's own: URLs that are wrong, several processes, plans, and a server that ends at any moment."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event
from sqlmodel import SQLModel

from alembic import command
from arbiter_app.pipeline.decision import decision_id
from arbiter_app.store import Store, decisions, open_store, rollups
from arbiter_app.store.backends import StoreUnusable, backend_of, url_of
from arbiter_app.store.backends.postgresql import ONE_WRITER
from arbiter_app.store.backends.trace_days import AHEAD, DAY, TABLE
from arbiter_app.store.decisions import Filter
from arbiter_app.store.engine import MIGRATIONS, migrations
from arbiter_app.store.health import examine
from arbiter_app.store.tables import LISTS
from tests import databases
from tests.stores import NOW, call_now, file_all, mixed, record, rows_of, run
from tests.waiting import PATIENCE_S, until

SECRET = "hunter2-is-a-secret"


@pytest.fixture
def where(tmp_path: Path) -> str:
    """An empty database."""
    return databases.place("postgres", tmp_path / "new", empty=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = open_store(databases.place("postgres", tmp_path / "arbiter.db"))
    yield one
    one.close()


def test_a_new_database_has_exactly_the_tables_of_the_code(where: str) -> None:
    open_store(where).close()
    engine = backend_of(url_of(where)).engine()
    with engine.connect() as connection:
        opts = {"include_name": lambda name, kind, _: kind != "table" or not name.startswith(f"{TABLE}_")}
        assert compare_metadata(MigrationContext.configure(connection, opts=opts), SQLModel.metadata) == []
        kinds = connection.exec_driver_sql(
            "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = 'public'"
        )
        assert {kind for (kind,) in kinds} == {
            "bigint",
            "boolean",
            "bytea",
            "character varying",
            "double precision",
            "numeric",
        }
    engine.dispose()


def test_processes_that_start_at_once_make_the_tables_once(where: str) -> None:
    context = multiprocessing.get_context("spawn")
    starting = [context.Process(target=_open, args=(where,)) for _ in range(3)]
    for process in starting:
        process.start()
    for process in starting:
        process.join(PATIENCE_S)
    assert [process.exitcode for process in starting] == [0, 0, 0]


def _open(where: str) -> None:
    open_store(where).close()


def test_connections_that_the_server_ends_at_rest_cost_no_write(store: Store) -> None:
    """As an administrator, an idle time-out or a pooler of sessions ends them."""
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: run(lambda: store.ledger.record(record(NOW))),  # in one pass
        lambda: run(lambda: store.mint_key(role="caller", email="a@b.c", label="")),
    )
    for write in kinds:
        write()
        database = store.backend.url.database
        ended = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = "
        databases.postgres().sql(f"{ended}'{database}' AND backend_type = 'client backend'")
        write()
        assert not store.writer.degraded and store.writer.lost == 0


def test_another_programs_database_is_left_alone(where: str) -> None:
    name = where.rpartition("/")[2]
    databases.postgres().sql("CREATE TABLE songs (title text)", name)
    with pytest.raises(StoreUnusable, match="holds other data .songs"):
        open_store(where)
    assert databases.postgres().sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name) == [("songs",)]


def test_a_newer_schema_is_refused(where: str) -> None:
    open_store(where).close()
    databases.postgres().sql("UPDATE alembic_version SET version_num = '9999'", where.rpartition("/")[2])
    with pytest.raises(StoreUnusable, match="newer version of Arbiter .schema 9999"):
        open_store(where)


WRONG = {
    f"postgresql://arbiter:{SECRET}@127.0.0.1:1/arbiter": "cannot be used: connection failed",
    f"postgresql://nobody:{SECRET}@127.0.0.1:PORT/arbiter": 'role "nobody" does not exist',
    f"postgresql://postgres:{SECRET}@127.0.0.1:PORT/no_such": 'database "no_such" does not exist',
    f"postgresql://postgres:{SECRET}@127.0.0.1:PORT": "names no database",
    f"postgresql+asyncpg://postgres:{SECRET}@127.0.0.1/a": "names the driver asyncpg; write postgresql://",
    f"postgresql://postgres:{SECRET}@127.0.0.1:port/a": "cannot be read",
    f"mysql://root:{SECRET}@127.0.0.1/a": "a SQLite file or a postgresql:// URL, not mysql",
}


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_url_is_one_sentence_without_the_password(url: str) -> None:
    with pytest.raises(StoreUnusable) as refused:
        open_store(url.replace("PORT", str(databases.postgres().port)))
    said = str(refused.value)
    assert WRONG[url] in said and "\n" not in said and SECRET not in said


def test_a_command_says_that_sentence_and_nothing_else(tmp_path: Path) -> None:
    said = _keys_list(next(iter(WRONG)), tmp_path)
    assert WRONG[next(iter(WRONG))] in said
    assert said.startswith("arbiter: ") and said.count("\n") == 1 and SECRET not in said


@pytest.mark.parametrize(
    ("url", "said"),
    {
        f"postgresql://arbiter:{SECRET}@%#/?@127.0.0.1/a": "written as % and two hexadecimal digits",
        f"postgresql://arbiter:100%{SECRET}@127.0.0.1/a": "written as % and two hexadecimal digits",
        f"host=127.0.0.1 user=arbiter password={SECRET}": "keywords are not read",
    }.items(),
)
def test_a_url_that_would_be_misread_is_refused_without_the_password(url: str, said: str) -> None:
    with pytest.raises(StoreUnusable, match=said) as refused:
        url_of(url)
    assert SECRET not in str(refused.value)


def test_urls_are_taken_in_the_forms_that_people_have() -> None:
    for given in (" POSTGRES://u:p%40@[::1]:5433/a?sslmode=require ", '"postgresql+psycopg://u:p%40@[::1]:5433/a"'):
        url = url_of(given)
        assert (url.username, url.password, url.host, url.port, url.database) == ("u", "p@", "::1", 5433, "a")
        assert backend_of(url).name == "postgresql"
    assert url_of("postgresql://u@%2Frun%2Fpostgresql/a").host == "/run/postgresql"


UNFIT = {
    "ALTER DATABASE {} SET default_transaction_read_only = on": "takes no writes",
    "ALTER DATABASE {} SET search_path = nowhere": "search_path",
    "CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'": "has the encoding LATIN1",
    "ALTER ROLE nobody_here LOGIN": "let that user own the database",
    "ALTER ROLE nobody_here LOGIN CONNECTION LIMIT 1": "raise its max_connections, or lower ARBITER_DB_CONNECTIONS",
}


@pytest.mark.parametrize("statement", UNFIT)
def test_a_database_that_is_unfit_is_refused_in_a_sentence_by_doctor_too(where: str, statement: str) -> None:
    server, name = databases.postgres(), where.rpartition("/")[2]
    if statement.startswith("CREATE"):
        server.sql(f"DROP DATABASE {name}")
    if "ROLE" in statement:
        server.sql("DROP ROLE IF EXISTS nobody_here")
        server.sql("CREATE ROLE nobody_here")
        where = where.replace("postgres@", "nobody_here@")
    server.sql(statement.format(name))
    with pytest.raises(StoreUnusable, match=UNFIT[statement]) as refused:
        open_store(where)
    assert "\n" not in str(refused.value)
    assert examine(where).problem == str(refused.value)


def test_what_an_administrator_has_set_for_sessions_bounds_nothing_here(where: str) -> None:
    name = where.rpartition("/")[2]
    given = {
        "statement_timeout": "50ms",
        "idle_session_timeout": "50ms",
        "lock_timeout": "1ms",
        "extra_float_digits": "0",
    }
    for setting, value in (given | {"client_encoding": "LATIN1"}).items():
        databases.postgres().sql(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    store = open_store(where)
    odd = record(ts=NOW + 1 / 3, reason="by → the arrow")
    run(lambda: store.ledger.record(odd))
    call_now(store, lambda c: c.exec_driver_sql("SELECT pg_sleep(0.1)"))
    kept = run(lambda: store.decision(odd.row["id"]))
    assert (kept["ts"], kept["reason"]) == (NOW + 1 / 3, "by → the arrow")
    assert store.writer.degraded == ""
    store.close()


def test_a_missing_driver_is_one_sentence_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\nfound = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'psycopg' else found(name, package)\n"
    )
    said = _keys_list("postgresql://arbiter@127.0.0.1:1/arbiter", tmp_path)
    assert "pip install -r requirements-postgresql.txt" in said
    assert said.count("\n") == 1


def _keys_list(url: str, folder: Path) -> str:
    """What the command line says of a database that cannot be opened."""
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "arbiter_app", "keys", "list"],
        capture_output=True,
        text=True,
        cwd=root,
        env={"PATH": "", "PYTHONPATH": str(folder), "ARBITER_DB": url},
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_a_look_at_the_store_names_it_without_the_password(store: Store) -> None:
    url = store.url.set(password=SECRET).render_as_string(hide_password=False)
    health = examine(url)
    assert (health.revision, health.problem, health.exists) == (health.head, "", True)
    assert SECRET not in health.where


def test_a_burst_that_waited_for_another_process_shares_the_next_commit(store: Store) -> None:
    async def burst() -> int:
        with psycopg.connect(_plain(store)) as other:
            other.execute(f"SELECT pg_advisory_xact_lock({ONE_WRITER})")  # stands for another gateway's commit
            before = store.writer.commits
            waiting = [store.ledger.record(one) for one in mixed(200)]
            assert not any(future.done() for future in waiting)
        await asyncio.gather(*waiting)
        return store.writer.commits - before

    assert run(burst) == 1


def test_a_batch_of_records_is_one_question_to_the_server(store: Store, tmp_path: Path) -> None:
    async def write(several: int) -> None:
        await asyncio.gather(*[store.ledger.record(one) for one in mixed(several)])

    run(lambda: write(3))
    for _ in range(3):
        call_now(store, lambda c: None)  # after each the writer looks once what has to be filed
    driver: Any = store.writer._line.connected().connection.driver_connection
    with (tmp_path / "trace").open("w+") as trace:
        driver.pgconn.trace(trace.fileno())
        before = store.writer.commits
        run(lambda: write(8))  # fewer than are filed
        driver.pgconn.untrace()
        said = (tmp_path / "trace").read_text()
    assert said.count("\tSync") == store.writer.commits - before


def test_the_end_of_the_server_loses_and_doubles_nothing(tmp_path: Path) -> None:
    store = open_store(databases.place("postgres", tmp_path / "arbiter.db"))
    records = mixed(600)

    async def write() -> None:
        for at in range(0, len(records), 20):
            waiting = [store.ledger.record(one) for one in records[at : at + 20]]
            if at % 100 == 60:
                databases.postgres().kill()
                databases.postgres().start()
            await asyncio.gather(*waiting)

    run(write)
    until(lambda: not store.ledger.degraded and not store.writer.pending)
    file_all(store)
    assert sorted(row["id"] for row in store.stretch(Filter())) == sorted(one.row["id"] for one in records)
    (total,) = store.read_now(rollups.totals, ())
    assert (total["calls"], total["cost_pico"]) == (600, sum(one.row["cost_pico"] or 0 for one in records))
    answered = sum(one.row["status"] == "ok" for one in records)
    assert rows_of(store, "SELECT sum(calls) FROM statistic") == [(answered,)]
    assert store.writer.lost == 0
    store.close()


def traced(store: Store) -> dict[str, float]:
    """The time of every trace by its id."""
    return dict(rows_of(store, "SELECT id, ts FROM decision_trace"))


def days(store: Store) -> list[str]:
    found = rows_of(store, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'decision_trace%%'")
    return sorted(name.removeprefix(f"{TABLE}_") for (name,) in found)


def test_traces_go_with_their_days_and_never_in_the_way_of_a_dump(store: Store) -> None:
    now = time.time()
    assert len(days(store)) == AHEAD + 1  # and one for all else
    call_now(store, lambda c: store.backend.make_days(c, now - 5 * DAY, now))
    records = mixed(200, days=5, until=now)
    odd = [record(now - 4 * DAY, id="of another form"), record(now - 4 * DAY, id=decision_id(now + 99 * DAY))]
    run(lambda: asyncio.gather(*[store.ledger.record(one) for one in [*odd, *records]]))
    file_all(store)
    assert len(traced(store)) == 202

    def retain() -> None:
        run(lambda: store.retain(now=now, keep_decisions=1_000, keep_trace_days=2.0))

    with psycopg.connect(_plain(store)) as dump:
        dump.execute("SELECT count(*) FROM decision_trace")
        before = days(store)
        retain()
        assert days(store) == before and store.writer.degraded == ""
    retain()
    first = (now - 2 * DAY) // DAY * DAY
    kept = traced(store)
    assert kept == {one.row["id"]: one.row["ts"] for one in records if one.row["ts"] >= first}
    assert len(days(store)) == AHEAD + 1 + 2
    assert len(list(store.stretch(Filter()))) == 202
    newest = records[-1].row["id"]
    assert run(lambda: store.decision(newest))["trace"] is not None
    run(lambda: store.retain(now=now, keep_decisions=1, keep_trace_days=99.0))  # nobody can ask for the others
    assert kept.keys() > traced(store).keys() >= {newest}


def test_traces_of_before_stay_together_and_a_host_of_before_goes_on_writing(where: str) -> None:
    engine, config = backend_of(url_of(where)).engine(), migrations()
    with engine.begin() as connection:
        connection.exec_driver_sql((MIGRATIONS / "postgresql_0009.sql").read_text())
        config.attributes["connection"] = connection
        command.stamp(config, "0009")
        command.upgrade(config, "0025")
    now = time.time()
    ids = [decision_id(now), decision_id(now - 40 * DAY), "zz: of another form", decision_id(now + 9 * DAY)]
    with psycopg.connect(where, autocommit=True) as older:

        def write(one: str) -> None:
            older.execute("INSERT INTO decision_trace (id, ts, body) VALUES (%s, 1, '')", (one,), prepare=True)

        for one in ids:
            write(one)
        store = open_store(where)
        later = [decision_id(now), decision_id(now + DAY), decision_id(now + 99 * DAY)]
        for one in later:
            write(one)
    engine.dispose()
    assert traced(store).keys() == {*ids, *later}
    in_one = [name for name in days(store) if name.startswith("until_")]
    assert len(in_one) == 1 and len(days(store)) == 1 + 1 + (AHEAD - 1)  # today's are with those of before
    call_now(store, lambda c: store.backend.drop_days(c, now + 2 * DAY))
    assert traced(store).keys() == {*ids[2:], later[2]}
    store.close()


def test_what_postgresql_cannot_store_does_not_cost_the_record(store: Store) -> None:
    odd = record(reason="a \0 zero")

    async def write() -> list[Any]:
        return await asyncio.gather(store.ledger.record(odd), store.ledger.record(record()))

    assert run(write) == [None, None]
    assert run(lambda: store.decision(odd.row["id"]))["reason"] == "a ? zero"
    assert len(list(store.stretch(Filter()))) == 2


def test_every_read_of_a_large_store_goes_through_an_index(store: Store) -> None:
    run(lambda: asyncio.gather(*[store.ledger.record(one) for one in mixed(400)]))
    file_all(store)
    filters = [Filter(), *[Filter(**{name: "x"}) for name in LISTS]]
    filters += [Filter(status="failed", key_id="x"), Filter(since=1.0), Filter(task="code", until=2.0)]
    filters += [Filter(key_id="x", task="code", model="x", mode="y", since=NOW - 864_000)]
    reads: list[Callable[[Connection], Any]] = [
        *[lambda c, f=narrowed: decisions.page(c, f, limit=50, before=9) for narrowed in filters],
        lambda c: decisions.one(c, "d_1"),
        lambda c: decisions.after(c, 7),
        lambda c: rollups.totals(c, ("model",), since=NOW - 1e6, now=NOW),
        lambda c: rollups.totals(c, ("model",), scope="k"),
        lambda c: rollups.series(c, bucket_s=3_600, buckets=48, now=NOW),
        lambda c: rollups.counters(c),
    ]
    for read in reads:
        for plan in _plans(store, read):
            assert not re.search(r"Seq Scan on (decision|rollup|slot|listed_by)", plan), plan


def _plans(store: Store, read: Callable[[Connection], Any]) -> list[str]:
    """How PostgreSQL runs each SELECT of a read where it goes through a table only if there is no index."""
    found: list[str] = []

    def explain(_conn: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        steps = cursor.connection.execute(f"EXPLAIN {statement}", parameters).fetchall()
        found.append("\n".join(step[0] for step in steps))

    with store._reading.connect() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        event.listen(connection, "before_cursor_execute", explain)
        read(connection)
    assert found
    return found


def _plain(store: Store) -> str:
    return store.url.set(drivername="postgresql").render_as_string(hide_password=False)
