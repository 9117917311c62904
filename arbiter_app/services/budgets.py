"""Budgets in dollars: those that a request counts for, its reservation, and what operators set and see.

Reserved and settled is in the store, for all processes; what this process saw there last is kept, so that most requests need to
ask but once, when they reserve.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from secrets import token_hex
from typing import Any

from arbiter_app.moments import moment
from arbiter_app.pipeline.errors import BudgetExceeded, NotFound, Overloaded, Unprocessable
from arbiter_app.pipeline.plain import MAX_TAG_CHARS, is_tag, quoted
from arbiter_app.pipeline.ports import Settlement
from arbiter_app.pipeline.types import PICO_PER_USD, Caller, ChatRequest, Json, Role
from arbiter_app.policy.pacing import dollar_weight
from arbiter_app.services.audit import entry
from arbiter_app.services.notification_events import NotificationEvent, budget_event
from arbiter_app.services.periods import ALL, PERIODS, bounds_of, zone_of
from arbiter_app.services.rows.spending import BudgetRow
from arbiter_app.store import Store, StoreError, budgets
from arbiter_app.store.budgets import AskedReservation, Balance, BudgetLimit, Place
from arbiter_app.store.rollup_math import EVERYBODY

log = logging.getLogger("arbiter.budgets")

KEY, PROJECT, TAG = "key", "project", "tag"
SCOPES = (KEY, PROJECT, TAG)
SOFT = 0.5
"""Share of a limit from which on requests are routed thriftier, where the operator says nothing."""
MOST_USD = Decimal(1_000_000)
"""The largest limit: sums stay within 64 bits."""
MOST_SUBJECT_CHARS = 200
REMEMBERED = 4_096
"""Balances that are kept in memory."""
SOON_S = 1.0
"""When to ask again where calls in work hold what is left. Until a budget renews nobody is told to wait: clients that do (Codex) would stand
still for days without a word."""
USED_UP = 0.8
"""A budget of which so much is spent, and which refuses a call, is told to be spent; before, the call was too large for it."""
HEARD_S = 60.0
"""So long after a budget was set every process has heard of it: a request that begins later reserves."""
DAY_S = 86_400.0
_GROUPED = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?")
"""Thousands between commas."""
EVERYTHING = 1 << 62
"""What is left where no balance was seen yet."""


class Budgets:
    """All budgets of this Arbiter. `lasts_s`: after so many seconds a request can no longer be in work, and its reservation is void."""

    def __init__(
        self,
        store: Store,
        *,
        lasts_s: float,
        send: Callable[[str, Any], None] = lambda kind, data: None,
        tell: Callable[[NotificationEvent], None] = lambda event: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self.tell = tell
        self.lasts_s = lasts_s
        self._send = send
        self._now = now
        self._limits: dict[tuple[str, str], list[BudgetLimit]] = {}
        self.limited = False
        self._version: tuple[float, ...] = ()
        self._seen: dict[Place, Balance] = {}
        self._warned: set[Place] = set()
        self.stale = asyncio.Event()
        """Set when another process says that it changed budgets."""

    def begin(self, request: ChatRequest) -> BudgetReservation | None:
        """The reservation of a request, which holds nothing yet; None where no budget limits it."""
        return self.reservation_of(request.caller, request.tags) if self.limited else None

    def reservation_of(self, caller: Caller, tags: Sequence[str] = ()) -> BudgetReservation | None:
        """The same of whatever else is done for a caller."""
        subjects = [(KEY, caller.line), (PROJECT, caller.project), *[(TAG, tag) for tag in tags]]
        limits = [limit for subject in subjects for limit in self._limits.get(subject, ())]
        return BudgetReservation(self, limits, self._now()) if limits else None

    async def follow(self) -> None:
        """Bring in what was set since, if anything."""
        version = await self._store.read(budgets.version)
        if version != self._version:
            await self.refresh()

    async def refresh(self) -> None:
        """Read anew what is set."""
        self._version = await self._store.read(budgets.version)
        found: dict[tuple[str, str], list[BudgetLimit]] = {}
        for limit in await self._store.read(budgets.limits):
            found.setdefault((limit.scope, limit.subject), []).append(limit)
        self._limits, self.limited = found, bool(found)

    async def sweep(self) -> None:
        """Remove reservations of requests that ended without a word, and have those count that were under way when a budget was set."""
        if not self._limits:
            return
        await self._store.writer.call(lambda c: budgets.drop_expired(c, self._now()))
        if any(one.counted_seq is not None for some in self._limits.values() for one in some):
            now, meter = self._now(), self._store.writer.batch.budgets
            lasts_s = self.lasts_s + HEARD_S
            found = await self._store.writer.call(lambda c: meter.count_under_way(c, now, lasts_s, _begins))
            await (self._changed() if found else self.refresh())

    async def put(
        self,
        by: Caller,
        *,
        scope: str,
        subject: str,
        period: str,
        limit_usd: str | float,
        soft: float | None = None,
        timezone: str = "UTC",
    ) -> BudgetRow:
        """Set a budget: another one of the same subject and period is replaced. What was spent of it counts, or what the period has cost so
        far where there was none. Raises Unprocessable."""
        _known("scope", scope, SCOPES)
        _known("period", period, PERIODS)
        zone_of(timezone)
        subject = subject.strip()
        if not 0 < len(subject) <= MOST_SUBJECT_CHARS:
            raise Unprocessable(
                f"subject must name the {scope}, in at most {MOST_SUBJECT_CHARS} characters", param="subject"
            )
        if scope == TAG and not is_tag(subject):
            raise Unprocessable(
                f"no request can have this tag: tags are 1 to {MAX_TAG_CHARS} visible characters", param="subject"
            )
        share = SOFT if soft is None else soft
        if not 0 <= share <= 1:
            raise Unprocessable("soft is a share of the limit, between 0 and 1", param="soft")
        pico, now = _pico(limit_usd), self._now()
        before = next((one for one in self._limits.get((scope, subject), ()) if one.period == period), None)
        start, end = bounds_of(period, timezone, now)
        made = BudgetLimit("", scope, subject, period, timezone, pico, share, now, now, start)
        act = entry(by, "budget.set", f"{scope} {subject}", before=_told(before), after=_told(made))
        until, meter = int(now + DAY_S) if end is None else end, self._store.writer.batch.budgets
        budget_id = await self._store.writer.call(lambda c: meter.put(c, made, until, act))
        await self._changed()
        return next(one for one in await self.listing() if one["id"] == budget_id)

    async def drop(self, by: Caller, budget_id: str) -> None:
        """Remove a budget. Raises NotFound."""
        await self.refresh()
        known = next((one for some in self._limits.values() for one in some if one.id == budget_id), None)
        if known is None:
            raise NotFound(f"no budget {quoted(budget_id, 40)}")
        act = entry(by, "budget.remove", f"{known.scope} {known.subject}", before=_told(known))
        await self._store.writer.call(lambda c: budgets.drop(c, budget_id, act))
        await self._changed()

    async def listing(self, caller: Caller | None = None) -> list[BudgetRow]:
        """Every budget with what is spent and reserved of it now; or those of a key and its project."""
        now = self._now()
        own = None if caller is None else [(KEY, caller.line), (PROJECT, caller.project)]
        limits = [one for subject, some in self._limits.items() if own is None or subject in own for one in some]
        bounds = {one.id: bounds_of(one.period, one.timezone, now) for one in limits}
        places = [(one.id, bounds[one.id][0]) for one in limits]
        found = {one.budget_id: one for one in await self._store.read(budgets.balances, places, now)}
        return [_row(one, found[one.id], bounds[one.id][1], now) for one in limits if one.id in found]

    async def of_scope(self, scope: str | None, caller: Caller | None) -> list[BudgetRow]:
        """The budgets of what somebody looks at: all for an operator, those of a project, or those of the own key and its project; none for
        visitors."""
        if caller is None or caller.role is Role.ANONYMOUS:
            return []
        if scope == caller.key_id:
            return await self.listing(caller)
        project = None if scope is None else scope.removeprefix(EVERYBODY)
        subject = None if project is None else (KEY, scope) if project == scope else (PROJECT, project)
        rows = await self.listing()
        return [row for row in rows if subject is None or (row["scope"], row["subject"]) == subject]

    async def reserve(self, reservation: str, places: Sequence[Place], pico: int, held: int | None) -> bool:
        """Reserve so much in all, for all processes, with others that wait for that; `held` is what is reserved already, None before the
        first time. Raises Overloaded while the store takes no writes: a hard limit holds."""
        now, meter = self._now(), self._store.writer.batch.budgets
        wanted = AskedReservation(reservation, places, pico, now, now + self.lasts_s, again=held is not None)
        try:
            fits, found = await self._store.writer.share(meter.reserve, wanted)
        except StoreError as error:
            raise _unknown(error) from error
        self._see([_moved(one, reserved=pico if fits else held or 0) for one in found])
        return fits

    async def look(self, places: Sequence[Place]) -> list[Balance]:
        """The balances as they are for all processes. Raises Overloaded where they cannot be read."""
        try:
            found = await self._store.read(budgets.balances, places, self._now())
        except StoreError as error:
            raise _unknown(error) from error
        self._see(found)
        return found

    def seen(self, place: Place) -> Balance | None:
        """A balance as it was seen last."""
        return self._seen.get(place)

    def settled(self, places: Sequence[Place], *, spent: int, reserved: int) -> None:
        """Note what this process settles."""
        known = [self._seen[place] for place in places if place in self._seen]
        self._see([_moved(one, spent=spent, reserved=-reserved) for one in known])

    def warn(self, limit: BudgetLimit, start: int, words: str) -> None:
        """Say once a period that a soft limit is passed."""
        if (limit.id, start) not in self._warned:
            self._warned.add((limit.id, start))
            log.warning("%s", words)

    def _see(self, found: Sequence[Balance]) -> None:
        for one in found:
            place = one.budget_id, one.start
            self._seen.pop(place, None)
            self._seen[place] = one
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]

    async def _changed(self) -> None:
        await self.refresh()
        self._seen.clear()
        self._send("budgets", None)


class BudgetReservation:
    """What one request may charge to some budgets, in the periods of its beginning."""

    __slots__ = ("_asked", "_budgets", "_done", "_ends", "_limits", "_now", "id", "pico", "places")

    def __init__(self, service: Budgets, limits: Sequence[BudgetLimit], now: float) -> None:
        self._budgets, self._limits, self._now = service, limits, now
        bounds = [bounds_of(one.period, one.timezone, now) for one in limits]
        self.id = f"res_{token_hex(8)}"
        self.places = tuple((limit.id, start) for limit, (start, _) in zip(limits, bounds, strict=True))
        self._ends = [end for _, end in bounds]
        self.pico = 0
        self._asked = self._done = False

    @property
    def left_pico(self) -> int:
        """What might be reserved in all, as far as is known here."""
        balances = [self._budgets.seen(place) for place in self.places]
        return min([EVERYTHING if one is None else one.left_pico + self.pico for one in balances])

    @property
    def remaining_pico(self) -> int:
        """What is left of the tightest budget, neither spent nor reserved."""
        balances = [one for place in self.places if (one := self._budgets.seen(place)) is not None]
        return max(0, min((one.left_pico for one in balances), default=min(one.limit_pico for one in self._limits)))

    @property
    def dollar_weight(self) -> float:
        """How many times as much as else a dollar weighs: one, and more by each budget whose soft limit is passed."""
        more = 0.0
        for limit, place, end in zip(self._limits, self.places, self._ends, strict=True):
            balance = self._budgets.seen(place)
            if balance is not None and balance.limit_pico > 0:
                spent = (balance.spent_pico + balance.reserved_pico) / balance.limit_pico
                elapsed = None if end is None else (self._now - place[1]) / (end - place[1])
                more += dollar_weight(spent, elapsed, limit.soft) - 1.0
        return 1.0 + more

    @property
    def warning(self) -> str:
        """That a soft limit is passed, in a sentence."""
        for limit, place in zip(self._limits, self.places, strict=True):
            balance = self._budgets.seen(place)
            if balance is not None and balance.spent_pico >= limit.soft * balance.limit_pico:
                share = balance.spent_pico / balance.limit_pico if balance.limit_pico else 1.0
                words = f"{math.floor(100 * share)} % of {_named(limit)} is spent"
                self._budgets.warn(limit, place[1], words)
                return words
        return ""

    async def look(self) -> None:
        """Ask the store what is left."""
        await self._budgets.look(self.places)

    async def cover(self, pico: int) -> bool:
        """Reserve so much in all, at least; False where that does not fit. Raises Overloaded where it cannot be known."""
        if pico <= self.pico:
            return True
        held, self._asked = (self.pico if self._asked else None), True
        fits = await self._budgets.reserve(self.id, self.places, pico, held)
        if fits:
            self.pico = pico
        return fits

    def settled(self, pico: int) -> Settlement | None:
        """The end of it: so much is charged."""
        if self._done or not (self._asked or pico):
            return None
        self._done = True
        self._budgets.settled(self.places, spent=pico, reserved=self.pico)
        self.pico = 0
        return Settlement(self.id, self.places, pico)

    def exceeded(self, pico: int) -> BudgetExceeded:
        """Why so much cannot be reserved: the budget that leaves least, what that is, and when it renews."""
        at = min(range(len(self.places)), key=lambda one: self._left(one))
        limit, balance = self._limits[at], self._budgets.seen(self.places[at])
        left = max(0, self._left(at))
        held = balance.reserved_pico - self.pico if balance is not None else 0
        renews = _iso(self._ends[at], limit.timezone)
        wait = f", and {usd_text(held)} is reserved by calls in work" if held > 0 else ""
        when = f"it renews at {renews}" if renews else "it does not renew"
        error = BudgetExceeded(
            f"{_named(limit)} has {usd_text(left)} left{wait}; this call might cost up to {usd_text(pico)} "
            f"(a smaller max_tokens reserves less); {when}",
            retry_after_s=SOON_S if held > 0 else None,
        )
        error.left_usd, error.renews = plain_usd(left), renews
        if balance is not None and held <= 0 and balance.spent_pico >= USED_UP * balance.limit_pico:
            self._budgets.tell(spent_event(_row(limit, balance, self._ends[at], self._now), share=1.0))
        return error

    def _left(self, at: int) -> int:
        balance = self._budgets.seen(self.places[at])
        return EVERYTHING if balance is None else balance.left_pico + self.pico


def spent_event(row: BudgetRow, *, share: float) -> NotificationEvent:
    """What operators are told when 50, 80 or 100 % (the greatest that `share`, 0 to 1, reaches) of a budget are spent; a hard limit is
    spent when it refuses a call."""
    began = moment(row["began"], zone_of(row["timezone"])) if row["began"] is not None else None
    period = "all time" if began is None else f"the {row['period']} from {began:%d %B %Y}"
    renews = "" if row["renews"] is None else _iso(int(row["renews"]), row["timezone"])
    return budget_event(
        subject=f"{row['scope']} {row['subject']}",
        period=period,
        share=share,
        spent_usd=row["spent_usd"],
        limit_usd=row["limit_usd"],
        renews=renews,
    )


def plain_usd(pico: int) -> str:
    """Dollars as a plain decimal, without trailing zeros."""
    text = f"{Decimal(pico) / PICO_PER_USD:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def usd_text(pico: int) -> str:
    """Dollars as people write them."""
    amount = Decimal(pico) / PICO_PER_USD
    return f"${amount:,.2f}" if amount == 0 or amount >= 1 else f"${plain_usd(pico)}"


def _moved(one: Balance, *, spent: int = 0, reserved: int = 0) -> Balance:
    held = max(0, one.reserved_pico + reserved)
    return Balance(one.budget_id, one.start, one.limit_pico, one.spent_pico + spent, held)


def _begins(limit: BudgetLimit, at: float) -> int:
    return bounds_of(limit.period, limit.timezone, at)[0]


def _named(limit: BudgetLimit) -> str:
    whose = {KEY: "this key", PROJECT: f"the project {limit.subject}", TAG: f"the tag {limit.subject}"}[limit.scope]
    length = "" if limit.period == ALL else f" a {limit.period}"
    return f"the budget of {usd_text(limit.limit_pico)}{length} of {whose}"


def _iso(end: int | None, zone: str) -> str:
    return "" if end is None else moment(end, zone_of(zone)).isoformat()


def _row(limit: BudgetLimit, balance: Balance, end: int | None, now: float) -> BudgetRow:
    elapsed = None if end is None else (now - balance.start) / (end - balance.start)
    spent = (balance.spent_pico + balance.reserved_pico) / balance.limit_pico if balance.limit_pico else 1.0
    counts = limit.counted_start == balance.start
    return {
        "id": limit.id,
        "scope": limit.scope,
        "subject": limit.subject,
        "period": limit.period,
        "timezone": limit.timezone,
        "limit_usd": balance.limit_pico / PICO_PER_USD,
        "soft": limit.soft,
        "spent_usd": balance.spent_pico / PICO_PER_USD,
        "counted_usd": limit.counted_pico / PICO_PER_USD if counts else 0.0,
        "counted_calls": limit.counted_calls if counts else 0,
        "reserved_usd": balance.reserved_pico / PICO_PER_USD,
        "left_usd": max(0, balance.left_pico) / PICO_PER_USD,
        "dollar_weight": dollar_weight(spent, elapsed, limit.soft),
        "began": None if end is None else float(balance.start),
        "renews": None if end is None else float(end),
    }


def _told(limit: BudgetLimit | None) -> Json | None:
    """A budget as the audit log has it."""
    if limit is None:
        return None
    return {
        "limit_usd": plain_usd(limit.limit_pico),
        "period": limit.period,
        "soft": limit.soft,
        "timezone": limit.timezone,
    }


def _known(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise Unprocessable(f"{name} {quoted(value, 40)} is unknown; known are {', '.join(known)}", param=name)


def _pico(limit_usd: str | float) -> int:
    """Pico-dollars of an amount as people write it, like `$1,250.50`. Raises Unprocessable: also for `1,5`, which may mean either."""
    text = str(limit_usd).strip().removeprefix("$")
    try:
        amount = Decimal(text.replace(",", "") if _GROUPED.fullmatch(text) else text)
    except ArithmeticError:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= MOST_USD:
        how = f"a limit is dollars between 0 and {MOST_USD:,}, with a point before the cents"
        raise Unprocessable(how, param="limit_usd")
    return int(amount * PICO_PER_USD)


def _unknown(error: StoreError) -> Overloaded:
    return Overloaded(
        f"what is left of the budget cannot be known at the moment: {error}",
        code="budget_unavailable",
        retry_after_s=2.0,
    )
