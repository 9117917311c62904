"""Which servers there are, how each is started, and three models of its own names in each."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.browser import NODE
from tests.served import POLL_S, free_port

HERE = Path(__file__).parent
READY_S = 120.0
"""LiteLLM imports for half a minute on a busy machine."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A server by its exact package, of PyPI (`==`) or npm, and its command line; `base` is the path of its base URL."""

    package: str
    command: str
    models: tuple[str, ...]
    base: str = "/v1"
    key: str = "any"


HOUSE = ("house-small", "house-large", "org/house-judge")
KINDS = {
    "aimock": Kind("@copilotkit/aimock@1.43.0", "llmock --port {port} --fixtures {here}/aimock.json", HOUSE),
    "mock-llm": Kind("@dwmkerr/mock-llm@0.1.29", "mock-llm --config {here}/mock-llm.yaml", HOUSE),
    "litellm": Kind(
        "litellm[proxy]==1.108.7",
        "litellm --config {here}/litellm.yaml --host 127.0.0.1 --port {port}",
        ("gpt-4o", "azure/gpt-4o-mini", "house-claude"),
        key="sk-compat",
    ),
    "ai21": Kind(
        "llmock==0.2.2",
        "llmock serve --port {port}",
        ("jamba-1.5-large", "jamba-1.5-mini", "jamba-instruct"),
        base="/ai21/v1",
    ),
}


@dataclass(frozen=True, slots=True)
class Started:
    """A running one: its base URL, and what it has printed so far."""

    url: str
    output: Path


@contextlib.contextmanager
def started(kind: Kind, programs: Path, directory: Path) -> Iterator[Started]:
    """Start it with a program of the folder `programs`, wait until it lists its models, and end it."""
    port = free_port()
    name, *words = kind.command.format(port=port, here=HERE).split()
    one = Started(f"http://127.0.0.1:{port}{kind.base}", directory / "server.txt")
    path = f"{Path(NODE).parent}:{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "PORT": str(port), "HOST": "127.0.0.1"}  # mock-llm reads the last two
    with one.output.open("wb") as file:
        process = subprocess.Popen([programs / name, *words], cwd=directory, env=environ, stdout=file, stderr=file)
    try:
        _wait_until_ready(kind, one, process)
        yield one
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_until_ready(kind: Kind, one: Started, process: subprocess.Popen[bytes]) -> None:
    request = urllib.request.Request(f"{one.url}/models", headers={"authorization": f"Bearer {kind.key}"})
    until = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5):
            return
        time.sleep(POLL_S)
    raise RuntimeError(f"{kind.package} does not serve:\n{one.output.read_text(errors='replace')[-4000:]}")
