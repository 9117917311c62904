"""Telling a database that refuses all writes at the moment from one write that is wrong."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError

_REFUSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}
_ADVICE = {
    sqlite3.SQLITE_BUSY: "another process holds its lock",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable",
    sqlite3.SQLITE_FULL: "free some disk space",
    sqlite3.SQLITE_IOERR: "check the disk",
    sqlite3.SQLITE_CORRUPT: "restore a backup",
    sqlite3.SQLITE_NOTADB: "restore a backup",
}


def refusal(error: BaseException) -> str | None:
    """Why the database refuses every write, in words; None when it is this one write that is wrong."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(original, sqlite3.Error):
        code = _primary(original)
        if code not in _REFUSING:
            return None
        advice = _ADVICE.get(code)
        return f"the database refuses writes: {original}" + (f" ({advice})" if advice else "")
    if isinstance(error, DBAPIError) and (error.connection_invalidated or _is_connection_trouble(original)):
        return f"the database refuses writes: {original}"
    return None


def is_lock(error: BaseException) -> bool:
    """Whether another writer was in the way, so that trying again soon is right."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(original, sqlite3.Error) and _primary(original) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_damage(error: BaseException) -> bool:
    """Whether what was read is not what SQLite has written."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(original, sqlite3.Error) and _primary(original) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_gone(error: BaseException) -> bool:
    """Whether a table is missing: another file is in the place of ours, or somebody dropped it."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(original, sqlite3.OperationalError) and str(original).startswith("no such table: ")


def _primary(error: sqlite3.Error) -> int:
    """The primary result code, without the extended part; 0 for errors that Python's module made itself."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _is_connection_trouble(original: object) -> bool:
    """Server databases: drivers name what befalls the connection, rather than the statement, by these classes."""
    return type(original).__name__ in ("OperationalError", "InterfaceError")
