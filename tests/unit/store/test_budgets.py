"""What is reserved and spent of budgets: exactly, in each or in none, until it is settled or expires."""

from __future__ import annotations

import random
import time
from typing import Any

from sqlalchemy import func, select

from arbiter_app.pipeline.ports import DecisionRecord, Settlement
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.services.audit import entry
from arbiter_app.store import Store, budgets, keys, labels, projects
from arbiter_app.store.budgets import AskedReservation, Balance, BudgetLimit
from arbiter_app.store.tables import StoredReservation, table
from tests.stores import NOW, call_now, file_all, record, run, summed

ACT = entry(Caller("settings-1", Role.OPERATOR), "budget.set", "test")
START = 1_790_000_100


def made(
    store: Store,
    limit_pico: int,
    subject: str = "arb_aaaaaaaa",
    *,
    scope: str = "key",
    zone: str = "UTC",
    now: float = NOW,
) -> str:
    limit = BudgetLimit("", scope, subject, "month", zone, limit_pico, 0.5, now, now, START)
    return call_now(store, lambda c: store.writer.batch.budgets.put(c, limit, START + 86_400, ACT))


def reserve(store: Store, name: str, ids: list[str], pico: int, *, now: float = NOW) -> bool:
    places = [(one, START) for one in ids]
    meter = store.writer.batch.budgets
    wanted = AskedReservation(name, places, pico, now, now + 60, again=True)
    return call_now(store, lambda c: meter.reserve(c, [wanted]))[0][0]


def settle(store: Store, name: str, ids: list[str], pico: int) -> None:
    settlement = Settlement(name, tuple((one, START) for one in ids), pico)
    call_now(store, lambda c: store.writer.batch.budgets.settle(c, (settlement,)))


def balance(store: Store, budget_id: str, now: float = NOW) -> Any:
    return next(iter(store.read_now(budgets.balances, [(budget_id, START)], now)), None)


def test_it_fits_into_every_budget_or_is_reserved_in_none(store: Store) -> None:
    wide, tight = made(store, 1_000), made(store, 100, "other")
    assert reserve(store, "a", [wide, tight], 100)
    assert not reserve(store, "b", [wide, tight], 1)
    assert reserve(store, "b", [wide], 900)
    assert [balance(store, one).left_pico for one in (wide, tight)] == [0, 0]
    settle(store, "a", [wide, tight], 30)
    assert [balance(store, one).left_pico for one in (wide, tight)] == [70, 70]
    assert balance(store, wide) == Balance(wide, START, 1_000, 30, 900)


def test_a_reservation_grows_in_its_place_and_stays_where_it_cannot(store: Store) -> None:
    one = made(store, 100)
    assert reserve(store, "a", [one], 60)
    assert reserve(store, "a", [one], 90)
    assert not reserve(store, "a", [one], 101)
    assert balance(store, one).reserved_pico == 90


def test_what_has_expired_counts_no_more_and_is_swept_and_a_late_settlement_still_counts(store: Store) -> None:
    one = made(store, 100)
    assert reserve(store, "a", [one], 100)
    assert not reserve(store, "b", [one], 1, now=NOW + 59)
    assert reserve(store, "b", [one], 100, now=NOW + 61)
    assert call_now(store, lambda c: budgets.drop_expired(c, NOW + 61)) == 1
    settle(store, "a", [one], 40)
    assert balance(store, one, NOW + 61) == Balance(one, START, 100, 40, 100)


def test_setting_a_budget_anew_keeps_what_was_spent(store: Store) -> None:
    one = made(store, 100)
    settle(store, "a", [one], 40)
    assert made(store, 1 << 60) == one
    assert balance(store, one).left_pico == (1 << 60) - 40
    call_now(store, lambda c: budgets.drop(c, one, ACT))
    assert store.read_now(budgets.limits) == []
    assert store.read_now(budgets.balances, [(one, START)], NOW) == []


def test_any_order_of_calls_keeps_to_the_limit_and_ends_with_nothing_reserved(store: Store) -> None:
    draw, limit = random.Random(5), 10_000
    one, held, charged = made(store, limit), dict[str, int](), 0
    for at in range(400):
        if held and draw.random() < 0.5:
            name = draw.choice(sorted(held))
            pico = draw.randint(0, held.pop(name))
            settle(store, name, [one], pico)
            charged += pico
        else:
            name, pico = f"r{at}", draw.randint(1, 900)
            if reserve(store, name, [one], pico):
                held[name] = pico
        found = balance(store, one)
        assert (found.spent_pico, found.reserved_pico) == (charged, sum(held.values()))
        assert found.left_pico >= 0
    for name in held:
        settle(store, name, [one], 0)
    reserved = select(func.count()).select_from(table(StoredReservation))
    assert store.read_now(lambda c: c.execute(reserved).scalar_one()) == 0


SUBJECTS = (("key", "arb_aaaaaaaa"), ("project", "prj_a"), ("tag", "batch"), ("tag", "user:ann"))


def drawn(draw: random.Random, at: float) -> DecisionRecord:
    tags = [tag for tag in ("batch", "bat", "user:ann") if draw.random() < 0.5]
    return record(
        at,
        key_id=draw.choice(("arb_aaaaaaaa", "arb_other")),
        project_id=draw.choice(("prj_a", "prj_b")),
        end_user="ann" if "user:ann" in tags else "",
        tags=labels.text_of(tags),
        cost_pico=draw.choice((None, draw.randrange(10**12))),
    )


def counts_for(one: DecisionRecord, scope: str, subject: str) -> bool:
    of_it = {"key": [one.row["key_id"]], "project": [one.row["project_id"]], "tag": labels.tags_in(one.row["tags"])}
    return one.row["ts"] >= START and subject in of_it[scope]


def test_a_new_budget_counts_what_its_period_has_cost_and_calls_under_way(store: Store) -> None:
    """Calls of many sorts are written before, while and after budgets are set; some, that began later, are settled with them."""
    draw, written = random.Random(11), list[DecisionRecord]()

    def write(one: DecisionRecord) -> None:
        written.append(one)
        run(lambda: store.ledger.record(one))

    def sweep(now: float) -> int:
        meter = store.writer.batch.budgets
        return call_now(
            store, lambda c: meter.count_under_way(c, now, 600, lambda limit, at: START if at >= START else 0)
        )

    def right() -> None:
        for limit in store.read_now(budgets.limits):
            mine = [one for one in written if counts_for(one, limit.scope, limit.subject)]
            (found,) = store.read_now(budgets.balances, [(limit.id, START)], NOW)
            assert found.spent_pico == summed(mine, "cost_pico"), limit
            begun = [one for one in mine if limit.id not in one.trace.get("call", {}).get("budgets", ())]
            assert (limit.counted_calls, limit.counted_pico) == (len(begun), summed(begun, "cost_pico")), limit

    for at in range(300):
        write(drawn(draw, START - 5_000 + draw.random() * 20_000))
        if at == 150:
            file_all(store)
    ids = {subject: made(store, 10**16, subject, scope=scope, now=NOW) for scope, subject in SUBJECTS}
    right()
    for at in range(120):
        one = drawn(draw, START + draw.random() * 20_000)
        heard = [(ids[name], START) for scope, name in SUBJECTS if draw.random() < 0.5 and counts_for(one, scope, name)]
        one.trace["call"] = {"budgets": [budget_id for budget_id, _ in heard]}
        one.settlement = Settlement(f"res_{at}", tuple(heard), one.row["cost_pico"] or 0) if heard else None
        write(one)
        if at == 60:
            assert sweep(NOW + 5) > 0
            right()
    assert sweep(NOW + 600) > 0
    right()
    assert {limit.counted_seq for limit in store.read_now(budgets.limits)} == {None}
    assert sweep(NOW + 601) == 0
    again = made(
        store, 10**16, "prj_a", scope="project", zone="Europe/Berlin"
    )  # begins by another clock, so it is another one
    assert again != ids["prj_a"] and balance(store, ids["prj_a"]) is None
    assert balance(store, again).spent_pico == summed(
        [one for one in written if counts_for(one, *SUBJECTS[1])], "cost_pico"
    )


def test_a_key_is_rotated_within_its_line_and_ends_no_later_than_it_was_to(store: Store) -> None:
    now = time.time()
    first = call_now(store, lambda c: keys.mint(c, role="caller", email="", label="x", now=now, expires=now + 100))
    second = call_now(store, lambda c: keys.rotate(c, first.key.id, 1_000.0, now, ACT))
    assert second is not None and (second.key.origin, second.key.expires) == (first.key.id, now + 100)
    third = call_now(store, lambda c: keys.rotate(c, second.key.id, 5.0, now, ACT))
    assert third is not None and third.key.origin == first.key.id
    ends = {one.id: one.expires for one in run(store.keys).values()}
    assert ends == {first.key.id: now + 100, second.key.id: now + 5, third.key.id: now + 100}
    assert call_now(store, lambda c: keys.rotate(c, second.key.id, 5.0, now + 6, ACT)) is None


def test_when_a_key_was_used_only_moves_forward_and_is_no_change_of_the_key(store: Store) -> None:
    minted = call_now(store, lambda c: keys.mint(c, role="caller", email="", label="", now=NOW, models=("a", "b")))
    before = run(store.keys_version)
    for at in (NOW + 5, NOW + 2):
        call_now(store, lambda c, at=at: keys.note_used(c, {minted.key.id: at}))
    assert store.read_now(keys.last_used) == {minted.key.id: NOW + 5}
    assert run(store.keys_version) == before
    assert [one.models for one in run(store.keys).values()] == [("a", "b")]


def test_names_of_projects_are_unlike(store: Store) -> None:
    made_ids = [call_now(store, lambda c, n=name: projects.make(c, n, "UTC", NOW, ACT)) for name in ("a", "b", "a")]
    assert made_ids[0] and made_ids[1] and made_ids[2] is None
    assert not call_now(store, lambda c: projects.change(c, str(made_ids[1]), {"name": "a"}, NOW, ACT))
    assert {one.name for one in store.read_now(projects.everyone)} == {"default", "a", "b"}
