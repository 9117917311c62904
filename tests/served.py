"""Arbiter as users run it: a process of its own, started with the command line, on a free port.

In the suite such a process is forked from one that has everything imported (`tests.zygote`), unless it is asked for the command itself.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import template, zygote
from tests.waiting import PATIENCE_S, PATIENT

ROOT = Path(__file__).resolve().parent.parent
OPERATOR = "operator-of-the-tests"
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For httpx clients here, which speak plain HTTP: without it, each reads all certificates, which takes 40 ms of CPU."""
READY_S = 120.0
POLL_S = 0.02
forks = False
"""Whether processes are forked. Measurements and the chaos run start the command each time."""
Process = subprocess.Popen[bytes] | zygote.Forked
FOREIGN = ("ARBITER_", "GATEWAY_", "PYTHONDONTWRITEBYTECODE")


@dataclass(slots=True)
class Served:
    """A running process: `url`, its `output` file (console and logs), and the process itself."""

    url: str
    output: Path
    process: Process

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """SIGKILL: nothing gets a chance to say goodbye."""
        self.process.kill()
        self.process.wait(PATIENCE_S)


def _ports() -> Iterator[int]:
    """Below those that the kernel gives to outgoing connections; other ones for each process of a test run."""
    first = 20_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = list(range(first, first + 1_000))
    random.SystemRandom().shuffle(own)
    return itertools.cycle(own)


PORTS = _ports()


def free_port() -> int:
    """A port that nobody listens on, and that nobody is given while a process is on its way to it."""
    for port in PORTS:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("there is always a next one")


def start(directory: Path, *words: str, root: Path = ROOT, command: bool = False, **environ: str) -> Served:
    """Start `serve` of the checkout `root` over the store in `directory` and wait until it is ready. Other settings by their names.

    `command`: as `python -m arbiter_app`, for tests of how that starts, what it takes from its environment and how it ends.
    """
    port = environ.get("ARBITER_PORT") or str(free_port())
    own = {
        **PATIENT,
        "ARBITER_DB": str(directory / "arbiter.db"),
        "ARBITER_JOURNAL": str(directory / "journal.db"),
        "ARBITER_PORT": port,
        "ARBITER_API_KEYS": OPERATOR,
        "ARBITER_SANDBOX_LATENCY": "0",
        "ARBITER_SHADOW": "off",
    }
    if forks and not command:
        template.copy_to(directory / "arbiter.db")
    return launch(directory, words or ("--no-pages",), port, {**own, **environ}, root=root, command=command)


def launch(
    directory: Path,
    words: Sequence[str],
    port: str,
    environ: Mapping[str, str],
    *,
    root: Path = ROOT,
    command: bool = False,
) -> Served:
    """Start `serve` with exactly these settings, and wait until it is ready."""
    told = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)} | dict(environ)
    output = directory / "output.txt"
    with output.open("ab") as file:
        if forks and not command and root == ROOT:
            process: Process = zygote.fork(["serve", *words], told, file.fileno(), pages="--no-pages" not in words)
        else:
            process = subprocess.Popen(
                [sys.executable, "-m", "arbiter_app", "serve", *words],
                cwd=root,
                env=told,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
    one = Served(f"http://127.0.0.1:{port}", output, process)
    _wait_until_ready(one)
    return one


@contextlib.contextmanager
def served(directory: Path, *words: str, root: Path = ROOT, command: bool = False, **environ: str) -> Iterator[Served]:
    """The same for a `with` block; ends the process whatever happens."""
    one = start(directory, *words, root=root, command=command, **environ)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.stop()


def _wait_until_ready(one: Served) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if one.process.poll() is not None:
            raise RuntimeError(f"Arbiter ended with {one.process.returncode}:\n{one.output.read_text()[-4000:]}")
        try:
            with urllib.request.urlopen(f"{one.url}/readyz", timeout=PATIENCE_S):
                return
        except OSError:  # refused, reset, or late
            time.sleep(POLL_S)
    one.kill()
    raise RuntimeError(f"Arbiter was not ready within {READY_S:g} s:\n{one.output.read_text()[-4000:]}")
