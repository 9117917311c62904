"""Calibration over HTTP: price first, every prompt on every model, taught once however often it is interrupted, capped."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson

from arbiter_app import cli
from arbiter_app.runtime.sandbox.world import Fault
from arbiter_app.store import calibrations as stored
from tests import databases
from tests.conftest import OPERATOR, Running, running
from tests.served import TLS
from tests.waiting import until

DATABASES = databases.KINDS

PRICES = "/v1/calibrations"


def prompts(n: int, **others: Any) -> str:
    lines = [{"prompt": f"Calculate {at} * 24", "task": "math", "reference": at * 24, **others} for at in range(n)]
    return "\n".join(orjson.dumps(line).decode() for line in lines)


def create(gateway: Running, jsonl: str, **fields: Any) -> dict[str, Any]:
    answer = gateway.http.post(PRICES, json={"jsonl": jsonl, **fields})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def ended(gateway: Running, calibration_id: str) -> dict[str, Any]:
    """The calibration once it runs no more."""
    seen: dict[str, Any] = {"state": "running"}

    def is_over() -> bool:
        seen.update(gateway.http.get(f"{PRICES}/{calibration_id}").json())
        return seen["state"] != "running"

    until(is_over)
    return seen


def go_on(gateway: Running, calibration_id: str, **fields: Any) -> None:
    """Start it again."""
    answer = gateway.http.post(f"{PRICES}/{calibration_id}/start", json=fields)
    assert answer.status_code == 200, answer.text


def learned(gateway: Running, bucket: str = "math") -> dict[str, tuple[float, float]]:
    rows = gateway.http.get("/v1/policy").json()["buckets"].get(bucket, [])
    return {row["model"]: (row["calls"], row["n"]) for row in rows}


def test_every_prompt_runs_on_every_model_and_teaches_once(own_gateway: Running) -> None:
    made = create(own_gateway, prompts(4))
    assert (made["state"], made["total"], made["done"]) == ("ready", 4 * 14, 0)
    assert 0 < made["estimate_usd"] < 1
    assert own_gateway.world.calls.total() == 0, "nothing is called before it is started"
    go_on(own_gateway, made["id"])
    seen = ended(own_gateway, made["id"])
    assert (seen["state"], seen["done"], seen["failed"]) == ("done", 56, 0)
    assert set(learned(own_gateway).values()) == {(4.0, 4.0)}
    newest = own_gateway.http.get("/v1/recent", params={"limit": 1}).json()["data"][0]["id"]
    trace = own_gateway.http.get(f"/v1/decisions/{newest}").json()["trace"]
    assert trace["call"]["ms"] >= trace["call"]["attempts"][0]["ms"] > 0, "the stage took what its call took"
    assert sum(row["n"] for row in seen["table"]) == 56
    report = own_gateway.http.get("/v1/report").json()
    assert report["actual_spend"] == seen["spent_usd"] == report["calibrate_spend"]
    assert (report["baseline_spend"], report["unmeasured_calls"], report["explore_calls"]) == (0, 0, 0)
    assert Decimal(repr(report["saved"])) == -Decimal(repr(report["actual_spend"])), "what it cost counts against us"
    for _ in range(2):  # going on with what is done changes nothing
        go_on(own_gateway, made["id"])
        assert ended(own_gateway, made["id"])["done"] == 56
    assert set(learned(own_gateway).values()) == {(4.0, 4.0)}
    assert create(own_gateway, prompts(4))["id"] == made["id"], "the same prompts are the same calibration"
    assert create(own_gateway, prompts(4), again=True)["id"] != made["id"]


def test_it_stops_before_its_cap_and_goes_on_under_a_higher_one(own_gateway: Running) -> None:
    made = create(own_gateway, prompts(6, max_tokens=64), max_usd=0.0015, start=True)
    seen = ended(own_gateway, made["id"])
    assert (seen["state"], seen["note"][:35]) == ("capped", "stopped before the cap of $0.0015; ")
    assert 0 < seen["done"] < seen["total"]
    assert seen["spent_usd"] < 0.0015
    go_on(own_gateway, made["id"], max_usd=1.0)
    assert ended(own_gateway, made["id"])["done"] == 84
    assert set(learned(own_gateway).values()) == {(6.0, 6.0)}


def test_no_call_is_begun_that_might_pass_the_cap(own_gateway: Running) -> None:
    for model in own_gateway.arbiter.catalog.pool:
        on = model.id == "gpt-4o"
        own_gateway.http.patch(f"/v1/pool/models/{model.id}", json={"routable": on}).raise_for_status()
    made = create(own_gateway, prompts(3, max_tokens=64), max_usd=0.0005, start=True)  # 64 tokens cost 0.00064
    seen = ended(own_gateway, made["id"])
    assert (seen["state"], seen["done"], own_gateway.world.calls.total()) == ("capped", 0, 0)


def test_cancelled_or_killed_it_goes_on_where_it_was(tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_SANDBOX_LATENCY="0.05") as one:
        made = create(one, prompts(8), start=True)
        while one.http.get(f"{PRICES}/{made['id']}").json()["done"] < 10:
            pass
        refused = one.http.post(f"{PRICES}/{made['id']}/start", json={})
        assert (refused.status_code, "is running" in refused.json()["error"]["message"]) == (422, True)
        seen = one.http.post(f"{PRICES}/{made['id']}/cancel").json()
        assert (seen["state"], 10 <= seen["done"] < 112) == ("cancelled", True)
        go_on(one, made["id"])
        while one.http.get(f"{PRICES}/{made['id']}").json()["done"] < 60:
            pass
    with running(tmp_path) as again:
        seen = again.http.get(f"{PRICES}/{made['id']}").json()
        assert (seen["state"], 60 <= seen["done"] < 112) == ("interrupted", True)
        assert sum(calls for calls, _ in learned(again).values()) == seen["done"]
        go_on(again, made["id"])
        assert ended(again, made["id"])["done"] == 112
        assert set(learned(again).values()) == {(8.0, 8.0)}


def test_without_a_check_the_judge_grades_and_its_grades_weigh_what_it_is_worth(own_gateway: Running) -> None:
    made = create(own_gateway, '{"prompt": "Write a poem about the sea", "task": "open"}', start=True)
    seen = ended(own_gateway, made["id"])
    assert [row["judged"] for row in seen["table"]] == [1] * 14
    weights = {weight for _, weight in learned(own_gateway, "open").values()}
    assert weights == {own_gateway.arbiter.judging.trust("open").weight}
    assert own_gateway.world.kinds["judge"] == 14


def test_a_runtime_that_is_down_is_said_and_what_failed_can_be_repeated(own_gateway: Running) -> None:
    own_gateway.world.faults["*"] = Fault(status=500)
    made = create(own_gateway, prompts(3), start=True)
    seen = ended(own_gateway, made["id"])
    assert (seen["state"], seen["done"]) == ("failed", 0)
    assert seen["note"].startswith("the runtime answers nothing: ")
    own_gateway.world.faults.clear()
    own_gateway.arbiter.health.forget()
    go_on(own_gateway, made["id"])
    assert ended(own_gateway, made["id"])["done"] == 42


def test_one_that_is_on_record_as_ended_can_be_started_at_once(own_gateway: Running) -> None:
    own_gateway.world.faults["*"] = Fault(status=500)
    made = create(own_gateway, prompts(1))
    calibrations, store = own_gateway.arbiter.calibrations, own_gateway.arbiter.store

    async def as_soon_as_it_is_seen() -> dict[str, Any]:
        await calibrations.start(made["id"])
        # Looks at every turn of the loop: its task takes a few more to hear that the end has been written.
        while store.read_now(stored.one, made["id"])["state"] == "running":  # noqa: ASYNC110
            await asyncio.sleep(0)
        return await calibrations.start(made["id"])

    assert own_gateway.run(as_soon_as_it_is_seen)["id"] == made["id"]
    assert ended(own_gateway, made["id"])["state"] == "failed"
    assert own_gateway.world.calls.total() == 2 * len(own_gateway.arbiter.catalog.pool), "it ran twice"


def test_a_reset_ends_it_and_another_can_be_started_at_once(own_gateway: Running) -> None:
    own_gateway.world.faults["*"] = Fault(stall_s=0.05)
    first = create(own_gateway, prompts(200), start=True, max_usd=50)
    until(lambda: own_gateway.http.get(f"{PRICES}/{first['id']}").json()["done"] > 0)
    assert own_gateway.http.post("/v1/reset").status_code == 200
    second = create(own_gateway, prompts(2), start=True, max_usd=50)  # waits for calls under way, which are paid for
    begun = own_gateway.world.calls.total()
    assert ended(own_gateway, second["id"])["state"] == "done"
    assert own_gateway.world.calls.total() - begun <= second["total"] + 1
    assert own_gateway.http.get(f"{PRICES}/{first['id']}").status_code == 404


def test_of_two_that_are_started_in_one_moment_one_runs(own_gateway: Running) -> None:
    one, other = create(own_gateway, prompts(1)), create(own_gateway, prompts(2))
    calibrations = own_gateway.arbiter.calibrations
    own_gateway.world.faults["*"] = Fault(stall_s=2, count=1)  # it runs while the other one is looked at

    async def both() -> list[dict[str, Any] | BaseException]:
        return await asyncio.gather(*[calibrations.start(it["id"]) for it in (one, other)], return_exceptions=True)

    started, refused = own_gateway.run(both)
    assert isinstance(started, dict)
    assert str(refused) == f"calibration {one['id']} is running; cancel it, or wait for its end"
    assert ended(own_gateway, one["id"])["state"] == "done"
    assert own_gateway.http.get(f"{PRICES}/{other['id']}").json()["state"] == "ready"


def test_errors_are_sentences_and_callers_are_refused(gateway: Running) -> None:
    told = gateway.http.post(PRICES, json={"jsonl": '{"prompt": "a"}\n{"promt": "b"}'})
    assert (told.status_code, told.json()["error"]["param"]) == (422, "jsonl")
    assert told.json()["error"]["message"].startswith("line 2: unknown field 'promt'")
    assert gateway.http.post(PRICES, json={"jsonl": prompts(1), "max_usd": 0}).status_code == 422
    assert gateway.http.post(f"{PRICES}/cal_none/start", json={}).status_code == 404
    with gateway.client(gateway.caller()) as caller:
        assert caller.post(PRICES, json={"jsonl": prompts(1)}).status_code == 403
    assert httpx.get(gateway.url + PRICES, verify=TLS).status_code == 401


def test_the_command_line_shows_the_price_runs_and_is_idempotent(
    own_gateway: Running, tmp_path: Path, capsys: Any
) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(prompts(3))
    words = ["calibrate", str(file), "--base-url", own_gateway.url, "--key", OPERATOR, "--yes"]
    assert cli.main(words) == 0
    told = capsys.readouterr()
    assert "3 prompts on 14 models, 42 calls to make, about $0.0" in told.err.replace("\n", " ")
    assert "done: 42 of 42 calls" in told.err
    assert told.out.count("math") == 14
    assert cli.main(words) == 0
    assert "was run before" in capsys.readouterr().err
    assert set(learned(own_gateway).values()) == {(3.0, 3.0)}
    file.write_text("no json")
    assert cli.main(words) == 1
    assert "line 1 is no JSON" in capsys.readouterr().err
    assert cli.main([*words[:3], "http://127.0.0.1:9", *words[4:]]) == 1
    assert "no Arbiter answers on 127.0.0.1:9" in capsys.readouterr().err


def test_callers_come_before_it_and_a_drain_interrupts_it(tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_MAX_CONCURRENCY="1", ARBITER_SANDBOX_LATENCY="0.05") as one:
        requests = one.arbiter.requests

        async def leave() -> None:
            requests.admission.leave()

        async def drain() -> None:
            requests.drain(30)

        one.run(requests.admission.enter)
        made = create(one, prompts(3), start=True)
        until(lambda: requests.in_work)
        assert (one.world.calls.total(), requests.admission.waiting) == (0, 0), "it waits, and in nobody's way"
        one.run(leave)
        until(lambda: one.world.calls.total() > 0)
        one.run(drain)
        seen = ended(one, made["id"])
        assert (seen["state"], seen["failed"]) == ("interrupted", 0)
        assert 0 < seen["done"] < seen["total"]
