"""Projections of decisions: what feeds and reports read of them is derived (filed) in slices, not request by request.

A decision is written with nothing but the index of its id. Once a slice of them has gathered, one transaction lists them
by key, task, model, mode and label and notes their time; another adds them to roll-ups, slots, attributed spend and counters.
Each moves a counter behind what it took. So a process may die at any moment: what is filed and what is not is always told
apart, reads take the rest from the decisions themselves (never many), and whichever process files next goes on there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Select,
    Table,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from arbiter_app.store import labels, rollup_math, rollup_sql
from arbiter_app.store.attribution import AttributionBuilder
from arbiter_app.store.backends import of_dialect
from arbiter_app.store.labels import LabelLister
from arbiter_app.store.rollup_math import (
    EVERYBODY,
    FIVE_MINUTES,
    OPEN,
    RESOLUTIONS,
    ROLLUP_KEY,
    ROLLUP_SUMS,
    Address,
    merge,
    packed,
    unpacked,
)
from arbiter_app.store.statements import Query, Statement
from arbiter_app.store.tables import LISTS, Counter, LateGrade, Rollup, Slot, Span, StoredDecision, table

LISTED, SUMMED = "store.listed", rollup_sql.SUMMED
SLICES = {LISTED: 256, SUMMED: 256}
"""How many decisions one transaction takes: it holds up commits for 7 ms on a busy core. Half of that would cost a third more."""
OPEN_MOST, SETTLED = 1_024, 64
"""Open roll-ups from which they are settled, and how many one transaction settles."""

_DECISIONS, _ROLLUPS, _SLOTS = table(StoredDecision), table(Rollup), table(Slot)
_COUNTERS, _SPANS, _LATES = table(Counter), table(Span), table(LateGrade)
_D = _DECISIONS.c
_IN_SLICE = and_(_D.seq > bindparam("after"), _D.seq <= bindparam("upto"))
_EDGE = select(_COUNTERS.c.value).where(_COUNTERS.c.name == bindparam("name"))
_NEWEST = select(func.coalesce(func.max(_D.seq), 0))


def listed(connection: Connection) -> int:
    """The `seq` up to which decisions are in the lists; 0 before the first."""
    return int(connection.execute(_EDGE, {"name": LISTED}).scalar() or 0)


def summed(connection: Connection) -> int:
    """The `seq` up to which decisions are in the sums; 0 before the first."""
    return int(connection.execute(_EDGE, {"name": SUMMED}).scalar() or 0)


def newest(connection: Connection) -> int:
    """The `seq` of the newest decision; 0 before the first."""
    return int(connection.execute(_NEWEST).scalar() or 0)


@dataclass(frozen=True, slots=True)
class LateScore:
    """How good an answer was, 0 to 1, by whose judgement and why; None: only the judge's charge in pico-dollars is new."""

    quality: float | None
    source: str
    reason: str
    pico: int | None


class ProjectionBuilder:
    """Files decisions inside the caller's transaction, which must be the only one that writes."""

    def __init__(self, dialect: Dialect) -> None:
        self._edge, self._newest = Query(dialect, _EDGE), Query(dialect, _NEWEST)
        self._listing = [Query(dialect, one) for one in _LISTING]
        self._open = Query(dialect, _opening(dialect))
        self._settling = Query(dialect, _settling(dialect)), Query(dialect, _SETTLED)
        self._opened = Query(dialect, _OPENED)
        self._cells, self._bins, self._counts = (
            Query(dialect, one.where(_IN_SLICE)) for one in (rollup_sql.CELLS, rollup_sql.BINS, rollup_sql.COUNTS)
        )
        self._lates, self._take_in = Query(dialect, rollup_sql.LATE_CELLS), Query(dialect, delete(_LATES))
        self._stored = Query(dialect, _STORED)
        self._slot = Statement(dialect, Slot, put=("body",))
        self._counter = Statement(dialect, Counter, add=("value",))
        self._late = Statement(dialect, LateGrade, skip="id")
        self._attributions, self._labels = AttributionBuilder(dialect), LabelLister(dialect)

    def waiting(self, connection: Connection, what: str) -> int:
        """How many decisions are not in the lists (LISTED), or not in the sums (SUMMED)."""
        return max(0, self._last(connection) - self._filed(connection, what))

    def build(self, connection: Connection, what: str, most: int = 0) -> int:
        """List, or sum, the oldest decisions that wait, at most a slice or `most` of them; returns how many."""
        after = self._filed(connection, what)
        upto = max(after, min(self._last(connection), after + (most or SLICES[what])))
        if what == LISTED:
            for one in self._listing:
                one.run(connection, after=after, upto=upto)
            self._labels.add(connection, after, upto)
        else:
            self._sum(connection, after, upto)
        self._counter.run(connection, [(what, upto - after)])
        return upto - after

    def opened(self, connection: Connection) -> int:
        """How many roll-ups are open."""
        return int(self._opened.run(connection, resolution=OPEN)[0][0])

    def settle(self, connection: Connection) -> int:
        """Move the first open roll-ups, at most SETTLED, to where they belong for good; returns how many are left."""
        for one in self._settling:
            one.run(connection, resolution=OPEN)
        return self.opened(connection)

    def grade(self, connection: Connection, given: Mapping[str, LateScore]) -> set[str]:
        """Late grades by the ids of their decisions; the ids of those that there are.

        The sums of one that is summed take it in with the next slice; one that is not is summed as it is then.
        """
        found = connection.execute(_GRADED, {"ids": list(given)}).all()
        if not found:
            return set()
        summed_upto, changed, lates = self._filed(connection, SUMMED), [], []
        for decision_id, seq, ts, key_id, bucket, model, mode, old_quality, old_source, old_pico, *whose in found:
            one = given[decision_id]
            told = (old_quality, old_source) if one.quality is None else (one.quality, one.source)
            changed.append({"at": seq, "to": told[0], "by": told[1], "why": one.reason, "pico": one.pico})
            if seq <= summed_upto:
                start = int(ts) // FIVE_MINUTES * FIVE_MINUTES
                moved = rollup_math.regraded((old_quality, old_pico), (told[0], one.pico))
                lates.append((key_id, start, bucket, model, mode, *moved, 0, *whose))
        connection.execute(_REGRADE, changed)
        self._late.run(connection, lates)
        return {row.id for row in found}

    def _sum(self, connection: Connection, after: int, upto: int) -> None:
        edges = {"after": after, "upto": upto}
        self._open.run(connection, **edges)
        cells = [*self._cells.run(connection, **edges), *self._lates.run(connection)]
        self._attributions.add(connection, after, upto)
        self._take_in.run(connection)
        self._add(connection, rollup_math.slots(cells, self._bins.run(connection, **edges)))
        self._counter.run(connection, list(rollup_sql.moved(self._counts.run(connection, **edges)).items()))

    def _add(self, connection: Connection, changes: Mapping[Address, rollup_math.Slot]) -> None:
        starts: dict[tuple[int, str], list[int]] = {}
        for resolution, key_id, start in changes:
            starts.setdefault((resolution, key_id), []).append(start)
        for (resolution, key_id), of_it in starts.items():
            edges = {"first": min(of_it), "last": max(of_it)}
            for start, body in self._stored.run(connection, resolution=resolution, key_id=key_id, **edges):
                if (changed := changes.get((resolution, key_id, start))) is not None:
                    merge(changed, unpacked(body))
        self._slot.run(connection, [(*address, packed(changes[address])) for address in sorted(changes)])

    def _filed(self, connection: Connection, what: str) -> int:
        found = self._edge.run(connection, name=what)
        return int(found[0][0]) if found else 0

    def _last(self, connection: Connection) -> int:
        return int(self._newest.run(connection)[0][0])


def unlist(connection: Connection, upto: int) -> None:
    """Take the decisions up to `upto` out of the lists; they go out of their table next."""
    old = _D.seq <= upto
    for name, one in LISTS.items():
        gone = select(_D[name], _D.seq).where(old)
        connection.execute(delete(one).where(tuple_(one.c[name], one.c.seq).in_(gone)))
    connection.execute(delete(_SPANS).where(_SPANS.c.last <= upto))
    labels.unlist(connection, upto)


def _list(name: str, one: Table) -> Insert:
    """File a slice in one of the lists, in the list's own order."""
    names = [column.name for column in one.columns]
    chosen = select(*[_D[column] for column in names]).where(_IN_SLICE).order_by(_D[name], _D.seq)
    return insert(one).from_select(names, chosen.where(_D.status != "ok") if name == "status" else chosen)


def _span() -> Insert:
    edges = select(func.max(_D.seq), func.min(_D.seq), func.min(_D.ts), func.max(_D.ts)).where(_IN_SLICE)
    return insert(_SPANS).from_select(["last", "first", "earliest", "latest"], edges.having(func.count() > 0))


def _opening(dialect: Dialect) -> Insert:
    """Add a slice and the late grades to the open roll-ups: summed once, and these sums by key and by project."""
    late, place = _LATES.c, ("start", "model", "mode", "bucket")
    decided = _cells((_D.key_id, _D.project_id, rollup_sql.START, _D.model, _D.mode, _D.bucket), rollup_sql.SUM_OF)
    graded = _cells(
        (late.key_id, late.project_id, late.start, late.model, late.mode, late.bucket), rollup_sql.LATE_SUM_OF
    )
    once = union_all(decided.where(_IN_SLICE), graded).cte("once").c
    sums = [once[name] for name in (*place, *ROLLUP_SUMS)]
    parts = [select(whose.label("key_id"), *sums) for whose in (once.key_id, rollup_sql.scope_of(once.project_id))]
    cells = union_all(*parts).subquery("cells").c
    key = (cells.key_id, *[cells[name] for name in place])
    return _adding(dialect, (literal_column(str(OPEN)), *key), cells, key)


def _settling(dialect: Dialect) -> Insert:
    """Add the first open roll-ups to those of every resolution, of their keys and projects, and those of keys to everybody's."""
    cells = _FIRST_OPEN.subquery("cells").c
    ladder = union_all(*[select(literal_column(str(one)).label("resolution")) for one in RESOLUTIONS]).subquery(
        "ladder"
    )
    scope = union_all(*[select(literal_column(one).label("every")) for one in ("0", "1")]).subquery("scope")
    every = scope.c.every == literal_column("1")
    key = (
        ladder.c.resolution,
        case((every, literal_column(f"'{EVERYBODY}'")), else_=cells.key_id),
        cells.start - cells.start % ladder.c.resolution,
        *(cells.model, cells.mode, cells.bucket),
    )
    return _adding(dialect, key, cells, key, or_(not_(every), rollup_sql.of_key(cells)))


def _adding(
    dialect: Dialect,
    key: tuple[Any, ...],
    cells: Any,
    grouped: tuple[Any, ...],
    where: ColumnElement[bool] = literal_column("1") == literal_column("1"),  # noqa: B008 - SQLite asks for one here
) -> Insert:
    sums = [rollup_sql.known(cells[name]) for name in ROLLUP_SUMS]
    folded = select(*key, *sums).where(where).group_by(*grouped)
    made = of_dialect(dialect).insert(_ROLLUPS).from_select([*ROLLUP_KEY, *ROLLUP_SUMS], folded)
    added = {name: _ROLLUPS.c[name] + made.excluded[name] for name in ROLLUP_SUMS}
    upserted: Insert = made.on_conflict_do_update(index_elements=list(ROLLUP_KEY), set_=added)
    return upserted


def _cells(key: tuple[Any, ...], sum_of: Mapping[str, Any]) -> Select[Any]:
    return select(*key, *[sum_of[name].label(name) for name in ROLLUP_SUMS]).group_by(*key)


_STORED = select(_SLOTS.c.start, _SLOTS.c.body).where(
    *(_SLOTS.c.resolution == bindparam("resolution"), _SLOTS.c.key_id == bindparam("key_id")),
    *(_SLOTS.c.start >= bindparam("first"), _SLOTS.c.start <= bindparam("last")),
)
_OPEN_ROWS = _ROLLUPS.c.resolution == bindparam("resolution")
_FIRST_OPEN = select(_ROLLUPS).where(_OPEN_ROWS).order_by(*[_ROLLUPS.c[name] for name in ROLLUP_KEY]).limit(SETTLED)
_OPENED = select(func.count()).select_from(_ROLLUPS).where(_OPEN_ROWS)
_SETTLED = delete(_ROLLUPS).where(
    tuple_(*[_ROLLUPS.c[name] for name in ROLLUP_KEY]).in_(
        _FIRST_OPEN.with_only_columns(*[_ROLLUPS.c[name] for name in ROLLUP_KEY])
    )
)
_GRADED = select(
    *(_D.id, _D.seq, _D.ts, _D.key_id, _D.bucket, _D.model, _D.mode),
    *(_D.quality, _D.quality_source, _D.judge_cost_pico),
    *(_D.project_id, _D.runtime, _D.end_user, _D.tags),
).where(_D.id.in_(bindparam("ids", expanding=True)))
_REGRADE = (
    update(_DECISIONS)
    .where(_D.seq == bindparam("at"))
    .values(
        quality=bindparam("to"),
        quality_source=bindparam("by"),
        quality_reason=bindparam("why"),
        judge_cost_pico=bindparam("pico"),
    )
)
_LISTING = (*[_list(name, one) for name, one in LISTS.items()], _span())
