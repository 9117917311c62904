"""Budgets in dollars: what is set, what is spent and reserved. Reserving and settling are inside the writer's transaction, so exact
whichever process does it; a settlement is in that of the record whose charge it is. What a period had cost before its budget was set
counts as spent, see `period_to_date`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from sqlalchemy import BigInteger, Connection, Dialect, and_, bindparam, cast, delete, func, insert, select, update

from arbiter_app.pipeline.ports import Settlement
from arbiter_app.pipeline.types import Json
from arbiter_app.store import audit, period_to_date, projections
from arbiter_app.store.statements import Query, Row, Statement
from arbiter_app.store.tables import BudgetPeriod, StoredBudget, StoredReservation, table
from arbiter_app.values import value

_BUDGETS, _PERIODS, _RESERVED = table(StoredBudget), table(BudgetPeriod), table(StoredReservation)


@dataclass(frozen=True, slots=True)
class BudgetLimit:
    """A budget as it is set. `limit_pico` per period; `soft` is a share of it, 0 to 1.

    In the period that began at `counted_start`, `counted_calls` calls had begun before it was set; what they cost counts as spent.
    Those then under way are looked for among the decisions behind `counted_seq`, until that is None.
    """

    id: str
    scope: str
    subject: str
    period: str
    timezone: str
    limit_pico: int
    soft: float
    created: float
    changed: float
    counted_start: int = 0
    counted_calls: int = 0
    counted_pico: int = 0
    counted_seq: int | None = None


@value(frozen=True, slots=True)
class Balance:
    """One budget in one period, pico-dollars: its limit, what was charged to it, and what calls in work may still charge."""

    budget_id: str
    start: int
    limit_pico: int
    spent_pico: int
    reserved_pico: int

    @property
    def left_pico(self) -> int:
        """What is neither spent nor reserved."""
        return self.limit_pico - self.spent_pico - self.reserved_pico


Place = tuple[str, int]
"""A budget's id, and when its period began."""


@value(frozen=True, slots=True)
class AskedReservation:
    """So much in all, pico-dollars, in every one of these budgets or in none, asked for `at` a time. `again`: it may hold something there
    already, which is replaced, and stays as it is where the new amount does not fit.
    """

    reservation: str
    places: Sequence[Place]
    pico: int
    at: float
    expires: float
    again: bool = False


_live = (
    select(func.coalesce(func.sum(_RESERVED.c.pico), 0))
    .where(
        _RESERVED.c.budget_id == _BUDGETS.c.id,
        _RESERVED.c.start == bindparam("start"),
        _RESERVED.c.expires > bindparam("now"),
    )
    .scalar_subquery()
)
_BALANCE = (
    select(_BUDGETS.c.limit_pico, func.coalesce(_PERIODS.c.spent_pico, 0), cast(_live, BigInteger))
    .select_from(
        _BUDGETS.outerjoin(
            _PERIODS, and_(_PERIODS.c.budget_id == _BUDGETS.c.id, _PERIODS.c.start == bindparam("start"))
        )
    )
    .where(_BUDGETS.c.id == bindparam("budget_id"))
)
_HELD = select(_RESERVED.c.budget_id, _RESERVED.c.start, _RESERVED.c.pico).where(
    _RESERVED.c.id == bindparam("reservation"), _RESERVED.c.expires > bindparam("now")
)


class BudgetMeter:
    """Reserves and settles, inside a transaction that no other writer shares."""

    def __init__(self, dialect: Dialect) -> None:
        self._balance = Query(dialect, _BALANCE)
        self._held = Query(dialect, _HELD)
        self._reserve = Statement(dialect, StoredReservation, put=("start", "pico", "expires"))
        of_one = (_RESERVED.c.budget_id == bindparam("budget_id")) & (_RESERVED.c.id == bindparam("reservation"))
        self._release = Query(dialect, delete(_RESERVED).where(of_one))
        self._spend = Statement(dialect, BudgetPeriod, add=("spent_pico", "settled"))

    def reserve(self, connection: Connection, wanted: Sequence[AskedReservation]) -> list[tuple[bool, list[Balance]]]:
        """Reserve, one after the other; whether each fitted, and the balances without it."""
        balances, held = self._balances(connection, wanted), self._held_before(connection, wanted)
        made: dict[tuple[str, str], Row] = {}
        answers = []
        for one in wanted:
            places = [place for place in one.places if place in balances]
            found = [less(balances[place], held.get((one.reservation, place), 0)) for place in places]
            fits = all(one.pico <= balance.left_pico for balance in found)
            for balance in found if fits else ():
                of, start = place = balance.budget_id, balance.start
                balances[place], held[one.reservation, place] = less(balance, -one.pico), one.pico
                made[of, one.reservation] = of, one.reservation, start, one.pico, one.expires
            answers.append((fits, found))
        self._reserve.run(connection, list(made.values()))
        return answers

    def _balances(self, connection: Connection, wanted: Sequence[AskedReservation]) -> dict[Place, Balance]:
        now, places = (
            max(one.at for one in wanted),
            list(dict.fromkeys(place for one in wanted for place in one.places)),
        )
        found = self._balance.run_each(connection, [{"budget_id": of, "start": at, "now": now} for of, at in places])
        return {at: Balance(*at, *map(int, row)) for at, rows in zip(places, found, strict=True) for row in rows}

    def _held_before(self, connection: Connection, wanted: Sequence[AskedReservation]) -> dict[tuple[str, Place], int]:
        again = {one.reservation: one.at for one in wanted if one.again}
        found = self._held.run_each(connection, [{"reservation": one, "now": now} for one, now in again.items()])
        return {(one, (of, at)): pico for one, rows in zip(again, found, strict=True) for of, at, pico in rows}

    def settle(self, connection: Connection, settlements: Iterable[Settlement]) -> None:
        """Charge what was reserved, and let the rest go."""
        charged: dict[Place, tuple[int, int]] = {}
        for one in settlements:
            for place in one.places:
                self._release.run(connection, budget_id=place[0], reservation=one.reservation)
                pico, settled = charged.get(place, (0, 0))
                charged[place] = pico + one.pico, settled + 1
        self._spend.run(connection, [(*place, *sums) for place, sums in sorted(charged.items())])

    def put(self, connection: Connection, limit: BudgetLimit, end: int, act: Json) -> str:
        """Set a budget, in the place of one of the same subject and period; returns its id. What is spent and reserved of that stays, as
        long as its periods begin by the same clock; of another one, what its period, which `end` ends, has cost so far is spent.

        `act` is the entry of the audit log.
        """
        audit.add(connection, act)
        of, given = _BUDGETS.c, asdict(limit)
        same = (of.scope == limit.scope) & (of.subject == limit.subject) & (of.period == limit.period)
        known = connection.execute(select(of.id, of.timezone).where(same)).first()
        if known is not None and known.timezone == limit.timezone:
            changed = {name: given[name] for name in ("limit_pico", "soft", "changed")}
            connection.execute(update(_BUDGETS).where(of.id == known.id).values(**changed))
            return str(known.id)
        if known is not None:
            _remove(connection, known.id)
        counted = period_to_date.on_record(
            connection, limit.scope, limit.subject, limit.counted_start, end, limit.created
        )
        given |= {"id": f"bud_{secrets.token_hex(6)}", "counted_seq": projections.newest(connection)}
        given |= {"counted_calls": counted.calls, "counted_pico": counted.pico}
        connection.execute(insert(_BUDGETS).values(**given))
        self._spend.run(connection, [(given["id"], limit.counted_start, counted.pico, 0)])
        return str(given["id"])

    def count_under_way(
        self, connection: Connection, now: float, lasts_s: float, begins: Callable[[BudgetLimit, float], int]
    ) -> int:
        """Have calls count that were under way when a budget was set and have ended since; how many. After `lasts_s` there are none.

        `begins` tells when the period of a time began.
        """
        newest, found = projections.newest(connection), 0
        for limit in limits(connection):
            if limit.counted_seq is None:
                continue
            of_it = limit.id, limit.scope, limit.subject
            ended = list(period_to_date.written_since(connection, *of_it, limit.counted_seq, newest))
            charged = [(begins(limit, at), pico) for at, pico in ended]
            charged = [(start, pico) for start, pico in charged if start >= limit.counted_start]
            for start, pico in charged:
                self._spend.run(connection, [(limit.id, start, pico, 0)])
            counted = [pico for start, pico in charged if start == limit.counted_start]
            told = replace(
                limit,
                counted_calls=limit.counted_calls + len(counted),
                counted_pico=limit.counted_pico + sum(counted),
                counted_seq=newest if now < limit.created + lasts_s else None,
                changed=max(now, limit.changed) if charged else limit.changed,
            )
            connection.execute(update(_BUDGETS).where(_BUDGETS.c.id == limit.id).values(**asdict(told)))
            found += len(charged)
        return found


def less(balance: Balance, pico: int) -> Balance:
    """The balance with so much less reserved."""
    of = balance
    return Balance(of.budget_id, of.start, of.limit_pico, of.spent_pico, of.reserved_pico - pico)


def limits(connection: Connection) -> list[BudgetLimit]:
    """Every budget, in the order in which they were made."""
    rows = connection.execute(select(_BUDGETS).order_by(_BUDGETS.c.created, _BUDGETS.c.id))
    return [BudgetLimit(**row) for row in rows.mappings()]


def version(connection: Connection) -> tuple[float, ...]:
    """Another value whenever a budget was made, changed or dropped."""
    changed = _BUDGETS.c.changed
    return tuple(connection.execute(select(func.count(), func.max(changed), func.sum(changed))).one())


def drop(connection: Connection, budget_id: str, act: Json) -> None:
    """Remove a budget with what is known of it. `act` is the entry of the audit log."""
    audit.add(connection, act)
    _remove(connection, budget_id)


def _remove(connection: Connection, budget_id: str) -> None:
    for of in (_PERIODS, _RESERVED):
        connection.execute(delete(of).where(of.c.budget_id == budget_id))
    connection.execute(delete(_BUDGETS).where(_BUDGETS.c.id == budget_id))


def balances(connection: Connection, places: Sequence[Place], now: float) -> list[Balance]:
    """Limit, spent and reserved of these budgets in these periods."""
    found = []
    for budget_id, start in places:
        rows = connection.execute(_BALANCE, {"budget_id": budget_id, "start": start, "now": now})
        found += [Balance(budget_id, start, *map(int, row)) for row in rows]
    return found


def drop_expired(connection: Connection, now: float) -> int:
    """Remove reservations whose requests can no longer be in work; how many went."""
    return connection.execute(delete(_RESERVED).where(_RESERVED.c.expires <= now)).rowcount
