"""Descriptors run out, nobody reads the log, the console is closed: Arbiter says so or goes on, and recovers by itself."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
import termios
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from arbiter_app.bench.client import Client
from arbiter_app.bench.workload import workload
from tests.served import FOREIGN, OPERATOR, ROOT, free_port, served
from tests.waiting import PATIENCE_S, until

SPARE, IDLE = 30, 200
ASKED, PIPE_BYTES, LINE_BYTES = 60, 4_096, 1_000
"""So many requests without a runtime say more in the log than such a pipe holds; no line is longer."""


def test_descriptors_run_out_and_come_back(tmp_path: Path) -> None:
    """Callers beyond the last descriptor wait or are turned away; once others leave, it serves as before."""
    with served(tmp_path, command=True) as one, closing(Client(one.url, OPERATOR)) as client:
        ask = workload(1, 1, 0.0)[0].body
        assert client.chat(ask).status == 200
        held = len(os.listdir(f"/proc/{one.process.pid}/fd"))
        _, hard = resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, (held + SPARE, hard))
        with contextlib.ExitStack() as stack:
            for _ in range(IDLE):
                with contextlib.suppress(OSError):
                    idle = socket.create_connection(("127.0.0.1", int(one.url.rpartition(":")[2])), timeout=0.2)
                    stack.enter_context(idle)
            until(lambda: len(os.listdir(f"/proc/{one.process.pid}/fd")) >= held + SPARE - 5)
        until(lambda: answers(one.url))
        assert client.chat(ask).status == 200
        assert one.stop() == 0
    said = one.output.read_text()
    assert said.count("\n") < 100, "a line for each caller that was turned away"


def test_nobody_reads_the_log(tmp_path: Path) -> None:
    """stdout and stderr are a pipe that fills up, then one whose reader has gone: answers go on, and SIGTERM ends it."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    port = free_port()
    own = {"ARBITER_DB": str(tmp_path / "arbiter.db"), "ARBITER_PORT": str(port), "ARBITER_API_KEYS": OPERATOR}
    own |= {"GATEWAY_API_KEY": "none", "BTL_BASE_URL": f"http://127.0.0.1:{free_port()}/v1"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    words = [sys.executable, "-m", "arbiter_app", "serve", "--no-pages"]
    process = subprocess.Popen(
        words, cwd=ROOT, env={**inherited, **own}, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing
    )
    os.close(writing)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(url))
        with closing(Client(url, OPERATOR)) as client:
            asks = [one.body for one in workload(2 * ASKED, 1, 0.0)]
            assert {client.chat(ask).status for ask in asks[:ASKED]} == {502}
            assert waiting(reading) > PIPE_BYTES - LINE_BYTES
            os.close(reading)
            reading = -1
            assert {client.chat(ask).status for ask in asks[ASKED:]} == {502}
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
    finally:
        if reading >= 0:
            os.close(reading)
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE_S)
    assert process.returncode == 0


@pytest.mark.parametrize("output", ["full", "gone", "closed"])
def test_a_start_that_nobody_hears_of_is_one(tmp_path: Path, output: str) -> None:
    """stdout is on a full disk, a pipe whose reader has gone, or closed as stdin and stderr are: it serves, and its files are its own."""
    reading, writing = os.pipe()
    os.close(reading)
    full = os.open("/dev/full", os.O_WRONLY)
    port = free_port()
    own = {"ARBITER_DB": str(tmp_path / "arbiter.db"), "ARBITER_PORT": str(port), "ARBITER_API_KEYS": ""}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    words = [sys.executable, "-m", "arbiter_app", "serve", "--no-pages"]
    if output == "closed":
        words = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words]
    stdout = {"full": full, "gone": writing}.get(output)
    process = subprocess.Popen(words, cwd=ROOT, env={**inherited, **own}, stdout=stdout)
    os.close(writing)
    os.close(full)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}") or process.poll() is not None)
        assert process.poll() is None
        standard = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
        assert not any(name.startswith((str(tmp_path), "socket")) for name in standard), standard
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE_S)
    assert process.returncode == 0


def waiting(pipe: int) -> int:
    """The bytes in a pipe that nobody has read."""
    told = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, told)
    return told[0]


def answers(url: str) -> bool:
    """Whether `/health` is answered."""
    with (
        contextlib.suppress(urllib.error.URLError, OSError),
        urllib.request.urlopen(f"{url}/health", timeout=PATIENCE_S) as answer,
    ):
        return answer.status == 200
    return False
