"""The causes of a change in spend add up to it to the pico-dollar, on whatever two periods; and so do tasks, models and keys."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from arbiter_app.services.spend_change import CAUSES, Cell, SpendChanges, Sums, causes, groups
from arbiter_app.store import Store
from tests.stores import NOW, file_all, mixed, run

KEYS, BUCKETS, MODELS = ("k1", "k2", "k3"), ("code", "math", "open:hard"), ("a", "b", "c")


def cells(rng: random.Random) -> dict[Cell, Sums]:
    """A period of any kind: empty, of one cell, of many; free, dear and absurd ones."""
    found: dict[Cell, Sums] = {}
    for _ in range(rng.choice((0, 1, 3, 27))):
        cell = rng.choice(KEYS), rng.choice(BUCKETS), rng.choice(MODELS)
        calls = rng.choice((1, 3, 1_000, 10**9))
        found[cell] = Sums(
            calls, rng.choice((0, 1, rng.randrange(10**12), 10**24 + 7)), rng.choice((0, rng.randrange(10**9)))
        )
    return found


def periods() -> Iterator[tuple[dict[Cell, Sums], dict[Cell, Sums]]]:
    rng = random.Random(11)
    for _ in range(2_000):
        yield cells(rng), cells(rng)


def test_causes_and_groups_add_up_exactly_on_any_two_periods() -> None:
    for before, after in periods():
        change = sum(one.pico for one in after.values()) - sum(one.pico for one in before.values())
        found = causes(before, after)
        assert list(found) == list(CAUSES) and sum(found.values()) == change
        for place in range(3):
            assert sum(now.pico - then.pico for _, then, now in groups(before, after, place)) == change


ONE = ("k1", "math", "a")
BASE = {ONE: Sums(100, 1_000_000, 5_000)}


@pytest.mark.parametrize(
    ("after", "cause", "pico"),
    [
        ({ONE: Sums(150, 1_500_000, 7_500)}, "volume", 500_000),
        ({ONE: Sums(100, 2_000_000, 10_000)}, "size", 1_000_000),
        ({ONE: Sums(100, 3_000_000, 5_000)}, "price", 2_000_000),
        ({ONE: Sums(100, 1_000_000, 5_000)}, "volume", 0),
    ],
)
def test_a_change_of_one_cause_is_that_cause_alone(after: dict[Cell, Sums], cause: str, pico: int) -> None:
    found = causes(BASE, after)
    assert found[cause] == pico and sum(map(abs, found.values())) == pico


@pytest.mark.parametrize(("place", "cause"), [(0, "keys"), (1, "tasks"), (2, "models")])
def test_a_shift_to_a_dearer_group_is_a_shift(place: int, cause: str) -> None:
    dear = tuple("other" if at == place else part for at, part in enumerate(ONE))
    before = {ONE: Sums(100, 1_000_000, 5_000), dear: Sums(100, 3_000_000, 5_000)}
    after = {ONE: Sums(50, 500_000, 2_500), dear: Sums(150, 4_500_000, 7_500)}  # type: ignore[dict-item]
    found = causes(before, after)  # type: ignore[arg-type]
    assert found[cause] == 1_000_000 and sum(map(abs, found.values())) == 1_000_000


def test_on_random_stores_filed_and_unfiled_it_is_the_change_of_the_decisions(store: Store) -> None:
    for seed, filed in ((1, True), (2, False), (3, True)):
        records = mixed(400, seed=seed, days=2.0)
        for one in records:
            one.row["prompt_tokens"] = one.row["prompt_tokens"] + seed
        run(lambda records=records: store.writer.record(*records, wait=True))
        if filed:
            file_all(store)
        told: dict[str, Any] = run(
            lambda: SpendChanges(store, now=lambda: NOW).since_before(seconds=86_400, scope=None, keys=True)
        )
        rows = [*_rows(store)]
        sums = [
            sum((row["cost_pico"] or 0) + (row["judge_cost_pico"] or 0) for row in rows if first <= row["ts"] < end)
            for first, end in (
                (2 * told["since"] - told["until"], told["since"]),
                (told["since"], told["until"]),
            )
        ]
        assert told["after"]["spend"] == sums[1] / 1e12 and told["before"]["spend"] == sums[0] / 1e12
        assert sum(round(one["change"] * 1e12) for one in told["causes"]) == pytest.approx(sums[1] - sums[0], abs=50)
        for by in ("by_task", "by_model", "by_key"):
            assert sum(one["after"] for one in told[by]) == pytest.approx(sums[1] / 1e12)


def _rows(store: Store) -> Iterator[dict[str, Any]]:
    from arbiter_app.store.decisions import Filter

    yield from store.stretch(Filter())
