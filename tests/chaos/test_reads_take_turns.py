"""One visitor who asks for much holds up nobody else's reads."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from arbiter_app.store import open_store
from tests.clock import Stopwatch
from tests.served import OPERATOR, TLS, served
from tests.stores import file_all, mixed
from tests.wire import connected, status_of

ASKED = 150
WITHIN_S = 2.0
PATHS = ("/v1/report?days={}", "/v1/timeseries?bucket_seconds=300&buckets={}", "/v1/what-if?days={}")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a week of decisions."""
    path = tmp_path_factory.mktemp("filled") / "arbiter.db"

    async def write() -> None:
        await asyncio.gather(*[store.ledger.record(one) for one in mixed(6_000, days=7, until=time.time() - 10)])

    store = open_store(str(path))
    try:
        asyncio.run(write())
        file_all(store)
    finally:
        store.close()
    return path


@pytest.mark.parametrize("path", PATHS)
def test_a_report_is_there_in_time_while_a_stranger_asks_for_many(tmp_path: Path, filled: Path, path: str) -> None:
    shutil.copy(filled, tmp_path / "arbiter.db")
    headers = {"authorization": f"Bearer {OPERATOR}"}
    with served(tmp_path, ARBITER_PUBLIC_READS="1") as one, ExitStack() as stack:
        httpx.get(f"{one.url}/v1/report", headers=headers, verify=TLS)
        asked = []
        for at in range(ASKED):
            connection = stack.enter_context(connected(one, own="127.0.0.2"))
            target = path.format(800 + at)
            connection.sendall(f"GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
            asked.append(connection)
        assert status_of(asked[0].recv(65_536)) == 200
        for _ in range(2):
            with Stopwatch() as watch:
                assert httpx.get(f"{one.url}/v1/report", headers=headers, verify=TLS).status_code == 200
            assert watch.took_s < watch.allowed_s(WITHIN_S)
