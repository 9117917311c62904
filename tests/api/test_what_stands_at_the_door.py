"""What happens before a route runs: methods, headers, bodies of control routes, and defects behind them."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from arbiter_app.runtime.sandbox.world import Fault
from arbiter_app.store import open_store
from tests.conftest import Running, running
from tests.served import TLS
from tests.waiting import soon

CHAT = "/v1/chat/completions"


def test_head_is_get_without_a_body(gateway: Running) -> None:
    for path in ("/health", "/readyz", "/v1/report"):
        head, get = gateway.http.head(path), gateway.http.get(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


def test_options_and_wrong_methods_name_what_is_allowed(gateway: Running) -> None:
    for path, allowed in (("/v1/report", "GET"), ("/v1/reset", "POST"), (CHAT, "POST")):
        told = gateway.http.options(path, headers={"origin": "https://elsewhere.example"})
        assert (told.status_code, told.headers["allow"]) == (204, f"{allowed}, OPTIONS")
        assert not any(name.startswith("access-control") for name in told.headers)
        wrong = gateway.http.delete(path)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, allowed)
        assert wrong.json()["error"]["code"] == "method_not_allowed"
    assert gateway.http.options("/v1/nothing").status_code == 404


def test_every_route_tells_all_of_its_methods_and_takes_no_other(gateway: Running) -> None:
    paths = gateway.http.get("/v1/openapi.json").json()["paths"]
    patterns = {path: re.compile(re.sub(r"\{.*?\}", ".+" if "{model}" in path else "[^/]+", path)) for path in paths}
    for path in paths:
        url = re.sub(r"\{.*?\}", "one", path)
        here = [
            one for one, pattern in patterns.items() if pattern.fullmatch(url)
        ]  # a name may be another route's last word
        allowed = sorted({method.upper() for one in here for method in paths[one]})
        told = gateway.http.options(url)
        assert (told.status_code, told.headers["allow"], told.content) == (204, ", ".join([*allowed, "OPTIONS"]), b"")
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"} - set(allowed):
            wrong = gateway.http.request(method, url)
            assert (wrong.status_code, wrong.headers["allow"]) == (405, ", ".join(allowed)), (method, path)
            assert wrong.json()["error"]["code"] == "method_not_allowed"
        unheard_of = gateway.http.request("BREW", url)
        assert unheard_of.status_code == 400 and unheard_of.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/health", "/v1/report", "/v1/reference", "/v1/nothing", CHAT])
def test_every_answer_is_hardened_and_names_its_request(gateway: Running, path: str) -> None:
    answer = gateway.http.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"].startswith("req_")
    if path != CHAT:
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def endless(piece: bytes, most: int) -> Iterator[bytes]:
    for _ in range(most):
        yield piece


def test_the_body_of_a_control_route_is_bounded_and_read_for_those_only_who_may(gateway: Running) -> None:
    long = b'{"email": "' + b"x" * 100_000 + b'"}'
    assert gateway.http.post("/v1/register", content=long).status_code == 413
    assert gateway.http.post("/v1/register", content=endless(b"x" * 1_000, 100)).status_code == 413
    refused = httpx.post(f"{gateway.url}/v1/simulate-price", content=endless(b"x" * 1_000, 100), verify=TLS)
    assert refused.status_code == 401


@pytest.mark.parametrize(
    "body", [b"{", b'{"email": NaN}', b'{"email": "\\ud800@b.cd"}', b"[" * 10_000, b"\xff"], ids=repr
)
def test_malformed_json_is_400_on_control_routes_too(gateway: Running, body: bytes) -> None:
    answer = gateway.http.post("/v1/register", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


PRICE = b"""{"model": "gpt-4o", "multiplier": 1}"""


def test_a_body_is_json_whatever_its_content_type_says(gateway: Running) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"):
        answer = gateway.http.post("/v1/simulate-price", content=PRICE, headers={"content-type": kind})
        assert answer.status_code == 200, kind


@pytest.mark.parametrize("query", ["before=99999999999999999999", "before=0", "before=x", "limit=0", "limit=501"])
@pytest.mark.parametrize("path", ["/v1/recent", "/v1/alerts"])
def test_a_cursor_or_limit_out_of_range_is_422(gateway: Running, path: str, query: str) -> None:
    answer = gateway.http.get(f"{path}?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, query.partition("=")[0])


def test_a_defect_is_500_in_the_shape_and_the_connection_lives_on(own_gateway: Running) -> None:
    """A read model that is gone stands for any defect: the answer says nothing but the request id."""
    own_gateway.arbiter.reads = None  # type: ignore[assignment]
    answer = own_gateway.http.get("/v1/overview", headers={"x-request-id": "abc-1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "abc-1" in answer.json()["error"]["message"]
    assert "NoneType" not in answer.text
    assert own_gateway.http.get("/health").status_code == 200


def test_errors_name_the_decision_that_was_recorded(own_gateway: Running) -> None:
    own_gateway.world.faults["*"] = Fault(status=500)
    failed = own_gateway.chat("Calculate 2 + 2")
    assert failed.status_code == 502
    row = own_gateway.http.get(f"/v1/decisions/{failed.headers['x-arbiter-decision']}").json()
    assert (row["status"], row["error_code"]) == ("failed", "runtime_unavailable")
    impossible = own_gateway.chat("word " * 1_100_000)
    assert impossible.status_code == 400
    assert impossible.headers["x-arbiter-decision"].startswith("d_")


def test_refusals_before_any_model_was_asked_do_not_use_up_a_limit(gateway: Running) -> None:
    with gateway.client(gateway.caller()) as caller:
        ask = {"messages": [{"role": "user", "content": "Calculate 2 + 2"}]}
        assert caller.post(CHAT, json={**ask, "arbiter_pin": "no-such-model"}).status_code == 422
        assert caller.post(CHAT, json={**ask, "max_tokens": 10**9}).status_code == 400
        assert caller.post(CHAT, json={}).status_code == 422
        assert caller.get("/v1/key").json()["used_6h"] == 0
        assert caller.post(CHAT, json=ask).status_code == 200
        assert caller.get("/v1/key").json()["used_6h"] == 1


def test_refusals_are_counted_by_code(gateway: Running) -> None:
    def count() -> float:
        lines = gateway.http.get("/metrics").text.splitlines()
        named = [line for line in lines if line.startswith('arbiter_refused_total{code="invalid_json"}')]
        return float(named[0].rpartition(" ")[2]) if named else 0.0

    before = count()
    gateway.http.post(CHAT, content=b"{")
    assert count() == before + 1


def test_a_damaged_database_file_is_503_for_readers_while_answers_go_on(tmp_path: Path) -> None:
    with running(tmp_path, database="sqlite") as gateway:
        gateway.chat("Calculate 2 + 2")
        for name in ("arbiter.db", "arbiter.db-wal"):
            (tmp_path / name).write_bytes(b"not a database" * 10_000)
        with (tmp_path / "arbiter.db-shm").open("r+b") as index:
            index.write(bytes(136))  # its head: whoever holds pages in memory looks at the file again
        for path in ("/v1/recent", "/v1/report", "/v1/overview", "/v1/alerts", "/v1/timeseries"):
            answer = gateway.http.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable"), path
            assert int(answer.headers["retry-after"]) >= 1
            assert "SELECT" not in answer.text
        assert gateway.http.get("/readyz").status_code == 503
        assert gateway.http.get("/health").status_code == 200
        assert gateway.chat("Calculate 3 + 3").status_code == 200


def test_a_key_changed_by_another_process_counts_within_two_seconds(own_gateway: Running) -> None:
    with own_gateway.client(own_gateway.caller()) as caller:
        key_id = caller.get("/v1/key").json()["key_id"]
        other = open_store(own_gateway.settings.db)
        try:
            asyncio.run(other.set_key_status(key_id, "revoked"))
        finally:
            other.close()
        soon(lambda: caller.get("/v1/key").status_code == 401, 2)


def test_while_draining_new_work_is_refused_and_readiness_says_so(own_gateway: Running) -> None:
    own_gateway.arbiter.requests.draining = True
    for fields in ({}, {"stream": True}):
        answer = own_gateway.chat("Calculate 2 + 2", **fields)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")
        assert int(answer.headers["retry-after"]) >= 1
    ready = own_gateway.http.get("/readyz")
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["draining"])
    assert own_gateway.http.get("/health").status_code == 200
    assert own_gateway.world.calls == {}


def test_slots_of_a_time_series_are_as_long_as_it_says(gateway: Running) -> None:
    told = gateway.http.get("/v1/timeseries?bucket_seconds=700&buckets=3").json()
    starts = [slot["ts"] for slot in told["data"]]
    assert told["bucket_seconds"] == 600 == starts[1] - starts[0] == starts[2] - starts[1]


READS = (
    "report",
    "policy",
    "recent?limit=500",
    "overview",
    "pricing",
    "alerts",
    "timeseries",
    "models",
    "openapi.json",
)


@pytest.mark.parametrize("path", READS)
def test_no_read_blocks_the_event_loop(gateway: Running, path: str) -> None:
    for at in range(20):
        gateway.chat(f"Calculate {at} + 1")
    gateway.http.get(f"/v1/{path}")
    longest_s = [gateway.longest_step_s(lambda: gateway.http.get(f"/v1/{path}")) for _ in range(3)]
    assert min(longest_s) < 0.05, longest_s


def test_the_gateway_runs_without_the_pages() -> None:
    code = (
        "import sys, arbiter_app.api.gateway, arbiter_app.bootstrap\n"
        "sys.exit(any(name in sys.modules for name in ('reflex', 'plotly', 'arbiter_app.web')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
