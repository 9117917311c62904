"""A published benchmark stands beside Arbiter's row: the regret is the paper's, of both kinds of files, and the table is the published one."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from arbiter_app.policy import PolicySettings
from arbiter_app.replay.benchmark import BENCHMARKS, measured, read, regrets
from arbiter_app.replay.run import main
from arbiter_app.replay.seeded_stream import Run, SeededStream
from arbiter_app.replay.traffic import TrafficError

MODELS = {"opus": (0.6, 0.02), "kimi": (0.58, 0.001)}


def file(path: Path, count: int = 120) -> Path:
    """As the benchmark's own results are written."""
    rng = np.random.default_rng(1)
    with path.open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow(["task_id", "dimension", "model", "score", "cost_usd", "input_tokens"])
        for at in range(count):
            for model, (quality, usd) in MODELS.items():
                writer.writerow([f"t{at:03d}", f"dim{at % 2}", model, float(rng.random() < quality), usd, 100])
    return path


def test_regret_is_what_the_best_choice_would_have_been_worth_more(tmp_path: Path) -> None:
    stream = read(file(tmp_path / "results.csv", 60))
    assert (stream.models, set(stream.tasks), len(stream)) == (("kimi", "opus"), {"dim0", "dim1"}, 60)
    seeded = SeededStream(stream, 0)
    picks = np.ones(60, dtype=np.intp)
    told = regrets(stream, seeded, Run(picks, np.full(60, 0.01)))
    kimi, opus = stream.quality[seeded.order].T
    best = np.maximum(kimi - 0.1 * 0.001, opus - 0.1 * 0.02)
    assert told == pytest.approx(np.cumsum(best - (opus - 0.1 * 0.02 - 0.1 * 0.01)))
    assert (np.diff(told) >= 0).all()


def test_a_benchmark_of_several_datasets_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    head, line = "dataset,task,prompt_id,model,quality,cost_usd", "{},code,1,opus,1,0.1"
    path.write_text("\n".join([head, line.format("a"), line.format("b")]), "utf-8")
    with pytest.raises(TrafficError, match="2 datasets"):
        read(path)


def test_the_command_prints_the_published_table_with_arbiters_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = file(tmp_path / "results.csv")
    assert main([str(path), "--benchmark", "coderouterbench", "--seeds", "2"]) == 0
    told = capsys.readouterr().out
    rows = [line for line in told.splitlines() if line.rstrip().endswith(("paper", "here"))]
    lines = {line.split("  ")[1].strip(): line for line in rows}
    published = BENCHMARKS["coderouterbench"].lines
    assert {one.router for one in published} < set(lines)
    assert "49.98" in lines["ACRouter"] and "205.5" in lines["ACRouter"]
    ours = next(iter(measured(read(path), 2, "", PolicySettings())))
    assert ours.regret[1:3] == (None, None) and ours.regret[0] is not None and ours.regret[3] is not None
    assert f"{ours.score:.2f}" in lines["Arbiter"] and f"{ours.regret[3]:.1f}" in lines["Arbiter"]
    like = (57 - ours.score) / 100 * 2919 + 0.1 * (ours.usd / 120 * 2919 - 6.95)
    assert f"{like:.1f}  " in lines["Arbiter"], "against the published oracle"
    assert f"{ours.usd:.2f} " in lines["Arbiter"] and f"{ours.usd / 120 * 2919:.2f} " in lines["Arbiter"]
    assert main([str(tmp_path / "none.csv"), "--benchmark", "coderouterbench"]) == 1
