"""Downloads that nobody reads: they take a few places for a while, and nothing of anybody else's."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from arbiter_app.store import Store, open_store
from arbiter_app.web.export import COLUMNS, Downloads, Full
from tests.served import TLS, Served, served
from tests.stores import mixed
from tests.waiting import until

ROWS = 2_500


async def fill(store: Store) -> None:
    await store.ledger.record(*mixed(ROWS))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    store = open_store(str(tmp_path / "arbiter.db"))
    with ThreadPoolExecutor(1) as thread:  # a browser of an earlier test may have an event loop in this one
        thread.submit(lambda: asyncio.run(fill(store))).result()
    store.close()
    return tmp_path


@contextlib.contextmanager
def unread(one: Served, count: int, path: str = "/export/decisions.json") -> Iterator[list[socket.socket]]:
    """Sockets with a small receive buffer that ask, several times (the kernel holds megabytes for them), and read nothing."""
    url, opened = urlsplit(one.url), []
    try:
        for _ in range(count):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.connect((url.hostname, url.port))
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode() * 8)
            opened.append(sock)
        yield opened
    finally:
        for sock in opened:
            sock.close()


def struck(client: httpx.Client, bound: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    name = f'arbiter_bound_struck_total{{bound="{bound}"}} '
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def test_sixty_unread_downloads_hold_up_no_read_and_no_stop(directory: Path) -> None:
    with served(directory, ARBITER_DRAIN_S="1") as one, httpx.Client(base_url=one.url, verify=TLS) as client:
        with unread(one, 60):
            until(lambda: struck(client, "downloads") >= 56)
            for path in ("/v1/report", "/readyz", "/v1/recent", "/v1/timeseries") * 3:
                assert client.get(path).status_code == 200, path
            refused = client.get("/export/decisions.json")
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too_many_downloads")
            assert int(refused.headers["retry-after"]) > 0
        until(lambda: client.get("/export/decisions.json").status_code == 200)
        assert client.get("/v1/report").status_code == 200
        with unread(one, 4):
            assert one.stop() == 0


def test_who_does_not_read_is_cut_off_and_its_place_is_free(directory: Path) -> None:
    settings = {"ARBITER_WRITE_TIMEOUT_S": "0.5", "ARBITER_MAX_DOWNLOADS": "1"}
    with served(directory, **settings) as one, httpx.Client(base_url=one.url, verify=TLS) as client, unread(one, 1):
        until(lambda: struck(client, "write_time") == 1)
        until(lambda: client.get("/export/decisions.json").status_code == 200)


def test_a_download_has_every_row_once(directory: Path) -> None:
    with served(directory) as one, httpx.Client(base_url=one.url, verify=TLS) as client:
        rows = client.get("/export/decisions.json").json()
        assert len({row["id"] for row in rows}) == len(rows) == ROWS
        assert [row["ts"] for row in rows] == sorted((row["ts"] for row in rows), reverse=True)
        lines = list(csv.DictReader(io.StringIO(client.get("/export/decisions.csv").text)))
        assert [row["id"] for row in lines] == [row["id"] for row in rows]
        assert client.get("/export/decisions.json?task=nothing").json() == []
        first, last = (int(rows[at]["ts"]) for at in (1_500, 500))
        between = client.get(f"/export/decisions.json?since={first}&until={last}").json()
        assert between == [row for row in rows if first <= row["ts"] < last] and between
        assert client.get("/export/decisions.json?since=-1").status_code == 422
        assert client.get("/export/decisions.csv?task=nothing").text.strip() == ",".join(COLUMNS)


def test_half_of_the_places_are_for_others() -> None:
    downloads, held = Downloads(4), contextlib.ExitStack()
    with held:
        for _ in range(2):
            held.enter_context(downloads.place("a"))
        with pytest.raises(Full), downloads.place("a"):
            pass
        for _ in range(2):
            held.enter_context(downloads.place("b"))
        with pytest.raises(Full), downloads.place("c"):
            pass
    with downloads.place("a"), downloads.place("a"):
        pass


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_where_the_database_cannot_be_read_a_download_is_refused_in_words(directory: Path, kind: str) -> None:
    path = directory / "arbiter.db"
    with served(directory) as one, httpx.Client(base_url=one.url, verify=TLS) as client:
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
        refused = client.get(f"/export/decisions.{kind}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_unavailable")
    assert "Traceback" not in one.output.read_text()
