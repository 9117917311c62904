"""What calls that began before a budget was set have cost in its period: those on record when it is set, and those then under way.

Of these none has reserved anything of it. So each decision that is written after it was set is looked at once, until no call can be
under way any more that began without it: its trace names the budgets that it was settled with (see `Decision.trace`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import ColumnElement, Connection, select

from arbiter_app.store import attribution
from arbiter_app.store.attribution import QUARTER, Whose
from arbiter_app.store.labels import USER_TAG, has_tag
from arbiter_app.store.tables import ApiKey, DecisionTrace, StoredDecision, table

_D, _T, _K = table(StoredDecision).c, table(DecisionTrace).c, table(ApiKey).c


@dataclass(frozen=True, slots=True)
class PeriodToDate:
    """Calls of a period, and what they were charged with all that was asked beside them, in pico-dollars."""

    calls: int
    pico: int


def on_record(connection: Connection, scope: str, subject: str, start: int, end: int, now: float) -> PeriodToDate:
    """The calls of a key (and those of its line), a project or a tag between two times, in whole quarters of an hour. What nobody knows the charge
    of counts nothing; tags beyond the bound of `attribution` are not told apart, so not counted."""
    calls = pico = 0
    start = start // QUARTER * QUARTER
    for whose in _whose(connection, scope, subject):
        for row in attribution.spent(connection, (), whose, start, end, now=now):
            calls += row["calls"]
            pico += row["cost_pico"] + row["judge_pico"] + row["learning_pico"]
    return PeriodToDate(calls, pico)


def written_since(
    connection: Connection, budget_id: str, scope: str, subject: str, after: int, upto: int
) -> Iterator[tuple[float, int]]:
    """When they began and what they cost: calls of the subject among the decisions behind `after` up to `upto` (`seq`) that were not
    settled with the budget."""
    query = select(_D.ts, _D.cost_pico, _T.body).join_from(table(StoredDecision), table(DecisionTrace), _D.id == _T.id)
    query = query.where(_D.seq > after, _D.seq <= upto, _of_subject(connection, scope, subject))
    for row in connection.execute(query):
        if not _settled(row.body, budget_id):
            yield row.ts, row.cost_pico or 0


def _settled(body: bytes, budget_id: str) -> bool:
    """Whether a decision was settled with a budget; where an older version that does not say so reserved something, it is taken to be."""
    call = orjson.loads(body).get("call") or {}
    return budget_id in call["budgets"] if "budgets" in call else "reserved" in call


def _line(connection: Connection, key_id: str) -> Sequence[str]:
    """The ids of a key and of those that replaced it."""
    return [key_id, *connection.execute(select(_K.id).where(_K.origin == key_id)).scalars()]


def _whose(connection: Connection, scope: str, subject: str) -> list[Whose]:
    if scope == "key":
        return [Whose(key_id=one) for one in _line(connection, subject)]
    if scope == "project":
        return [Whose(projects=(subject,))]
    user = subject.removeprefix(USER_TAG)
    return [Whose(tag=subject) if user == subject else Whose(end_user=user)]


def _of_subject(connection: Connection, scope: str, subject: str) -> ColumnElement[bool]:
    if scope == "key":
        return _D.key_id.in_(_line(connection, subject))
    return has_tag(_D.tags, subject) if scope == "tag" else _D.project_id == subject
