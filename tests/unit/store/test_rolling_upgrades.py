"""A host of the revision before goes on while the next one migrates, and afterwards: a migration takes nothing away from it.

What an older host says names the columns that it knows. So at each revision rows are written and read by all columns of the one
before; that fails where one was dropped, renamed, or came without a default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, LargeBinary, MetaData, Table, delete, insert, select

from alembic import command
from arbiter_app.store.backends import backend_of, url_of
from arbiter_app.store.backends.trace_days import TABLE
from arbiter_app.store.engine import MIGRATIONS, VERSION, migrations
from tests import databases

BEGINNING = "0009"
"""The first one that PostgreSQL had, and so the first that hosts may have shared."""
LATER = [script.revision for script in ScriptDirectory.from_config(migrations()).walk_revisions()][::-1]


@pytest.mark.parametrize("kind", databases.KINDS)
def test_what_a_host_of_the_revision_before_says_is_still_understood(kind: str, tmp_path: Path) -> None:
    backend = backend_of(url_of(databases.place(kind, tmp_path / "arbiter.db", empty=True)))
    backend.make_place()
    engine, config = backend.engine(), migrations()
    for revision in LATER[LATER.index(BEGINNING) :]:
        with engine.begin() as connection:
            known = _tables(connection)
            backend.migrate_alone(connection)
            config.attributes["connection"] = connection
            if backend.begins_at and not known:
                connection.exec_driver_sql((MIGRATIONS / f"{backend.name}_{backend.begins_at}.sql").read_text())
                command.stamp(config, backend.begins_at)
            command.upgrade(config, revision)
        with engine.begin() as connection:
            for one in known:
                _speak(connection, one)
    engine.dispose()


def _tables(connection: Connection) -> list[Table]:
    """Every table as this revision has it."""
    found = MetaData()
    found.reflect(connection)
    return [one for one in found.sorted_tables if one.name != VERSION and not one.name.startswith(f"{TABLE}_")]


def _speak(connection: Connection, one: Table) -> None:
    """Write a row by all columns, read it by all, change it and remove it."""
    row = {column.name: _value(column.type) for column in one.columns}
    mine = [column == row[column.name] for column in one.primary_key.columns]
    connection.execute(insert(one).values(row))
    assert dict(connection.execute(select(one).where(*mine)).one()._mapping) == row
    connection.execute(one.update().where(*mine).values(row))
    assert connection.execute(delete(one).where(*mine)).rowcount == 1


def _value(kind: Any) -> object:
    if isinstance(kind, LargeBinary):
        return b"of before"
    return {str: "of before", bool: False, float: 1.5}.get(kind.python_type, 987_654_321)
