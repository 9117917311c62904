"""What a doctor wants to know of the database, without creating or changing it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from arbiter_app.store.backends import StoreUnusable, backend_of, of_dialect, url_of
from arbiter_app.store.backends.server import ServerState
from arbiter_app.store.engine import checked, head, revision, unsound

SQLITE = sqlite3.sqlite_version


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """`problem` is empty when all is well; `size_bytes` None for a server database, `server` for a file; `revision` None before the
    first start."""

    where: str
    exists: bool
    size_bytes: int | None
    revision: str | None
    head: str
    problem: str
    server: ServerState | None = None


def examine(where: str) -> StoreHealth:
    """Size, schema revision and integrity of the store at a path or URL."""
    url = url_of(where)
    backend = backend_of(url)
    shown, path = url.render_as_string(hide_password=True), backend.path
    if path is not None and not path.exists():
        return StoreHealth(shown, False, None, None, head(), "")
    engine, server, found = backend.engine(read_only=True, connections=2), None, None
    try:
        with engine.connect() as connection:
            server = server_of(connection)
        if not (problem := unsound(url)):
            found = revision(engine)
            checked(engine, backend)
    except StoreUnusable as unusable:
        problem = str(unusable)
    except DatabaseError as error:
        problem = backend.in_words(error)
    finally:
        engine.dispose()
    size = path.stat().st_size if path is not None else None
    return StoreHealth(shown, True, size, found, head(), problem, server)


def server_of(connection: Connection) -> ServerState | None:
    """How the server of the database is; None for a file."""
    return of_dialect(connection.dialect).server(connection)
