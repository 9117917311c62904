"""Requests are told apart by key, project, tag, system prompt and tools; what was learned of them outlives the process, and operators see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import Running, running

QUICK = {
    "ARBITER_SHADOW": "on",
    "ARBITER_SHADOW_PER_S": "1000",
    "ARBITER_JUDGE_CHECK": "0",
    "ARBITER_SEGMENT_SURE": "0",
}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


def asked(gateway: Running, at: int, tag: str, **fields: Any) -> str:
    """Why who answered one sum was chosen, once nothing is asked beside it any more."""
    told = gateway.chat(f"Calculate {at} * 24", user="somebody", metadata={"work": tag}, **fields).json()["arbiter"]
    gateway.settle()
    return str(told["reason"])


def weights(gateway: Running) -> dict[str, float]:
    """The weight of the grades in each segment."""
    return {row["value"]: row["n"] for row in gateway.http.get("/v1/policy").json()["segments"]}


def test_a_thumb_counts_in_the_segment_of_its_decision(tmp_path: Path) -> None:
    with running(tmp_path, **QUICK) as one:
        for at in range(24):
            asked(one, at, ("red", "blue")[at % 2])
        told = one.chat("Calculate 40 * 24", metadata={"work": "red"}, arbiter_no_shadow=True).json()["arbiter"]
        one.settle()
        trace = one.http.get(f"/v1/decisions/{told['decision_id']}").json()["trace"]
        assert ["tag", "work:red"] in trace["route"]["segments"]
    with running(tmp_path, **QUICK) as again:
        before, thumb = weights(again), {"decision_id": told["decision_id"]}
        for rating, more in (("up", 3.0), ("up", 3.0), ("down", 3.0)):
            assert again.http.post("/v1/feedback", json={**thumb, "rating": rating}).status_code == 200
            assert weights(again) == {"work:red": before["work:red"] + more, "work:blue": before["work:blue"]}


def test_a_segment_is_learned_kept_and_told(tmp_path: Path) -> None:
    with running(tmp_path, **QUICK) as one:
        for at in range(24):
            reason = asked(one, at, ("red", "blue")[at % 2])
        assert reason.endswith("; by tag work:blue")
        rows = one.http.get("/v1/policy").json()["segments"]
        assert {(row["bucket"], row["feature"], row["value"]) for row in rows} == {
            ("math", "tag", "work:red"),
            ("math", "tag", "work:blue"),
        }, "one key and one project are no segments"
        assert all(row["n"] > 5 and 0 < row["chance"] < 1 and row["model"] for row in rows)
        parts = one.arbiter.policy.snapshot().state
        assert {name for name in parts if name.startswith("segments/")} == {"segments/math/tag"}
        with one.client("") as anyone:
            assert anyone.get("/v1/policy").json()["segments"] == []
    with running(tmp_path, **QUICK) as again:
        assert asked(again, 30, "red").endswith("; by tag work:red"), "it outlives the process"
        assert not asked(again, 31, "green").endswith("; by tag work:green"), "of which nothing is known"
        for at in range(32, 56):
            system = {"role": "system", "content": ("Be brief.", "Be exact.")[at % 2]}
            asked(
                again,
                at,
                "red",
                messages=[system, {"role": "user", "content": f"Calculate {at} * 24"}],
                tools=[TOOL][at % 3 :],
            )
        names = {name for name in again.arbiter.policy.snapshot().state if name.startswith("segments/math/")}
        assert names == {"segments/math/tag", "segments/math/system"}, "tools are asked for with one set alone"
        assert again.http.post("/v1/reset").status_code == 200
        assert again.http.get("/v1/policy").json()["segments"] == []
