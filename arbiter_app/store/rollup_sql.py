"""Sums of a stretch of decisions, straight from their rows: for filing them, and for reading those not filed yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Integer,
    Select,
    String,
    and_,
    case,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from arbiter_app.pipeline.types import PICO_PER_USD
from arbiter_app.store.rollup_math import EVERYBODY, FIVE_MINUTES, LOG_BASE, ROLLUP_SUMS, SERIES_SUMS
from arbiter_app.store.tables import LateGrade, StoredDecision, table

SUMMED = "store.summed"
"""The counter that stands behind the last decision that is in the sums."""
_D, _L = table(StoredDecision).c, table(LateGrade).c
_ANSWERED = _D.status == "ok"
_ASKED = and_(_ANSWERED, _D.cost_pico.is_not(None))
_COMPARED = and_(_ASKED, _D.baseline_pico.is_not(None))
_SIZED = and_(_ASKED, _D.asked_tokens.is_not(None))
_PRICED = and_(_ASKED, _D.beyond_pico.is_not(None))
_TIMED = and_(_D.latency_ms.is_not(None), _D.cache != "hit")
_BEYOND_USD = _D.beyond_pico / literal_column(f"{float(PICO_PER_USD):.1f}")
_SECOND = cast(func.floor(_D.ts), BigInteger)
_HALF: ColumnElement[Any] = literal_column("4294967296")
START = (_SECOND - _SECOND % literal_column(str(FIVE_MINUTES))).label("start")
"""The five minutes that a decision counts in."""
_BIN_OF = func.ln(case((_D.latency_ms > 1.0, _D.latency_ms), else_=1.0)) / literal_column(repr(LOG_BASE))
_BIN = cast(func.floor(_BIN_OF), Integer).label("bin")


def known(column: ColumnElement[Any], when: ColumnElement[bool] | None = None) -> ColumnElement[Any]:
    """The sum of a column where it is known, of the rows that count."""
    counted = column if when is None else case((when, column), else_=None)
    return func.coalesce(exactly(counted) if isinstance(column.type, BigInteger) else func.sum(counted), 0)


def exactly(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The sum of a column of 64-bit integers, which cannot overflow."""
    return _ExactSum(column)


class _ExactSum(FunctionElement[Any]):
    """PostgreSQL's own sum of integers has no bound."""

    inherit_cache = True


@compiles(_ExactSum)
def _plainly(element: _ExactSum, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"sum({compiler.process(element.clauses, **kwargs)})"


@compiles(_ExactSum, "sqlite")
def _by_halves(element: _ExactSum, compiler: SQLCompiler, **kwargs: Any) -> str:
    """Upper and lower halves are summed apart.

    SQLite's `sum` of integers fails past 64 bits, but its product and sum of two turn into floating point there; a sum that
    was stored as that is its own upper half.
    """
    (column,) = element.clauses
    upper = column.op("/")(_HALF)
    return str(compiler.process(func.sum(upper) * _HALF + func.sum(column - upper * _HALF), **kwargs))


class Bounded(FunctionElement[Any]):
    """A float that can be squared: PostgreSQL fails where a product leaves the range of floats, and SQLite does not."""

    inherit_cache = True
    type = Float()


@compiles(Bounded)
def _as_it_is(element: Bounded, compiler: SQLCompiler, **kwargs: Any) -> str:
    return compiler.process(element.clauses, **kwargs)


@compiles(Bounded, "postgresql")
def _within_bounds(element: Bounded, compiler: SQLCompiler, **kwargs: Any) -> str:
    x = compiler.process(element.clauses, **kwargs)
    return f"CASE WHEN abs({x}) < 1e-75 THEN 0.0 WHEN abs({x}) > 1e75 THEN sign({x}) * 1e75 ELSE {x} END"


def _rows(when: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((when, 1), else_=None))


SUM_OF: dict[str, ColumnElement[Any]] = {
    "calls": func.count(),
    **{status: _rows(_D.status == status) for status in ("failed", "aborted")},
    "cost_pico": known(_D.cost_pico),
    "classifier_pico": known(_D.classifier_cost_pico),
    "judge_pico": known(_D.judge_cost_pico),
    "baseline_pico": known(_D.baseline_pico, _COMPARED),
    "compared_pico": known(_D.cost_pico, _COMPARED | (_D.status != "ok")),
    "compared": _rows(_COMPARED),
    **{state: _rows(_D.cost_state == state) for state in ("settled", "computed", "estimated", "unknown")},
    "graded": func.count(_D.quality),
    "quality_sum": known(_D.quality),
    "quality_sq": known(Bounded(_D.quality) * Bounded(_D.quality)),
    "prompt_tokens": known(_D.prompt_tokens),
    "completion_tokens": known(_D.completion_tokens),
    "latency_sum": known(_D.latency_ms, _TIMED),
    "latency_n": _rows(_TIMED),
    "overhead_sum": known(_D.overhead_ms),
    "asked": _rows(_ASKED),
    "sized": _rows(_SIZED),
    "asked_tokens": known(_D.asked_tokens, _SIZED),
    "priced": _rows(_PRICED),
    "beyond_pico": known(_D.beyond_pico, _PRICED),
    "beyond_sq": known(_BEYOND_USD * _BEYOND_USD, _PRICED),
    "learning_pico": literal_column("0"),
}
"""What decisions add to each column of the roll-ups.

Only answered calls with a measured baseline are compared with it; what a failed call cost is compared with nothing.
`asked` are the answered calls of known cost, `sized` those whose prompt was estimated (`asked_tokens`), `priced` those
whose charges beyond the prompt's list price measure a model (`beyond_pico`, and their squares in USD). What was asked beside
them always comes afterwards (`learning_pico`).
"""
LATE_SUMS = ("judge_pico", "graded", "quality_sum", "quality_sq", "learning_pico")
LATE_SUM_OF = {name: known(_L[name]) if name in LATE_SUMS else literal_column("0") for name in ROLLUP_SUMS}
"""The same for what came after: grades of decisions that were filed, and charges of models that were asked beside them."""

_CELL = (_D.key_id, _D.project_id, START, _D.model, _D.mode)
_LATE_CELL = (_L.key_id, _L.project_id, _L.start, _L.model, _L.mode)
CELLS = select(*_CELL, *[SUM_OF[name] for name in SERIES_SUMS]).group_by(*_CELL)
"""Cells of `rollup_math`."""
LATE_CELLS = select(*_LATE_CELL, *[LATE_SUM_OF[name] for name in SERIES_SUMS]).group_by(*_LATE_CELL)
"""Cells of late grades."""
_BINNED = (_D.key_id, _D.project_id, START, _BIN)
BINS = select(*_BINNED, func.count()).where(_TIMED, _ANSWERED).group_by(*_BINNED)
"""Bins of `rollup_math`: latencies of answered, uncached calls only."""
_KINDS = (_D.status, _D.classified_by, _D.cache)
COUNTS = select(*_KINDS, func.count()).group_by(*_KINDS)
"""What moves the counters, see `moved`."""


def moved(counts: Iterable[Sequence[Any]]) -> dict[str, int]:
    """How far rows of COUNTS move each counter."""
    found: dict[str, int] = {}
    for status, classified_by, cache, n in counts:
        names = ["decisions", f"status.{status}"]
        names += [f"classified.{classified_by}"] if classified_by else []
        names += ["cache.hit"] if cache == "hit" else []
        for name in names:
            found[name] = found.get(name, 0) + n
    return found


def behind(
    query: Select[Any], after: int, scope: str | None = None, since: int | None = None, until: int | None = None
) -> Select[Any]:
    """A query narrowed to the decisions behind `after`, of a key or project, and from a time on until another."""
    query = query.where(_D.seq > after)
    if scope is not None:
        query = query.where(in_scope(_D, scope))
    return within(query, _D.ts, since, until)


def graded_late(
    query: Select[Any], scope: str | None = None, since: int | None = None, until: int | None = None
) -> Select[Any]:
    """The same for late grades."""
    if scope is not None:
        query = query.where(in_scope(_L, scope))
    return within(query, _L.start, since, until)


def scope_of(project_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """`rollup_math.project_scope` in SQL."""
    return literal_column(f"'{EVERYBODY}'", String) + project_id


def of_key(columns: Any) -> ColumnElement[bool]:
    """Whether sums are those of a key, not of a project or of everybody."""
    of_it: ColumnElement[bool] = func.substr(columns.key_id, 1, 1) != literal_column(f"'{EVERYBODY}'")
    return of_it


def in_scope(columns: Any, scope: str) -> ColumnElement[bool]:
    """Whether rows are of a key, or of a project: see `rollup_math.project_scope`."""
    project = scope.removeprefix(EVERYBODY)
    same: ColumnElement[bool] = columns.key_id == scope if project == scope else columns.project_id == project
    return same


def within(query: Select[Any], column: ColumnElement[Any], since: int | None, until: int | None) -> Select[Any]:
    """A query narrowed to times from `since` on and before `until`; None is no bound."""
    if since is not None:
        query = query.where(column >= since)
    return query if until is None else query.where(column < until)
