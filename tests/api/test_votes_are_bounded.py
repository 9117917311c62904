"""Nobody moves a bucket alone: what a thumb counts for the choice is bounded, and the same after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import databases
from tests.conftest import Running, running
from tests.stores import rounded

DATABASES = databases.KINDS

MODELS = ["gpt-4o", "gpt-4o-mini"]


def votes(gateway: Running) -> dict[str, tuple[float, float]]:
    """Votes and up votes that count, by model, over all buckets."""
    found: dict[str, tuple[float, float]] = {}
    for _, model, stats in gateway.arbiter.policy.rows():
        n, up = found.get(model, (0.0, 0.0))
        found[model] = n + stats.votes, up + stats.votes_sum
    return found


def ask(gateway: Running, text: str, **fields: Any) -> dict[str, Any]:
    block: dict[str, Any] = gateway.chat(text, **{"arbiter_models": MODELS, **fields}).json()["arbiter"]
    return block


def vote(gateway: Running, block: dict[str, Any], rating: str) -> None:
    told = gateway.http.post("/v1/feedback", json={"decision_id": block["decision_id"], "rating": rating})
    assert told.status_code == 200


def test_a_pinned_answers_vote_is_kept_and_does_not_count_for_the_choice(own_gateway: Running) -> None:
    for at in range(50):
        vote(own_gateway, ask(own_gateway, f"Calculate {at} * 7", arbiter_pin="gpt-4o-mini"), "down")
    assert votes(own_gateway)["gpt-4o-mini"] == (0.0, 0.0)
    kept = own_gateway.arbiter.store.read_now(lambda c: c.exec_driver_sql("SELECT count(*) FROM feedback").scalar())
    assert kept == 50


def test_turning_a_thumb_up_and_down_leaves_one_vote(own_gateway: Running) -> None:
    block = ask(own_gateway, "Calculate 3 * 7")
    for at in range(101):
        vote(own_gateway, block, "down" if at % 2 else "up")
    assert votes(own_gateway)[block["model"]] == (1.0, 1.0)


def test_a_conversation_has_one_vote_a_day(own_gateway: Running) -> None:
    for at in range(10):
        vote(own_gateway, ask(own_gateway, f"Calculate {at} * 7", metadata={"conversation_id": "c"}), "down")
    assert sum(n for n, _ in votes(own_gateway).values()) == 1.0


def test_a_caller_has_few_votes_in_a_bucket_and_day_whatever_its_keys_and_conversations(own_gateway: Running) -> None:
    for secret in [own_gateway.caller("A@example.org"), own_gateway.caller("a@example.org")]:
        with own_gateway.client(secret) as caller:
            for at in range(8):
                body = {"messages": [{"role": "user", "content": f"Calculate {at} * 7"}], "arbiter_models": MODELS}
                block = caller.post("/v1/chat/completions", json=body)
                told = {"decision_id": block.json()["arbiter"]["decision_id"], "rating": "down"}
                assert caller.post("/v1/feedback", json=told).status_code == 200
    assert sum(n for n, _ in votes(own_gateway).values()) == 5.0


def test_votes_are_the_same_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        blocks = [ask(first, f"Calculate {at} * 7") for at in range(3)]
        for block, rating in zip(blocks, ("up", "down", "up"), strict=True):
            vote(first, block, rating)
        before, told = votes(first), first.http.get("/v1/policy").json()
    with running(tmp_path) as second:
        assert votes(second) == before
        assert rounded(second.http.get("/v1/policy").json()) == rounded(told)
        vote(second, blocks[0], "up")
        assert votes(second) == before, "the same thumb again changes nothing"


def test_after_a_reset_an_old_decision_takes_no_vote(own_gateway: Running) -> None:
    block = ask(own_gateway, "Calculate 3 * 7")
    assert own_gateway.http.post("/v1/reset").status_code == 200
    told = own_gateway.http.post("/v1/feedback", json={"decision_id": block["decision_id"], "rating": "up"})
    assert told.status_code == 404
    assert votes(own_gateway) == {}
