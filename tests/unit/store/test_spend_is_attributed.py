"""Spend by project, key, tag, end user, model and runtime adds up to the decisions, whatever is filed and comes late; names are bounded."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from arbiter_app.pipeline.ports import DecisionRecord
from arbiter_app.store import Store, attribution, rollups
from arbiter_app.store.attribution import MOST, OTHERS, QUARTER, TAG, USER, Whose
from arbiter_app.store.decisions import Filter
from arbiter_app.store.projections import LateScore
from arbiter_app.store.rollup_math import DAY, project_scope
from tests.stores import NOW, call_now, file_all, mixed, record, run

PROJECTS, RUNTIMES = ("default", "prj_a", "prj_b"), ("", "eu", "us")
TAGS = ("team:data", "batch", "user:ann", "x%_'\\", "Batch")
FIRST, END = int(NOW) // DAY * DAY - 3 * DAY, int(NOW) // QUARTER * QUARTER + QUARTER
EVERYBODY = Whose()


def labelled(count: int, *, seed: int) -> list[DecisionRecord]:
    """Requests of several projects, with tags and end users."""
    rng = random.Random(seed)
    return [replace(one, row=one.row | labels(rng)) for one in mixed(count, seed=seed, days=2.5)]


def labels(rng: random.Random) -> dict[str, Any]:
    tags = rng.sample(TAGS, rng.randrange(4))
    user = next((tag[5:] for tag in tags if tag.startswith("user:")), "")
    text = "\n".join(("", *tags, "")) if tags else None
    return {"project_id": rng.choice(PROJECTS), "runtime": rng.choice(RUNTIMES), "end_user": user, "tags": text}


def told(store: Store, *records: DecisionRecord) -> None:
    async def write() -> None:
        await store.writer.record(*records)

    run(write)


def spent(store: Store, by: tuple[str, ...], whose: Whose = EVERYBODY, **more: Any) -> list[dict[str, Any]]:
    times = {"first": FIRST, "end": END, "now": NOW, **more}
    return store.read_now(lambda c: attribution.spent(c, by, whose, **times))


def tags_of(one: DecisionRecord) -> list[str]:
    return [tag for tag in (one.row["tags"] or "").split("\n") if tag]


def check(store: Store, records: list[DecisionRecord], late: int) -> None:
    """Every way to sum them comes to what the records say."""
    assert sum(one["calls"] for one in spent(store, ())) == len(records)
    assert sum(one["judge_pico"] for one in spent(store, ())) == late
    for by, column in (("project", "project_id"), ("key", "key_id"), ("model", "model"), ("runtime", "runtime")):
        for row in spent(store, (by,)):
            mine = [one.row for one in records if one.row[column] == row[by]]
            assert (row["calls"], row["cost_pico"]) == (len(mine), sum(one["cost_pico"] or 0 for one in mine))
    for row in spent(store, (TAG, "project")):
        mine = [one for one in records if row[TAG] in tags_of(one) and one.row["project_id"] == row["project"]]
        assert (row["calls"], row["failed"]) == (len(mine), sum(one.row["status"] == "failed" for one in mine))
    by_user = {row[USER]: row["calls"] for row in spent(store, (USER,))}
    assert by_user == {"ann": sum(one.row["end_user"] == "ann" for one in records)}
    narrowed = spent(store, ("model",), Whose(projects=("prj_a",), tag="batch", runtime="eu"))
    mine = [one for one in records if one.row["project_id"] == "prj_a" and one.row["runtime"] == "eu"]
    assert sum(one["calls"] for one in narrowed) == sum("batch" in tags_of(one) for one in mine)
    days = spent(store, ("project",), step=DAY)
    assert sum(one["calls"] for one in days) == len(records) and {one["start"] % DAY for one in days} == {0}


def test_every_way_to_sum_adds_up(store: Store) -> None:
    records = labelled(700, seed=3)
    told(store, *records[:400])
    check(store, records[:400], 0)
    file_all(store)
    told(store, *records[400:])
    late = 0
    for one in records[::50]:
        late += 1_000
        score = {one.row["id"]: LateScore(0.5, "judge", "judged", 1_000)}
        call_now(store, lambda c, score=score: store.writer.projections.grade(c, score))
    known = sum(one.row["judge_cost_pico"] or 0 for one in records)
    assert known == 0
    check(store, records, late)
    file_all(store)
    check(store, records, late)


def test_reports_and_charts_of_a_project_are_of_its_decisions_alone(store: Store) -> None:
    records = labelled(600, seed=5)
    told(store, *records[:500])
    file_all(store)
    told(store, *records[500:])
    everybody = store.read_now(lambda c: rollups.totals(c, (), now=NOW))[0]
    assert everybody["calls"] == len(records)
    for project in PROJECTS:
        mine = [one.row for one in records if one.row["project_id"] == project]
        scope = project_scope(project)
        (sums,) = store.read_now(lambda c, scope=scope: rollups.totals(c, (), scope=scope, since=FIRST, now=NOW))
        assert (sums["calls"], sums["cost_pico"]) == (len(mine), sum(one["cost_pico"] or 0 for one in mine))
        slots = run(lambda scope=scope: store.series(bucket_s=DAY, buckets=5, now=NOW, scope=scope))
        assert sum(slot["calls"] for slot in slots) == len(mine)
    each = store.read_now(lambda c: rollups.period_totals(c, FIRST, END, scope=None, now=NOW))
    assert {row["key_id"] for row in each} == {one.row["key_id"] for one in records}
    assert sum(row["calls"] for row in each) == len(records)


def test_feeds_are_narrowed_by_label(store: Store) -> None:
    records = labelled(600, seed=9)
    told(store, *records[:500])
    file_all(store)
    told(store, *records[500:])

    def found(narrowed: Filter) -> list[str]:
        return [row["id"] for row in store.stretch(narrowed)]

    def wanted(fits: Any) -> list[str]:
        return [one.row["id"] for one in reversed(records) if fits(one)]

    for tag in TAGS:
        assert found(Filter(tag=tag)) == wanted(lambda one, tag=tag: tag in tags_of(one))
    for project in PROJECTS:
        assert found(Filter(project_id=project)) == wanted(lambda one, at=project: one.row["project_id"] == at)
    assert found(Filter(runtime="eu", tag="batch", model="gpt-4o")) == wanted(
        lambda one: one.row["runtime"] == "eu" and "batch" in tags_of(one) and one.row["model"] == "gpt-4o"
    )
    assert found(Filter(end_user="ann", project_id="prj_b")) == wanted(
        lambda one: one.row["end_user"] == "ann" and one.row["project_id"] == "prj_b"
    )


def test_names_beyond_the_bound_are_summed_together(store: Store) -> None:
    many = [record(NOW, tags=f"\nt{at}\n", end_user=f"u{at % 7}") for at in range(MOST[TAG] + 40)]
    told(store, *many)
    file_all(store)
    rows = {row[TAG]: row["calls"] for row in spent(store, (TAG,))}
    assert len(rows) == MOST[TAG] + 1 and rows[OTHERS] == 40 and sum(rows.values()) == len(many)
    assert len(spent(store, (USER,))) == 7
    told(store, record(NOW, tags="\nt0\n"), record(NOW, tags="\nnew\n"), record(NOW - DAY, tags="\nnew\n"))
    file_all(store)
    again = {row[TAG]: row["calls"] for row in spent(store, (TAG,))}
    assert again["t0"] == rows["t0"] + 1, "a name that is known goes on being counted apart"
    assert again[OTHERS] == 41 and again["new"] == 1, "a new day has room again"
    told(store, record(NOW, tags="\nfirst\n", project_id="prj_a"))
    file_all(store)
    assert {row[TAG]: row["calls"] for row in spent(store, (TAG,))}["first"] == 1, "each project has its own room"


def test_what_is_old_is_told_by_the_day_and_end_users_are_forgotten(store: Store) -> None:
    old = [record(NOW - days * DAY, tags="\nt\n", end_user="ann") for days in (0, 70, 500)]
    told(store, *old)
    file_all(store)
    while call_now(store, lambda c: attribution.retire(c, NOW)):
        pass
    long_ago = int(NOW) // DAY * DAY - 600 * DAY
    assert sum(row["calls"] for row in spent(store, (), first=long_ago)) == 3
    assert sum(row["calls"] for row in spent(store, (TAG,), first=long_ago)) == 3
    assert sum(row["calls"] for row in spent(store, (USER,), first=long_ago)) == 2
    assert [row["calls"] for row in spent(store, ())] == [1]
