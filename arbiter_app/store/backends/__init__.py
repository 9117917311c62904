"""The databases that a store can be in: all that differs between them is behind one interface."""

from __future__ import annotations

from sqlalchemy import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError

from arbiter_app.store.backends.backend import Backend, StoreUnusable, Taught
from arbiter_app.store.backends.postgresql import PostgresqlBackend
from arbiter_app.store.backends.sqlite import SqliteBackend

__all__ = ["Backend", "StoreUnusable", "Taught", "backend_of", "of_dialect", "url_of"]

BACKENDS: dict[str, type[Backend]] = {
    "sqlite": SqliteBackend,
    "postgresql": PostgresqlBackend,
    "postgres": PostgresqlBackend,
}


def url_of(where: str) -> URL:
    """A SQLAlchemy URL from a file path or a URL. Raises StoreUnusable, without a word of what may be a password."""
    if "://" not in where:
        return URL.create("sqlite", database=where)
    try:
        return make_url(where)
    except (ArgumentError, ValueError):
        scheme = where.partition("://")[0]
        raise StoreUnusable(
            f"ARBITER_DB: the {scheme} URL cannot be read; write it like postgresql://user:password@host:5432/arbiter"
        ) from None


def backend_of(url: URL) -> Backend:
    """The backend of a database. Raises StoreUnusable for one that no store can be in."""
    made = BACKENDS.get(url.get_backend_name())
    if made is None:
        raise StoreUnusable(
            f"ARBITER_DB: a store is a SQLite file or a postgresql:// URL, not {url.get_backend_name()}"
        )
    return made(url)


def of_dialect(dialect: Dialect) -> type[Backend]:
    """The backend of an engine's dialect."""
    return BACKENDS[dialect.name]
