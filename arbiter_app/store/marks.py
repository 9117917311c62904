"""Whether a batch whose commit is in doubt was written: by the mark that its writer moves in the same transaction.

A connection that ends while a commit is under way leaves open what became of it, and a server that was stopped may still make it
later. So the writer takes a new name after that, and its old one is closed: from then on what its mark says is final.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, Dialect, and_, bindparam, case, delete, not_, select

from arbiter_app.store.backends import of_dialect
from arbiter_app.store.statements import Query
from arbiter_app.store.tables import WriterMark, table

KEPT_S = 90 * 86_400.0
"""Marks that have not moved for so long are dropped."""

_MARKS = table(WriterMark)
_M = _MARKS.c


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch, by its writer and its number."""

    writer: str
    number: int

    def __str__(self) -> str:
        return f"{self.writer}:{self.number}"


def batch_of(text: str) -> Batch:
    """The batch that was written as text. Raises ValueError."""
    writer, _, number = text.rpartition(":")
    return Batch(writer, int(number))


class Marks:
    """Moves and reads marks, inside a transaction that no other writer shares."""

    def __init__(self, dialect: Dialect) -> None:
        insert = of_dialect(dialect).insert(_MARKS).values({one.name: bindparam(one.name) for one in _M})
        newer = and_(not_(_M.closed), _M.number < insert.excluded.number)
        moved = {"number": case((newer, insert.excluded.number)), "at": insert.excluded.at}  # NULL, which fails
        self._move = Query(dialect, insert.on_conflict_do_update(index_elements=[_M.writer], set_=moved))
        closed = {"closed": True, "at": insert.excluded.at}
        self._close = Query(dialect, insert.on_conflict_do_update(index_elements=[_M.writer], set_=closed))
        self._number = Query(dialect, select(_M.number).where(_M.writer == bindparam("writer")))

    def move(self, connection: Connection, batch: Batch, now: float) -> None:
        """Have this batch be its writer's last one. Fails where it, or a later one, is written already."""
        self._move.run(connection, writer=batch.writer, number=batch.number, closed=False, at=now)

    def last(self, connection: Connection, writer: str) -> int:
        """The number of a writer's last batch; 0 before the first."""
        found = self._number.run(connection, writer=writer)
        return int(found[0][0]) if found else 0

    def written(self, connection: Connection, doubtful: Iterable[Batch], now: float) -> set[Batch]:
        """Those of the batches that were written; the others never will be, once this is committed."""
        batches = set(doubtful)
        for writer in {one.writer for one in batches}:
            self._close.run(connection, writer=writer, number=0, closed=True, at=now)
        return {one for one in batches if self.last(connection, one.writer) >= one.number}


def drop_old(connection: Connection, now: float) -> int:
    """Forget writers that ended long ago; how many."""
    return connection.execute(delete(_MARKS).where(_M.at < now - KEPT_S)).rowcount
