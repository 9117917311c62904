"""The store as the services see it: the ledger, and asynchronous reads and writes of every noun."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from arbiter_app.pipeline.ports import DecisionRecord, Lesson, Settlement
from arbiter_app.pipeline.types import Grade, Json
from arbiter_app.policy import ModelStats
from arbiter_app.policy import agreement as agreeing
from arbiter_app.store import (
    alerts,
    attribution,
    decisions,
    feedback,
    keys,
    learned,
    marks,
    projections,
    rollups,
    seal,
    sessions,
    upkeep,
    usage,
)
from arbiter_app.store.backends import StoreUnusable, Taught, backend_of, url_of
from arbiter_app.store.backends.channel import Channel
from arbiter_app.store.backends.sqlite import back_up
from arbiter_app.store.db_errors import in_words, is_damage, is_gone, refusal
from arbiter_app.store.decisions import Filter
from arbiter_app.store.engine import prepare
from arbiter_app.store.entries import FollowUp
from arbiter_app.store.fair_executor import FairExecutor
from arbiter_app.store.file_watch import FileWatch
from arbiter_app.store.journal import Journal
from arbiter_app.store.keys import MintedKey, StoredKey
from arbiter_app.store.writer import StoreError, Writer

P = ParamSpec("P")
T = TypeVar("T")

READERS = 2
"""Threads that read a file."""
CONNECTIONS = 4
"""To a server: one that writes, one that listens for other hosts, and one for each thread that reads."""
JOURNAL_BYTES = 256_000_000
CHANNEL_S = 5.0
"""How long a start waits to know whether this host leads; later it is known as soon as the server is heard."""
PROBE_S = LOOK_S = 1.0


class StoreLedger:
    """`pipeline.ports.Ledger` over the writer. Relaxed durability: a record's future is done at once."""

    def __init__(self, writer: Writer, *, strict: bool) -> None:
        self._writer = writer
        self._strict = strict

    @property
    def degraded(self) -> str:
        """Why writing does not work at the moment; empty when it does."""
        return self._writer.degraded

    def record(self, *records: DecisionRecord) -> asyncio.Future[None]:
        """Queue decision records."""
        return self._writer.record(*records, wait=self._strict)

    def grade(
        self,
        decision_id: str,
        grade: Grade,
        lesson: Lesson,
        *,
        judge_pico: int | None,
        settlement: Settlement | None = None,
    ) -> asyncio.Future[None]:
        """A late grade: row, roll-ups, statistics and budgets in one transaction."""
        return self._writer.follow_up(
            FollowUp(decision_id, grade=grade, judge_pico=judge_pico, lesson=lesson, settlement=settlement)
        )

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        """Charge budgets, or let go what was reserved, without a record."""
        return self._writer.follow_up(FollowUp(settlement=settlement))

    def shadow(
        self, decision_id: str, row: Mapping[str, Any], lesson: Lesson, *, settlement: Settlement | None = None
    ) -> asyncio.Future[None]:
        """A model that was asked beside an answer: its row, the decision's, sums, statistics and budgets in one transaction, once."""
        return self._writer.follow_up(FollowUp(decision_id, shadow=row, lesson=lesson, settlement=settlement))

    def shadow_grades(self, decision_id: str, grades: Mapping[str, Grade], lesson: Lesson) -> asyncio.Future[None]:
        """Late grades of models that were asked beside an answer."""
        return self._writer.follow_up(FollowUp(decision_id, shadow_grades=grades, lesson=lesson))

    def adjust(self, lesson: Lesson) -> asyncio.Future[None]:
        """Statistics that change without a decision."""
        return self._writer.follow_up(FollowUp(lesson=lesson))


class Store:
    """One database: `ledger` for the pipeline, coroutines for everything else."""

    def __init__(
        self,
        where: str,
        *,
        durability: str = "strict",
        connections: int = CONNECTIONS,
        journal: Path | None = None,
        journal_bytes: int = JOURNAL_BYTES,
    ) -> None:
        self.url = url_of(where)
        self.backend = backend_of(self.url)
        prepare(self.url)
        self._watch = FileWatch(self.path) if self.path is not None else None
        self.journal = None
        if journal is not None and self.backend.shared:
            self.journal = Journal(journal, journal_bytes, store=self.url, durability=durability)
        try:
            self.writer = Writer(self.backend, durability=durability, watch=self._watch, journal=self.journal)
        except DatabaseError as error:
            raise StoreUnusable(self.backend.in_words(error)) from error
        self.ledger = StoreLedger(self.writer, strict=durability != "relaxed")
        readers = max(1, connections - 2) if self.backend.shared else READERS
        self._reading = self.backend.engine(read_only=True, connections=readers)
        self._probed_at = self._looked_at = -math.inf
        self._wrong = ""
        self._synced: Taught | None = None
        self._untaught = 0
        self._unsettled = False
        self._channel: Channel | None = None
        self._readers = FairExecutor(readers, "arbiter-reader")

    @property
    def path(self) -> Path | None:
        """The SQLite file, None for another database."""
        return self.backend.path

    @property
    def journals(self) -> bool:
        """Whether what is answered is kept on this host's disk while the database is gone."""
        return self.journal is not None and not self.journal.refuses

    async def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query of one of the repositories on a connection of its own, off the event loop. Raises StoreError."""
        return await self.in_turn(functools.partial(self.read_now, query, *args, **kwargs))

    async def in_turn(self, call: Callable[[], T]) -> T:
        """Compute something in one of the reading threads, which visitors use in turns."""
        return await self._readers.run(call)

    def read_now(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, from a thread."""
        try:
            with self._reading.connect() as connection:
                return query(connection, *args, **kwargs)
        except Exception as error:
            if refusal(error) is None and not is_gone(error):
                raise
            if self._watch is not None and is_damage(error):
                what = getattr(error, "orig", error)
                self._watch.damage = f"{self.path} is damaged ({what}); stop Arbiter and restore a backup"
            raise StoreError(f"the database cannot be read: {in_words(error)}") from error

    async def seal(self, *, anew: bool) -> None:
        """Know this database from any other from now on: by a new number, or by the one that another process has given it."""
        if self._watch is None:
            return
        number = await (self.writer.call(seal.draw) if anew else self.read(seal.of))
        await asyncio.to_thread(self._checkpoint)  # into the file, where it is looked for
        self._watch.seal = number

    def _checkpoint(self) -> None:
        with contextlib.suppress(sqlite3.Error, DatabaseError), self._reading.connect() as connection:
            connection.connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")

    async def look(self) -> None:
        """See whether it is still this database, also while nothing is written; the writer stops where it is not."""
        watch = self._watch
        if watch is not None and watch.seal is not None and time.monotonic() - self._looked_at >= LOOK_S:
            self._looked_at = time.monotonic()
            with contextlib.suppress(StoreError):  # what cannot be read says so where it is asked for
                watch.foreign = await self.read(seal.wrong, watch.path, watch.seal)
        self.writer.look()

    @property
    def leads(self) -> bool:
        """Whether this host is the one that does what one has to do for all."""
        return self._channel is None or self._channel.leads

    async def open_channel(self, hear: Callable[[str, Any], None], joined: Callable[[], None]) -> bool:
        """Hear other hosts on this database from now on (see `Channel`); False where there can be none."""
        self._channel = self.backend.channel(hear, joined)
        if self._channel is None:
            return False
        self._channel.start()
        await asyncio.to_thread(self._channel.settled.wait, CHANNEL_S)
        return True

    def tell_hosts(self, kind: str, data: Any) -> None:
        """Tell the other hosts of a change."""
        if self._channel is not None:
            self._channel.send(kind, data)

    async def load_policy(self) -> tuple[list[tuple[str, str, ModelStats]], dict[str, bytes]]:
        """What has been learned so far."""
        return await self.read(learned.policy)

    async def taught_elsewhere(self, *, anew: bool = False) -> list[tuple[str, str, ModelStats]] | None:
        """All statistics, with everything that was queued here before; None when no other process has written since, unless `anew`.

        After a change they are read once more: what is learned here in the moment of a reading is counted in both, or in none. And so they
        are where something was learned here that could not be written: nobody else tells of that.

        Raises StoreError while the database refuses writes.
        """
        before = None if anew or self._unsettled else self._synced
        entries, known = self.writer.entries, self._untaught

        def look(connection: Connection) -> tuple[int, Taught, list[tuple[str, str, ModelStats]] | None]:
            same = entries.untaught == known
            return entries.untaught, *self.writer.statistics.since(connection, before if same else None)

        self._untaught, state, rows = await self.writer.call(look)
        self._unsettled, self._synced = state != self._synced, state
        return rows

    async def conversations(self, limit: int) -> list[tuple[str, str, str, str]]:
        """Key, conversation, model and mode of the newest answers, oldest first."""
        return await self.read(decisions.conversations, limit)

    async def decision(self, decision_id: str) -> dict[str, Any] | None:
        """One decision with its trace."""
        return await self.read(decisions.one, decision_id)

    async def page(self, narrowed: Filter, *, limit: int, before: int | None = None) -> list[dict[str, Any]]:
        """Decisions newest first."""
        return await self.read(decisions.page, narrowed, limit=limit, before=before)

    async def ranked(self, narrowed: Filter, order: str, *, limit: int) -> list[dict[str, Any]]:
        """The dearest, slowest or worst decisions of a filter; see `decisions.ORDERS`."""
        return await self.read(decisions.ranked, narrowed, order, limit=limit)

    async def attempts(self, narrowed: Filter, *, limit: int) -> list[dict[str, Any]]:
        """Decisions newest first, each with its attempts to call models."""
        return await self.read(decisions.attempts, narrowed, limit=limit)

    def stretch(self, narrowed: Filter) -> Iterator[dict[str, Any]]:
        """Every decision of a filter, newest first; runs in the calling thread. No connection is held between pages."""
        before = None
        while rows := self.read_now(decisions.page, narrowed, limit=decisions.MAX_PAGE, before=before):
            yield from rows
            before = rows[-1]["seq"]

    async def totals(
        self, by: Sequence[str], *, since: float | None = None, until: float | None = None, scope: str | None = None
    ) -> list[dict[str, Any]]:
        """Sums from the roll-ups: of a key (its id), of a project (see `rollup_math.project_scope`), or of everybody."""
        return await self.read(rollups.totals, by, since=since, until=until, scope=scope)

    async def period_totals(self, first: int, end: int, *, scope: str | None, now: float) -> list[dict[str, Any]]:
        """Sums by key, bucket and model of a time; see `rollups.period_totals`."""
        return await self.read(rollups.period_totals, first, end, scope=scope, now=now)

    async def spent(
        self, by: Sequence[str], whose: attribution.Whose, first: int, end: int, *, step: int = 0
    ) -> list[dict[str, Any]]:
        """Sums by project, key, model, runtime, tag or end user; see `attribution.spent`."""
        return await self.read(attribution.spent, by, whose, first, end, now=time.time(), step=step)

    async def day_totals(self, by: Sequence[str], now: float) -> list[dict[str, Any]]:
        """Those of the UTC day of `now`."""
        return await self.read(rollups.day_totals, by, now=now)

    async def series(
        self, *, bucket_s: int, buckets: int, now: float, first: int | None = None, scope: str | None = None
    ) -> list[dict[str, Any]]:
        """`rollup_math.SERIES_SUMS` per time slot, oldest first."""
        return await self.read(rollups.series, bucket_s=bucket_s, buckets=buckets, now=now, first=first, scope=scope)

    async def alerts(self, *, limit: int, before: int | None = None) -> list[dict[str, Any]]:
        """Alerts newest first."""
        return await self.read(alerts.newest, limit=limit, before=before)

    async def counters(self) -> dict[str, int]:
        """Every counter."""
        return await self.read(rollups.counters)

    async def keys(
        self, *, digest: str | None = None, key_id: str | None = None, since: float | None = None
    ) -> Mapping[str, StoredKey]:
        """Every key by digest, or the one with this digest or id, or those changed since."""
        return await self.read(keys.by_digest, digest=digest, key_id=key_id, since=since)

    async def keys_version(self) -> tuple[float, ...]:
        """Another value whenever a key was made or changed, by whichever process."""
        return await self.read(keys.version)

    async def mint_key(self, *, role: str, email: str, label: str, act: Json | None = None) -> MintedKey:
        """Make a key; `act` is the entry of the audit log, as below."""
        now = time.time()
        return await self.writer.call(lambda c: keys.mint(c, role=role, email=email, label=label, now=now, act=act))

    async def set_key_status(self, key_id: str, status: str, act: Json | None = None) -> bool:
        """Pause, resume or revoke a key."""
        return await self.writer.call(lambda c: keys.set_status(c, key_id, status, time.time(), act))

    async def count(self, key_id: str, limits: Mapping[str, int]) -> usage.Counted:
        """Count one routed request against a key's limits, together with all that wait for the same."""
        return await self.writer.share(self._count, (key_id, limits))

    def _count(self, connection: Connection, asked: Sequence[tuple[str, Mapping[str, int]]]) -> list[usage.Counted]:
        return self.writer.meter.count(connection, asked, time.time())

    async def refund(self, key_id: str) -> None:
        """Take one counted request back."""
        await self.writer.call(lambda c: self.writer.meter.refund(c, key_id, time.time()))

    async def usage(self, key_id: str) -> dict[str, usage.Window]:
        """The windows of a key."""
        return await self.read(usage.of, key_id, time.time())

    async def agreement(self) -> dict[agreeing.PairKey, agreeing.Pairs]:
        """How each judge's scores compare with the truth."""
        return await self.read(learned.agreement)

    async def add_feedback(self, row: Mapping[str, Any]) -> tuple[feedback.Thumb | None, bool]:
        """Keep a thumb; returns the one it replaces, and whether it counts for the choice."""
        return await self.writer.call(lambda c: feedback.add_feedback(c, row))

    async def reset(self) -> None:
        """Forget everything learned and recorded."""
        await self.writer.call(upkeep.reset)

    async def trouble(self) -> str:
        """Why reads or writes do not go through, by making one of each; empty when they do.

        Asked more often than `PROBE_S`: as it was then.
        """
        now = time.monotonic()
        if now - self._probed_at >= PROBE_S:
            self._probed_at, self._wrong = now, await self._probe()
        return self.writer.degraded or self._wrong

    async def _probe(self) -> str:
        try:
            await asyncio.wait_for(self.writer.call(lambda c: self.writer.batch.count(c, {"store.probed": 1})), 2.0)
            await self.keys_version()
        except TimeoutError:
            return "the store does not take writes"
        except StoreError as error:
            return str(error)
        return ""

    async def retain(self, *, now: float, keep_decisions: int, keep_trace_days: float) -> int:
        """Retire what is too old or cannot be true, in steps small enough that no other write waits; returns how many rows went.

        Of a clock that is far ahead of the last time, a day is believed.
        """
        now = await self.writer.call(functools.partial(upkeep.believed_time, now=now))
        for what, slice_ in projections.SLICES.items():  # only what is filed can be retired
            while await self.writer.call(functools.partial(self.writer.projections.build, what=what)) >= slice_:
                pass
        gone = await self._in_steps(lambda c: upkeep.retire_decisions(c, keep_decisions), upkeep.STEP)
        before = await self.writer.call(lambda c: upkeep.retire_days(c, now, keep_trace_days))
        steps: list[tuple[Callable[[Connection], int], int]] = [
            (lambda c: upkeep.retire_traces(c, before), upkeep.STEP),
            (lambda c: sessions.retire(c, now), sessions.STEP),
            (lambda c: attribution.retire(c, now), 1),
        ]
        await self.writer.call(lambda c: marks.drop_old(c, now))
        gone += await self.writer.call(upkeep.drop_implausible)
        for step, full in steps:
            gone += await self._in_steps(step, full)
        for resolution in rollups.RETIRE_DAYS:
            after: str | None = ""
            while after is not None:
                went, after = await self.writer.call(functools.partial(_retire_sums, resolution, now, after))
                gone += went
        return gone

    async def _in_steps(self, step: Callable[[Connection], int], full: int) -> int:
        """Take steps until one is less than full: that is done then, although new rows keep coming. How many rows went."""
        gone = went = full
        while went >= full:
            went = await self.writer.call(step)
            gone += went
        return gone - full

    async def back_up(self, target: Path) -> None:
        """A consistent copy of the database. Raises StoreError where it cannot be written, and where the database has tools of its own."""
        path = self.path
        if path is None:
            raise StoreError("use the database's own backup (pg_dump) for this store")
        try:
            await asyncio.to_thread(back_up, path, target)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"no backup was made in {target}: {error}") from error

    def close(self) -> None:
        """Write what is queued, then let go."""
        self.writer.close()
        if self._channel is not None:
            self._channel.close()
        self._readers.close()
        self._reading.dispose()
        if self._watch is not None:
            self._watch.close()


def open_store(
    where: str,
    *,
    durability: str = "strict",
    connections: int = CONNECTIONS,
    journal: Path | None = None,
    journal_bytes: int = JOURNAL_BYTES,
) -> Store:
    """Open (and migrate) the store at a file path or SQLAlchemy URL. Raises StoreUnusable with what to do.

    `connections`: how many at most to a server: one writes, one listens, the others read. `journal`: where entries are kept while
    that is gone, at most `journal_bytes`; for a store on a disk of this machine there is none.
    """
    return Store(where, durability=durability, connections=connections, journal=journal, journal_bytes=journal_bytes)


def _retire_sums(resolution: int, now: float, after: str, connection: Connection) -> tuple[int, str | None]:
    return upkeep.retire_sums(connection, resolution, now, after)
