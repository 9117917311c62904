"""Other Arbiters that serve from the same SQLite file: each marks itself by a lock that ends with its process.

Two of them keep each record once, but learn, count sessions and hold caches apart; gateway workers are the way to more
processes. So it is said, not refused: a restart without a gap has two for a moment.
"""

from __future__ import annotations

import fcntl
import os
import random
import struct
import sys
from collections import Counter
from pathlib import Path

_LAYOUT = ("=qqihh", "start length pid type whence")
if sys.platform != "darwin":
    _LAYOUT = ("=hhxxxxqqixxxx", "type whence start length pid")
"""`struct flock` of fcntl(2), and the order of its members."""


_HERE: Counter[Path] = Counter()
"""How many in this process serve from each file: its own locks do not stand in its way."""


class Neighbours:
    """This process's mark beside a database file, and the look for the marks of others."""

    def __init__(self, database: Path, *, passing: bool = False) -> None:
        """Marks this process. A place where no lock can be made is one where none can be seen. Who only looks in, `passing`, takes the
        file of the marks away again where there was none.
        """
        self._file: int | None = None
        self._database = Path(os.path.realpath(database))
        self._closed = False
        mark = self._database.with_name(f"{self._database.name}.serving")
        self._passing: Path | None = mark if passing and not mark.exists() else None
        _HERE[self._database] += 1
        try:
            self._file = os.open(mark, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, random.randrange(1 << 40))
        except OSError:
            self._let_go()

    def other(self) -> int | None:
        """The process number of another Arbiter that serves from the file (0: of another machine or container), or None."""
        other = self._by_lock()
        return os.getpid() if other is None and _HERE[self._database] > 1 else other

    def _by_lock(self) -> int | None:
        if self._file is None:
            return None
        layout, names = _LAYOUT
        asked = {"type": fcntl.F_WRLCK, "whence": os.SEEK_SET, "start": 0, "length": 0, "pid": 0}
        order = names.split()
        try:
            answer = fcntl.fcntl(self._file, fcntl.F_GETLK, struct.pack(layout, *(asked[name] for name in order)))
        except OSError:
            return None
        found = dict(zip(order, struct.unpack(layout, answer), strict=True))
        return None if found["type"] == fcntl.F_UNLCK else found["pid"]

    def close(self) -> None:
        """Take the mark away."""
        _HERE[self._database] -= not self._closed
        self._closed = True
        self._let_go()

    def _let_go(self) -> None:
        if self._file is not None:
            if self._passing is not None and self._by_lock() is None:
                self._passing.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None
