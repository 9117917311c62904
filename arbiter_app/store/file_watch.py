"""Whether the files of a SQLite database are still those that were opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Identity = tuple[int, int]
LOG_PAGE_HEAD = 24
"""Bytes before each page in a log of SQLite; they begin with the number of the page, which is never 0."""
NOBODY = 0
LOG_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""How a log of SQLite begins (file format, 4.1); its salts, which change whenever it begins anew, are bytes 16 to 24."""
CLOSED = -1


class FileWatch:
    """The files of a SQLite database, as they were when it was opened: whether they are still those.

    `seal` is the number in its head (`seal.py`), None while there is none. `damage` and `foreign` are what reading it has
    shown to be wrong: for good, and for as long as it is so.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        there = path.resolve()  # SQLite keeps the log beside the file, not beside a link to it
        self._beside = {
            f"{there}-wal": "the log of the database",
            f"{there}-shm": "the index of the database's log",
        }
        found = path.stat()
        self._same = _identity(found), _identity(path.lstat())
        self._size = found.st_size
        self._log_same: list[Identity | None] = []
        self._log_of = NOBODY
        self._log_problem = ""
        self._log_size, self._log_salts, self._log_shrank = 0, b"", False
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._head = self._read_head()
        self.seal: int | None = None
        self.damage = self.foreign = ""

    def close(self) -> None:
        """Let go of the file; only after SQLite has, whose locks on it would end with this."""
        file, self._file = self._file, CLOSED
        if file != CLOSED:
            os.close(file)

    def problem(self, holder: Callable[[], int]) -> str:
        """What became of the files, and what to do; empty while they are in their place.

        `holder`: the number of the writer's connection while it holds the log open (it has begun a transaction), else NOBODY,
        for SQLite itself takes the log away with the last connection that does.
        """
        try:
            found, itself = os.stat(self.path), os.lstat(self.path)
        except FileNotFoundError:
            return (
                f"the database file {self.path} was deleted or moved away; put it back, or restart to begin a new one"
            )
        except OSError as error:
            return f"the database file {self.path} cannot be reached: {error.strerror}"
        if (_identity(found), _identity(itself)) != self._same:
            return f"the database file {self.path} was replaced by another one; restart to use that, or put it back"
        if found.st_size < self._size:  # SQLite shortens a file with VACUUM only, which Arbiter does not use
            what = "truncated" if found.st_size else "emptied"
            return f"the database file {self.path} was {what}; stop Arbiter and restore a backup"
        self._size = found.st_size
        return self._look_at_head() or self.damage or self.foreign or self._log_problem or self._look_at_log(holder)

    def _read_head(self) -> tuple[bytes, int]:
        """What says that this is a SQLite file, and its seal."""
        head = os.pread(self._file, 64, 0)
        return head[:16], int.from_bytes(head[60:64], "big")

    def _look_at_head(self) -> str:
        """The seal counts from when it has come from the log into the file; until then the file has the one before."""
        if self._file == CLOSED:
            return ""
        head = self._read_head()
        if self.seal is not None and head[1] == self.seal:
            self._head = head
        if head == self._head:
            return ""
        return f"the database file {self.path} was overwritten; stop Arbiter and restore a backup, or put it back"

    def _look_at_log(self, holder: Callable[[], int]) -> str:
        """Once the log was taken away under an open connection, nothing may be written until a restart."""
        before = holder()
        found = [_identity_of(path) for path in self._beside]
        if before == NOBODY or holder() != before:  # the look may have been at the log of no connection
            return ""
        if before != self._log_of:
            self._log_of, self._log_same = before, found
            self._log_size, self._log_salts, self._log_shrank = 0, b"", False
        elif found != self._log_same:
            at = [now == before for now, before in zip(found, self._log_same, strict=True)].index(False)
            path, what = list(self._beside.items())[at]
            self._log_problem = f"{path}, {what}, was deleted or replaced; restart Arbiter"
        self._log_problem = self._log_problem or self._look_at_size_of_log()
        return self._log_problem

    def _look_at_size_of_log(self) -> str:
        """Whether the log was cut. One that another process has truncated by SQLite's own means begins anew, with other salts."""
        path, what = next(iter(self._beside.items()))
        try:
            size, head, filled = _look_into_log(path, self._log_size)
        except OSError:
            return ""
        if not filled:
            return f"{path}, {what}, was truncated; restart Arbiter"
        self._log_shrank = self._log_shrank or size < self._log_size
        self._log_size = size
        if size and not self._log_shrank:
            if not head.startswith(LOG_MAGIC):
                return f"{path}, {what}, is damaged: it was overwritten; stop Arbiter and restore a backup"
            self._log_salts = head[16:24]
        elif size and (not head.startswith(LOG_MAGIC) or head[16:24] == self._log_salts):
            return f"{path}, {what}, was truncated; restart Arbiter"
        elif size:
            self._log_shrank, self._log_salts = False, head[16:24]
        return ""


def _look_into_log(path: str, before: int) -> tuple[int, bytes, bool]:
    """Its size, its head, and whether there is no hole where the last page stood when it had `before` bytes: so it is when it was
    cut and has grown again. SQLite keeps no locks on its log: opening and closing it here ends none.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size, head = os.fstat(file).st_size, os.pread(file, 32, 0)
        page = int.from_bytes(head[8:12], "big") + LOG_PAGE_HEAD
        at = (before - len(head)) // page * page + len(head) - page if page > LOG_PAGE_HEAD else 0
        there = os.pread(file, LOG_PAGE_HEAD, at) if at >= len(head) and size >= before else b""
        return size, head, any(there) or not there
    finally:
        os.close(file)


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino


def _identity_of(path: str) -> Identity | None:
    try:
        return _identity(os.stat(path))
    except OSError:
        return None
