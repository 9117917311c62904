"""The database's file is deleted, replaced or emptied while serving: said and not ready, while answers go on."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from arbiter_app.store import open_store
from arbiter_app.store.engine import StoreUnusable
from arbiter_app.store.upkeep import restore
from tests.conftest import Running
from tests.waiting import until


def deleted(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    shutil.copy2(path, path.with_name("other.db"))
    path.with_name("other.db").replace(path)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("change", [deleted, replaced, emptied])
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


def test_a_file_that_is_put_back_takes_writes_again(own_gateway: Running) -> None:
    path = own_gateway.arbiter.store.path
    assert path is not None
    away = path.rename(path.with_name("away.db"))
    until(lambda: own_gateway.http.get("/readyz").status_code == 503)
    own_gateway.chat("Calculate 3 * 7")
    away.rename(path)
    until(lambda: own_gateway.http.get("/readyz").status_code == 200)
    until(lambda: len(own_gateway.http.get("/v1/recent").json()["data"]) == 1)


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
