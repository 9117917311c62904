"""The database's file is deleted, replaced or emptied while serving: said and not ready, while answers go on."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from arbiter_app.store import StoreError, open_store
from arbiter_app.store.engine import StoreUnusable
from arbiter_app.store.upkeep import restore
from tests.conftest import Running, running
from tests.served import start
from tests.waiting import PATIENCE_S, until

DATABASES = ("sqlite",)


def deleted(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    shutil.copy2(path, path.with_name("other.db"))
    path.with_name("other.db").replace(path)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


@pytest.mark.parametrize("change", [deleted, replaced, emptied, truncated])
def test_it_is_noticed_without_traffic_and_answers_go_on(own_gateway: Running, change: Callable[[Path], None]) -> None:
    path = own_gateway.arbiter.store.path
    assert path is not None
    change(path)
    until(lambda: own_gateway.http.get("/health").json()["store"] != "ok")
    assert f"{path} was {change.__name__}" in own_gateway.http.get("/health").json()["store"]
    ready = own_gateway.http.get("/readyz")
    assert (ready.status_code, change.__name__ in str(ready.json()["reasons"])) == (503, True)
    answer = own_gateway.chat("Calculate 3 * 7")
    assert answer.status_code == 200
    assert change.__name__ in answer.json()["arbiter"]["degraded"]


def test_a_write_that_fails_by_it_says_so_and_not_what_sqlite_makes_of_it(own_gateway: Running) -> None:
    path = own_gateway.arbiter.store.path
    assert path is not None

    def emptied_meanwhile(connection: Connection) -> None:
        path.write_bytes(b"")
        damaged = sqlite3.DatabaseError("database disk image is malformed")
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged

    async def written() -> None:
        with pytest.raises(StoreError, match=f"{path} was emptied"):
            await own_gateway.arbiter.store.writer.call(emptied_meanwhile)

    own_gateway.run(written)
    assert "emptied" in own_gateway.http.get("/health").json()["store"]


def zeroed(path: Path) -> None:
    over(path, bytes(path.stat().st_size))


def headless(path: Path) -> None:
    over(path, bytes(100))


def linked(path: Path) -> None:
    """The same file by way of a link: SQLite looks for its log beside the file, where there is none."""
    path.rename(path.with_name("elsewhere.db"))
    path.symlink_to(path.with_name("elsewhere.db"))


def without_index(path: Path) -> None:
    path.with_name(f"{path.name}-shm").unlink()


def with_trigger(path: Path) -> None:
    changed(path, "CREATE TRIGGER t AFTER INSERT ON decision BEGIN DELETE FROM api_key; END")


def with_view(path: Path) -> None:
    changed(path, "CREATE VIEW v AS SELECT * FROM api_key")


def without_table(path: Path) -> None:
    changed(path, "DROP TABLE alert")


def with_zeroed_log(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    over(log, bytes(log.stat().st_size))


def over(path: Path, content: bytes) -> None:
    """Write over the beginning of a file; it is still the same one, and no shorter."""
    with path.open("r+b") as file:
        file.write(content)


def changed(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (zeroed, "was overwritten"),
        (headless, "was overwritten"),
        (linked, "was replaced"),
        (without_index, "-shm, the index of the database's log, was deleted"),
        (with_trigger, "a trigger that Arbiter did not make ('t')"),
        (with_view, "a view that Arbiter did not make ('v')"),
        (without_table, "has no table alert any more"),
        (with_zeroed_log, "is damaged"),
    ],
)
def test_a_file_that_is_changed_where_it_stands_is_noticed_too(
    own_gateway: Running, change: Callable[[Path], None], says: str
) -> None:
    store = own_gateway.arbiter.store
    assert store.path is not None
    for at in range(2):
        before = store.writer.commits
        own_gateway.chat(f"Calculate 3 * {at}")
        until(lambda before=before: store.writer.commits > before)
    change(store.path)

    def told() -> bool:
        if change is with_zeroed_log:  # by whoever reads what stood there, unless it is written anew before
            own_gateway.http.get("/v1/recent")
        return says in own_gateway.http.get("/health").json()["store"]

    until(told)
    ready = own_gateway.http.get("/readyz")
    assert (ready.status_code, says in str(ready.json()["reasons"])) == (503, True)
    answer = own_gateway.chat("Calculate 3 * 7")
    assert (answer.status_code, says in answer.json()["arbiter"]["degraded"]) == (200, True)


def test_what_was_made_by_others_is_forgiven_once_it_is_dropped(own_gateway: Running) -> None:
    path = own_gateway.arbiter.store.path
    assert path is not None
    with_trigger(path)
    until(lambda: own_gateway.http.get("/readyz").status_code == 503)
    own_gateway.chat("Calculate 3 * 7")
    changed(path, "DROP TRIGGER t")
    until(lambda: own_gateway.http.get("/readyz").status_code == 200)
    until(lambda: len(own_gateway.http.get("/v1/recent").json()["data"]) == 1)


def test_an_older_file_written_over_the_present_one_is_noticed(tmp_path: Path) -> None:
    with running(tmp_path) as before:
        before.chat("Calculate 2 + 2")
    old = (tmp_path / "arbiter.db").read_bytes()
    with running(tmp_path) as gateway:
        backup = tmp_path / "backup.db"
        gateway.run(lambda: gateway.arbiter.store.back_up(backup))
        for content in (old, backup.read_bytes()):
            good = (tmp_path / "arbiter.db").read_bytes()
            over(tmp_path / "arbiter.db", content)
            until(lambda: "was overwritten" in gateway.http.get("/health").json()["store"])
            over(tmp_path / "arbiter.db", good)
            until(lambda: gateway.http.get("/readyz").status_code == 200)


def test_no_reader_makes_a_new_file_in_the_place_of_one_that_is_gone(own_gateway: Running) -> None:
    store = own_gateway.arbiter.store
    assert store.path is not None
    store.path.unlink()
    store._reading.dispose()  # as when the pool opens a further connection
    answer = own_gateway.http.get("/v1/report")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    assert not store.path.exists()
    store.path.touch()
    store._reading.dispose()
    answer = own_gateway.http.get("/v1/report")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")


def test_a_file_that_is_put_back_takes_writes_again(own_gateway: Running) -> None:
    path = own_gateway.arbiter.store.path
    assert path is not None
    away = path.rename(path.with_name("away.db"))
    until(lambda: own_gateway.http.get("/readyz").status_code == 503)
    own_gateway.chat("Calculate 3 * 7")
    away.rename(path)
    until(lambda: own_gateway.http.get("/readyz").status_code == 200)
    until(lambda: len(own_gateway.http.get("/v1/recent").json()["data"]) == 1)


def test_a_log_that_is_taken_away_is_said_until_a_restart(own_gateway: Running) -> None:
    path = own_gateway.arbiter.store.path
    assert path is not None
    own_gateway.chat("Calculate 3 * 7")
    until(lambda: path.with_name(f"{path.name}-wal").exists())
    before = own_gateway.arbiter.store.writer.commits
    own_gateway.chat("Calculate 3 * 8")
    until(lambda: own_gateway.arbiter.store.writer.commits > before)
    path.with_name(f"{path.name}-wal").unlink()
    until(lambda: own_gateway.http.get("/readyz").status_code == 503)
    assert "-wal, the log of the database, was deleted or replaced" in own_gateway.http.get("/health").json()["store"]
    assert own_gateway.chat("Calculate 3 * 9").status_code == 200


@pytest.mark.parametrize("part", [0, 0.5], ids=["emptied", "cut"])
def test_a_log_that_is_truncated_is_said_until_a_restart(own_gateway: Running, part: float) -> None:
    store = own_gateway.arbiter.store
    assert store.path is not None
    log = store.path.with_name(f"{store.path.name}-wal")
    ask_until(own_gateway, lambda: log.stat().st_size > 0)
    until(lambda: store._watch._log_size == log.stat().st_size)  # it was looked at since it has been written
    os.truncate(log, int(part * log.stat().st_size))
    ask_until(own_gateway, lambda: own_gateway.http.get("/readyz").status_code == 503)
    assert "-wal, the log of the database, was truncated" in own_gateway.http.get("/health").json()["store"]


def test_a_log_that_another_process_truncates_as_it_may_is_no_fault(own_gateway: Running) -> None:
    store = own_gateway.arbiter.store
    assert store.path is not None
    log = store.path.with_name(f"{store.path.name}-wal")
    for _ in range(3):
        ask_until(own_gateway, lambda: log.stat().st_size > 0 and store._watch._log_size > 0)
        changed(store.path, "PRAGMA wal_checkpoint(TRUNCATE)")
        until(lambda: store._watch._log_size < 100_000)
        before = store.writer.commits
        ask_until(own_gateway, lambda before=before: store.writer.commits > before + 2)
    until(lambda: not store._watch._log_shrank)
    assert own_gateway.http.get("/readyz").status_code == 200


def ask_until(gateway: Running, reached: Callable[[], bool]) -> None:
    """Ask one thing after another until then."""
    numbers = iter(range(10_000))

    def asked() -> bool:
        gateway.chat(f"Calculate 5 * {next(numbers)}")
        return reached()

    until(asked)


def test_a_second_arbiter_on_the_same_file_is_said_by_the_first_and_the_file_is_not_restored_over(
    own_gateway: Running, tmp_path: Path
) -> None:
    path = own_gateway.arbiter.store.path
    assert path is not None
    assert own_gateway.http.get("/health").json()["neighbour"] == "none"
    mark = "import sys, time; from pathlib import Path; from arbiter_app.store.neighbours import Neighbours; "
    code = f"{mark}n = Neighbours(Path(sys.argv[1])); print(n.other(), flush=True); sys.stdin.read()"
    second = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with second:
        assert second.stdout is not None
        assert second.stdout.readline().strip() == str(os.getpid())
        until(lambda: f"process {second.pid}" in own_gateway.http.get("/health").json()["neighbour"])
        backup = tmp_path / "backup.db"
        open_store(str(backup)).close()
        with pytest.raises(StoreUnusable, match=f"process {second.pid}"):
            restore(backup, path)
        second.communicate()
    until(lambda: own_gateway.http.get("/health").json()["neighbour"] == "none")


def test_a_file_that_was_cut_off_or_emptied_before_the_start_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "arbiter.db"
    open_store(str(path)).close()
    truncated(path)
    with pytest.raises(StoreUnusable, match="damaged"):
        open_store(str(path))
    emptied(path)
    with caplog.at_level(logging.WARNING, logger="arbiter"):
        open_store(str(path)).close()
    assert "is empty: this start makes a new store in it" in caplog.text


@pytest.mark.parametrize("content", [b"S", b"hello, this is a note\n", b"SQLite format 3\0"])
def test_a_small_file_of_somebody_elses_is_not_written_over(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(StoreUnusable, match="is no database"):
        open_store(str(path))
    assert path.read_bytes() == content


def test_what_is_no_file_is_said_to_be_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", Path(os.devnull)):
        with pytest.raises(StoreUnusable, match="is no file"):
            open_store(str(place))


def test_a_file_that_is_damaged_in_its_middle_ends_the_start_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "arbiter.db"
    open_store(str(path)).close()
    with path.open("r+b") as file:
        file.seek(8_192)
        file.write(random.Random(7).randbytes(40_000))  # behind what opening it looks at
    with pytest.raises(RuntimeError) as ended:
        start(tmp_path)
    assert "restore a backup" in str(ended.value).lower() and "Traceback" not in str(ended.value)


def test_triggers_and_views_of_a_backup_do_not_survive_restore_and_are_refused_at_start(tmp_path: Path) -> None:
    backup, path = tmp_path / "backup.db", tmp_path / "arbiter.db"
    open_store(str(backup)).close()
    with contextlib.closing(sqlite3.connect(backup)) as connection:
        connection.execute('CREATE TRIGGER "a ""b" AFTER INSERT ON decision BEGIN DELETE FROM api_key; END')
        connection.execute("CREATE VIEW v AS SELECT * FROM api_key")
        connection.commit()
    with pytest.raises(StoreUnusable, match="trigger that Arbiter did not make"):
        open_store(str(backup))
    restore(backup, path)
    open_store(str(path)).close()
