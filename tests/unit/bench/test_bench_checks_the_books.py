"""The workload generator: seeded requests, real HTTP, and books that add up to the last digit."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pyarrow
import pytest
from pyarrow import parquet
from rich.console import Console

from arbiter_app.bench.client import BenchAnswer
from arbiter_app.bench.run import main
from arbiter_app.bench.tally import Tally, problems
from arbiter_app.bench.truth import NoTruth, told, truth, world_of
from arbiter_app.bench.workload import NoPrompts, from_prompts, read_prompts, workload
from arbiter_app.runtime.sandbox.making import make_answer
from arbiter_app.settings import load_settings
from tests.conftest import OPERATOR, running


def bench(*words: str) -> tuple[int, str]:
    """Run the command; returns exit code and everything it printed."""
    printed = io.StringIO()
    return main(words, Console(file=printed, width=160)), printed.getvalue()


def test_a_seed_is_a_workload():
    assert workload(50, 3, 0.3) == workload(50, 3, 0.3) != workload(50, 4, 0.3)


def test_every_kind_of_request_comes_up():
    asks = workload(400, 1, 0.3)
    kinds = Counter(ask.kind for ask in asks)
    assert len(kinds) == 12 and min(kinds.values()) >= 5
    assert 80 < sum("stream" in ask.body for ask in asks) < 160
    assert len({json.dumps(ask.body) for ask in asks}) > 300
    assert any("tools" in ask.body for ask in asks) and any(len(ask.body["messages"]) == 3 for ask in asks)
    assert not [ask for ask in workload(50, 1, 0.0) if "stream" in ask.body]


def test_prompts_come_from_jsonl_and_parquet_once_each(tmp_path):
    prompts = ["first", "second", "first", "", "  ", None]
    (tmp_path / "p.jsonl").write_text("\n".join([*(json.dumps({"prompt": one}) for one in prompts), "", "[1]"]))
    parquet.write_table(pyarrow.table({"prompt": prompts, "cost": range(6)}), tmp_path / "p.parquet")
    for name in ("p.jsonl", "p.parquet"):
        assert read_prompts(tmp_path / name) == ["first", "second"]
    drawn = from_prompts([str(n) for n in range(100)], 10, 1, 0.0)
    assert len({ask.body["messages"][0]["content"] for ask in drawn}) == 10
    assert len(from_prompts(["a", "b"], 10, 1, 0.0)) == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.jsonl", b'{"prompt": "a"}\n{"prompt": ', "line 2"),
        ("p.jsonl", b'{"text": "a"}', "holds no prompt"),
        ("p.parquet", b"PAR1 not really", "p.parquet"),
        ("absent.jsonl", None, "No such file"),
    ],
)
def test_an_unusable_prompt_file_says_why(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(NoPrompts, match=said):
        read_prompts(tmp_path / name)
    assert bench("--prompts", str(tmp_path / name))[0] == 1


def test_a_run_against_a_real_arbiter_adds_up(gateway, tmp_path):
    log = tmp_path / "log.jsonl"
    words = ("--url", gateway.url, "--key", OPERATOR, "--n", "80", "--concurrency", "8", "--log", str(log))
    code, said = bench(*words, "--fresh")
    assert code == 0, said
    for part in ("80/80", "80 requests in", "80 decisions on record", "What each task settled on", "saved $"):
        assert part in said
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 80 and all(line["arbiter"]["task"] and line["status"] == 200 for line in lines)
    code, said = bench(*words, "--seed", "2")
    assert code == 0 and "160 calls" in said, "without --fresh the differences are checked"
    assert bench(*words, "--fresh")[1].count("report: 80 calls") == 1


def test_real_requests_and_what_was_learned_are_spent_with_consent_only(tmp_path, monkeypatch):
    with running(tmp_path, GATEWAY_API_KEY="key", BTL_BASE_URL="http://127.0.0.1:9/v1") as gateway:
        words = ("--url", gateway.url, "--key", OPERATOR, "--n", "3", "--fresh")
        monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
        code, said = bench(*words)
        assert (code, gateway.http.get("/v1/audit").json()["data"]) == (1, [])
        assert "3 requests will be charged" in said and "forgets" in said and "nothing was sent" in said
        bench(*words, "--yes")
        assert len(gateway.http.get("/v1/audit").json()["data"]) == 1


def test_the_reports_interval_is_held_against_the_sandboxs_own_truth(tmp_path):
    with running(tmp_path, ARBITER_HOLDOUT_SHARE="0.3", ARBITER_HOLDOUT_USD_PER_DAY="100") as gateway:
        words = ("--url", gateway.url, "--key", OPERATOR)
        code, said = bench(*words, "--n", "240", "--seed", "5")
        report = gateway.http.get("/v1/report").json()
        assert "other calls" in bench(*words, "--n", "3")[1], "the report covers more than this run"
    assert code == 0 and "ground truth: the baseline would have cost" in said
    saved = float(re.search(r"so \$([-0-9.]+) ", said)[1])
    low, high = report["interval_usd"]
    assert abs(saved - (low + high) / 2) < 3 * (high - low) / 2, "six standard errors off is no chance"
    assert ("NOT inside" not in said) == (low <= saved <= high)


def test_the_truth_is_what_the_baseline_charges_and_claims_nothing_unmeasured():
    world = world_of(load_settings({}, env_file=None))
    body = {"messages": [{"role": "user", "content": "What is 3 * 4?"}]}
    cheap, base = (charge(world, body, model) for model in ("gpt-4o-mini", "gpt-4o"))
    row = {
        "bucket": "math",
        "status": "ok",
        "cost": cheap,
        "answer_cost": cheap,
        "cache": "miss",
        "model": "gpt-4o-mini",
    }
    report = {"calls": 2, "by_bucket": [{"bucket": "math", "measured_calls": 2}], "interval_usd": None}
    report |= {"actual_spend_exact": str(cheap * 2)}
    failed = {**row, "status": "failed"}
    found = truth(world, {"a": body, "b": body}, {"a": row, "b": failed}, report)
    assert (found.baseline, found.saved) == (base, base - cheap * 2)
    assert not found.inside and "states no interval" in told(found)
    claimless = {**report, "by_bucket": [{"bucket": "math", "measured_calls": 0}]}
    assert truth(world, {"a": body, "b": body}, {"a": row, "b": failed}, claimless).saved == 0
    near = replace(found, interval=(found.saved, found.saved + 1))
    assert near.inside and told(near).endswith(": inside")
    assert told(replace(found, interval=(found.saved - 2, found.saved - 1))).endswith("NOT inside")
    with pytest.raises(NoTruth, match="another sandbox"):
        truth(world, {"a": body, "b": body}, {"a": {**row, "answer_cost": cheap * 2}, "b": failed}, report)


def charge(world, body, model):
    return Decimal(make_answer(world, {**body, "model": model}, model).charges["x-btl-customer-charge"])


def test_without_a_key_one_is_made_in_the_local_store_and_revoked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with running(tmp_path, ARBITER_API_KEYS="") as gateway:
        monkeypatch.setenv("ARBITER_DB", str(tmp_path / "arbiter.db"))
        monkeypatch.setenv("ARBITER_PORT", str(gateway.port))
        assert load_settings().port == gateway.port
        code, said = bench("--n", "5")
        keys = gateway.run(gateway.arbiter.store.keys).values()
    assert code == 0, said
    assert [key.status for key in keys if key.label == "bench"] == ["revoked"]


def test_nobody_there_is_said_in_a_sentence():
    code, said = bench("--url", "http://127.0.0.1:9", "--key", "k", "--n", "1")
    assert code == 1 and "no Arbiter answers on 127.0.0.1:9" in said


def test_what_does_not_add_up_is_named():
    tally = Tally()
    for name, cost in (("d_1", "0.000002"), ("d_2", "0.000003")):
        told = {"task": "math", "difficulty": "easy", "classified_by": "rules", "model": "m", "mode": "exploit"}
        tally.add(BenchAnswer(200, {}, {**told, "cost": Decimal(cost), "saved": None}, name, 5.0), {})
    rows = {"d_1": {"cost": Decimal("0.000002")}, "d_2": {"cost": Decimal("0.000003")}}
    zero = {"calls": 0, "actual_spend_exact": "0", "judge_spend": Decimal("0.0"), "learning_spend_exact": "0"}
    right = {"calls": 2, "actual_spend_exact": "0.000007", "judge_spend": Decimal("0.000001")}
    right |= {"learning_spend_exact": "0.000001"}
    assert list(problems(tally, rows, zero, right)) == []
    assert "not on record" in " ".join(problems(tally, {**rows, "d_2": None}, zero, right))
    assert "the record says 4 USD" in " ".join(problems(tally, {**rows, "d_2": {"cost": Decimal(4)}}, zero, right))
    assert "counts 3 calls" in " ".join(problems(tally, rows, zero, {**right, "calls": 3}))
    off = {**right, "actual_spend_exact": "0.000007000001"}
    assert "add up to 0.000005 USD" in " ".join(problems(tally, rows, zero, off))
    tally.add(BenchAnswer(503, {}, {}, "", 1.0, "draining"), {})
    assert "1 requests failed" in " ".join(problems(tally, rows, zero, right))


def test_answers_without_any_known_cost_are_held_against_nothing() -> None:
    """A runtime that states neither charges nor usage is no sandbox."""
    row = {"bucket": "open", "status": "ok", "cost": None, "answer_cost": None, "cache": "off", "model": "gpt-4o"}
    report = {"calls": 1, "by_bucket": [{"bucket": "open", "measured_calls": 0}], "interval_usd": None}
    with pytest.raises(NoTruth, match="no answer has a known cost"):
        truth(world_of(load_settings({}, env_file=None)), {}, {"a": row}, {**report, "actual_spend_exact": "0"})


def test_a_model_that_the_sandbox_has_not_is_no_truth_and_no_crash() -> None:
    world = world_of(load_settings({}, env_file=None))
    row = {"bucket": "open", "status": "ok", "cost": Decimal("0.1"), "answer_cost": Decimal("0.1"), "cache": "off"}
    report = {"calls": 1, "by_bucket": [{"bucket": "open", "measured_calls": 1}], "interval_usd": None}
    asked = {"a": {"messages": [{"role": "user", "content": "Hello"}]}}
    with pytest.raises(NoTruth, match="another runtime"):
        truth(world, asked, {"a": {**row, "model": "house-large"}}, {**report, "actual_spend_exact": "0.1"})
