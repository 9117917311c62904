"""Several processes on one store: each adds what the others taught, once, and the same shift seen twice does no harm."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from arbiter_app import policy as brain
from arbiter_app.pipeline.ports import Lesson
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.policy import Learned, ModelFacts, ModelStats, Observation, Policy, PolicySettings
from arbiter_app.services.replica_sync import missing
from arbiter_app.store import Store, open_store
from tests.conftest import Running, running

FACTS = {
    "big": ModelFacts(input_usd_per_token=2e-6, output_usd_per_token=8e-6),
    "small": ModelFacts(input_usd_per_token=1e-7, output_usd_per_token=4e-7),
}


def policy() -> Policy:
    return brain.build("arbiter", catalog=FACTS, baseline="big", settings=PolicySettings())


def seen(times: float) -> Observation:
    """One call of the small model at so many times its price."""
    cost = times * FACTS["small"].list_usd(1000, 300)
    return Observation(
        bucket="code",
        prompt="",
        model="small",
        cost_usd=cost,
        tokens_in=1000,
        tokens_out=300,
        quality=0.9,
        quality_weight=1.0,
        latency_ms=100.0,
        mode="exploit",
        now=0.0,
    )


async def write(store: Store, learned: Learned) -> None:
    await store.ledger.adjust(Lesson(learned.deltas, state=learned.state))


async def catch_up(store: Store, one: Policy) -> dict[tuple[str, str], ModelStats]:
    """Make a policy equal to the store; what it knows then."""
    rows, _ = await store.load_policy()
    one.merge(missing({(bucket, model): sums for bucket, model, sums in one.rows()}, rows))
    return {(bucket, model): sums for bucket, model, sums in one.rows()}


def test_two_who_notice_the_same_shift_at_once_leave_nothing_negative(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(str(tmp_path / "arbiter.db"))
        one, other = policy(), policy()
        for _ in range(40):
            await write(store, one.record(seen(1.0)))
        await catch_up(store, other)
        for _ in range(40):
            await write(store, other.record(seen(1.0)))
        await catch_up(store, one)
        noticed = 0
        while noticed < 2:  # each by itself, as neither has heard of the other
            for teacher in (one, other):
                learned = teacher.record(seen(10.0))
                noticed += len(learned.shifts)
                await write(store, learned)
        known = await catch_up(store, one)
        sums = known["code", "small"]
        assert all(getattr(sums, name) >= 0 for name in ("cost_n", "tries", "graded", "cost_usd"))
        for _ in range(20):
            await write(store, one.record(seen(10.0)))
        known = await catch_up(store, one)
        assert await catch_up(store, other) == known
        assert known["code", "small"].mean_cost_usd == pytest.approx(seen(10.0).cost_usd, rel=0.2)
        store.close()

    asyncio.run(run())


def test_who_is_told_of_a_shift_does_not_notice_it_again() -> None:
    one, other = policy(), policy()
    for _ in range(40):
        for teacher in (one, other):
            teacher.record(seen(1.0))
    shifts = [shift for _ in range(30) for shift in one.record(seen(10.0)).shifts]
    assert [shift.kind for shift in shifts] == ["price"]
    other.moved("price", "code", "small")
    assert not [shift for _ in range(60) for shift in other.record(seen(10.0)).shifts]


def test_statistics_of_two_gateways_become_equal_and_a_reset_reaches_zero(tmp_path: Path) -> None:
    plain = {"ARBITER_JUDGE_SAMPLE": "0", "ARBITER_JUDGE_CHECK": "0", "ARBITER_CASCADE": "0", "ARBITER_WORKERS": "1"}
    plain |= {"ARBITER_SHADOW": "on", "ARBITER_SHADOW_PER_S": "1000"}
    with running(tmp_path, **plain) as one, running(tmp_path, **plain) as other:
        beside = 0
        for at in range(20):
            for gateway in (one, other):
                answer = gateway.chat(f"Calculate {at} + 1", arbiter_no_cache=True)
                gateway.settle()
                told = gateway.http.get(f"/v1/decisions/{answer.json()['arbiter']['decision_id']}").json()
                beside += len(told["shadows"])
        for gateway in (one, other):
            gateway.settle()
            gateway.run(gateway.arbiter.replicas.catch_up)
        stored = {(b, m): sums.calls for b, m, sums in one.run(one.arbiter.store.load_policy)[0] if sums.calls}
        assert sum(stored.values()) == 40 + beside > 40
        for gateway in (one, other):
            gateway.run(gateway.arbiter.replicas.catch_up)
            assert {(b, m): sums.calls for b, m, sums in gateway.arbiter.policy.rows() if sums.calls} == stored
        one.http.post("/v1/reset").raise_for_status()
        other.run(partial(looks_twice_at_once, other))
        assert not any(sums.calls for gateway in (one, other) for _, _, sums in gateway.arbiter.policy.rows())
        one.chat("Calculate 3 + 4", arbiter_no_cache=True).raise_for_status()
        one.settle()
        other.run(partial(looks_twice_at_once, other))
        here, there = ({(b, m): s.calls for b, m, s in host.arbiter.policy.rows() if s.calls} for host in (one, other))
        assert here == there != {}


async def looks_twice_at_once(gateway: Running) -> None:
    """Three times with the look that a gateway takes now and then by itself."""
    await asyncio.gather(*(gateway.arbiter.replicas.catch_up() for _ in range(2)))


def test_what_is_learned_while_a_reset_is_under_way_is_stored_and_known_or_neither(own_gateway: Running) -> None:
    arbiter = own_gateway.arbiter

    async def taught_meanwhile() -> None:
        resetting = asyncio.ensure_future(arbiter.actions.reset(Caller("k", Role.OPERATOR)))
        written = []
        while not resetting.done():
            written.append(arbiter.learner.vote("math", "gpt-4o", up=True))
            await asyncio.sleep(0)
        await asyncio.gather(resetting, *written)

    own_gateway.run(taught_meanwhile)
    stored = {(b, m): sums.votes for b, m, sums in own_gateway.run(arbiter.store.load_policy)[0]}
    assert stored["math", "gpt-4o"] > 0, "some came after the store was emptied"
    assert {(b, m): sums.votes for b, m, sums in arbiter.policy.rows()} == stored


def test_what_was_learned_and_could_not_be_written_is_unlearned_again(tmp_path: Path) -> None:
    async def run() -> None:
        store, one = open_store(str(tmp_path / "arbiter.db")), policy()
        await write(store, one.record(seen(1.0)))
        while await store.taught_elsewhere() is not None:
            pass
        learned = one.record(seen(1.0))
        await store.ledger.shadow("d_not_on_record", {"model": "small"}, Lesson(learned.deltas))
        rows = await store.taught_elsewhere()
        assert rows is not None, "nobody else has taught since, but this process knows more than is written"
        one.merge(missing({(bucket, model): sums for bucket, model, sums in one.rows()}, rows))
        assert [sums.calls for _, _, sums in one.rows()] == [1.0]
        while await store.taught_elsewhere() is not None:  # and then it is at rest again
            pass
        store.close()

    asyncio.run(run())
