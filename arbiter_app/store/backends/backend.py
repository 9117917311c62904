"""What a store asks of its database, whichever that is."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, Table

from arbiter_app.store.backends.channel import Channel
from arbiter_app.store.backends.server import ServerState

Row = Sequence[Any]
InsertRows = Callable[[Connection, Sequence[Row]], None]
"""Inserts rows inside the connection's transaction."""
Taught = tuple[int, int]
"""Another value, on the same connection, when another process may have changed the statistics."""
TAUGHT = "store.taught"
"""Counts transactions that changed the statistics, where the database does not tell of others' commits."""


class StoreUnusable(RuntimeError):
    """The database cannot be opened; the message says why and what to do."""


class Backend(ABC):
    """One database, by its URL. `path` is its file; None where it is a server.

    `insert` makes an INSERT that knows ON CONFLICT. `begins_at`: the first revision that there ever was of it, if
    that is not the first of all; a new database has the tables of that at once. `counts_teaching`: TAUGHT is moved.
    `in_one_pass`: it has `pass_through`, with which a transaction takes the time of one question.
    `traces_by_day`: traces go with their days, see `trace_days`.
    `patience_s`: how long a writer waits for those of other processes before it says that it cannot write.
    """

    path: Path | None = None
    counts_teaching = traces_by_day = False
    patience_s = 1.0
    name: str
    begins_at = ""
    in_one_pass = False
    insert: Callable[[Table], Any]

    def __init__(self, url: URL) -> None:
        self.url = url

    @property
    def shown(self) -> str:
        """The database in words, without a password."""
        return self.url.database or self.url.render_as_string(hide_password=True)

    @property
    def shared(self) -> bool:
        """Whether Arbiters on several machines may serve from it."""
        return self.path is None

    @abstractmethod
    def engine(self, *, durability: str = "strict", read_only: bool = False, connections: int = 1) -> Engine:
        """An engine of at most so many connections. Raises StoreUnusable when there is no driver."""

    def make_place(self) -> None:  # noqa: B027 - a server has its place
        """Have a place for the database. Raises StoreUnusable."""

    @abstractmethod
    def before_migrating(self, revision: str | None, head: str) -> None:
        """What has to be done before the schema is made (`revision` None) or moved to another revision."""

    @abstractmethod
    def migrate_alone(self, connection: Connection) -> None:
        """Begin the one transaction that migrates; another process waits until it has ended."""

    @abstractmethod
    def strangers(self, connection: Connection) -> str:
        """What in the database Arbiter did not make and would be run in its name; empty when there is nothing."""

    def unfit(self, engine: Engine) -> str:
        """Why a store cannot be kept there, though it can be reached; empty when it can. `engine` has two connections."""
        return ""

    @abstractmethod
    def unsound(self, connection: Connection) -> str:
        """What is wrong with the database by its own account; empty when nothing is."""

    @abstractmethod
    def in_words(self, error: Exception) -> str:
        """Why the database cannot be used, and what to do."""

    @abstractmethod
    def writing(self, connection: Connection, patience_s: float) -> None:
        """Prepare a connection for the one writer of this process, which waits so long for those of others."""

    @abstractmethod
    def begin(self, connection: Connection, patience_s: float) -> None:
        """Begin a transaction that is the only one that writes, whichever process does."""

    def pass_through(self, connection: Connection, inserts: Callable[[], None]) -> None:
        """A whole writing transaction of inserts, without waiting for one before the next is sent."""
        raise NotImplementedError

    @abstractmethod
    def commit(self, connection: Connection) -> None:
        """Commit what was begun."""

    @abstractmethod
    def roll_back(self, connection: Connection) -> None:
        """Undo what was begun."""

    def ended(self, connection: Connection) -> bool:
        """Whether a connection that nobody uses has been ended by its server meanwhile; asks nothing of that."""
        return False

    def cut(self, connection: Connection) -> None:  # noqa: B027 - a file answers
        """End the way to the server at once, from another thread: whoever waits for it fails."""

    def after_copying(self, connection: Connection) -> None:  # noqa: B027 - most count on from the largest by themselves
        """Have numbers go on behind those of rows that were copied."""

    def channel(self, hear: Callable[[str, Any], None], joined: Callable[[], None]) -> Channel | None:
        """The channel to other hosts on this database, not started; None where there are none."""
        return None

    @staticmethod
    def days_missing(connection: Connection, now: float) -> bool:
        """Whether traces have no partition yet for the days to come."""
        return False

    @staticmethod
    def make_days(connection: Connection, first: float, last: float | None = None) -> int:
        """Make partitions for the traces of the days from one time to another, or to come; how many. In the one transaction that writes."""
        return 0

    @staticmethod
    def drop_days(connection: Connection, before: float) -> int:
        """Drop the traces of days that were over by then, whole; how many days."""
        return 0

    @staticmethod
    def traces_by_row(connection: Connection) -> list[str]:
        """The tables of traces from which single rows are deleted."""
        return ["decision_trace"]

    @staticmethod
    def server(connection: Connection) -> ServerState | None:
        """How its server is; None where it has none."""
        return None

    @staticmethod
    def clock(connection: Connection) -> float:
        """Unix seconds by the clock that all who share the database have in common."""
        return time.time()

    @staticmethod
    @abstractmethod
    def taught(connection: Connection) -> Taught:
        """What tells whether another process has changed the statistics."""

    @staticmethod
    @abstractmethod
    def in_one_go(connection: Connection) -> AbstractContextManager[object]:
        """A context whose inserts may be on their way together; their errors come at its end at the latest."""

    @staticmethod
    @abstractmethod
    def inserting(
        dialect: Dialect, target: Table, columns: Sequence[str], add: Iterable[str], put: Iterable[str]
    ) -> InsertRows:
        """How to insert many rows of these columns; on conflict `add` columns are summed and `put` columns replaced."""


def upsert(insert: Any, target: Table, add: Iterable[str], put: Iterable[str]) -> Any:
    """An INSERT of either database, with what happens on conflict."""
    changes = {name: target.c[name] + insert.excluded[name] for name in add}
    changes |= {name: insert.excluded[name] for name in put}
    if not changes:
        return insert
    return insert.on_conflict_do_update(index_elements=list(target.primary_key.columns), set_=changes)
