"""One model on two runtimes: the cheaper healthy one answers, the other stands in before another model does; apart in all else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from arbiter_app.runtime.claims import secrets
from tests.conftest import Running, running
from tests.served import OPERATOR as SERVED_KEY
from tests.served import TLS, free_port, served
from tests.stranger import Said, Stranger, chunk, plain, stranger, stream
from tests.waiting import until

HOUSE_KEY = "house-key-0123456789"
DEFAULT_KEY = "default-key-0123456789"
CATALOG = """
[runtimes.house]
base_url = "{house}"
key_env = "HOUSE_KEY"
headers = {{ x-app = "arbiter" }}

[models."gpt-4o"]
input = 2.5
output = 10
context = 128_000
[[models."gpt-4o".deployments]]
[[models."gpt-4o".deployments]]
runtime = "house"
model = "our/gpt-4o"
input = 1
output = 4

[models."gpt-4o-mini"]
input = 0.15
output = 0.6
context = 128_000
"""
FACT = "What is the capital of France?"
PINNED = {"arbiter_pin": "gpt-4o", "arbiter_no_cache": True}


def says(*names: str) -> Said:
    return 200, "application/json", json.dumps({"data": [{"id": name} for name in names]}).encode()


def refusal(status: int, message: str, **fields: Any) -> Callable[[bytes], Said]:
    body = json.dumps({"error": {"message": message, **fields}}).encode()
    return lambda request: (status, "application/json", body)


@contextmanager
def over_both(
    directory: Path, default: Stranger, house: Stranger, catalog: str = CATALOG, **environ: str
) -> Iterator[Running]:
    path = directory / "catalog.toml"
    path.write_text(catalog.format(house=house.url))
    given = {"BTL_BASE_URL": default.url, "GATEWAY_API_KEY": DEFAULT_KEY, "HOUSE_KEY": HOUSE_KEY}
    quiet = {"ARBITER_JUDGE_SAMPLE": "0", "ARBITER_JUDGE_CHECK": "0", "ARBITER_CASCADE": "0"}
    with running(directory, **given, **quiet, ARBITER_CATALOG=str(path), **environ) as one:
        yield one


@pytest.fixture
def default() -> Iterator[Stranger]:
    with stranger() as one:
        one.listing = lambda: says("gpt-4o", "gpt-4o-mini")
        yield one


@pytest.fixture
def house() -> Iterator[Stranger]:
    with stranger() as one:
        one.listing = lambda: says("our/gpt-4o", "unheard-of")
        yield one


@pytest.fixture
def over(tmp_path: Path, default: Stranger, house: Stranger) -> Iterator[Running]:
    with over_both(tmp_path, default, house) as one:
        yield one


def told(over: Running, **fields: Any) -> dict[str, Any]:
    answer = over.chat(FACT, **{**PINNED, **fields})
    assert answer.status_code == 200, answer.text
    block: dict[str, Any] = answer.json()["arbiter"]
    return block


def attempts(over: Running, block: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Model, runtime and status of each."""
    trace = over.http.get(f"/v1/decisions/{block['decision_id']}").json()["trace"]
    return [(one["model"], one["runtime"], one["status"]) for one in trace["call"]["attempts"]]


def asked_of(one: Stranger) -> set[str]:
    """The models that it was asked for."""
    return {json.loads(body)["model"] for body in one.heard}


def resting(over: Running) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = over.http.get("/v1/overview").json()["quarantined"]
    return found


def test_the_cheaper_runtime_answers_under_its_own_name_and_at_its_own_price(
    over: Running, default: Stranger, house: Stranger
) -> None:
    block = told(over)
    assert (block["model"], block["runtime"], block["failover_from"]) == ("gpt-4o", "house", None)
    assert block["cost"] == pytest.approx((5 * 1 + 2 * 4) / 1e6)
    assert asked_of(house) == {"our/gpt-4o"} and asked_of(default) == set()
    assert attempts(over, block) == [("gpt-4o", "house", 200)]


def test_the_other_runtime_stands_in_before_another_model(over: Running, default: Stranger, house: Stranger) -> None:
    house.say = refusal(500, "broken")
    block = told(over, arbiter_pin=None, arbiter_models=["gpt-4o", "gpt-4o-mini"])
    if block["model"] == "gpt-4o-mini":  # the policy's choice, which has one deployment
        block = told(over)
    assert (block["model"], block["runtime"], block["failover_from"]) == ("gpt-4o", "btl", ["gpt-4o@house"])
    assert attempts(over, block) == [("gpt-4o", "house", 500), ("gpt-4o", "btl", 200)]
    assert block["cost"] == pytest.approx((5 * 2.5 + 2 * 10) / 1e6)
    assert resting(over).keys() == {"gpt-4o@house"}


def test_a_conversation_stays_where_its_prompt_is_cached(tmp_path: Path, default: Stranger, house: Stranger) -> None:
    """The dearer runtime stood in once and has the prompt cached: going back to the cheaper one would cost more. The prompt has half
    the tokens that are estimated of it, as the runtime said of the last one."""
    cheap_reads = CATALOG.replace("deployments]]\n[[", "deployments]]\ncached = 0.25\noutput = 4\n[[", 1)
    usage: dict[str, Any] = {"prompt_tokens": 4_000, "completion_tokens": 2}
    usage["prompt_tokens_details"] = {"cached_tokens": 3_990}
    history = [{"role": "system", "content": "word " * 3_900}, {"role": "user", "content": FACT}]
    asked = {**PINNED, "messages": history, "metadata": {"conversation_id": "c-1"}}

    with over_both(tmp_path, default, house, cheap_reads) as over:

        def runtime() -> str:
            answer = over.http.post("/v1/chat/completions", json=asked)
            history.extend([answer.json()["choices"][0]["message"], {"role": "user", "content": "Sure?"}])
            return str(answer.json()["arbiter"]["runtime"])

        house.say, default.say = refusal(500, "broken"), lambda body: plain(usage=usage)
        assert runtime() == "btl"
        house.say = lambda body: plain()
        over.arbiter.health.forget()
        assert runtime() == "btl", "both are well, and a cached prompt is cheaper than a cheap one"
        usage["prompt_tokens_details"] = {"cached_tokens": 10}
        assert [runtime(), runtime()] == ["btl", "house"], "hardly anything is cached any more"


def test_another_model_is_asked_when_both_runtimes_have_failed(
    over: Running, default: Stranger, house: Stranger
) -> None:
    house.say = refusal(500, "broken")
    default.say = lambda body: plain() if b"mini" in body else refusal(503, "overloaded")(body)
    found = [told(over, arbiter_pin=None) for _ in range(3)]
    assert {block["model"] for block in found} == {"gpt-4o-mini"}
    said = over.chat(FACT, **PINNED)
    assert said.status_code == 502
    assert "gpt-4o on house (broken)" in said.text and "gpt-4o on btl (overloaded)" in said.text
    house.say = default.say = lambda body: plain()
    assert told(over)["runtime"] == "house", "whoever is pinned is asked although it rests"
    assert resting(over).keys() == {"gpt-4o@btl"}


def test_a_stream_goes_on_at_the_other_runtime(over: Running, default: Stranger, house: Stranger) -> None:
    house.say = refusal(502, "broken")
    default.say = lambda body: stream(chunk({"role": "assistant", "content": "Paris."}), chunk({}, "stop"))
    text = over.chat(FACT, stream=True, **PINNED).text
    assert '"runtime":"btl"' in text and '"failover_from":["gpt-4o@house"]' in text and "Paris." in text


def test_no_request_fails_while_a_runtime_dies(tmp_path: Path, default: Stranger, house: Stranger) -> None:
    short = {"ARBITER_QUARANTINE_S": "0.05", "ARBITER_QUARANTINE_MAX_S": "0.2", "ARBITER_MAX_QUEUE": "500"}
    with over_both(tmp_path, default, house, **short) as over, ThreadPoolExecutor(8) as crowd:

        def ask(at: int) -> tuple[int, str]:
            answer = over.chat(
                f"{FACT} ({at})", stream=at % 2 == 0, **(PINNED if at % 3 else {"arbiter_no_cache": True})
            )
            return answer.status_code, answer.text

        asked = [crowd.submit(ask, at) for at in range(300)]
        until(lambda: len(house.heard) > 20)
        house.die()
        found = [one.result() for one in asked]
        assert [text for status, text in found if status != 200 or '"error"' in text] == []
        assert len(default.heard) > 50
        rows = [over.http.get(f"/v1/recent?limit=300&status={status}").json()["data"] for status in ("ok", "failed")]
        assert [len(one) for one in rows] == [300, 0]


def test_a_wait_that_one_runtime_asks_for_is_its_own(over: Running, default: Stranger, house: Stranger) -> None:
    house.say, house.headers = refusal(429, "slow down"), {"retry-after": "60"}
    told(over)
    rests = resting(over)
    assert rests.keys() == {"gpt-4o@house"} and 50 < rests["gpt-4o@house"]["seconds_left"] <= 60
    heard = len(house.heard)
    assert {told(over)["runtime"] for _ in range(5)} == {"btl"} and len(house.heard) == heard
    default.say = refusal(429, "slow down")
    said = over.chat(FACT, **PINNED)
    assert said.status_code == 429 and resting(over).keys() == {"gpt-4o@house", "gpt-4o@btl"}


def test_what_one_runtime_refuses_the_other_is_asked_for_at_once(
    over: Running, default: Stranger, house: Stranger
) -> None:
    house.say = refusal(400, "Unsupported parameter: 'logit_bias'", code="unsupported_parameter", param="logit_bias")
    block = told(over, logit_bias={"5": 1})
    assert (block["runtime"], block["failover_from"]) == ("btl", ["gpt-4o@house"])
    assert told(over, logit_bias={"5": 1})["failover_from"] is None, "it is remembered of that runtime"
    house.say = lambda body: plain()
    assert told(over)["runtime"] == "house" and resting(over) == {}


def test_the_policy_has_the_price_of_whoever_would_serve(over: Running, default: Stranger, house: Stranger) -> None:
    def price() -> float:
        facts = over.arbiter.policy._facts["gpt-4o"]  # type: ignore[attr-defined]
        return float(facts.input_usd_per_token)

    told(over)
    assert price() == pytest.approx(1e-6)
    house.say, house.headers = refusal(429, "slow down"), {"retry-after": "60"}
    told(over)
    told(over)
    assert price() == pytest.approx(2.5e-6)
    known = over.arbiter.policy.expected_cost_usd("factual", "gpt-4o", 5, 2)
    house.say, house.headers = lambda body: plain(), {}
    over.arbiter.health.forget()
    told(over)
    assert price() == pytest.approx(1e-6) and known is not None
    assert over.http.get("/v1/alerts").json()["data"] == [], "a deployment that stands in is no shift of a price"


def test_no_runtime_gets_or_tells_the_key_of_the_other(over: Running, default: Stranger, house: Stranger) -> None:
    told(over)
    house.say = refusal(401, f"Incorrect API key provided: {HOUSE_KEY}", code="invalid_api_key")
    block = told(over)
    assert house.keys == {f"Bearer {HOUSE_KEY}"} and default.keys == {f"Bearer {DEFAULT_KEY}"}
    health = over.http.get("/health").json()
    assert health["runtime"] == "the runtime house refuses the key", "and the other's answers do not change that"
    shown = [json.dumps(block), json.dumps(health), *_shown(over, block)]
    assert [text for text in shown if HOUSE_KEY in text] == [] and HOUSE_KEY not in secrets.hide(HOUSE_KEY)
    house.say = lambda body: plain()
    over.arbiter.health.forget()
    assert told(over)["runtime"] == "house" and over.http.get("/health").json()["runtime"] == "ok"


def _shown(over: Running, block: dict[str, Any]) -> list[str]:
    over.run(over.arbiter.alerting.note_standing)
    paths = (f"decisions/{block['decision_id']}", "alerts", "overview", "pricing", "models")
    texts = [over.http.get(f"/v1/{path}").text for path in paths]
    assert "[key]" in texts[0] and "key" in texts[1]
    return texts


def test_a_deployment_that_its_runtime_no_longer_lists_is_out_until_it_is_back(
    tmp_path: Path, default: Stranger, house: Stranger
) -> None:
    with over_both(tmp_path, default, house, ARBITER_CATALOG_REFRESH_S="0.1") as over:
        assert told(over)["runtime"] == "house"
        house.listing = lambda: says("another")
        until(lambda: told(over)["runtime"] == "btl")
        rows = over.http.get("/v1/models").json()["data"]
        pool = {row["id"] for row in rows if row["owned_by"] != "arbiter"}
        assert pool == {"gpt-4o", "gpt-4o-mini"}, "nothing joins from a runtime that the catalog names"
        house.listing = lambda: (500, "application/json", b"{}")
        since = house.listings
        until(lambda: house.listings > since + 2)
        assert told(over)["runtime"] == "btl"
        house.listing = lambda: says("our/gpt-4o")
        until(lambda: told(over)["runtime"] == "house")
        default.listing = lambda: says("gpt-4o-mini")
        until(lambda: over.http.get("/v1/pricing").json()["data"][0]["state"] == "catalog")
        assert told(over)["runtime"] == "house"


def deployments(over: Running) -> dict[str, dict[str, Any]]:
    """What is told of them, by key."""
    rows = over.http.get("/v1/pricing").json()["data"]
    assert "deployments" not in rows[1], "one that names none has none"
    return {one["key"]: one for one in rows[0]["deployments"]}


def test_price_latency_and_health_of_deployments_are_told_apart(
    over: Running, default: Stranger, house: Stranger
) -> None:
    before = deployments(over)
    assert [(one["calls"], one["latency_ms"], one["serving"]) for one in before.values()] == [
        (0, None, True),
        (0, None, False),
    ]
    for _ in range(3):
        told(over)
    house.say, house.headers = refusal(429, "slow down"), {"retry-after": "60"}
    for _ in range(2):
        told(over)
    seen = deployments(over)
    there, here = seen["gpt-4o@house"], seen["gpt-4o@btl"]
    assert (there["runtime_name"], there["input_per_million"], there["output_per_million"]) == ("our/gpt-4o", 1, 4)
    assert (here["runtime_name"], here["input_per_million"], here["output_per_million"]) == ("gpt-4o", 2.5, 10)
    assert (there["calls"], there["failed"], here["calls"], here["failed"]) == (3, 1, 2, 0)
    assert there["cost_per_thousand"] == pytest.approx((5 * 1 + 2 * 4) / 1e6 / 7 * 1000)
    assert here["cost_per_thousand"] == pytest.approx((5 * 2.5 + 2 * 10) / 1e6 / 7 * 1000)
    assert there["latency_ms"] > 0 and here["latency_ms"] > 0
    assert 50 < there["resting_s"] <= 60 and there["reason"] == "slow down" and not there["serving"]
    assert here["resting_s"] == 0 and here["serving"]
    assert "deployments" not in over.http.get("/v1/models").text
    assert 'arbiter_quarantined{model="gpt-4o@house"} 1' in over.http.get("/metrics").text


def test_embeddings_go_to_the_runtime_that_has_the_model(over: Running, default: Stranger, house: Stranger) -> None:
    vectors = json.dumps({"data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 1}}).encode()
    house.say = default.say = lambda body: (200, "application/json", vectors)
    for name, runtime in (("our/gpt-4o", house), ("gpt-4o", default), ("unheard-of", default)):
        before = len(runtime.heard)
        answer = over.http.post("/v1/embeddings", json={"model": name, "input": "x"})
        assert answer.status_code == 200 and len(runtime.heard) == before + 1, name


def test_every_gateway_worker_knows_who_rests_and_all_calls_are_told(
    tmp_path: Path, default: Stranger, house: Stranger
) -> None:
    (tmp_path / "catalog.toml").write_text(CATALOG.format(house=house.url))
    port = free_port()
    given = {"BTL_BASE_URL": default.url, "GATEWAY_API_KEY": DEFAULT_KEY, "HOUSE_KEY": HOUSE_KEY}
    workers = {"ARBITER_WORKERS": "2", "ARBITER_GATEWAY_PORT": str(port), "ARBITER_JUDGE_SAMPLE": "0"}
    with served(tmp_path, **given, **workers, ARBITER_CATALOG=str(tmp_path / "catalog.toml")) as one:
        key = {"authorization": f"Bearer {SERVED_KEY}"}

        def read(path: str) -> Any:
            return httpx.get(f"{one.url}{path}", headers=key, verify=TLS).json()

        def ask() -> str:
            """The runtime that answers, over a connection of its own, so that both workers get some."""
            body = {"messages": [{"role": "user", "content": FACT}], **PINNED}
            answer = httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, headers=key, verify=TLS)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["arbiter"]["runtime"])

        assert {ask() for _ in range(8)} == {"house"}
        house.say, house.headers = refusal(429, "slow down"), {"retry-after": "60"}
        assert ask() == "btl"
        until(lambda: read("/v1/overview")["quarantined"].keys() == {"gpt-4o@house"})
        heard = len(house.heard)
        assert {ask() for _ in range(8)} == {"btl"} and len(house.heard) <= heard + 1
        there, here = read("/v1/pricing")["data"][0]["deployments"]
        assert (there["key"], there["calls"], there["serving"]) == ("gpt-4o@house", 8, False)
        assert (here["key"], here["calls"], here["serving"]) == ("gpt-4o@btl", 9, True)


def test_a_runtime_of_another_dialect_stands_in(tmp_path: Path, default: Stranger, house: Stranger) -> None:
    path = tmp_path / "catalog.toml"
    spoken = (
        'dialect = "anthropic-messages"\nheaders = {{ anthropic-beta = "output-128k-2025-02-19", x-app = "arbiter" }}'
    )
    path.write_text(CATALOG.replace('headers = {{ x-app = "arbiter" }}', spoken).format(house=house.url))
    message = {"type": "message", "role": "assistant", "model": "our/gpt-4o", "stop_reason": "end_turn"}
    usage = {"input_tokens": 5, "output_tokens": 2}
    said = {"id": "m", **message, "content": [{"type": "text", "text": "Paris."}], "usage": usage}
    house.say = lambda body: (200, "application/json", json.dumps(said).encode())
    given = {"BTL_BASE_URL": default.url, "GATEWAY_API_KEY": DEFAULT_KEY, "HOUSE_KEY": HOUSE_KEY}
    with running(tmp_path, **given, ARBITER_CATALOG=str(path), ARBITER_JUDGE_SAMPLE="0") as over:
        answer = over.chat(FACT, **PINNED).json()
        assert answer["choices"][0]["message"]["content"] == "Paris."
        assert (answer["arbiter"]["runtime"], answer["arbiter"]["cost"]) == ("house", pytest.approx(13e-6))
        path_asked, head = house.heads[-1]
        assert path_asked == "/v1/messages" and HOUSE_KEY in head.values() and DEFAULT_KEY not in str(head)
        assert head["anthropic-beta"] == "output-128k-2025-02-19"
        house.say = refusal(529, "Overloaded", type="overloaded_error")
        assert told(over)["failover_from"] == ["gpt-4o@house"]


def test_with_one_runtime_nobody_hears_of_runtimes(default: Stranger, tmp_path: Path) -> None:
    with running(tmp_path, **default.settings) as over:
        block = told(over)
        found = over.http.get(f"/v1/decisions/{block['decision_id']}").json()
        assert "runtime" not in block and not found["runtime"] and '"runtime"' not in json.dumps(found["trace"])
        assert "deployments" not in over.http.get("/v1/pricing").text
