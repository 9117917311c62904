"""Whether the files of a SQLite database are still those that were opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Identity = tuple[int, int]
NOBODY = 0
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
            there.with_name(f"{there.name}-wal"): "the log of the database",
            there.with_name(f"{there.name}-shm"): "the index of the database's log",
        }
        found = path.stat()
        self._same = _identity(found), _identity(path.lstat())
        self._size = found.st_size
        self._log_same: list[Identity | None] = []
        self._log_of = NOBODY
        self._log_problem = ""
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
            found = self.path.stat()
        except FileNotFoundError:
            return (
                f"the database file {self.path} was deleted or moved away; put it back, or restart to begin a new one"
            )
        except OSError as error:
            return f"the database file {self.path} cannot be reached: {error.strerror}"
        if (_identity(found), _identity(self.path.lstat())) != self._same:
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
        elif found != self._log_same:
            at = [now == before for now, before in zip(found, self._log_same, strict=True)].index(False)
            path, what = list(self._beside.items())[at]
            self._log_problem = f"{path}, {what}, was deleted or replaced; restart Arbiter"
        return self._log_problem


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino


def _identity_of(path: Path) -> Identity | None:
    try:
        return _identity(path.stat())
    except OSError:
        return None
