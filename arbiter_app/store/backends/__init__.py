"""The databases that a store can be in: all that differs between them is behind one interface."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

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


EXAMPLE = "postgresql://user:password@host:5432/arbiter"
_KEYWORDS = re.compile(r"(?:^|\s)(?:host|hostaddr|dbname|user|password)\s*=")
_UNQUOTED = re.compile(r"@.*@|#|%(?![0-9A-Fa-f]{2})")
"""What a URL cannot have: it would be taken for the end of the password."""


def url_of(where: str) -> URL:
    """A SQLAlchemy URL from a file path or a URL. Raises StoreUnusable, without a word of what may be a password."""
    if "://" not in where:
        if _KEYWORDS.search(where):
            raise StoreUnusable(f"ARBITER_DB: keywords are not read here; write a URL like {EXAMPLE}")
        return URL.create("sqlite", database=_file_of(where))
    scheme, _, rest = where.strip(" \t\"'").partition("://")
    if scheme.lower().startswith("postgres") and _UNQUOTED.search(rest):
        raise StoreUnusable(
            f"ARBITER_DB: in a URL like {EXAMPLE} other characters of a password than letters and digits are written as % and two "
            "hexadecimal digits (@ as %40, / as %2F, # as %23, % as %25)"
        )
    try:
        url = make_url(f"{scheme.lower()}://{rest}")
    except (ArgumentError, ValueError):
        raise StoreUnusable(f"ARBITER_DB: the {scheme} URL cannot be read; write it like {EXAMPLE}") from None
    if scheme.lower().partition("+")[0] == "sqlite":
        return url.set(database=_file_of(url.database or ""))
    socket = url.host is not None and url.host.lower().startswith("%2f")
    return url.set(host=unquote(url.host)) if socket and url.host else url


def _file_of(named: str) -> str:
    """The path of a file; what is within SQLite's own names for other places is lost with the process, or means another file."""
    if not named.strip() or named.startswith((":memory:", "file:")):
        raise StoreUnusable(f"ARBITER_DB: {named[:60]!r} names no file; write a path like data/arbiter.db")
    return os.path.expanduser(named)


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
