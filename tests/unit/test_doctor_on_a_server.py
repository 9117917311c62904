"""What `doctor` says of a PostgreSQL: schema, connections, standbys, clocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from arbiter_app import doctor
from arbiter_app.settings import load_settings
from arbiter_app.store import open_store
from arbiter_app.store.backends.server import ServerState, Standby
from tests import databases
from tests.postgres import PostgresServer

CALM = ServerState("18.6", 97, 20, 4, 0.0002, 0.001, False, None, ())


def said(where: str, directory: Path, **environ: str) -> list[str]:
    """The lines of the store."""
    own = {"ARBITER_DB": where, "ARBITER_JOURNAL": str(directory / "journal.db"), **environ}
    return [f"{fine} {name} {text}" for fine, name, text in doctor._store(load_settings(own, env_file=None))]


@contextmanager
def pair() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A server and its standby."""
    with ExitStack() as stack:
        primary = PostgresServer()
        stack.callback(primary.remove)
        primary.start()
        standby = PostgresServer(follows=primary)
        stack.callback(standby.remove)
        standby.start()
        yield primary, standby


def test_schema_connections_clock_and_journal_are_told(tmp_path: Path) -> None:
    where = databases.place("postgres", tmp_path / "arbiter.db")
    open_store(where).close()
    store, server, clock, journal = said(where, tmp_path, ARBITER_WORKERS="1")
    assert store.startswith("True store postgresql+psycopg://") or "integrity ok, schema 00" in store
    assert "is current" in store
    assert server.startswith("True server PostgreSQL 18.") and "this host may open 8" in server
    assert clock.startswith("True clock the server's clock is ")
    assert journal == f"True journal {tmp_path / 'journal.db'}, 0 of 256,000,000 bytes"


def test_too_few_connections_are_a_fault(tmp_path: Path) -> None:
    where = databases.place("postgres", tmp_path / "arbiter.db")
    server = said(where, tmp_path, ARBITER_WORKERS="60")[1]
    assert server.startswith("False server ") and "raise its max_connections, or lower ARBITER_DB_CONNECTIONS" in server


def test_a_standby_is_seen_from_both_sides(tmp_path: Path) -> None:
    with pair() as (primary, standby):
        primary.sql("CREATE DATABASE arbiter")
        open_store(primary.url("arbiter")).close()
        lines = said(primary.url("arbiter"), tmp_path)
        assert [line for line in lines if line.startswith("True server standby second: streaming, ")]
        while True:  # until it has arrived there
            try:
                found = said(standby.url("arbiter"), tmp_path)
                if found[0].startswith("False store ") and "is a standby, and takes no writes" in found[0]:
                    break
            except psycopg.Error:
                continue
        assert any(line.startswith("False server it is a standby") and "takes no writes" in line for line in found)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "True clock the server's clock is +0.000 s from this host's, give or take 0.001 s"),
        ({"skew_s": -3.5}, "False clock the server's clock is -3.500 s from this host's"),
        ({"skew_s": 3.5, "skew_known_s": 3.0}, "True clock"),
        ({"used": 95, "ours": 0}, "False server PostgreSQL 18.6: 95 of 97 connections are open"),
        ({"used": 96, "ours": 4}, "True server PostgreSQL 18.6: 96 of 97 connections are open, 4 of them Arbiter's"),
        (
            {"standbys": (Standby("b", "streaming", 0.02, 512),)},
            "True server standby b: streaming, 512 bytes behind, 0.0 s",
        ),
        ({"standbys": (Standby("b", "catchup", 90.0, 10**9),)}, "False server standby b: catchup, 1,000,000,000 bytes"),
        (
            {"standbys": (Standby("b", "not told", None, None),)},
            "True server standby b: not told, its lag is not told (grant",
        ),
    ],
)
def test_each_finding_says_what_to_do(changes: dict[str, object], line: str, tmp_path: Path) -> None:
    state = ServerState(**{name: getattr(CALM, name) for name in ServerState.__slots__} | changes)  # type: ignore[arg-type]
    settings = load_settings({"ARBITER_JOURNAL": str(tmp_path / "journal.db")}, env_file=None)
    lines = [f"{fine} {name} {text}" for fine, name, text in doctor._server(settings, state)]
    assert any(one.startswith(line) for one in lines), lines
