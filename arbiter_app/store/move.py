"""Copying a store into an empty one of either kind of database, table by table, so that it can go on where it was cut short.

How far it is stands in the target and moves with the rows, in one transaction; the source is only read. At the end both have the
same number of rows in every table, and the same sums of money.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import orjson
from sqlalchemy import BigInteger, Connection, Engine, Table, delete, func, select, tuple_
from sqlalchemy.exc import DatabaseError
from sqlmodel import SQLModel

from arbiter_app.pipeline.types import PICO_PER_USD
from arbiter_app.store.backends import Backend, StoreUnusable, backend_of, of_dialect, url_of
from arbiter_app.store.backends.backend import InsertRows
from arbiter_app.store.engine import head, prepare, revision
from arbiter_app.store.neighbours import Neighbours
from arbiter_app.store.rollup_math import DAY
from arbiter_app.store.rollup_sql import exactly
from arbiter_app.store.tables import PolicyState, Project, StoredDecision, StoredHost, table

MOVING = "store.move"
"""The row of `policy_state` in the target that says how far it is; it goes with the end."""
ROWS = 2_000
SAY_S = 2.0
PATIENCE_S = 30.0
MOST_DAYS = 400
T = TypeVar("T")
Say = Callable[[str], None]
Progress = dict[str, Any]
"""{source, table, after: the key of the last row that was copied of it, done: the tables that are whole}."""

_STATE, _DECISIONS = table(PolicyState), table(StoredDecision)


def move(source: str, target: str, say: Say) -> None:
    """Copy everything. Raises StoreUnusable with what is in the way, and what to do."""
    origin, aim = backend_of(url_of(source)), backend_of(url_of(target))
    if origin.path is not None and not origin.path.is_file():
        raise StoreUnusable(f"{origin.shown}: no such file")
    _not_serving(origin)
    reading = origin.engine(read_only=True)
    try:
        _of_this_version(origin, reading)
        prepare(aim.url)
        writing = aim.engine()
        try:
            with reading.connect() as given:
                _copy(given, origin, writing, aim, say)
        finally:
            writing.dispose()
    except DatabaseError as error:
        raise StoreUnusable(f"the move was cut short, and goes on when it is begun again: {error.orig}") from error
    finally:
        reading.dispose()


def _of_this_version(origin: Backend, reading: Engine) -> None:
    """Raises StoreUnusable for what is no store, or one of another version."""
    try:
        found = revision(reading)
    except DatabaseError as error:
        raise StoreUnusable(f"{origin.shown} cannot be read as a store: {error.orig}") from error
    if found != head():
        raise StoreUnusable(
            f"{origin.shown} has the schema {found or 'of no Arbiter'}, not {head()}; start this version on it once, then move it"
        )


def _not_serving(origin: Backend) -> None:
    """Raises StoreUnusable while an Arbiter serves from the store."""
    if origin.path is None:
        return
    neighbours = Neighbours(origin.path, passing=True)
    try:
        if (serving := neighbours.other()) is not None:
            raise StoreUnusable(f"an Arbiter (process {serving}) is serving from {origin.path}; stop it, then move")
    finally:
        neighbours.close()


def _copy(given: Connection, origin: Backend, writing: Engine, aim: Backend, say: Say) -> None:
    with writing.connect() as taking:
        progress = _in_turn(taking, aim, lambda: _progress(taking, origin, aim))
        _in_turn(taking, aim, lambda: _make_days(given, taking, aim))
        for one in _tables():
            if one.name not in progress["done"]:
                _copy_table(given, taking, aim, one, progress, say)
        ours = _totals(given)  # of a large store that takes longer than a transaction of the target may rest
        _in_turn(taking, aim, lambda: _complete(ours, taking, aim))
    rows = dict(ours)
    say(
        f"{rows['decision']:,} decisions and ${Decimal(rows['decision.cost_pico']) / PICO_PER_USD:f} are in both; "
        f"{origin.shown} is as it was"
    )


def _make_days(given: Connection, taking: Connection, aim: Backend) -> None:
    """Have a place for the traces of each of the last days of the source, where the target keeps them so."""
    first, last = given.execute(select(func.min(_DECISIONS.c.ts), func.max(_DECISIONS.c.ts))).one()
    if last is not None:
        aim.make_days(taking, max(first, last - MOST_DAYS * DAY), last)


def _complete(given: Sequence[tuple[str, int]], taking: Connection, aim: Backend) -> None:
    """Let go of the note, once the two are equal. Raises StoreUnusable where they are not."""
    taking.execute(delete(_STATE).where(_STATE.c.key == MOVING))
    aim.after_copying(taking)
    both = zip(given, _totals(taking), strict=True)
    different = [f"{name}: {ours} and {theirs}" for (name, ours), (_, theirs) in both if ours != theirs]
    if different:
        raise StoreUnusable(f"the two stores differ ({'; '.join(different)[:500]}); move into an empty target anew")


def _in_turn(taking: Connection, aim: Backend, work: Callable[[], T]) -> T:
    """Work in a transaction of the target that is the only one that writes."""
    aim.begin(taking, PATIENCE_S)
    try:
        done = work()
    except BaseException:
        aim.roll_back(taking)
        raise
    aim.commit(taking)
    return done


def _progress(taking: Connection, origin: Backend, aim: Backend) -> Progress:
    """How far an earlier try has come; a target that holds anything else is refused."""
    told = taking.execute(select(_STATE.c.value).where(_STATE.c.key == MOVING)).scalar()
    if told is not None:
        progress: Progress = orjson.loads(told)
        if progress["source"] != origin.shown:
            raise StoreUnusable(
                f"{aim.shown} is in the middle of a move from {progress['source']}; begin with an empty one"
            )
        return progress
    for one in _tables():
        if one.name != table(Project).name and taking.execute(select(one).limit(1)).first() is not None:
            raise StoreUnusable(f"{aim.shown} holds a store already (rows in {one.name}); move into an empty one")
    return {"source": origin.shown, "table": "", "after": None, "done": []}


def _copy_table(given: Connection, taking: Connection, aim: Backend, one: Table, progress: Progress, say: Say) -> None:
    names = [column.name for column in one.columns]
    keys = [column.name for column in one.primary_key.columns]
    others = [name for name in names if name not in keys]
    insert = of_dialect(taking.dialect).inserting(taking.dialect, one, names, (), others)
    total, copied, started = int(given.execute(select(func.count()).select_from(one)).scalar_one()), 0, time.monotonic()
    said = started
    for rows in _batches(given, one, progress["after"] if progress["table"] == one.name else None):
        after = [rows[-1][names.index(key)] for key in keys]
        _in_turn(taking, aim, partial(_take, taking, insert, rows, progress | {"table": one.name, "after": after}))
        copied += len(rows)
        if time.monotonic() - said > SAY_S:
            said = time.monotonic()
            say(f"{one.name}: {copied:,} of {total:,} rows, {copied / (said - started):,.0f} a second")
    progress |= {"done": [*progress["done"], one.name]}
    _in_turn(taking, aim, lambda: _note(taking, progress))
    if copied:
        say(f"{one.name}: {copied:,} rows, {copied / max(1e-9, time.monotonic() - started):,.0f} a second")


def _batches(given: Connection, one: Table, after: Sequence[Any] | None) -> Iterator[list[tuple[Any, ...]]]:
    """Rows in the order of their key, behind `after`."""
    keys = list(one.primary_key.columns)
    while True:
        query = select(one).order_by(*keys).limit(ROWS)
        if after is not None:
            query = query.where(tuple_(*keys) > tuple_(*after) if len(keys) > 1 else keys[0] > after[0])
        rows = [tuple(map(_storable, row)) for row in given.execute(query)]
        if not rows:
            return
        yield rows
        names = [column.name for column in one.columns]
        after = [rows[-1][names.index(key.name)] for key in keys]


def _storable(value: Any) -> Any:
    """SQLite takes a text with a zero in it; PostgreSQL does not."""
    return value.replace("\0", "?") if isinstance(value, str) and "\0" in value else value


def _take(taking: Connection, insert: InsertRows, rows: list[tuple[Any, ...]], progress: Progress) -> None:
    insert(taking, rows)
    _note(taking, progress)


def _note(taking: Connection, progress: Progress) -> None:
    taking.execute(delete(_STATE).where(_STATE.c.key == MOVING))
    taking.execute(_STATE.insert().values(key=MOVING, value=orjson.dumps(progress)))


def _totals(connection: Connection) -> list[tuple[str, int]]:
    """Rows of every table, and the sum of every column of money and counts, exactly."""
    found: list[tuple[str, int]] = []
    for one in _tables():
        sums = [
            column for column in one.columns if column.name.endswith("_pico") and isinstance(column.type, BigInteger)
        ]
        row = connection.execute(
            select(func.count(), *[func.coalesce(exactly(column), 0) for column in sums]).select_from(one)
        ).one()
        found += zip([one.name, *[f"{one.name}.{column.name}" for column in sums]], map(int, row), strict=True)
    return found


def _tables() -> list[Table]:
    """All but who serves from a database: that is no part of what is in it."""
    here = table(StoredHost).name
    return [SQLModel.metadata.tables[name] for name in sorted(SQLModel.metadata.tables) if name != here]
