"""Replay: recorded traffic of any of the three formats, the figures it gives, and the same policy code as production."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from pyarrow import Table, parquet

from arbiter_app.policy import ModelFacts, PolicySettings, RoutingAsk, Trials, build
from arbiter_app.replay.adapter import ReplayPolicy
from arbiter_app.replay.calibration import calibrated
from arbiter_app.replay.one_run import run_seeded
from arbiter_app.replay.run import main
from arbiter_app.replay.seeded_stream import Outcome, Run, SeededStream
from arbiter_app.replay.traffic import Stream, TrafficError, read_rows, streams

MODELS = {"big": (0.9, 1.0), "fair": (0.88, 0.1), "weak": (0.3, 0.02)}


def rows(count: int = 40, dataset: str = "shop_a", seed: int = 0) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "dataset": dataset,
            "task": ("code", "open")[k % 2],
            "prompt_id": f"p{k:03d}",
            "prompt": f"ask {k}",
            "model": model,
            "quality": float(rng.random() < quality),
            "cost_usd": usd,
            "prompt_tokens": 100,
            "completion_tokens": 50,
        }
        for k in range(count)
        for model, (quality, usd) in MODELS.items()
    ]


def write(path: Path, table: list[dict[str, object]]) -> Path:
    if path.suffix == ".parquet":
        parquet.write_table(Table.from_pylist(table), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as target:
            writer = csv.DictWriter(target, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    else:
        path.write_text("\n".join(json.dumps(row) for row in table), "utf-8")
    return path


def stream(count: int = 300) -> Stream:
    return streams(rows(count), {})[0]


def test_the_three_formats_read_alike(tmp_path: Path) -> None:
    found = [streams(read_rows(write(tmp_path / f"t.{kind}", rows())), {})[0] for kind in ("parquet", "csv", "jsonl")]
    for other in found[1:]:
        assert (other.tasks, other.prompts, other.models) == (found[0].tasks, found[0].prompts, found[0].models)
        np.testing.assert_array_equal(other.quality, found[0].quality)
        np.testing.assert_array_equal(other.tokens, found[0].tokens)


def test_prompts_that_lack_a_model_are_left_out() -> None:
    table = rows(10)
    del table[0]
    assert len(streams(table, {})[0]) == 9


def test_a_file_without_quality_says_so(tmp_path: Path) -> None:
    table = [{key: value for key, value in row.items() if key != "quality"} for row in rows(2)]
    with pytest.raises(TrafficError, match="no column quality"):
        read_rows(write(tmp_path / "t.csv", table))


def test_mixes_share_one_pool_and_may_narrow_it() -> None:
    table = [*rows(5, "shop_a"), *rows(7, "shop_b")]
    found = {one.name: one for one in streams(table, {"both": "shop_*", "two": "shop_*:big,weak"})}
    assert len(found["both"]) == 12
    assert found["two"].models == ("big", "weak")


def test_always_best_costs_one_and_hindsight_takes_the_cheapest_good_model() -> None:
    best, fixed = run_seeded(stream(), "always_best", 0)[2], run_seeded(stream(), "hindsight_static", 0)[2]
    assert best["loss"] == pytest.approx(1.0)
    assert fixed["loss"] == pytest.approx(0.1)


def test_loss_is_money_plus_shortfall_below_the_band() -> None:
    one = stream()
    seeded = SeededStream(one, seed=3)
    weak = one.models.index("weak")
    figures = seeded.judge(Run(np.full(len(one), weak), np.zeros(len(one))))
    means = {task: one.quality[np.array(one.tasks) == task].mean(0) for task in ("code", "open")}
    short = np.mean([max(0.0, means[task].max() - 0.05 - means[task][weak]) for task in one.tasks])
    assert figures["loss"] == pytest.approx(0.02 + short / 0.05)


@pytest.mark.parametrize("scenario", ["price", "quality"])
def test_a_change_hits_the_model_used_most_from_half_of_the_stream(scenario: str) -> None:
    one = stream()
    seeded = SeededStream(one, seed=1, scenario=scenario)
    fair = one.models.index("fair")
    seen: list[tuple[float, float]] = []
    run = seeded.run(lambda place: [fair], lambda told: seen.append((told.quality, told.usd)))
    assert seeded.target == fair
    before, after = seen[: seeded.half], seen[seeded.half :]
    if scenario == "price":
        assert {cost for _, cost in before} == {0.1} and {cost for _, cost in after} == {0.8}
    else:
        assert max(quality for quality, _ in after) == pytest.approx(0.3)
    assert seeded.judge(run).get("recover_at", float("inf")) == float("inf")


def test_a_policy_that_leaves_the_changed_model_has_recovered() -> None:
    one = stream()
    seeded = SeededStream(one, seed=1, scenario="quality")
    fair, big = one.models.index("fair"), one.models.index("big")
    calls: list[int] = []
    run = seeded.run(
        lambda place: [fair if len(calls) < seeded.half + 5 else big], lambda told: calls.append(told.model)
    )
    assert seeded.judge(run)["recover_at"] == 50.0


def test_what_is_asked_beside_an_answer_is_paid_for_and_serves_nobody() -> None:
    one = stream()
    seeded, told = SeededStream(one, seed=1), list[Outcome]()
    weak, big = one.models.index("weak"), one.models.index("big")
    run = seeded.run(lambda place: [big, weak], told.append)
    alone = seeded.judge(Run(run.picks, np.zeros(len(one))))
    both = seeded.judge(run)
    assert [seen.shadow for seen in told[:4]] == [False, True, False, True]
    assert {seen.model for seen in told if seen.shadow} == {weak}
    assert both["shadow"] == pytest.approx(0.02) and alone["shadow"] == 0.0
    assert both["loss"] == pytest.approx(alone["loss"] + 0.02)
    assert both["quality"] == alone["quality"]
    assert np.mean([both[f"loss_q{at}"] for at in range(1, 5)]) == pytest.approx(both["loss"])
    assert np.mean([both[f"shortfall_q{at}"] for at in range(1, 5)]) == pytest.approx(both["shortfall"])


def test_the_default_policy_learns_beside_answers_from_pairs_with_the_baseline() -> None:
    seeded = SeededStream(stream(), seed=0)
    adapter = ReplayPolicy(seed=0, prices=seeded.prices, baseline="big")
    beside = 0
    for _ in range(60):
        served, *shadows = adapter.choose("code", "ask", ("big", "fair", "weak"))
        adapter.record("code", "ask", served, 1.0, 1.0)
        for model in shadows:
            adapter.record("code", "ask", model, 0.01, 0.5, shadow=True)
        beside += len(shadows)
    known = {model: stats for _, model, stats in adapter.policy.rows()}
    assert beside > 5
    assert sum(stats.shadow_n for stats in known.values()) == beside
    assert adapter.policy.learning()["shadow_calls"] == beside
    assert adapter.policy.learning()["calls"] == 60
    assert adapter.policy.learning()["explore_usd"] == pytest.approx(0.01 * beside)
    assert known["big"].paired == 0
    weak = known["weak"]
    assert weak.paired == weak.shadow_n > 0
    assert (weak.paired_sum, weak.beside_sum, weak.paired_product) == tuple(
        weak.paired * each for each in (0.5, 1, 0.5)
    )


def test_the_adapter_decides_with_production_code() -> None:
    seeded = SeededStream(stream(), seed=0)
    adapter = ReplayPolicy(seed=0, prices=seeded.prices, baseline="big")
    facts = {model: ModelFacts(coarse_request_usd=usd) for model, usd in seeded.prices.items()}
    policy = build("arbiter", catalog=facts, baseline="big", settings=PolicySettings())
    ask = RoutingAsk("code", "ask", ("big", "fair", "weak"), trials=Trials.SHADOW)
    choice = policy.choose(ask, 1.0, 1)
    assert adapter.choose("code", "ask", ("big", "fair", "weak")) == (choice.model, *choice.shadows)


def test_the_learning_policy_beats_always_best_where_a_cheap_model_is_as_good() -> None:
    assert np.mean([run_seeded(stream(600), "arbiter", seed)[2]["loss"] for seed in range(5)]) < 0.8


def test_calibration_is_paid_for_and_skips_models_dearer_than_the_best() -> None:
    one = stream()
    seeded = SeededStream(one, seed=0)
    policy = ReplayPolicy(prices=seeded.prices, baseline="big")
    assert calibrated(seeded, policy, 20) == pytest.approx(20 * 1.12)
    assert policy.policy.learning()["explore_calls"] == 0
    assert run_seeded(one, "arbiter", 0, calibrate=20)[2]["cost_vs_best"] > 20 * 1.12 / 300


def test_the_command_prints_json_and_writes_a_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, plot = write(tmp_path / "t.csv", rows(60)), tmp_path / "plot.html"
    code = main(
        [str(file), "--seeds", "2", "--policy", "arbiter", "--policy", "classic", "--json", "--html", str(plot)]
    )
    printed = json.loads(capsys.readouterr().out)
    assert code == 0
    assert set(printed["policies"]) == {"arbiter", "classic"}
    assert printed["policies"]["arbiter"]["streams"]["shop_a"]["runs"] == 2
    assert "plotly" in plot.read_text("utf-8")


def loss_of(
    capsys: pytest.CaptureFixture[str], file: Path, policy: str, *arguments: str, figure: str = "cost_vs_best"
) -> float:
    assert main([str(file), "--seeds", "1", "--json", "--policy", policy, *arguments]) == 0
    found = json.loads(capsys.readouterr().out)["policies"][policy]["streams"]["shop_a"][figure]
    assert isinstance(found, float)
    return found


def test_the_command_takes_the_routing_settings_of_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "t.csv", rows(200))
    monkeypatch.chdir(tmp_path)
    assert loss_of(capsys, file, "arbiter", figure="explore_usd_share") > 0
    monkeypatch.setenv("ARBITER_SHADOW_SHARE", "0")
    assert loss_of(capsys, file, "arbiter", figure="explore_usd_share") == 0
    monkeypatch.setenv("ARBITER_EXPLORE_SHARE", "2")
    assert main([str(file)]) == 1
    assert "explore_share" in capsys.readouterr().err


def test_the_baseline_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "t.csv", rows(200))
    assert loss_of(capsys, file, "always_baseline", "--baseline", "weak") == pytest.approx(0.02)
    assert loss_of(capsys, file, "arbiter", "--baseline", "fair") < 0.3 < loss_of(capsys, file, "arbiter")
    assert main([str(file), "--baseline", "nobody"]) == 1
    assert "big, fair, weak" in capsys.readouterr().err


def test_the_command_names_what_is_wrong_with_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.csv")]) == 1
    assert "none.csv" in capsys.readouterr().err


def test_a_bad_mix_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "t.csv", rows(4))
    assert main([str(file), "--mix", "nonsense"]) == 1
    assert "NAME=PATTERN" in capsys.readouterr().err


def test_the_command_takes_settings_and_prints_what_they_hash_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, seen = write(tmp_path / "t.csv", rows(60)), []
    for changes in ([], ["--set", "quality_tolerance=0.05"], ["--set", "ARBITER_QUALITY_TOLERANCE=0.2"]):
        assert main([str(file), "--seeds", "1", "--policy", "arbiter", "--json", *changes]) == 0
        printed = json.loads(capsys.readouterr().out)
        seen.append((printed["hash"], printed["settings"]["quality_tolerance"]))
    assert seen[0] == seen[1] and seen[0][0] != seen[2][0]
    assert [value for _, value in seen] == [0.05, 0.05, 0.2]
    assert main([str(file), "--seeds", "1", "--policy", "arbiter", "--set", "explore_share=0"]) == 0
    assert "explore_share=0" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["nonsense=1", "caution", "caution=much", "explore_share=2"])
def test_a_setting_that_is_none_is_refused(change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(write(tmp_path / "t.csv", rows(20))), "--set", change]) == 1
    assert "--set" in capsys.readouterr().err


def test_trials_may_be_answers_in_a_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "t.csv", rows(200))
    assert loss_of(capsys, file, "arbiter", figure="shadow") > 0
    assert loss_of(capsys, file, "arbiter", "--trials", "served", figure="shadow") == 0
    assert loss_of(capsys, file, "arbiter", "--trials", "served", figure="explore_share") > 0
