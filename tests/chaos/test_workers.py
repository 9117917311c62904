"""Gateway workers: one brain, exact limits, one switchboard; a killed one is replaced, and none outlives its master."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from arbiter_app.bench.workload import workload
from arbiter_app.runtime.sandbox import SandboxServer
from arbiter_app.runtime.sandbox.world import Fault
from arbiter_app.store import open_store
from arbiter_app.workers.worker_pool import WorkerPool, listen
from tests.bench.in_process import listens
from tests.chaos.test_stops_and_starts import CHAT, KEY, over, runtime
from tests.conftest import FAST, running
from tests.receivers import receiver
from tests.served import TLS, Served, free_port, served
from tests.waiting import PATIENCE_S, soon, until

LIMIT = 10


class Team:
    """A served Arbiter with two workers: `pages` and `gateway` are clients of an operator."""

    def __init__(self, one: Served, port: int) -> None:
        self.one = one
        self.port = port
        self.pages = httpx.Client(base_url=one.url, headers=KEY, verify=TLS)
        self.gateway = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=KEY, verify=TLS)

    def close(self) -> None:
        """Close the clients."""
        self.pages.close()
        self.gateway.close()

    def pids(self) -> list[int]:
        """The workers' processes."""
        children = Path(f"/proc/{self.one.process.pid}/task/{self.one.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"arbiter_app.workers" in _command(int(pid))]

    def ask(self, body: dict[str, Any], key: str = "") -> httpx.Response:
        """One request over a connection of its own, so that either worker may get it."""
        headers = {"authorization": f"Bearer {key}"} if key else KEY
        return httpx.post(f"http://127.0.0.1:{self.port}{CHAT}", json=body, headers=headers, verify=TLS)

    def metric(self, name: str) -> dict[str, float]:
        """A metric's sum by process."""
        found: Counter[str] = Counter()
        for line in self.pages.get("/metrics").text.splitlines():
            if line.startswith(name + "{") and (process := re.search(r'process="(\d)"', line)):
                found[process[1]] += float(line.rpartition(" ")[2])
        return dict(found)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def about(at: int) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"Calculate {at} + 1"}], "arbiter_no_cache": True}


@pytest.fixture(scope="module")
def slow() -> Iterator[SandboxServer]:
    with runtime() as one:
        yield one


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, slow: SandboxServer) -> Iterator[Team]:
    port = free_port()
    settings = {"ARBITER_WORKERS": "2", "ARBITER_GATEWAY_PORT": str(port), "ARBITER_LIMIT_6H": str(LIMIT)}
    directory = tmp_path_factory.mktemp("team")
    with served(directory, ARBITER_JUDGE_SAMPLE="0", ARBITER_JUDGE_CHECK="0", **settings, **over(slow)) as one:
        both = Team(one, port)
        yield both
        both.close()


def policy(client: httpx.Client) -> dict[Any, Any]:
    buckets = client.get("/v1/policy").json()["buckets"]
    return {
        (bucket, row["model"]): (f"{row['n']:.6g}", row["calls"], f"{row['avg_cost']:.6g}")
        for bucket, rows in buckets.items()
        for row in rows
        if row["calls"]
    }


def test_what_one_learns_all_know_and_nothing_counts_twice(team: Team) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(team.ask, [one.body for one in workload(160, 3, 0.0)]))
    assert {answer.status_code for answer in answers} == {200}
    assert team.pages.post(CHAT, json=about(1)).status_code == 200
    took = team.metric("arbiter_requests_total")
    assert sum(took.values()) == 161 and took["0"] == 1 and took["1"] > 10 and took["2"] > 10
    soon(lambda: policy(team.pages) == policy(team.gateway), 3)
    store = open_store(str(team.one.output.parent / "arbiter.db"))
    try:
        rows, _ = asyncio.run(store.load_policy())
    finally:
        store.close()
    stored = {(bucket, model): sums.calls for bucket, model, sums in rows if sums.calls}
    soon(lambda: {key: value[1] for key, value in policy(team.pages).items()} == stored, 3)


def test_a_limit_is_exact_across_workers(team: Team) -> None:
    key = minted(team)
    with ThreadPoolExecutor(50) as pool:
        statuses = Counter(pool.map(lambda at: team.ask(about(at), key).status_code, range(50)))
    assert statuses == {200: LIMIT, 429: 50 - LIMIT}


def minted(team: Team) -> str:
    store = open_store(str(team.one.output.parent / "arbiter.db"))
    try:
        key = asyncio.run(store.mint_key(role="caller", email="a@b.cd", label="")).secret
    finally:
        store.close()
    soon(lambda: team.gateway.get("/v1/key", headers={"authorization": f"Bearer {key}"}).status_code == 200, 3)
    soon(lambda: _known_by_all(team, key), 3)
    return key


def _known_by_all(team: Team, key: str) -> bool:
    """Sixteen connections at once: both workers answer some."""
    with ThreadPoolExecutor(16) as pool:
        url, headers = f"http://127.0.0.1:{team.port}/v1/key", {"authorization": f"Bearer {key}"}
        return {
            one.status_code for one in pool.map(lambda _: httpx.get(url, headers=headers, verify=TLS), range(16))
        } == {200}


def test_a_socket_at_the_workers_port_is_refused(team: Team) -> None:
    wish = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    headers = {**wish, "sec-websocket-key": "MDEyMzQ1Njc4OWFiY2RlZg=="}
    assert team.gateway.get("/v1/recent", headers=headers).status_code == 403


def test_prices_and_quarantines_are_known_to_all(team: Team, slow: SandboxServer) -> None:
    assert team.pages.post("/v1/simulate-price", json={"model": "gpt-4o", "multiplier": 3.0}).status_code == 200
    soon(lambda: team.gateway.get("/v1/overview").json()["active_price_overrides"] == {"gpt-4o": 3.0}, 2)
    slow.world.faults["gpt-4.1"] = Fault(status=503, retry_after="60")
    assert team.ask({**about(1), "arbiter_pin": "gpt-4.1"}).status_code == 503
    soon(lambda: "gpt-4.1" in team.pages.get("/v1/overview").json()["quarantined"], 2)
    assert team.metric("arbiter_quarantined") == {"0": 1.0, "1": 1.0, "2": 1.0}
    slow.world.faults.clear()
    assert team.pages.post("/v1/reset").status_code == 200
    soon(lambda: team.gateway.get("/v1/overview").json()["active_price_overrides"] == {}, 2)
    soon(lambda: policy(team.gateway) == {} == policy(team.pages), 3)


def test_a_killed_worker_is_replaced_and_the_other_serves_meanwhile(team: Team) -> None:
    before = team.pids()
    os.kill(before[0], signal.SIGKILL)
    assert [team.ask(about(at)).status_code for at in range(5)] == [200] * 5
    soon(lambda: len(team.pids()) == 2 and before[0] not in team.pids(), 5)
    soon(lambda: set(team.metric("arbiter_build_info")) == {"0", "1", "2"}, 10)


def test_workers_end_with_the_process_that_started_them(tmp_path: Path, slow: SandboxServer) -> None:
    port = free_port()
    settings = {"ARBITER_WORKERS": "1", "ARBITER_GATEWAY_PORT": str(port), **over(slow)}
    with served(tmp_path, **settings) as one:
        team = Team(one, port)
        (pid,) = team.pids()
        one.kill()
        soon(lambda: not _command(pid) and not listens(port), 3)
        with served(tmp_path, **settings):
            assert team.ask(about(1)).status_code == 200
        team.close()


def test_the_feed_of_the_pages_shows_what_workers_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**FAST, "ARBITER_DB": str(tmp_path / "arbiter.db"), "ARBITER_WORKERS": "1"}.items():
        monkeypatch.setenv(name, value)
    port = free_port()
    headers = {"authorization": f"Bearer {FAST['ARBITER_API_KEYS']}"}
    with running(tmp_path, ARBITER_WORKERS="1") as master:

        async def follow() -> tuple[str, str]:
            arbiter = master.arbiter
            pool = WorkerPool(arbiter, listen("127.0.0.1", port))
            async with pool, httpx.AsyncClient(headers=headers, verify=TLS) as client:
                with arbiter.feed.subscribe() as events:
                    await pool.complete.wait()
                    answer = await client.post(f"http://127.0.0.1:{port}{CHAT}", json=about(1))
                    while (event := await asyncio.wait_for(events.get(), PATIENCE_S)).kind != "decision":
                        pass  # of a slow start, others may be told
                    return answer.json()["arbiter"]["decision_id"], event.data["id"]

        decision, told = master.run(follow)
    assert told == decision


def test_what_a_worker_tells_is_sent_once_by_the_process_of_the_pages(tmp_path: Path) -> None:
    port = free_port()
    settings = {"ARBITER_WORKERS": "2", "ARBITER_GATEWAY_PORT": str(port)}
    with receiver() as hook, served(tmp_path, **settings) as one:
        team = Team(one, port)
        body = {"name": "all", "channel": "webhook", "address": hook.url, "events": ["budget_100"]}
        team.pages.post("/v1/notifications/rules", json=body).raise_for_status()
        ask = {"messages": [{"role": "user", "content": "Calculate 1 * 3"}], "arbiter_no_cache": True, "max_tokens": 20}
        ask["arbiter_pin"] = "gpt-4o"
        cost = team.pages.post(CHAT, json=ask).json()["arbiter"]["cost"]
        budget = {"scope": "tag", "subject": "a", "period": "month", "limit_usd": f"{40 * cost:.9f}"}
        team.pages.post("/v1/budgets", json=budget).raise_for_status()
        tagged = {"x-arbiter-tags": "a"}
        until(lambda: team.gateway.post(CHAT, json=ask, headers=tagged).status_code == 402)
        with ThreadPoolExecutor(8) as pool:  # refused by both workers
            refused = [pool.submit(team.gateway.post, CHAT, json=ask, headers=tagged) for _ in range(40)]
        assert {one.result().status_code for one in refused} == {402}
        until(lambda: team.pages.get("/v1/notifications?state=sent").json()["data"])
        assert len(team.pages.get("/v1/notifications").json()["data"]) == len(hook.got) == 1
        team.close()
