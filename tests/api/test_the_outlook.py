"""Early on, the report says what is expected to be saved and when that will be proven; then it is."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import running


def test_what_is_expected_is_told_before_it_is_proven_and_comes_true(tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_SHADOW="on", ARBITER_SHADOW_PER_S="1000", ARBITER_JUDGE_CHECK="0") as one:
        assert one.http.get("/v1/report").json()["outlook"] is None, "nothing was asked yet"
        told = []
        for at in range(160):
            one.chat(f"Calculate {at} * 24", arbiter_models=["gpt-4o", "gpt-4.1-mini", "gpt-4o-mini"])
            one.settle()
            report = one.http.get("/v1/report").json()
            told.append((report["outlook"], report["proven"]))
            if report["proven"]:
                break
        proven_after = len(told)
        early = [outlook for outlook, proven in told[8:] if not proven]
        assert told[-1][1] and told[-1][0]["requests_to_go"] is None
        assert all(
            0 <= outlook["likely"][0] <= outlook["saved_pct"] <= outlook["likely"][1] <= 100 for outlook in early
        )
        guesses = [9 + at + one["requests_to_go"] for at, one in enumerate(early) if one["requests_to_go"] is not None]
        assert guesses, "a number was told"
        assert proven_after / 4 <= sorted(guesses)[len(guesses) // 2] <= 4 * proven_after
