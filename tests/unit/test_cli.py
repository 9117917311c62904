"""What an operator does in a terminal: keys, backup and restore, export, doctor."""

from __future__ import annotations

import csv
import io
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from arbiter_app import __version__
from arbiter_app.cli import cell, main
from tests.conftest import OPERATOR, Running, running
from tests.served import ROOT, free_port
from tests.stranger import stranger
from tests.waiting import PATIENCE_S

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def arbiter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an empty directory with a store of its own; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARBITER_DB", str(tmp_path / "arbiter.db"))
    monkeypatch.setenv("ARBITER_PORT", str(free_port()))

    def run(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def used(tmp_path: Path, arbiter: Run) -> Run:
    """The same over a store that holds three decisions."""
    with running(tmp_path) as gateway:
        _three(gateway)
    return arbiter


def _three(gateway: Running) -> None:
    for ask in ("what is 17*23?", "=1+1 as JSON please", "write a haiku about rain"):
        assert gateway.chat(ask).status_code == 200
    gateway.settle()


def test_a_created_key_is_shown_once_and_works(arbiter, tmp_path):
    code, secret, told = arbiter("keys", "create", "--email", "dev@example.com", "--label", "laptop")
    assert code == 0 and secret.startswith("arb_") and "shown this once" in told
    _, listed, _ = arbiter("keys", "list")
    key_id = listed.split()[0]
    assert secret.startswith(key_id) and secret.strip() not in listed
    assert "caller" in listed and "active" in listed and "dev@example.com  laptop" in listed
    with running(tmp_path) as gateway, gateway.client(secret.strip()) as client:
        assert client.get("/v1/key").json()["email"] == "dev@example.com"


def test_a_key_is_paused_resumed_and_revoked_for_good(arbiter):
    key_id = arbiter("keys", "create")[1][:12]
    for action, status in (("pause", "paused"), ("resume", "active"), ("revoke", "revoked")):
        assert arbiter("keys", action, key_id)[0] == 0
        assert status in arbiter("keys", "list")[1]
    code, _, told = arbiter("keys", "resume", key_id)
    assert code == 1 and key_id in told


def test_an_unknown_key_and_a_missing_id_are_said_plainly(arbiter):
    assert arbiter("keys", "revoke", "arb_nobody00")[0] == 1
    code, _, told = arbiter("keys", "revoke")
    assert code == 2 and "which key?" in told


def test_a_backup_restores_everything(used, tmp_path):
    assert used("backup", "kept.db")[0] == 0
    assert used("backup", "kept.db")[0] == 1, "a backup is never overwritten"
    used("keys", "create", "--email", "later@example.com")
    code, told, _ = used("restore", "kept.db")
    assert code == 0 and "what was there is kept as" in told
    assert "later@example.com" not in used("keys", "list")[1]
    assert len(used("export", "--format", "jsonl")[1].splitlines()) == 3


def test_what_is_no_backup_is_refused_and_changes_nothing(used, tmp_path):
    before = used("export")[1]
    (tmp_path / "no.db").write_bytes(b"x" * 5000)
    for name in ("no.db", "absent.db"):
        code, _, told = used("restore", name)
        assert code == 1 and name in told
    assert used("export")[1] == before


def test_nothing_is_restored_under_a_serving_arbiter(used, tmp_path, monkeypatch):
    used("backup", "kept.db")
    with running(tmp_path) as gateway:
        monkeypatch.setenv("ARBITER_PORT", str(gateway.port))
        code, _, told = used("restore", "kept.db")
    assert code == 1 and "stop it" in told


def test_the_export_holds_every_decision_newest_first(used, tmp_path):
    rows = list(csv.DictReader(io.StringIO(used("export")[1])))
    assert [row["task"] for row in rows] == ["open", "structured", "math"]
    assert {row["key_id"] for row in rows} == {"settings-1"}
    lines = [json.loads(line) for line in used("export", "--format", "jsonl", "--task", "math")[1].splitlines()]
    assert len(lines) == 1 and lines[0]["cost"] == float(rows[2]["cost"]) > 0
    assert used("export", "--out", "all.csv")[1] == ""
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 4
    assert used("export", "--hours", "0")[1] == ""


def test_calibrating_the_local_arbiter_needs_no_key_by_hand(arbiter, tmp_path, monkeypatch):
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "What is 3 + 4?", "reference": "7"}\n')
    with running(tmp_path) as gateway:
        monkeypatch.setenv("ARBITER_PORT", str(gateway.port))
        code, table, told = arbiter("calibrate", "prompts.jsonl", "--yes")
    assert code == 0 and "gpt-4o" in table and "done: 14 of 14 calls" in told
    assert [line.split()[1:3] for line in arbiter("keys", "list")[1].splitlines()] == [["operator", "revoked"]]


@pytest.mark.parametrize("words", [("--task", "sums"), ("--mode", "best"), ("--status", "200")])
def test_an_export_of_what_does_not_exist_is_no_empty_file(arbiter, words):
    with pytest.raises(SystemExit) as refused:
        arbiter("export", *words)
    assert refused.value.code == 2


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-1+2", "@SUM(A1)", "\t=1", " =1", "\uff1d1"])
def test_a_cell_cannot_become_a_formula(text):
    assert cell(text) == f"'{text}"
    assert (cell(-1), cell(None), cell(["a"])) == (-1, "", '["a"]')


def test_doctor_finds_everything_in_order(used):
    code, said, _ = used("doctor")
    assert code == 0 and not [line for line in said.splitlines() if line.startswith("FAIL")]
    for word in (f"Arbiter {__version__}", "is free", "integrity ok, schema 00", " is current", "14 simulated models"):
        assert word in said
    assert "ARBITER_PORT" in said and "environment" in said


@pytest.mark.parametrize("proxies", ["*", "0.0.0.0/0", "10.0.0.5,::/0"])
def test_doctor_says_that_everybody_is_trusted(arbiter, monkeypatch, proxies):
    monkeypatch.setenv("ARBITER_TRUSTED_PROXIES", proxies)
    code, said, _ = arbiter("doctor")
    assert code == 1 and "ARBITER_TRUSTED_PROXIES trusts everybody" in said


def test_doctor_asks_for_a_vector(arbiter, monkeypatch):
    with stranger() as runtime:
        monkeypatch.setenv("EMBEDDINGS_API_URL", runtime.url)
        code, said, _ = arbiter("doctor")
        assert code == 1 and "the embeddings endpoint's answer holds no vector; no answer is found by meaning" in said
        runtime.say = lambda body: (200, "application/json", b'{"data":[{"embedding":[0.5,1.5]}]}')
        _, said, _ = arbiter("doctor")
        assert "ok    cache     text-embedding-3-small makes vectors of 2 numbers" in said
    code, said, _ = arbiter("doctor")
    assert code == 1 and "FAIL  cache     EMBEDDINGS_API_URL: " in said


def test_doctor_shows_where_a_setting_comes_from_and_masks_secrets(arbiter, tmp_path, monkeypatch):
    (tmp_path / ".env").write_text(f"ARBITER_LIMIT_6H=7\nARBITER_API_KEYS={OPERATOR}\n")
    monkeypatch.setenv("EMBEDDINGS_API_URL", "http://me:hunter2@127.0.0.1/v1")
    _, said, _ = arbiter("doctor")
    shown = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line.startswith(("ARBITER_", "EMB"))}
    assert shown["ARBITER_LIMIT_6H"] == ["7", ".env"] and shown["ARBITER_EPSILON"][1] == "default"
    assert shown["ARBITER_API_KEYS"] == ["(set)", ".env"]
    assert (shown["ARBITER_CACHE"][0], shown["ARBITER_JOIN"][0]) == ("true", "*")  # as .env would say it
    assert OPERATOR not in said and "hunter2" not in said


def test_doctor_finds_a_taken_port_a_damaged_store_and_a_silent_runtime(arbiter, tmp_path, monkeypatch):
    (tmp_path / "arbiter.db").write_bytes(b"not a database at all" * 500)
    monkeypatch.setenv("GATEWAY_API_KEY", "k")
    monkeypatch.setenv("BTL_BASE_URL", f"http://127.0.0.1:{free_port()}/v1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("ARBITER_PORT", str(taken.getsockname()[1]))
        code, said, _ = arbiter("doctor")
    failed = [line for line in said.splitlines() if line.startswith("FAIL")]
    assert code == 1 and [line.split()[1] for line in failed] == ["port", "store", "runtime"]


def test_a_port_that_arbiter_itself_uses_is_in_order(arbiter, tmp_path, monkeypatch):
    with running(tmp_path) as gateway:
        monkeypatch.setenv("ARBITER_PORT", str(gateway.port))
        code, said, _ = arbiter("doctor")
    assert code == 0 and f"Arbiter {__version__} is serving" in said


@pytest.mark.parametrize("what", ["port", "store", "policy"])
def test_serve_says_in_a_line_what_stands_in_its_way(arbiter, tmp_path, monkeypatch, what):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if what == "port":
            monkeypatch.setenv("ARBITER_PORT", str(taken.getsockname()[1]))
        elif what == "store":
            (tmp_path / "arbiter.db").write_bytes(b"not a database at all" * 500)
        else:
            monkeypatch.setenv("ARBITER_POLICY", "lottery")
        code, _, told = arbiter("serve")
    assert code == 1 and told.startswith("arbiter: ") and told.count("\n") == 1
    assert {"port": "in use", "store": "damaged", "policy": "known are arbiter, classic"}[what] in told


RUNTIMES = """
[runtimes.house]
base_url = "{house}"
key_env = "HOUSE_KEY"
[runtimes.silent]
base_url = "http://127.0.0.1:9/v1"
[runtimes.plain]
base_url = "{plain}"
[models."gpt-4o"]
input = 2.5
output = 10
[[models."gpt-4o".deployments]]
[[models."gpt-4o".deployments]]
runtime = "house"
model = "our/gpt-4o"
[[models."gpt-4o".deployments]]
runtime = "plain"
"""


@pytest.fixture
def named(tmp_path, monkeypatch):
    """The default runtime, and two that the catalog names beside a third where nobody listens; only the second has a list."""
    with stranger() as default, stranger() as house, stranger() as plain:
        default.listing = lambda: (200, "application/json", b'{"data":[{"id":"gpt-4o"}]}')
        house.listing = lambda: (200, "application/json", b'{"data":[{"id":"our/gpt-4o"},{"id":"other"}]}')
        (tmp_path / "catalog.toml").write_text(RUNTIMES.format(house=house.url, plain=plain.url))
        given = {"ARBITER_CATALOG": str(tmp_path / "catalog.toml"), "HOUSE_KEY": "house-key-0123456789"}
        for name, value in {**default.settings, **given}.items():
            monkeypatch.setenv(name, value)
        yield house


def test_doctor_looks_at_every_runtime_of_the_catalog(arbiter, named):
    code, said, _ = arbiter("doctor")
    lines = {line.split()[2]: line for line in said.splitlines() if line[6:13] == "runtime" and ": " in line}
    assert code == 1 and "house-key" not in said and named.keys == {"Bearer house-key-0123456789"}
    house, silent, plain = (lines[f"{name}:"] for name in ("house", "silent", "plain"))
    assert house.startswith("ok  ") and "(openai-chat, with the key of HOUSE_KEY) lists 2 models" in house
    assert "ok    pool      on house: gpt-4o (there our/gpt-4o)" in said
    assert silent.startswith("FAIL") and "no connection to 127.0.0.1:9" in silent and "; check base_url" in silent
    assert plain.startswith("ok  ") and "without a key) has no list of models: what the catalog has there" in plain
    assert said.count("on house: ") == 1 and "no model of the catalog is on silent" not in said


def test_doctor_says_what_a_runtime_lacks(arbiter, named, monkeypatch):
    named.listing = lambda: (200, "application/json", b'{"data":[{"id":"other"}]}')
    code, said, _ = arbiter("doctor")
    assert code == 1 and "not listed by house, so not asked of it: our/gpt-4o" in said
    named.listing = lambda: (401, "application/json", b'{"error":{"message":"bad key house-key-0123456789"}}')
    code, said, _ = arbiter("doctor")
    assert code == 1 and "check base_url and HOUSE_KEY" in said and "house-key" not in said
    monkeypatch.delenv("HOUSE_KEY")
    code, said, _ = arbiter("doctor")
    why = "runtime 'house': the environment variable HOUSE_KEY (key_env) is not set"
    assert code == 1 and f"FAIL  runtime   {why}" in said
    assert arbiter("serve") == (1, "", f"arbiter: {why}\n")


def test_a_catalog_that_cannot_be_used_is_said_in_a_line(arbiter, named, tmp_path):
    path = tmp_path / "catalog.toml"
    path.write_text(path.read_text().replace('runtime = "plain"', 'runtime = "plane"'))
    why = "model 'gpt-4o': there is no runtime 'plane'; known are btl, house, plain, silent"
    assert arbiter("serve") == (1, "", f"arbiter: {why}\n")
    code, said, _ = arbiter("doctor")
    assert code == 1 and [line for line in said.splitlines() if line.startswith("FAIL")] == [f"FAIL  runtime   {why}"]


def test_a_mistyped_setting_is_named_without_a_stack(arbiter, monkeypatch):
    monkeypatch.setenv("ARBITER_PROT", "1")
    code, _, told = arbiter("doctor")
    assert code == 1 and told.startswith("arbiter: unknown settings: ARBITER_PROT")


def test_a_store_is_moved_with_one_command(tmp_path: Path, used: Run) -> None:
    source, target = str(tmp_path / "arbiter.db"), str(tmp_path / "other.db")
    code, out, _ = used("move", source, target)
    assert code == 0 and "3 decisions and " in out.splitlines()[-1]
    code, _, err = used("move", source, target)
    assert code == 1 and "holds a store already" in err


@pytest.mark.parametrize("words", [("backup", "b.db"), ("export",), ("export", "--out", "all.csv")])
def test_what_is_not_there_is_neither_backed_up_nor_exported(arbiter, tmp_path, words):
    before = sorted(tmp_path.iterdir())
    code, out, told = arbiter(*words)
    assert (code, out) == (1, "") and told.startswith("arbiter: there is no database") and told.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before, "nor made"


def test_a_backup_that_cannot_be_made_is_one_line(used, tmp_path):
    code, out, told = used("backup", str(tmp_path / "nowhere" / "a.db"))
    assert (code, out) == (1, "") and told.startswith("arbiter: no backup was made in") and told.count("\n") == 1


def test_recorded_traffic_that_is_not_there_is_said(arbiter):
    code, _, told = arbiter("replay", "nowhere.parquet")
    assert code != 0 and "No such file" in told and "pyarrow" not in told


def test_without_its_packages_it_says_where_they_are() -> None:
    bare = subprocess.run(
        [sys.executable, "-S", "-m", "arbiter_app", "doctor"], cwd=ROOT, capture_output=True, text=True
    )
    assert bare.returncode == 1 and "make run" in bare.stderr and "Traceback" not in bare.stderr


def test_whoever_reads_its_output_may_go(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "arbiter_app", "settings"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as one:
        assert one.stdout is not None and one.stderr is not None
        one.stdout.close()
        assert (one.stderr.read(), one.wait(PATIENCE_S)) == (b"", 1)


@pytest.mark.parametrize("hours", ["-1", "nan", "inf", "x"])
def test_an_export_of_hours_that_there_cannot_be_is_refused(arbiter: Run, hours: str) -> None:
    with pytest.raises(SystemExit) as ended:
        arbiter("export", "--hours", hours)
    assert ended.value.code == 2


def test_a_directory_that_is_gone_is_said_in_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    words = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m arbiter_app settings"
    done = subprocess.run(
        ["/bin/sh", "-c", words], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "is gone" in done.stderr


@pytest.mark.parametrize("label", ["\u202e", "a\x1b[2J", " ", "x" * 101])
def test_a_label_that_nobody_can_read_is_refused(arbiter: Run, label: str) -> None:
    code, out, told = arbiter("keys", "create", "--label", label)
    assert (code, out) == (1, "") and told == "arbiter: label must be 1 to 100 visible characters\n"
