"""Who spent it: sums of decisions by project, key, model and runtime, and by the tags and end users that callers name.

Tags and end users are strangers' words, so those that have sums of their own are bounded: so many of each for a project and UTC
day, the first that come. The rest is summed together, under no name; nothing is left out of the sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Select, and_, bindparam, delete, func, literal_column, select

from arbiter_app.store import rollup_sql
from arbiter_app.store.labels import USER_TAG, tags_in
from arbiter_app.store.rollup_math import DAY, FIVE_MINUTES
from arbiter_app.store.statements import Query, Statement
from arbiter_app.store.tables import AttributedName, AttributedSpend, Counter, LateGrade, StoredDecision, table

QUARTER = 900
"""The finest sums: time zones differ by whole quarters of an hour."""
FINE_DAYS = 62
"""For so long they are kept, so that the month before can be closed in any time zone; then UTC days are left."""
USER_DAYS = 400
"""For so long sums of end users are kept; those of tags are, as all others, until a reset."""
ALL, TAG, USER = "all", "tag", "user"
MOST = {TAG: 500, USER: 2_000}
"""Tags and end users that have sums of their own, for each project and UTC day."""
OTHERS = ""
"""The name of all those beyond."""
STEP_S = 6 * 3_600
"""How much one transaction retires."""

_SPENT, _NAMES = table(AttributedSpend), table(AttributedName)
_D, _L = table(StoredDecision).c, table(LateGrade).c
_COUNTERS = table(Counter).c
_KEYS = ("kind", "resolution", "start", "project_id", "value", "key_id", "model", "runtime")
SUMS = tuple(column.name for column in _SPENT.columns if column.name not in _KEYS)
BY = {"project": "project_id", "key": "key_id", "model": "model", "runtime": "runtime", TAG: "value", USER: "value"}
"""What can be summed by -> its column."""

_ASKED = ("project_id", "end_user", "tags", "key_id", "model", "runtime")
_FROM = (rollup_sql.START - rollup_sql.START % literal_column(str(QUARTER))).label("quarter")
_LATE_FROM = (_L.start - _L.start % literal_column(str(QUARTER))).label("quarter")


def _cells(columns: Any, start: Any, sum_of: Mapping[str, Any]) -> Select[Any]:
    key = [columns[name] for name in _ASKED]
    return select(*key, start, *[sum_of[name] for name in SUMS]).group_by(*key, start)


_CELLS = _cells(_D, _FROM, rollup_sql.SUM_OF)
_LATES = _cells(_L, _LATE_FROM, rollup_sql.LATE_SUM_OF)
_IN_SLICE = and_(_D.seq > bindparam("after"), _D.seq <= bindparam("upto"))
_NAMED = select(_NAMES.c.value).where(
    *[_NAMES.c[name] == bindparam(f"of_{name}") for name in ("kind", "project_id", "day")]
)

_PLACE = ("kind", "start", "project_id", "value", "key_id", "model", "runtime")
Place = tuple[str, int, str, str, str, str, str]
"""Kind, start of a quarter, project, value, key, model, runtime."""


@dataclass(frozen=True, slots=True)
class Whose:
    """What sums are narrowed to; None means any."""

    projects: tuple[str, ...] | None = None
    key_id: str | None = None
    tag: str | None = None
    end_user: str | None = None
    model: str | None = None
    runtime: str | None = None

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The columns of the sums -> the values that count."""
        one = {"key_id": self.key_id, "model": self.model, "runtime": self.runtime, "value": self.value}
        found: dict[str, tuple[str, ...]] = {} if self.projects is None else {"project_id": self.projects}
        return found | {name: (value,) for name, value in one.items() if value is not None}

    @property
    def value(self) -> str | None:
        """The tag or end user."""
        return self.end_user if self.tag is None else self.tag


class AttributionBuilder:
    """Adds decisions and what came after them to the sums, inside the caller's transaction, which must be the only one that writes."""

    def __init__(self, dialect: Dialect) -> None:
        self._cells = Query(dialect, _CELLS.where(_IN_SLICE))
        self._lates = Query(dialect, _LATES)
        self._named = Query(dialect, _NAMED)
        self._spent = Statement(dialect, AttributedSpend, add=SUMS)
        self._name = Statement(dialect, AttributedName)

    def add(self, connection: Connection, after: int, upto: int) -> None:
        """A slice of decisions, by `seq`, and all that waits of what came late."""
        cells = [*self._cells.run(connection, after=after, upto=upto), *self._lates.run(connection)]
        added: dict[tuple[Any, ...], list[Any]] = {}
        for (kind, quarter, project_id, value, *rest), sums in self._bounded(connection, spread(cells)).items():
            for resolution in (QUARTER, DAY):
                key = kind, resolution, quarter - quarter % resolution, project_id, value, *rest
                _add(added, key, sums)
        self._spent.run(connection, [(*key, *map(_storable, added[key])) for key in sorted(added)])

    def _bounded(self, connection: Connection, found: Mapping[Place, Sequence[Any]]) -> dict[Place, list[Any]]:
        """The same, with the names beyond the bound as one."""
        told: dict[tuple[str, str, int], dict[str, None]] = {}
        for kind, quarter, project_id, value, *_ in found:
            if kind != ALL:
                told.setdefault((kind, project_id, quarter - quarter % DAY), {})[value] = None
        known = {at: self._admit(connection, at, list(values)) for at, values in told.items()}
        kept: dict[Place, list[Any]] = {}
        for (kind, quarter, project_id, value, *rest), sums in found.items():
            apart = kind == ALL or value in known[kind, project_id, quarter - quarter % DAY]
            _add(kept, (kind, quarter, project_id, value if apart else OTHERS, *rest), sums)
        return kept

    def _admit(self, connection: Connection, at: tuple[str, str, int], values: Sequence[str]) -> set[str]:
        """The names that are counted apart, with those of the given that still find room."""
        kind, project_id, day = at
        rows = self._named.run(connection, of_kind=kind, of_project_id=project_id, of_day=day)
        known = {str(row[0]) for row in rows}
        new = [value for value in values if value not in known][: max(0, MOST[kind] - len(known))]
        self._name.run(connection, [(kind, project_id, day, value) for value in new])
        return known.union(new)


def spread(cells: Iterable[Sequence[Any]]) -> dict[Place, list[Any]]:
    """The sums of some cells (_ASKED, quarter, SUMS) in every place where they count."""
    found: dict[Place, list[Any]] = {}
    for project_id, end_user, tags, key_id, model, runtime, quarter, *sums in cells:
        values = [(ALL, "")] + [(USER, end_user)] * bool(end_user)
        values += [(TAG, tag) for tag in tags_in(tags) if not tag.startswith(USER_TAG)]
        for kind, value in values:
            _add(found, (kind, int(quarter), project_id, value, key_id, model, runtime), sums)
    return found


def spent(
    connection: Connection, by: Sequence[str], whose: Whose, first: int, end: int, *, now: float, step: int = 0
) -> list[dict[str, Any]]:
    """SUMS by some of BY from `first` until before `end`, unix seconds of whole quarters; with a `step` (seconds) by time, too (`start`).

    Of what is older than FINE_DAYS there are UTC days. By tags and by end users at once there are no sums. `connection` has to read
    from one snapshot.
    """
    kind = TAG if TAG in by or whose.tag is not None else USER if USER in by or whose.end_user is not None else ALL
    keys: list[Any] = [_SPENT.c[BY[name]] for name in by]
    keys += [(_SPENT.c.start - _SPENT.c.start % literal_column(str(step))).label("at")] if step else []
    found: dict[tuple[Any, ...], list[Any]] = {}
    for resolution, begin, until in _stretches(first, end, now, step):
        query = select(*keys, *[rollup_sql.known(_SPENT.c[name]) for name in SUMS]).group_by(*keys)
        narrowed = [_SPENT.c[name].in_(values) for name, values in whose.columns.items()]
        in_time = _SPENT.c.resolution == resolution, _SPENT.c.start >= begin, _SPENT.c.start < until
        for row in connection.execute(query.where(_SPENT.c.kind == kind, *in_time, *narrowed)):
            _add(found, tuple(row[: len(keys)]), row[len(keys) :])
    for place, sums in _unfiled(connection, first, end).items():
        of = dict(zip(_PLACE, place, strict=True))
        if of["kind"] == kind and all(of[name] in values for name, values in whose.columns.items()):
            at = (place[1] - place[1] % step,) if step else ()
            _add(found, (*[of[BY[name]] for name in by], *at), sums)
    names = (*by, "start") if step else tuple(by)
    return [dict(zip((*names, *SUMS), (*group, *map(_whole, sums)), strict=True)) for group, sums in found.items()]


def names(connection: Connection, kind: str, projects: Sequence[str] | None, since: float, limit: int) -> list[str]:
    """Tags or end users (`kind`) that were counted apart since a time, in the order of the alphabet."""
    query = select(_NAMES.c.value).where(_NAMES.c.kind == kind, _NAMES.c.day >= int(since) // DAY * DAY).distinct()
    if projects is not None:
        query = query.where(_NAMES.c.project_id.in_(projects))
    return [str(row[0]) for row in connection.execute(query.order_by(_NAMES.c.value).limit(limit))]


def retire(connection: Connection, now: float) -> int:
    """Remove sums that are too fine for their age, and old ones of end users, a little of each; how many rows went."""
    gone = 0
    for kind in (ALL, TAG, USER):
        for resolution, days in ((QUARTER, FINE_DAYS), (DAY, USER_DAYS)):
            if resolution == QUARTER or kind == USER:
                of_it = (_SPENT.c.kind == kind) & (_SPENT.c.resolution == resolution)
                gone += _retired(connection, _SPENT, _SPENT.c.start, of_it, now - days * DAY)
    return gone + _retired(
        connection, _NAMES, _NAMES.c.day, literal_column("1") == literal_column("1"), now - FINE_DAYS * DAY
    )


def _retired(connection: Connection, what: Any, at: Any, of_it: ColumnElement[bool], edge: float) -> int:
    oldest = connection.execute(select(func.min(at)).where(of_it)).scalar()
    if oldest is None or oldest >= edge:
        return 0
    return connection.execute(delete(what).where(of_it, at < min(int(edge), oldest + STEP_S))).rowcount


def _stretches(first: int, end: int, now: float, step: int) -> list[tuple[int, int, int]]:
    """Resolution, first start and end: days in the middle and quarters at both ends, where days may be used and quarters are kept."""
    if now - first > FINE_DAYS * DAY:
        return [(DAY, first // DAY * DAY, end)]
    if step % DAY:
        return [(QUARTER, first, end)]
    up = min(-(-first // DAY) * DAY, end)
    down = max(end // DAY * DAY, up)
    return [(QUARTER, first, up), (DAY, up, down), (QUARTER, down, end)]


def _unfiled(connection: Connection, first: int, end: int) -> dict[Place, list[Any]]:
    """What decisions and grades add that are not in the sums yet."""
    edge = select(_COUNTERS.value).where(_COUNTERS.name == rollup_sql.SUMMED)
    after = int(connection.execute(edge).scalar() or 0)
    cells = connection.execute(rollup_sql.behind(_CELLS, after, None, first, end)).all()
    lates = connection.execute(rollup_sql.graded_late(_LATES, None, first // FIVE_MINUTES * FIVE_MINUTES, end)).all()
    return spread([*cells, *lates])


def _add(found: dict[Any, list[Any]], key: Any, sums: Iterable[Any]) -> None:
    known = found.get(key)
    found[key] = list(sums) if known is None else [a + b for a, b in zip(known, sums, strict=True)]


def _storable(value: Any) -> Any:
    """A sum past 64 bits as a float, which SQLite's own become, too."""
    return float(value) if isinstance(value, int) and abs(value) >= 2**63 else value


def _whole(value: Any) -> Any:
    """PostgreSQL's sums of integers are decimals."""
    return value if isinstance(value, float) else int(value)
