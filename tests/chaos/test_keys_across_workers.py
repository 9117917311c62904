"""Keys and several processes: a fresh key works everywhere at once, a revoked one nowhere soon after."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.served import TLS, free_port, served
from tests.waiting import soon, until

ASK = {"messages": [{"role": "user", "content": "Calculate 2 + 2"}]}


def test_a_fresh_key_is_known_to_every_process_and_a_revoked_one_to_none(tmp_path: Path) -> None:
    port = free_port()
    with served(tmp_path, ARBITER_WORKERS="2", ARBITER_GATEWAY_PORT=str(port)) as one:
        workers = f"http://127.0.0.1:{port}"
        for at in range(6):
            made_at, used_at = (one.url, workers) if at % 2 else (workers, one.url)
            key = httpx.post(f"{made_at}/v1/register", json={"email": f"a{at}@example.com"}, verify=TLS).json()[
                "api_key"
            ]
            headers = {"authorization": f"Bearer {key}"}
            for _ in range(4):  # a connection each: whichever worker accepts it
                assert (
                    httpx.post(f"{used_at}/v1/chat/completions", json=ASK, headers=headers, verify=TLS).status_code
                    == 200
                )
            assert httpx.post(f"{made_at}/v1/key/revoke", headers=headers, verify=TLS).status_code == 200

            def refused(url: str = used_at, headers: dict[str, str] = headers) -> bool:
                return all(httpx.get(f"{url}/v1/key", headers=headers, verify=TLS).status_code == 401 for _ in range(4))

            soon(refused)


def test_a_limit_of_sign_ups_counts_those_at_every_process(tmp_path: Path) -> None:
    port = free_port()
    settings = {"ARBITER_WORKERS": "2", "ARBITER_GATEWAY_PORT": str(port), "ARBITER_SIGNUPS_PER_ADDRESS": "5"}
    with served(tmp_path, **settings) as one:
        at = [one.url, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}"]
        made = 0

        def refused_everywhere() -> bool:
            nonlocal made
            statuses = [
                httpx.post(f"{url}/v1/register", json={"email": "a@example.com"}, verify=TLS).status_code for url in at
            ]
            made += statuses.count(200)
            return statuses == [429] * len(at)

        until(refused_everywhere)
        assert 5 <= made <= 5 + 2  # what two others do in the moment in which they are told
