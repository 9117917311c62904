"""Messages on their way to whom they are for: added once a rule, claimed by one process at a time, kept when they are dead.

All of it inside the writer's transaction, of which there is one at a time: that is what makes a claim exclusive.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, select, update

from arbiter_app.store import notification_rules
from arbiter_app.store.tables import Notification, NotificationRule, PolicyState, table

WAITING, SENT, DEAD = "waiting", "sent", "dead"
STATES = (WAITING, SENT, DEAD)
WAITING_MOST = 1_000
"""Messages that wait, in all; what comes beyond is held back and counted, as by the bound of a rule."""
DEAD_MOST, SENT_MOST = 500, 5_000
"""So many of the newest are kept."""
STEP = 100
SEEN = "notified"

_QUEUE, _RULES, _STATE = table(Notification), table(NotificationRule), table(PolicyState)


def add(
    connection: Connection,
    row: Mapping[str, Any],
    *,
    share: float | None,
    quiet_s: float,
    per_hour: int,
) -> list[str]:
    """Queue a message for every rule that wants its `kind`; returns their rules.

    A rule is passed over that was told `once` already, is younger than what happened, or wants to hear of a greater `share` only. It
    is held back, and counted, while the rule is muted, was told of the same kind and subject within `quiet_s`, or had
    `per_hour` messages within an hour.
    """
    told = []
    for rule in notification_rules.all_of(connection):
        wanted = row["kind"] in rule["events"] and rule["created"] <= row["made"]
        if (
            not wanted
            or (share is not None and share < rule["error_share"])
            or _had(connection, rule["id"], row["once"])
        ):
            continue
        if rule["muted_until"] > row["made"] or _enough(connection, rule["id"], row, quiet_s, per_hour):
            held = update(_RULES).where(_RULES.c.id == rule["id"]).values(held=_RULES.c.held + 1)
            connection.execute(held)
            continue
        put(connection, rule, row)
        connection.execute(update(_RULES).where(_RULES.c.id == rule["id"]).values(held=0))
        told.append(rule["id"])
    return told


def put(connection: Connection, rule: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Queue one message for one rule; it takes along how many were held back before it."""
    body = orjson.dumps({**row["body"], "held": rule["held"]})
    made = {**row, "id": f"{row['id']}_{rule['id'][-6:]}", "rule_id": rule["id"], "body": body}
    empty = {"state": WAITING, "due": row["made"], "leased": 0.0, "attempts": 0, "said": "", "ended": None}
    connection.execute(insert(_QUEUE).values(**{**empty, **made}))


def next_due(connection: Connection, now: float) -> bool:
    """Whether any message is due and in nobody's hands."""
    due = select(_QUEUE.c.seq).where(_QUEUE.c.state == WAITING, _QUEUE.c.due <= now, _QUEUE.c.leased <= now)
    return connection.execute(due.limit(1)).first() is not None


def claim(
    connection: Connection, now: float, *, lease_s: float, most: int, busy: Collection[str]
) -> list[dict[str, Any]]:
    """Take the oldest due message of each of `most` rules for `lease_s`, none of those in `busy` or in other hands."""
    held = select(_QUEUE.c.rule_id).where(_QUEUE.c.state == WAITING, _QUEUE.c.leased > now)
    due = (
        select(func.min(_QUEUE.c.seq))
        .where(_QUEUE.c.state == WAITING, _QUEUE.c.due <= now, _QUEUE.c.rule_id.not_in(held))
        .where(_QUEUE.c.rule_id.not_in(list(busy)))
        .group_by(_QUEUE.c.rule_id)
        .order_by(func.min(_QUEUE.c.seq))
        .limit(most)
    )
    mine = [seq for (seq,) in connection.execute(due)]
    if not mine:
        return []
    connection.execute(update(_QUEUE).where(_QUEUE.c.seq.in_(mine)).values(leased=now + lease_s))
    query = select(_QUEUE).where(_QUEUE.c.seq.in_(mine)).order_by(_QUEUE.c.seq)
    return [_message(row) for row in connection.execute(query)]


def settle(connection: Connection, message_id: str, values: Mapping[str, Any]) -> None:
    """What came of a try. The oldest of those sent and dead give way to it."""
    connection.execute(update(_QUEUE).where(_QUEUE.c.id == message_id).values(**{**values, "leased": 0.0}))
    state = values.get("state")
    most = {DEAD: DEAD_MOST, SENT: SENT_MOST}.get(str(state))
    if most is not None:
        edge = (
            select(_QUEUE.c.seq).where(_QUEUE.c.state == state).order_by(_QUEUE.c.seq.desc()).offset(most).limit(STEP)
        )
        old = [seq for (seq,) in connection.execute(edge)]
        if old:
            connection.execute(delete(_QUEUE).where(_QUEUE.c.seq.in_(old)))


def again(connection: Connection, message_id: str, now: float) -> bool:
    """Try a dead or waiting one at once, from the beginning; whether there is one."""
    mine = (_QUEUE.c.id == message_id) & (_QUEUE.c.state != SENT)
    fresh = {"state": WAITING, "due": now, "attempts": 0, "ended": None}
    return connection.execute(update(_QUEUE).where(mine).values(**fresh)).rowcount > 0


def drop(connection: Connection, message_id: str) -> bool:
    """Delete one; whether there was one."""
    return connection.execute(delete(_QUEUE).where(_QUEUE.c.id == message_id)).rowcount > 0


def page(
    connection: Connection, *, states: Sequence[str], limit: int, before: int | None = None
) -> list[dict[str, Any]]:
    """Messages newest first, older than the cursor `before` (a `seq`)."""
    query = select(_QUEUE).where(_QUEUE.c.state.in_(states)).order_by(_QUEUE.c.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(_QUEUE.c.seq < before)
    return [_message(row) for row in connection.execute(query)]


def one(connection: Connection, message_id: str) -> dict[str, Any] | None:
    """One message, None where there is none."""
    row = connection.execute(select(_QUEUE).where(_QUEUE.c.id == message_id)).first()
    return None if row is None else _message(row)


def seen(connection: Connection) -> dict[str, Any] | None:
    """What was last looked at for rules, by whichever process (see `services.watching`); None before the first look."""
    found = connection.execute(select(_STATE.c.value).where(_STATE.c.key == SEEN)).scalar()
    return None if found is None else dict(orjson.loads(found))


def note_seen(connection: Connection, changes: Mapping[str, Any]) -> None:
    """Note what has been looked at."""
    told = {**(seen(connection) or {}), **changes}
    connection.execute(delete(_STATE).where(_STATE.c.key == SEEN))
    connection.execute(insert(_STATE).values(key=SEEN, value=orjson.dumps(told)))


def _had(connection: Connection, rule_id: str, once: str) -> bool:
    query = select(_QUEUE.c.seq).where(_QUEUE.c.rule_id == rule_id, _QUEUE.c.once == once)
    return connection.execute(query).first() is not None


def _enough(connection: Connection, rule_id: str, row: Mapping[str, Any], quiet_s: float, per_hour: int) -> bool:
    """Whether a rule should not be told of this now, for it was told enough."""
    mine = select(func.count()).where(_QUEUE.c.rule_id == rule_id)
    alike = mine.where(_QUEUE.c.kind == row["kind"], _QUEUE.c.subject == row["subject"])
    if quiet_s > 0 and connection.execute(alike.where(_QUEUE.c.made > row["made"] - quiet_s)).scalar_one():
        return True
    if connection.execute(mine.where(_QUEUE.c.made > row["made"] - 3_600.0)).scalar_one() >= per_hour:
        return True
    waiting = select(func.count()).where(_QUEUE.c.state == WAITING)
    return int(connection.execute(waiting).scalar_one()) >= WAITING_MOST


def _message(row: Any) -> dict[str, Any]:
    found = dict(row._mapping)
    return {**found, "body": orjson.loads(found["body"])}
