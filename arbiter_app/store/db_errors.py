"""Telling a database that refuses all writes at the moment from one write that is wrong, whichever driver says it."""

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
_REFUSING_STATES = ("08", "25", "28", "3D", "40", "53", "55", "57", "58", "XX")
"""Classes of SQLSTATE: what befalls the connection, the transaction, the server or its disk, and not the statement."""
_ADVICE_ON_STATES = {
    "25006": "it takes no writes: is it a standby?",
    "53100": "free some disk space on its machine",
    "53300": "raise its max_connections, or lower ARBITER_DB_CONNECTIONS",
    "55P03": "another process holds its lock",
    "42501": "let its user own the database",
    "28P01": "if it was changed, put the new one into ARBITER_DB and start anew, or into the file that its `passfile` names",
}
_ADVICE_ON_WORDS = {
    "too many connections": "53300",
    "remaining connection slots": "53300",
    "password authentication failed": "28P01",
}
"""What is said where no session begins, which has no state."""
_NO_TABLE = "42P01"


def refusal(error: BaseException) -> str | None:
    """Why the database refuses every write, in words; None when it is this one write that is wrong."""
    original = _original(error)
    if isinstance(original, sqlite3.Error):
        code = _primary(original)
        return _told(original, _ADVICE.get(code)) if code in _REFUSING else None
    state = _state(original)
    if state is not None:
        return _told(original, _ADVICE_ON_STATES.get(state)) if state.startswith(_REFUSING_STATES) else None
    if isinstance(error, DBAPIError) and error.connection_invalidated or _is_connection_trouble(original):
        return f"the database refuses writes: {in_words(error)}"
    return None


def in_words(error: BaseException) -> str:
    """What a server says, in one line, and what to do where that is known."""
    original = _original(error)
    said = _said(original)
    state = _state(original) or next((state for words, state in _ADVICE_ON_WORDS.items() if words in said), "")
    advice = _ADVICE_ON_STATES.get(state)
    return said + (f" ({advice})" if advice else "")


def is_lock(error: BaseException) -> bool:
    """Whether another writer of a SQLite file was in the way, so that trying again soon is right."""
    original = _original(error)
    return isinstance(original, sqlite3.Error) and _primary(original) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_damage(error: BaseException) -> bool:
    """Whether what was read is not what SQLite has written."""
    original = _original(error)
    return isinstance(original, sqlite3.Error) and _primary(original) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_gone(error: BaseException) -> bool:
    """Whether a table is missing: another database is in the place of ours, or somebody dropped it."""
    original = _original(error)
    no_table = isinstance(original, sqlite3.OperationalError) and str(original).startswith("no such table: ")
    return no_table or _state(original) == _NO_TABLE


def is_conflict(error: BaseException) -> bool:
    """Whether a row breaks a constraint: it may be there already."""
    return any(kind.__name__ == "IntegrityError" for kind in type(_original(error)).__mro__)


def _told(original: object, advice: str | None) -> str:
    return f"the database refuses writes: {_said(original)}" + (f" ({advice})" if advice else "")


def _said(original: object) -> str:
    """The message in one line, without the place in the statement that PostgreSQL adds."""
    stated = getattr(getattr(original, "diag", None), "message_primary", None)
    return " ".join(str(stated or original).split())


def _original(error: BaseException) -> object:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _primary(error: sqlite3.Error) -> int:
    """The primary result code, without the extended part; 0 for errors that Python's module made itself."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _state(original: object) -> str | None:
    """PostgreSQL's five characters for what is wrong; None where the driver found it out itself."""
    state = getattr(original, "sqlstate", None)
    return state if isinstance(state, str) else None


def _is_connection_trouble(original: object) -> bool:
    """Drivers of servers name what befalls the connection, rather than the statement, by these classes."""
    return type(original).__name__ in ("OperationalError", "InterfaceError", "ConnectionTimeout", "PipelineAborted")
