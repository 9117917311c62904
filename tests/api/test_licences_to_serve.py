"""Where only licensed models serve, callers get the baseline until another is proven; the licence is told, and lost with its grounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from arbiter_app.settings import SettingsError, load_settings
from tests.conftest import Running, running

QUICK = {
    "ARBITER_SHADOW": "on",
    "ARBITER_SHADOW_PER_S": "1000",
    "ARBITER_JUDGE_CHECK": "0",
    "ARBITER_QUALITY_TOLERANCE": "0.45",
}


def served(gateway: Running, at: int, **fields: Any) -> str:
    """Who answers one sum, once nothing is asked beside it any more; one that escalated counts for who failed."""
    told = gateway.chat(f"Calculate {at} * 24", **fields).json()["arbiter"]
    gateway.settle()
    return str(told["cascaded_from"] or told["model"])


def licensed(gateway: Running) -> dict[str, bool]:
    """Who was compared with the baseline in sums, and has a licence."""
    rows = gateway.http.get("/v1/report").json()["licences"]
    return {row["model"]: row["licensed"] for row in rows if row["bucket"] == "math"}


def test_callers_get_the_baseline_until_another_model_is_proven(tmp_path: Path) -> None:
    with running(tmp_path, **QUICK, ARBITER_SERVE="licensed") as one:
        for at in range(500):
            may = {"gpt-4o", *(model for model, has in licensed(one).items() if has)}
            assert served(one, at) in may
            if len(may) > 1:
                break
        assert at > 20 and served(one, 501) != "gpt-4o", "a proof takes pairs, and then it serves"
        known = {row["model"]: row for row in one.http.get("/v1/policy").json()["buckets"]["math"]}
        told = one.http.get("/metrics").text
        for model, has in licensed(one).items():
            assert known[model]["licensed"] is has and known[model]["pairs"] > 0
            assert f'arbiter_licensed{{bucket="math",model="{model}"}} {float(has)}' in told
            assert (known[model]["at_most_worse"] or 1) <= 0.45 or not has
    with running(tmp_path, **QUICK, ARBITER_SERVE="licensed") as again:
        assert served(again, 502) != "gpt-4o", "licences outlive the process"
        assert again.http.post("/v1/reset").status_code == 200
        assert licensed(again) == {} and served(again, 503) == "gpt-4o"


def test_who_is_held_out_is_asked_beside_the_baseline(tmp_path: Path) -> None:
    with running(tmp_path, **QUICK, ARBITER_HOLDOUT_SHARE="0.5", ARBITER_HOLDOUT_USD_PER_DAY="1000") as one:
        for at in range(80):
            served(one, at, arbiter_models=["gpt-4o", "gpt-4.1-mini"])
        rows = one.http.get("/v1/recent", params={"limit": 30}).json()["data"]
        held = [one.http.get(f"/v1/decisions/{row['id']}").json() for row in rows if row["mode"] == "holdout"]
        assert {row["model"] for row in rows if row["mode"] == "exploit"} == {"gpt-4.1-mini"}, "which serves by now"
        assert held and all([beside["model"] for beside in row["shadows"]] == ["gpt-4.1-mini"] for row in held)


@pytest.mark.parametrize("other", [{"ARBITER_SHADOW": "off"}, {"ARBITER_POLICY": "classic"}])
def test_where_no_licence_can_be_earned_none_may_be_asked_for(other: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="ARBITER_SERVE"):
        load_settings({"ARBITER_SERVE": "licensed", **other}, env_file=None)
