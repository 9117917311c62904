"""SIGTERM: running requests get their time, then end with an error that says so; a second SIGTERM does not wait."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from arbiter_app.bench.client import Client
from arbiter_app.catalog_file import load_catalog
from arbiter_app.runtime.sandbox import SandboxServer, start_sandbox
from arbiter_app.runtime.sandbox.world import Fault
from tests.served import OPERATOR, TLS, Served, served
from tests.stranger import Said, chunk, plain, stranger
from tests.stranger import stream as streamed_answer
from tests.waiting import FAR_S, PATIENCE_S, until
from tests.wire import connected, heard, told

KEY = {"authorization": f"Bearer {OPERATOR}"}
CHAT = "/v1/chat/completions"
ASK = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "arbiter_pin": "gpt-4.1"}


@contextmanager
def runtime() -> Iterator[SandboxServer]:
    """A runtime of the test's own, so that it can be scripted."""
    one = start_sandbox(load_catalog(None, baseline="gpt-4o"), latency=0.0)
    try:
        yield one
    finally:
        one.stop()


def over(one: SandboxServer) -> dict[str, str]:
    return {"GATEWAY_API_KEY": one.key, "BTL_BASE_URL": one.url}


def ask(one: Served, *, stream: bool, begun: threading.Event | None = None) -> tuple[int, str]:
    """A request that takes as long as it takes: status and text; `begun` is set with the answer's first bytes."""
    with httpx.stream("POST", one.url + CHAT, json={**ASK, "stream": stream}, headers=KEY, verify=TLS) as answer:
        text = ""
        for part in answer.iter_text():
            text += part
            if begun is not None:
                begun.set()
        return answer.status_code, text


@pytest.mark.parametrize(("workers", "name"), [("0", "SIGTERM"), ("2", "SIGTERM"), ("0", "SIGHUP"), ("0", "SIGQUIT")])
def test_what_runs_at_sigterm_is_finished(tmp_path: Path, workers: str, name: str) -> None:
    let_go = threading.Event()

    def slow(body: bytes) -> Said:
        let_go.wait(PATIENCE_S)
        return (
            streamed_answer(chunk({"content": "Paris."}), chunk({}, "stop"))
            if json.loads(body).get("stream")
            else plain()
        )

    settings = {"ARBITER_WORKERS": workers, "ARBITER_DRAIN_S": str(FAR_S), "ARBITER_JUDGE_SAMPLE": "0"}
    with stranger() as slowly, served(tmp_path, command=name == "SIGTERM", **settings, **slowly.settings) as one:
        slowly.say = slow
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(ask, one, stream=stream) for stream in (False, True)]
            until(lambda: len(slowly.heard) == 2)
            one.process.send_signal(signal.Signals[name])
            who_comes_meanwhile_hears_why_nobody_serves(one.url)
            let_go.set()
            assert [future.result()[0] for future in asked] == [200, 200]
            assert asked[1].result()[1].endswith("data: [DONE]\n\n")
        assert one.process.wait(PATIENCE_S) == 0


def who_comes_meanwhile_hears_why_nobody_serves(url: str) -> None:
    with httpx.Client(base_url=url, headers=KEY, verify=TLS) as client:
        until(lambda: client.get("/readyz").status_code == 503)
        assert "draining" in client.get("/readyz").json()["reasons"]
        assert client.get("/health").status_code == 200
        for path in (CHAT, "/v1/messages", "/v1/responses", "/v1/completions", "/v1/embeddings"):
            refused = client.post(path, json=ASK)
            assert (refused.status_code, refused.headers["connection"]) == (503, "close"), refused.text
            assert "draining" in refused.text and int(refused.headers["retry-after"]) > 0


def test_what_runs_longer_than_the_drain_ends_with_an_error_and_is_on_record(tmp_path: Path) -> None:
    with runtime() as slow, served(tmp_path, command=True, ARBITER_DRAIN_S="0.5", **over(slow)) as one:
        slow.world.faults["*"] = Fault(drip_s=1.0)
        begun = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(ask, one, stream=False), pool.submit(ask, one, stream=True, begun=begun)]
            until(lambda: slow.world.open_requests == 2)
            assert begun.wait(PATIENCE_S)
            one.process.send_signal(signal.SIGTERM)
            (plain_status, plain), (status, streamed) = (future.result() for future in asked)
        assert one.process.wait(PATIENCE_S) == 0
    assert (plain_status, json.loads(plain)["error"]["code"]) == (503, "draining")
    *_, last, end = streamed.split("\n\n")
    assert (status, end) == (200, "")
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "draining"
    assert "[DONE]" not in streamed
    with (
        runtime() as again,
        served(tmp_path, command=True, **over(again)) as one,
        closing(Client(one.url, OPERATOR)) as client,
    ):
        rows = client.get("/v1/recent")["data"]
        assert [(row["status"], row["error_code"]) for row in rows] == [("failed", "draining")] * 2


def test_who_has_not_sent_all_of_a_request_by_then_is_cut_off_without_a_traceback(tmp_path: Path) -> None:
    with served(tmp_path, command=True, ARBITER_DRAIN_S="0.5") as one, connected(one) as connection:
        half = f"POST /v1/feedback HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {OPERATOR}\r\ncontent-length: 9\r\n\r\n{{"
        connection.sendall(half.encode())
        assert told(one, b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")  # read after it
        one.process.send_signal(signal.SIGTERM)
        assert heard(connection) == b""
        assert one.process.wait(PATIENCE_S) == 0
    assert "Traceback" not in one.output.read_text()


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_second_sigterm_ends_at_once(tmp_path: Path, workers: str) -> None:
    settings = {"ARBITER_WORKERS": workers, "ARBITER_DRAIN_S": str(FAR_S)}
    with runtime() as slow, served(tmp_path, command=True, **settings, **over(slow)) as one:
        slow.world.faults["*"] = Fault(stall_s=FAR_S)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, one, stream=True)
            until(lambda: slow.world.open_requests == 1)
            one.process.send_signal(signal.SIGTERM)
            until(lambda: httpx.get(one.url + "/readyz", verify=TLS).status_code == 503)
            one.process.send_signal(signal.SIGTERM)
            one.process.wait(PATIENCE_S)
            status, text = asked.result()
            assert (status, json.loads(text)["error"]["code"]) == (503, "draining")
